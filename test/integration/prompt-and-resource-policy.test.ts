// Prompts and resources as operators write, preview and explain them, held against what agents then see on /mcp.

import assert from 'node:assert/strict';
import { after, before, describe, suite, test } from 'node:test';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';
import { type Operator, operatorOf } from '../support/operator.ts';
import { type SdkServer, startSdkServer } from '../support/sdk-servers.ts';

const POLICY = { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } };

interface Offer {
  readonly prompts: readonly string[];
  readonly uris: readonly string[];
  readonly templates: readonly string[];
}

const DOCS: Offer = {
  prompts: ['ask_one', 'ask_two', 'tell'],
  uris: ['docs://a', 'docs://b'],
  templates: ['docs://{id}/page', 'docs://find{?q}'],
};
/** Lists what the other has a template for, and has the same template. */
const NOTES: Offer = {
  prompts: ['ask_one'],
  uris: ['docs://7/page', 'docs://a'],
  templates: ['docs://{id}/page', 'notes://{id}'],
};

function startUpstream({ prompts, uris, templates }: Offer): Promise<SdkServer> {
  const modern = () => {
    const server = new McpServer({ name: 'policy', version: '1' });
    server.registerTool('ping', { inputSchema: z.object({}) }, () => ({ content: [] }));
    for (const name of prompts) {
      server.registerPrompt(name, {}, () => ({ messages: [{ role: 'user', content: { type: 'text', text: name } }] }));
    }
    const read = ({ href }: URL) => ({ contents: [{ uri: href, text: href }] });
    for (const uri of uris) server.registerResource(uri, uri, {}, read);
    for (const each of templates)
      server.registerResource(each, new ResourceTemplate(each, { list: undefined }), {}, read);
    return server;
  };
  return startSdkServer('modern', 'sse', { modern, legacy: () => assert.fail() });
}

const namesOf = (admitted: { name: string }[]) => admitted.map(({ name }) => name);

