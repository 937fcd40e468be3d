// A tool is listed if and only if it can be called, under the name that the list gives it, for any policy, any
// catalogue and any spelling. What is listed is judged by an oracle that shares no code with the gateway.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { AccountSnapshot } from '../../src/catalog/account-snapshot.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import type { Inventory } from '../../src/catalog/inventory.ts';
import { spellNames } from '../../src/catalog/naming.ts';
import { Ownership } from '../../src/catalog/ownership.ts';
import type { McpConfig } from '../../src/domain/mcp-config.ts';
import { NAME_STYLES, type NameStyle, type StoredToken } from '../../src/domain/principal.ts';
import { JsonScanner, type Span } from '../../src/protocol/json-scan.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import {
  expectedOf,
  inventoryOf,
  listOf,
  type Offer,
  offers,
  type Pattern,
  probes,
  serviceOf,
  textOf,
  toolText,
} from '../support/policies.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { aConfig } from '../support/store-objects.ts';
import { anUpstream, NOWHERE } from '../support/upstreams.ts';

// The real thing, with upstreams that nobody connects to.

const upstreams = [0, 1, 2, 3].map((index) => anUpstream(NOWHERE, { key: `upstream-${index}` }));
after(() => Promise.all(upstreams.map((upstream) => upstream.close())));

function buildCatalog(list: readonly Offer[]): Catalog {
  const mcpConfigs = list.map(
    (each): McpConfig =>
      aConfig(each.configName, {
        id: each.configName,
        endpoint: NOWHERE,
        allowedTools: each.patterns.map(textOf),
        authMechanism: { type: 'bearer' },
        // Without a secret there is nothing to withhold from an origin.
        customHeaders: each.isSuspended ? [{ name: 'x-key', secretId: 'sec_own' }] : [],
      }),
  );
  const token: StoredToken = {
    id: 'token',
    name: 'token',
    hash: '',
    previousHash: null,
    previousExpiresAtMs: null,
    devboxId: null,
    revision: 1,
    nameStyle: 'dot',
    grants: list.map((each) => ({
      mcpConfigId: each.configName,
      secretId: null,
      allowedTools: each.narrowing?.map(textOf) ?? null,
      secretOrigin: each.isSuspended ? 'https://elsewhere.example' : null,
    })),
    managedBy: 'api',
    createTimeMs: 0,
    expiresAtMs: null,
    revokedAtMs: null,
  };
  const configuration = { accountId: DEFAULT_ACCOUNT, epoch: 1, mcpConfigs, secrets: [], tokens: [token], apiKeys: [] };
  const snapshot = new AccountSnapshot(configuration, {
    openSecret: () => assert.fail('no secret is granted'),
    upstreamFor: ({ config }) => upstreams[list.findIndex(({ configName }) => configName === config.config.name)]!,
  });
  const lists = new Map(
    list.map((each, index): [Upstream, Inventory | undefined] => [upstreams[index]!, listOf(each)]),
  );
  return new Catalog({
    accountId: DEFAULT_ACCOUNT,
    epoch: 1,
    grants: snapshot.resolve(token),
    listOf: (upstream) => lists.get(upstream),
    ownership: new Ownership(),
  });
}

interface Listed {
  readonly spelling: string;
  readonly text: string;
}

/** The tools of the list's result, each with its name and its bytes. */
function readList(catalog: Catalog, style: NameStyle): Listed[] {
  const bytes = Buffer.concat(catalog.list('tools', 'legacy', style).slice());
  const spans: Span[] = [];
  assert.equal(new JsonScanner(bytes).readElements(0, 1, spans), bytes.length);
  return spans.map(({ start, end }) => {
    const text = bytes.toString('utf8', start, end);
    return { spelling: JSON.parse(text).name, text };
  });
}

const LIMITS: Readonly<Record<NameStyle, RegExp>> = {
  dot: /^[A-Za-z0-9_.-]{1,128}$/,
  underscore: /^[A-Za-z0-9_-]{1,64}$/,
  bare: /^[A-Za-z0-9_.-]{1,128}$/,
};

