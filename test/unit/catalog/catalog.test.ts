import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { mergeInstructions } from '../../../src/catalog/instructions.ts';
import { Ownership } from '../../../src/catalog/ownership.ts';
import { compileUriAllowList } from '../../../src/catalog/uri-allow-list.ts';
import { NAME_STYLES, type NameStyle } from '../../../src/domain/principal.ts';
import { LIST_KINDS, type ListKind } from '../../../src/protocol/list-kind.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { catalogOf, grantOf, inventoryOf, type OfferedConfig } from '../../support/catalogs.ts';

const tool = (name: string) => `{"name":"${name}","inputSchema":{"type":"object"}}`;
const prompt = (name: string, more = '') => `{"n":1.0,"name":"${name}"${more}}`;
const resource = (uri: string, more = '') => `{ "uri":"${uri}","name":"r"${more}}`;
const template = (text: string) => `{"uriTemplate":"${text}","name":"t"}`;

const listed = (catalog: Catalog, kind: ListKind, style: NameStyle = 'dot') =>
  Buffer.concat(catalog.list(kind, 'modern', style).slice()).toString();
const configOf = (route: { grant: { config: { config: { name: string } } } } | undefined) =>
  route?.grant.config.config.name;

const GITHUB: OfferedConfig = {
  name: 'github-ro',
  lists: {
    tools: [tool('search')],
    prompts: [prompt('review', ',"title":null'), prompt('github.x'), prompt('secret')],
    resources: [resource('repo://a', ',"size":null'), resource('repo://b')],
    templates: [template('repo://{owner}/{name}'), template('hidden://{x}')],
  },
  allow: { allowedPrompts: ['github.*', 'github.x'], allowedResources: ['repo://*'] },
};
const LINEAR: OfferedConfig = {
  name: 'linear',
  lists: { prompts: [prompt('plan')], resources: [resource('linear://1'), resource('repo://b')] },
};

describe('prompts of a catalog', () => {
  const catalog = catalogOf([GITHUB, LINEAR]);

  test('are listed under the name of their service, and with every other byte that came', () => {
    assert.equal(
      listed(catalog, 'prompts'),
      '[{"n":1.0,"name":"github.review"},{"n":1.0,"name":"github.github.x"},{"n":1.0,"name":"github.secret"},{"n":1.0,"name":"linear.plan"}]',
    );
    assert.deepEqual(
      JSON.parse(listed(catalog, 'prompts', 'underscore')).map(({ name }: { name: string }) => name),
      ['github__review', 'github__github_x', 'github__secret', 'linear__plan'],
    );
  });

  test('are found by every name they are listed under, and by no other', () => {
    for (const style of NAME_STYLES) {
      for (const { name } of JSON.parse(listed(catalog, 'prompts', style))) {
        assert.equal(catalog.prompt(name, style)?.feature, 'prompt');
      }
    }
    const { canonicalName, upstreamName, label, tool: none } = catalog.prompt('github.review', 'dot')!;
    assert.deepEqual(
      [canonicalName, upstreamName, label, none],
      ['github.review', 'review', 'prompt:review', undefined],
    );
    for (const name of ['review', 'plan', 'github.search', 'linear.review', 'github.x', '']) {
      assert.equal(catalog.prompt(name, 'dot'), undefined, name);
      assert.equal(catalog.route('github.review', 'dot'), undefined);
    }
  });

  test('are none where the policy names none, beside any tools', () => {
    const bare = catalogOf([{ ...GITHUB, allow: { allowedPrompts: [], allowedResources: [] } }]);
    assert.equal(listed(bare, 'prompts'), '[]');
    assert.equal(bare.prompt('github.review', 'dot'), undefined);
    assert.equal(listed(bare, 'tools'), `[${tool('github.search')}]`);
  });

  test('and all that is listed are kept once, however they are asked for', () => {
    const view = catalogOf([GITHUB], { isView: true });
    assert.equal(view.list('prompts', 'legacy', 'bare'), view.list('prompts', 'modern', 'dot'));
    assert.equal(view.list('tools', 'modern', 'bare'), view.list('tools', 'modern', 'dot'));
    for (const kind of ['resources', 'templates'] as const) {
      assert.equal(catalog.list(kind, 'legacy', 'underscore'), catalog.list(kind, 'modern', 'dot'));
    }
    assert.notEqual(catalog.list('prompts', 'modern', 'underscore'), catalog.list('prompts', 'modern', 'dot'));
    assert.notEqual(catalog.list('tools', 'modern', 'dot'), catalog.list('tools', 'legacy', 'dot'));
  });

  test('of one name go to the first grant, and the second is reported', () => {
    const twice = catalogOf([GITHUB, { ...GITHUB, name: 'github-rw' }]);
    assert.equal(configOf(twice.prompt('github.review', 'dot')), 'github-ro');
    const names = twice.collisions.filter(({ kind }) => kind === 'prompts').map((each) => each.canonicalName);
    assert.deepEqual(names, ['github.review', 'github.github.x', 'github.secret']);
  });

  test('may have the name of a tool', () => {
    const both = catalogOf([{ name: 'a', lists: { tools: [tool('x')], prompts: [prompt('x')] } }]);
    assert.deepEqual([both.route('a.x', 'dot')?.feature, both.prompt('a.x', 'dot')?.feature], ['tool', 'prompt']);
    assert.deepEqual(both.collisions, []);
  });
});