suite('prompts and resources', () => {
  let upstreams: SdkServer[];
  let gateway: TestGateway;
  let admin: Operator;
  let token: string;

  async function done(path: string, body: object = {}) {
    const told = await admin.post(path, body);
    assert.equal(told.status, 200, JSON.stringify(told.body));
    return told.body;
  }

  const list = async (method: string, key: string, name: string) => {
    const { message } = await send(gateway.mcpUrl, { ...mcpRequest(method), token });
    return ((message.result?.[key] ?? []) as Record<string, string>[]).map((each) => each[name] ?? '');
  };
  const seen = async () => ({
    prompts: await list('prompts/list', 'prompts', 'name'),
    resources: [
      ...(await list('resources/list', 'resources', 'uri')),
      ...(await list('resources/templates/list', 'resourceTemplates', 'uriTemplate')),
    ],
  });
  const explain = async (query: Record<string, string>) =>
    (await admin.get(`/v1/explain?${new URLSearchParams({ token: 'agent', ...query })}`)).body;

  before(async () => {
    upstreams = [await startUpstream(DOCS), await startUpstream(NOTES)];
    gateway = await startGateway({ configs: [], tokens: [], settings: POLICY });
    admin = operatorOf(gateway.url, gateway.apiKey);
    const [docs, notes] = upstreams.map(({ url }) => url);
    const made = await done('/v1/mcp-configs', { name: 'docs', endpoint: docs, allowed_tools: ['*'] });
    assert.deepEqual([made.allowed_prompts, made.allowed_resources], [[], []]);
    await done('/v1/mcp-configs', { name: 'notes', endpoint: notes, allowed_tools: [], allowed_resources: ['*'] });
    const grants = [{ mcp_config: 'docs' }, { mcp_config: 'notes' }];
    token = (await done('/v1/mcp-tokens', { name: 'agent', grants })).token;
  });
  after(async () => {
    await gateway?.close();
    for (const upstream of upstreams ?? []) await upstream.close();
  });

  test('nothing of them is allowed unless it is said', async () => {
    const { prompts, resources } = await seen();
    assert.deepEqual(prompts, []);
    assert.deepEqual(resources, [...NOTES.uris, ...NOTES.templates]);
    assert.equal((await explain({ prompt: 'docs.ask_one' })).is_callable, false);
  });

  test('an edit gives and takes what its preview said, of the config and of each token', async () => {
    const edits = [
      { allowed_prompts: ['ask_*'], allowed_resources: ['docs://a', 'docs://*/page'] },
      { allowed_prompts: ['docs.*_two', 'tell'] },
      { allowed_resources: ['docs://?', 'none://*'] },
      { allowed_prompts: [], allowed_resources: ['*'] },
    ];
    const path = '/v1/mcp-configs/docs';
    for (const edit of edits) {
      const was = await seen();
      const preview = await done(`${path}/preview`, edit);
      await done(path, edit);
      const is = await seen();
      const { effect: recorded } = (await admin.get(`${path}/history`)).body.revisions[0];
      assert.deepEqual([recorded.added, recorded.removed], [[], []]);
      const [effect] = preview.tokens;
      for (const kind of ['prompts', 'resources'] as const) {
        const appear = is[kind].filter((each) => !was[kind].includes(each));
        const disappear = was[kind].filter((each) => !is[kind].includes(each));
        assert.deepEqual([effect[kind].appear, effect[kind].disappear], [appear, disappear], JSON.stringify(edit));
        assert.equal(effect[kind].appear_count, appear.length);
        const { appear: all, disappear: gone } = preview[kind];
        assert.deepEqual(recorded[kind], { added: namesOf(all), removed: namesOf(gone) }, JSON.stringify(edit));
        for (const name of appear)
          assert.ok(
            all.some((each: { name: string }) => each.name === name),
            name,
          );
      }
      assert.deepEqual([effect.appear, effect.disappear, preview.appear], [[], [], []]);
    }
    const preview = await done(`${path}/preview`, {
      allowed_prompts: ['ask_on', 'docs.*'],
      allowed_resources: ['doc://a'],
    });
    assert.deepEqual(
      preview.warnings.map(({ path: place, message }: { path: string; message: string }) => `${place} ${message}`),
      [
        "allowed_prompts[0] 'ask_on' matches none of the 3 prompts there are; did you mean 'ask_one'?",
        "allowed_resources[0] 'doc://a' matches none of the 4 resources there are; did you mean 'docs://a'?",
      ],
    );
    // `docs://a` and the template were the other's, which listed them too, and would have been again.
    assert.ok(preview.tokens[0].resources.moved.length > 0);
  });

  test('explain agrees with what an agent is answered, and says which grant and why', async () => {
    await done('/v1/mcp-configs/docs', {
      allowed_prompts: ['ask_*'],
      allowed_resources: ['docs://a', 'docs://*/page', 'docs://find*'],
    });
    const prompts = ['docs.ask_one', 'docs.tell', 'docs.none', 'notes.ask_one', 'ask_one', 'docs__ask_one'];
    for (const prompt of prompts) {
      const { is_callable, verdict } = await explain({ prompt });
      const { message } = await send(gateway.mcpUrl, {
        ...mcpRequest('prompts/get', { params: `"name":${JSON.stringify(prompt)}` }),
        token,
      });
      assert.equal(message.result !== undefined, is_callable, `${verdict}: ${JSON.stringify(message)}`);
    }
    const uris = [
      'docs://a',
      'docs://b',
      'docs://7/page',
      'docs://8/page',
      'notes://x',
      'other://x',
      'docs://x/../page',
      'docs://find?q=1',
      'docs://find{?q}',
    ];
    for (const resource of uris) {
      const { is_callable, verdict } = await explain({ resource });
      const { message } = await send(gateway.mcpUrl, {
        ...mcpRequest('resources/read', { params: `"uri":${JSON.stringify(resource)}` }),
        token,
      });
      assert.equal(message.result !== undefined, is_callable, `${verdict}: ${JSON.stringify(message)}`);
    }
    const steps = async (resource: string) => (await explain({ resource })).steps.join('\n');
    assert.match(
      await steps('docs://a'),
      /'docs' lists it\n.*'docs' .* by the pattern 'docs:\/\/a'\n.*'notes' lists it too; 'docs' serves it, being first$/,
    );
    assert.match(await steps('docs://7/page'), /the upstream of McpConfig 'notes' lists it\n/);
    assert.match(
      await steps('docs://8/page'),
      /no upstream lists it, and the template 'docs:\/\/\{id\}\/page' of the upstream of McpConfig 'docs' matches it; so do templates of 'notes', and of them the first grant serves it/,
    );
    assert.match(await steps('docs://{id}/page'), /'docs' lists it, as a template/);
    assert.match(
      (await explain({ resource: 'docs://find{?q}' })).verdict,
      /is listed as a template: .* McpConfig 'docs'/,
    );
    assert.match(await steps('other://x'), /none allows it and no upstream has it: 'docs'\n?/);
    assert.match(await steps('docs://x/../page'), /no pattern admits this URI: it leads elsewhere/);
    assert.equal((await explain({ prompt: 'docs.ask_one' })).prompt, 'docs.ask_one');
  });

  test('a pattern that is suggested admits it once it is saved', async () => {
    await done('/v1/mcp-configs/docs', { allowed_prompts: ['none'], allowed_resources: ['none://'] });
    await done('/v1/mcp-configs/notes', { allowed_resources: [] });
    const wanted = [
      { prompt: 'docs.tell' },
      { resource: 'docs://b' },
      { resource: 'docs://9,9/page' },
      { resource: 'docs://{id}/page' },
    ];
    for (const query of wanted) {
      const { would_admit: suggested, suggestion } = await explain(query);
      const config = (await admin.get(`/v1/mcp-configs/${suggested.mcp_config}`)).body;
      assert.match(suggestion, new RegExp(`to ${suggested.field} of McpConfig 'docs'$`));
      await done(`/v1/mcp-configs/${config.id}`, {
        [suggested.field]: [...config[suggested.field], suggested.pattern],
      });
      assert.equal((await explain(query)).is_callable, true, suggestion);
    }
    assert.equal((await explain({ resource: 'none://x' })).would_admit, null);
  });

  test('one of tool, prompt and resource is explained', async () => {
    for (const query of [{}, { tool: 'a', prompt: 'b' }, { prompt: 'a', resource: 'b' }] as Record<string, string>[]) {
      const { message } = await explain(query);
      assert.match(message, /^tool or prompt or resource is to be given, and only one of the three/);
    }
  });

  test('issues tell of patterns that admit nothing, at their place', async () => {
    await done('/v1/mcp-configs/docs', {
      allowed_prompts: ['doc.*', 'ask_*', '*_one'],
      allowed_resources: ['x://y', 'ui://*', 'docs://*'],
    });
    const { issues } = (await admin.get('/v1/issues')).body;
    const found = issues.filter(
      ({ object, code }: { object: { name: string }; code: string }) =>
        object.name === 'docs' && code.startsWith('pattern_'),
    );
    assert.deepEqual(
      found.map(({ code, message }: { code: string; message: string }) => `${code} ${message.split(' ', 2).join(' ')}`),
      [
        "pattern_of_other_service allowed_prompts[0]: 'doc.*'",
        "pattern_without_match allowed_resources[0]: 'x://y'",
        "pattern_shadowed allowed_prompts[2]: '*_one'",
      ],
    );
  });

  test('the catalogue shows of each kind what an agent sees, in order, whole and page by page', async () => {
    await done('/v1/mcp-configs/docs', { allowed_prompts: ['ask_*', 'tell'], allowed_resources: ['docs://*'] });
    await done('/v1/mcp-configs/notes', { allowed_resources: ['*'] });
    await done('/v1/mcp-tokens/agent', { names: 'underscore' });
    const catalog = async (query: Record<string, string>) =>
      (await admin.get(`/v1/catalog?${new URLSearchParams({ token: 'agent', ...query })}`)).body;
    const is = await seen();
    const keys = { prompts: ['name', 'canonical_name'], resources: ['uri', 'uri'] } as const;
    for (const kind of ['prompts', 'resources'] as const) {
      const [name, cursor] = keys[kind];
      const whole = await catalog({ kind });
      const names = whole[kind].map((each: Record<string, string>) => each[name]);
      assert.deepEqual(names, is[kind]);
      assert.deepEqual([whole.total_count, whole.totals[kind], whole.tools], [names.length, names.length, []]);
      const paged: string[] = [];
      for (let after: string | undefined, more = true; more; ) {
        const page = await catalog({ kind, limit: '2', ...(after === undefined ? {} : { starting_after: after }) });
        paged.push(...page[kind].map((each: Record<string, string>) => each[name]));
        after = page[kind].at(-1)[cursor];
        more = page.has_more;
      }
      assert.deepEqual(paged, names);
    }
    const tools = await catalog({});
    assert.deepEqual([tools.prompts, tools.resources, tools.totals.prompts], [undefined, undefined, 3]);
    assert.deepEqual(namesOf(tools.tools), ['docs__ping']);

    const [prompt] = (await catalog({ kind: 'prompts', search: 'TELL' })).prompts;
    const { id, name, revision } = (await admin.get('/v1/mcp-configs/docs')).body;
    const shared = { service: 'docs', mcp_config: { id, name, revision }, description: null };
    const upstream = { state: 'ok', reason: null, since: null };
    assert.deepEqual(prompt, {
      name: 'docs__tell',
      canonical_name: 'docs.tell',
      ...shared,
      pattern: 'tell',
      upstream,
    });
    const uri = 'docs://find{?q}';
    const [template] = (await catalog({ kind: 'resources', search: 'find' })).resources;
    assert.deepEqual(template, { uri, name: uri, is_template: true, ...shared, pattern: 'docs://*', upstream });
    const refused = await catalog({ kind: 'resources', starting_after: 'docs.tell' });
    assert.match(refused.message, /^starting_after: the token sees no resource 'docs\.tell'; give the uri of the last/);
    await done('/v1/mcp-tokens/agent', { names: 'dot' });
  });

  describe('their record', () => {
    test('says in a line what an edit gives and takes, and so does that of a token', async () => {
      const summaries = async (path: string) =>
        (await admin.get(path)).body.revisions.map((each: { effect: { summary: string } }) => each.effect.summary);
      const path = '/v1/mcp-configs/docs';
      const none = { allowed_tools: ['*'], allowed_prompts: [], allowed_resources: [] };
      const edits = [
        none,
        { allowed_prompts: ['ask_*'] },
        { allowed_prompts: ['tell'], allowed_resources: ['docs://*'] },
        { description: 'nothing of it' },
        { ...none, allowed_tools: ['none'] },
      ];
      for (const edit of edits) await done(path, edit);
      assert.deepEqual((await summaries(`${path}/history?limit=4`)).toReversed(), [
        '+2 −0 prompts',
        '+1 −2 prompts, +4 −0 resources',
        '+0 −0 tools',
        '+0 −1 tools, +0 −1 prompts, +0 −4 resources',
      ]);
      await done(path, { allowed_tools: ['*'], allowed_prompts: ['ask_*'], allowed_resources: ['docs://?'] });
      await done('/v1/mcp-tokens', { name: 'told', grants: [{ mcp_config: 'docs', allowed_tools: ['none'] }] });
      const [{ effect }] = (await admin.get('/v1/audit?object_kind=token&action=create&limit=1')).body.changes;
      assert.deepEqual(effect, {
        summary: '+2 −0 prompts, +2 −0 resources',
        is_partial: false,
        added: [],
        removed: [],
        prompts: { added: ['docs.ask_one', 'docs.ask_two'], removed: [] },
        resources: { added: ['docs://a', 'docs://b'], removed: [] },
      });
    });

    test('history, diffs and reverts know them', async () => {
      const made = await done('/v1/mcp-configs', { name: 'kept', endpoint: upstreams[0]?.url, allowed_tools: [] });
      const path = `/v1/mcp-configs/${made.id}`;
      await done(path, { allowed_prompts: ['a'], allowed_resources: ['b://*'] });
      const { body } = await admin.get(`${path}/diff`);
      assert.deepEqual(body.fields, [
        { field: 'allowed_prompts', before: [], after: ['a'] },
        { field: 'allowed_resources', before: [], after: ['b://*'] },
      ]);
      assert.deepEqual((await done(`${path}/revert`, { revision: 1 })).allowed_resources, []);
      assert.deepEqual((await done(`${path}/revert`, { revision: 2 })).allowed_resources, ['b://*']);
    });

    test('what cannot be read is refused, with what to write instead', async () => {
      const refused = await admin.post('/v1/mcp-configs/kept', { allowed_resources: ['a://*', 'a://{id}'] });
      assert.equal(refused.status, 400);
      assert.match(
        refused.body.message,
        /^allowed_resources\[1\] braces hold two alternatives .* write `\*` in the place of `\{id\}` \(character 5\)\.$/,
      );
    });
  });

  test('a process is named, made, previewed and moved to by no API', async () => {
    const body = { name: 'shell', endpoint: 'stdio:shell', allowed_tools: ['*'] };
    const attempts: [path: string, body: object][] = [
      ['/v1/mcp-configs', body],
      ['/v1/mcp-configs/preview', body],
      ['/v1/mcp-configs/docs', { endpoint: 'stdio:docs' }],
      ['/v1/mcp-configs/docs/preview', { endpoint: 'STDIO:docs' }],
    ];
    for (const [path, each] of attempts) {
      const told = await admin.post(path, each);
      assert.equal(told.status, 400, path);
      assert.match(told.body.message, /^endpoint begins with stdio:.* declare the process there/);
    }
    const smuggled = { name: 'shell', endpoint: upstreams[0]?.url, allowed_tools: [], stdio: { command: 'sh' } };
    const { id, warnings } = await done('/v1/mcp-configs', smuggled);
    assert.ok(warnings.some(({ path }: { path: string }) => path === 'stdio'));
    assert.equal('stdio' in (await admin.get(`/v1/mcp-configs/${id}`)).body, false);
  });
});