/** Checks one triple; returns how many tools are listed. */
function checkTriple(list: readonly Offer[], style: NameStyle): number {
  const catalog = buildCatalog(list);
  const expected = expectedOf(list);
  const listed = readList(catalog, style);
  assert.equal(listed.length, expected.length);
  assert.equal(new Set(listed.map(({ spelling }) => spelling)).size, listed.length);

  // What may be called, by the names it may be called.
  const callable = new Map<string, string>();
  expected.forEach((each, index) => {
    const { spelling, text } = listed[index]!;
    assert.match(spelling, LIMITS[style]);
    assert.equal(
      text,
      toolText(each.configName, each.tool, JSON.stringify(spelling)),
      'all but the name is as it came',
    );
    callable.set(spelling, each.canonicalName);
    callable.set(each.canonicalName, each.canonicalName);
  });
  const services = new Set(list.map(({ configName }) => serviceOf(configName)));
  if (services.size === 1) {
    for (const {
      canonicalName,
      service,
      tool: { name },
    } of expected) {
      if (!name.startsWith(`${service}.`) && !callable.has(name)) callable.set(name, canonicalName);
    }
  } else if (style === 'bare') {
    assert.deepEqual(
      listed.map(({ spelling }) => spelling),
      catalog.spellings('dot'),
      'no name is bare',
    );
  }

  const byName = new Map(expected.map((each) => [each.canonicalName, each]));
  for (const [name, canonicalName] of callable) {
    const route = catalog.route(name, style);
    const owner = byName.get(canonicalName)!;
    assert.equal(route?.canonicalName, canonicalName, `${name} is callable`);
    assert.equal(route.upstreamName, owner.tool.name);
    assert.equal(route.grant.config.config.name, owner.configName);
    assert.equal(route.upstream, upstreams[list.findIndex(({ configName }) => configName === owner.configName)]);
  }
  for (const name of probes(list, catalog)) {
    const reached = catalog.route(name, style)?.canonicalName;
    if (reached !== callable.get(name)) assert.fail(`${JSON.stringify(name)} in ${style} reaches ${reached}`);
  }
  return listed.length;
}

describe('of ten thousand policies, catalogues and spellings', () => {
  test('every one lists exactly what can be called, and nothing else can be called', () => {
    const triple = fc.tuple(offers, fc.constantFrom(...NAME_STYLES));
    let listed = 0;
    let nonEmpty = 0;
    fc.assert(
      fc.property(triple, ([list, style]) => {
        const count = checkTriple(list, style);
        listed += count;
        nonEmpty += Math.sign(count);
      }),
      { numRuns: 10_000 },
    );
    // The property would be empty if the policies admitted next to nothing.
    assert.ok(nonEmpty > 3000 && listed > 10_000, `${nonEmpty} lists with ${listed} tools`);
  });
});

describe('names that are made to be mistaken', () => {
  const all: Pattern[] = [{ pieces: [{ kind: 'any' }] }];
  const offerOf = (configName: string, names: readonly string[], allowed = all): Offer => ({
    configName,
    patterns: allowed,
    narrowing: null,
    tools: names.map((name) => ({ name, isBroken: false })),
    isSuspended: false,
  });
  const exactly = (...texts: string[]): Pattern[] =>
    texts.map((text): Pattern => ({ pieces: [{ kind: 'text', text }] }));

  test('a tool named like the suffixed spelling of a long one does not get its calls', () => {
    const long = 'x'.repeat(128);
    const [spelling = ''] = spellNames([{ service: 'git', upstreamName: long }], 'dot');
    const list = [offerOf('git-readonly', [long]), offerOf('git-admin', [spelling.slice('git.'.length)])];
    for (const style of NAME_STYLES) {
      checkTriple(list, style);
      checkTriple(list.toReversed(), style);
      const catalog = buildCatalog(list);
      const [first = ''] = catalog.spellings(style);
      assert.equal(catalog.route(first, style)?.upstreamName, long);
    }
    assert.equal(buildCatalog(list).route(spelling, 'dot')?.canonicalName, spelling);
  });

  test('a hidden tool is not reached through another service’s tool of that name', () => {
    const list = [offerOf('github-a', ['create_issue'], exactly('search')), offerOf('jira-a', ['create_issue'])];
    for (const style of NAME_STYLES) {
      checkTriple(list, style);
      for (const name of ['create_issue', 'github.create_issue', 'github__create_issue']) {
        assert.equal(buildCatalog(list).route(name, style), undefined, name);
      }
    }
  });

  test('a hidden tool is not reached through a tool whose own name is the canonical one', () => {
    const list = [offerOf('github-a', ['search', 'github.search'], exactly('github.github.search'))];
    for (const style of NAME_STYLES) {
      assert.equal(checkTriple(list, style), 1);
      assert.equal(buildCatalog(list).route('github.search', style), undefined);
      assert.equal(buildCatalog(list).route('search', style), undefined);
    }
  });

  test('a key that differs from `name` in case only keeps a tool out', () => {
    const text =
      '[{"name":"a","inputSchema":{"type":"object"},"NAME":"github.create_issue"},{"name":"b","inputSchema":{"type":"object"}}]';
    const tools = inventoryOf(text);
    assert.deepEqual([...tools.tools.keys()], ['b']);
    assert.equal(tools.leftOut[0]?.name, 'a');
  });

  test('a tool goes to the grant that served it first, until the configuration changes', () => {
    const list = [offerOf('git-a', ['x']), offerOf('git-b', ['x'])];
    const { grants } = buildCatalog(list);
    const ownership = new Ownership();
    const build = (first: Inventory | undefined, second: Inventory | undefined) =>
      new Catalog({
        accountId: DEFAULT_ACCOUNT,
        epoch: 1,
        grants,
        ownership,
        listOf: (upstream) => (upstream === upstreams[0] ? first : second),
      });
    const [first, second] = list.map(listOf);
    const serving = (catalog: Catalog) => catalog.route('git.x', 'dot')?.grant.config.config.name;
    assert.equal(serving(build(undefined, second)), 'git-b');
    const both = build(first, second);
    assert.equal(serving(both), 'git-b');
    assert.deepEqual(both.collisions, [{ kind: 'tools', canonicalName: 'git.x', servedBy: 'git-b', alsoIn: 'git-a' }]);
    assert.equal(serving(build(first, undefined)), undefined, 'a call never moves to another grant');
  });
});