describe('resources of a catalog', () => {
  const catalog = catalogOf([GITHUB, LINEAR]);

  test('are listed by their own URIs, each once, and with every byte that came', () => {
    assert.equal(
      listed(catalog, 'resources'),
      '[{ "uri":"repo://a","name":"r"},{ "uri":"repo://b","name":"r"},{ "uri":"linear://1","name":"r"}]',
    );
    assert.equal(listed(catalog, 'templates'), `[${template('repo://{owner}/{name}')}]`);
    assert.deepEqual(
      catalog.collisions.filter(({ kind }) => kind === 'resources'),
      [{ kind: 'resources', canonicalName: 'repo://b', servedBy: 'github-ro', alsoIn: 'linear' }],
    );
  });

  test('are read where they are listed, or where a template stands for them and the policy admits them', () => {
    const route = catalog.resource('repo://a')!;
    assert.deepEqual([route.feature, route.canonicalName, route.upstreamName], ['resource', 'repo://a', 'repo://a']);
    assert.equal(route.label, 'resource:repo://*');
    assert.equal(configOf(catalog.resource('repo://o/n')), 'github-ro');
    assert.equal(configOf(catalog.resource('linear://1')), 'linear');
    for (const uri of ['repo://c', 'repo://o/n/m', 'hidden://x', 'linear://2', 'REPO://a', 'repo://a/', '']) {
      assert.equal(catalog.resource(uri), undefined, uri);
    }
  });

  test('that one grant lists and another has a template for are read where they are listed', () => {
    const first: OfferedConfig = { name: 'a', lists: { templates: [template('x://{+any}')] } };
    const second: OfferedConfig = {
      name: 'b',
      lists: { resources: [resource('x://1')], templates: [template('x://{n}')] },
    };
    const both = catalogOf([first, second]);
    assert.equal(configOf(both.resource('x://1')), 'b');
    assert.equal(configOf(both.resource('x://2')), 'a');
  });

  test('go to the grant that served them first, until the configuration changes', () => {
    const ownership = new Ownership();
    const a: OfferedConfig = { name: 'a', lists: { resources: [resource('x://1')] } };
    const b: OfferedConfig = { name: 'b', lists: { resources: [resource('x://1')], templates: [template('x://{n}')] } };
    assert.equal(configOf(catalogOf([{ ...a, lists: null }, b], { ownership }).resource('x://1')), 'b');
    assert.equal(configOf(catalogOf([a, b], { ownership }).resource('x://1')), 'b');
    const gone = catalogOf(
      [
        { ...a, lists: { templates: [template('x://{n}')] } },
        { ...b, lists: {} },
      ],
      { ownership },
    );
    assert.equal(gone.resource('x://1'), undefined, 'a read never moves to another grant');
  });

  test('of one template go to the grant that served it first, as the template does', () => {
    const ownership = new Ownership();
    const lists = { templates: [template('x://{n}')] };
    const [a, b]: [OfferedConfig, OfferedConfig] = [
      { name: 'a', lists },
      { name: 'b', lists },
    ];
    assert.equal(configOf(catalogOf([{ ...a, lists: null }, b], { ownership }).resource('x://1')), 'b');
    const both = catalogOf([a, b], { ownership });
    assert.deepEqual([both.template('x://{n}'), both.resource('x://1')].map(configOf), ['b', 'b']);
    assert.equal(catalogOf([a, { ...b, lists: {} }], { ownership }).resource('x://1'), undefined);
    const narrow = { ...b, allow: { allowedResources: ['x://?n?', 'x://b*'] } };
    const apart = catalogOf([a, narrow], { ownership });
    assert.deepEqual([apart.resource('x://a1'), apart.resource('x://b1')].map(configOf), ['a', 'b']);
  });

  test('that are gone are remembered by no more than an upstream may list, and none is forgotten for those of another', () => {
    const ownership = new Ownership();
    const rotating = (round: number) =>
      Array.from({ length: 4_000 }, (_, index) => resource(`x://${round}/${index}/${'long'.repeat(100)}`));
    const b: OfferedConfig = { name: 'b', lists: { resources: [resource('x://b')], tools: [tool('t')] } };
    catalogOf([{ name: 'a', lists: null }, b], { ownership });
    for (let round = 0; round < 6; round++) {
      catalogOf(
        [
          { name: 'a', lists: { resources: rotating(round) } },
          { ...b, lists: {} },
        ],
        { ownership },
      );
    }
    const { departed } = ownership;
    assert.ok(departed.length >= 10_000 && departed.length <= 10_000 + 2, `${departed.length}`);
    assert.ok(departed.every(({ length }) => length < 200));
    const taking = catalogOf(
      [
        { name: 'a', lists: { resources: [resource('x://b')] } },
        { ...b, lists: {} },
      ],
      { ownership },
    );
    assert.equal(taking.resource('x://b'), undefined);
  });

  test('are found through the templates that are listed, by the text of each', () => {
    assert.equal(catalog.template('repo://{owner}/{name}')?.upstreamName, 'repo://{owner}/{name}');
    assert.equal(catalog.template('hidden://{x}'), undefined);
    assert.equal(catalog.template('repo://{o}/{n}'), undefined);
  });
});