describe('hidden and missing are one answer', () => {
  const tools = ['open', 'hide', 'gone'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);
  let upstream: RecordingUpstream;
  let other: RecordingUpstream;
  let gateway: TestGateway;

  before(async () => {
    upstream = await startRecordingUpstream({ era: 'modern', tools });
    other = await startRecordingUpstream({ era: 'legacy', tools });
    gateway = await startGateway({
      configs: [
        { name: 'abc-one', url: upstream.url, allowedTools: ['open', 'gone'] },
        { name: 'abc-two', url: other.url, allowedTools: [] },
        { name: 'xyz', url: other.url },
      ],
      tokens: [{ name: 'agent', grants: [{ config: 'abc-one', allowedTools: ['open', 'hide'] }, 'abc-two'] }],
    });
    const list = await post(mcpRequest('tools/list'));
    const listed: { name: string }[] = list.message.result.tools;
    assert.deepEqual(
      listed.map(({ name }) => name),
      ['abc.open'],
    );
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
    await other.close();
  });

  function post(sent: Sent, query = ''): Promise<Answer> {
    return send(`${gateway.mcpUrl}${query}`, { ...sent, token: gateway.token() });
  }

  /** All that can be seen of an answer, with the name taken out. */
  function visible({ status, headers, text }: Answer, name: string) {
    const { date: _, ...rest } = headers;
    return { status, headers: rest, text: text.replaceAll(name, 'NAME') };
  }

  // Hidden by the config, hidden by the grant, of a service that is not granted, and missing; all of one length.
  const spellings: readonly [query: string, names: readonly string[]][] = [
    ['', ['abc.hide', 'abc.gone', 'xyz.open', 'abc.none', 'nil.open']],
    ['?names=underscore', ['abc__hide', 'abc__gone', 'xyz__open', 'abc__none', 'nil__open']],
    ['?names=bare', ['hide', 'gone', 'none', 'xxxx', 'OPEN']],
  ];
  const clients = (['legacy', 'modern'] as const).flatMap((era) =>
    ['application/json, text/event-stream', 'text/event-stream', 'application/json'].flatMap((accept) =>
      ['1', '"é😀"', '9007199254740993'].map((id) => ({ era, accept, id })),
    ),
  );
  for (const [query, names] of spellings) {
    for (const client of clients) {
      const { era, accept, id } = client;
      test(`to a ${era} client that accepts ${accept}, with the id ${id}, at /mcp${query}`, async () => {
        const answers = [];
        for (const name of names) answers.push(visible(await post(toolCall(name, client), query), name));
        for (const answer of answers) assert.deepEqual(answer, answers[0]);
        const body = `{"jsonrpc":"2.0","id":${id},"error":{"code":-32602,"message":"Unknown tool: NAME"}}`;
        assert.equal(answers[0]?.status, 200);
        assert.equal(answers[0]?.text, accept === 'text/event-stream' ? `event: message\ndata: ${body}\n\n` : body);
      });
    }
  }

  test('and no upstream has heard of any of those calls', async () => {
    assert.deepEqual([upstream.calls, other.calls], [[], []]);
    assert.ok((await post(toolCall('abc.open', { era: 'modern' }))).message.result);
    assert.equal(upstream.calls.length, 1);
  });
});