test('what a config admits of a list is decided once, whoever is granted it', () => {
  let decisions = 0;
  const given = grantOf({ name: 'a', lists: null });
  const match = (name: string) => {
    decisions++;
    return given.config.resourceList.match(name);
  };
  const config = { ...given.config, resourceList: { match, size: 1, warnings: [] } };
  const list = inventoryOf({ resources: [resource('x://1'), resource('x://2')], templates: [template('x://{n}')] });
  const input = { accountId: DEFAULT_ACCOUNT, epoch: 1, listOf: () => list };
  for (let token = 0; token < 3; token++) {
    const catalog = new Catalog({ ...input, grants: [{ ...given, config }], ownership: new Ownership() });
    assert.equal(catalog.list('resources', 'modern', 'dot').count, 2);
    assert.equal(catalog.list('templates', 'modern', 'dot').count, 1);
  }
  assert.equal(decisions, 3);
  const narrow = { ...config, resourceList: compileUriAllowList(['x://2']) };
  const catalog = new Catalog({ ...input, grants: [{ ...given, config: narrow }], ownership: new Ownership() });
  assert.equal(catalog.list('resources', 'modern', 'dot').count, 1);
});

describe('a config seen by itself', () => {
  const catalog = catalogOf([GITHUB, LINEAR], { isView: true });

  test('has the names of its upstream, however the token spells them', () => {
    for (const style of NAME_STYLES) {
      assert.equal(listed(catalog, 'tools', style), `[${tool('search')}]`);
      assert.match(listed(catalog, 'prompts', style), /"name":"review".*"name":"github\.x".*"name":"secret"/);
      assert.equal(catalog.route('search', style)?.canonicalName, 'github.search');
      assert.equal(catalog.prompt('github.x', style)?.upstreamName, 'github.x');
      for (const name of ['github.search', 'github__search']) assert.equal(catalog.route(name, style), undefined, name);
    }
  });

  test('lets every resource be read that the policy admits, listed or not, and nothing of another', () => {
    assert.equal(configOf(catalog.resource('repo://never/listed/anywhere')), 'github-ro');
    assert.equal(catalog.resource('linear://1'), undefined);
    assert.equal(catalog.resource('hidden://x'), undefined);
  });
});

describe('what a catalog serves', () => {
  const ALL = { tools: true, prompts: true, resources: true, subscriptions: true, completions: true, logging: true };
  const nothingAllowed = { allowedTools: [], allowedPrompts: [], allowedResources: [] };
  const about = { prompts: false, resources: true, subscribes: false, completions: true, logging: false };

  test('is what some policy allows, whatever its upstreams have', () => {
    assert.deepEqual(
      catalogOf([
        { ...GITHUB, allow: nothingAllowed },
        { name: 'b', lists: { about } },
      ]).serves,
      ALL,
    );
    const none = {
      tools: true,
      prompts: false,
      resources: false,
      subscriptions: false,
      completions: false,
      logging: true,
    };
    assert.deepEqual(catalogOf([{ ...GITHUB, allow: nothingAllowed }]).serves, none);
    assert.deepEqual(catalogOf([]).serves, none);
    assert.deepEqual(catalogOf([{ ...GITHUB, allow: { ...nothingAllowed, allowedPrompts: ['*'] } }]).serves, {
      ...none,
      prompts: true,
      completions: true,
    });
  });

  test('is of a config by itself what its upstream declares and the policy allows', () => {
    const served = (config: OfferedConfig) => catalogOf([config], { isView: true }).serves;
    assert.deepEqual(served({ name: 'b', lists: { about } }), {
      ...ALL,
      prompts: false,
      subscriptions: false,
      logging: false,
    });
    assert.deepEqual(served({ name: 'b', lists: { about: { tools: false } }, allow: nothingAllowed }), {
      tools: false,
      prompts: false,
      resources: false,
      subscriptions: false,
      completions: false,
      logging: true,
    });
    assert.equal(served({ name: 'b', lists: { about: { tools: false }, tools: [tool('a')] } }).tools, true);
    assert.deepEqual(served({ name: 'b', lists: null }), ALL);
  });
});

describe('instructions', () => {
  const saying = (name: string, instructions: string, more: Partial<OfferedConfig> = {}): OfferedConfig => ({
    name,
    lists: { tools: [tool('x')], about: { instructions } },
    ...more,
  });
  const merged = (...configs: OfferedConfig[]) => mergeInstructions(catalogOf(configs));

  test('stand each under the name of its service', () => {
    assert.equal(merged(GITHUB), undefined);
    assert.equal(merged(saying('a', 'One.\n\nTwo.\n')), '# a\n> One.\n>\n> Two.');
    assert.equal(merged(saying('a-x', 'One.'), GITHUB, saying('b', 'Two.')), '# a\n> One.\n\n# b\n> Two.');
    assert.equal(merged(saying('a-x', 'One.'), saying('a-y', 'Two.'), saying('a-z', 'One.')), '# a\n> One.\n>\n> Two.');
  });

  test('cannot begin a line that is not theirs', () => {
    const ends = ['\n', '\r', '\r\n', '\v', '\f', '\x1c', '\x1d', '\x1e', '\u0085', '\u2028', '\u2029'];
    const lines = merged(saying('a', ends.map((end) => `.${end}# b`).join('')))?.split('\n') ?? [];
    assert.equal(lines.length, 1 + ends.length + 1);
    assert.deepEqual(
      lines.filter((line) => !/^> .*$/u.test(line)),
      ['# a'],
    );
  });

  test('are heard by those only who may use something', () => {
    const allow = { allowedTools: [], allowedPrompts: [], allowedResources: [] };
    assert.equal(merged(saying('a', 'One.', { allow })), undefined);
    assert.equal(merged(saying('a', 'One.', { allow: { ...allow, allowedTools: ['y'] } })), undefined);
    assert.notEqual(merged(saying('a', 'One.', { allow: { ...allow, allowedPrompts: ['y'] } })), undefined);
  });

  test('are 4 KiB of each service, and 16 KiB in all', () => {
    const one = merged(saying('a', 'é'.repeat(4096)))!;
    assert.match(one, /^# a\n> é+ … \[cut\]$/);
    assert.ok(Buffer.byteLength(one) < 4200);
    const all = merged(...Array.from({ length: 9 }, (_, index) => saying(`s${index}`, `${'line\n'.repeat(1000)}`)))!;
    assert.ok(Buffer.byteLength(all) <= 16 * 1024);
    assert.match(all, / … \[cut\]$/);
  });

  test('of a config by itself are its own', () => {
    const said = 'One.\n\n# two\n';
    assert.equal(mergeInstructions(catalogOf([saying('a', said)], { isView: true })), said);
  });
});

test('every list of an empty catalog is empty', () => {
  for (const kind of LIST_KINDS) assert.equal(listed(catalogOf([]), kind), '[]');
});
