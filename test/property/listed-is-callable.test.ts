// A tool is listed if and only if it can be called, under the name that the list gives it, for any policy, any
// catalogue and any spelling. What is listed is judged by an oracle that shares no code with the gateway.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { AccountSnapshot } from '../../src/catalog/account-snapshot.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { spellNames } from '../../src/catalog/naming.ts';
import { readToolArray, type ToolList } from '../../src/catalog/read-tools.ts';
import type { McpConfig } from '../../src/domain/mcp-config.ts';
import { NAME_STYLES, type NameStyle, type StoredToken } from '../../src/domain/principal.ts';
import { JsonScanner, type Span } from '../../src/protocol/json-scan.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import { Upstream } from '../../src/upstream/upstream.ts';
import { aConfig } from '../contract/store.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

// Patterns as a tree, so that the oracle reads what the generator meant and never the text.

type Atom =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'class'; readonly text: string; readonly members: string };
type Piece = Atom | { readonly kind: 'brace'; readonly options: readonly (readonly Atom[])[] };
type Pattern = { readonly pieces: readonly Piece[] } | { readonly invalid: string };

function textOf(pattern: Pattern): string {
  if ('invalid' in pattern) return pattern.invalid;
  const write = (piece: Piece): string => {
    if (piece.kind === 'text') return piece.text;
    if (piece.kind === 'any') return '*';
    if (piece.kind === 'one') return '?';
    if (piece.kind === 'class') return `[${piece.text}]`;
    return `{${piece.options.map((option) => option.map(write).join('')).join()}}`;
  };
  return pattern.pieces.map(write).join('');
}

function alternativesOf(pieces: readonly Piece[]): Atom[][] {
  const [first, ...rest] = pieces;
  if (first === undefined) return [[]];
  const heads = first.kind === 'brace' ? first.options : [[first]];
  return heads.flatMap((head) => alternativesOf(rest).map((tail) => [...head, ...tail]));
}

/** Atom by atom, every place in the name that may have been reached. */
function matches(atoms: readonly Atom[], name: string): boolean {
  let reached = new Set([0]);
  for (const each of atoms) {
    const next = new Set<number>();
    for (const at of reached) {
      if (each.kind === 'any') for (let end = at; end <= name.length; end++) next.add(end);
      else if (each.kind === 'text') {
        if (name.startsWith(each.text, at)) next.add(at + each.text.length);
      } else if (at < name.length && (each.kind === 'one' || each.members.includes(name.charAt(at)))) next.add(at + 1);
    }
    reached = next;
  }
  return reached.has(name.length);
}

/** Design §3.4: an alternative without a dot is matched against the bare name, one with a dot against `service.tool`. */
function admits(patterns: readonly Pattern[], service: string, toolName: string): boolean {
  return patterns.some(
    (pattern) =>
      'pieces' in pattern &&
      alternativesOf(pattern.pieces).some((atoms) => {
        const isDotted = atoms.some((atom) => atom.kind === 'text' && atom.text.includes('.'));
        return matches(atoms, isDotted ? `${service}.${toolName}` : toolName);
      }),
  );
}

// A policy and a catalogue.

interface Tool {
  readonly name: string;
  /** A tool that no client could use. */
  readonly isBroken: boolean;
}

interface Offer {
  readonly configName: string;
  readonly patterns: readonly Pattern[];
  readonly narrowing: readonly Pattern[] | null;
  /** `null` when the upstream has not been seen yet. */
  readonly tools: readonly Tool[] | null;
  readonly isSuspended: boolean;
}

const SERVICES = ['git', 'github', 'a', 'a_', 'a__b', 'x'.repeat(66), 'y'.repeat(121)];
const EXPOSED = /^[A-Za-z0-9_.-]{1,128}$/;

const plainName = fc.constantFrom(
  ...['search', 'search_issues', 'get_a', 'get_b', 'a', 'b', 'ab', 'a.b', 'a_b', 'a__b', 'a-b', '_b', 'b__c', 'c'],
  ...['git.search', 'github.search', 'a.a', 'git__search', 'github__a', '.', '..', '-', '.a', 'a.', 'A', 'Search'],
  ...['constructor', '__proto__', 'toString', 'x'.repeat(60), 'x'.repeat(128), `${'x'.repeat(120)}.y`],
  ...['', 'a b', 'é', 'x'.repeat(129), 'a/b', 'a\n'],
);
const shortName = fc.string({ unit: fc.constantFrom(...'ab._-'), minLength: 1, maxLength: 4 });
const tool = fc.record({ name: fc.oneof(plainName, shortName), isBroken: fc.nat(9).map((number) => number === 0) });

const atom: fc.Arbitrary<Atom> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .constantFrom('a', 'b', '_', '.', 'a.b', 'search', 'get_', 'git.', 'github.', 'a.', 'x')
      .map((text): Atom => ({ kind: 'text', text })),
  },
  { weight: 3, arbitrary: fc.constant<Atom>({ kind: 'any' }) },
  { weight: 1, arbitrary: fc.constant<Atom>({ kind: 'one' }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom<readonly [string, string]>(
        ['a-c', 'abc'],
        ['ab', 'ab'],
        ['_-', '_-'],
        ['A-Z0-1', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ01'],
        ['-a', '-a'],
      )
      .map(([text, members]): Atom => ({ kind: 'class', text, members })),
  },
);
const brace: fc.Arbitrary<Piece> = fc
  .array(fc.array(atom, { minLength: 1, maxLength: 2 }), { minLength: 2, maxLength: 3 })
  .map((options) => ({ kind: 'brace', options }));
const pieces = fc
  .array(fc.oneof({ weight: 5, arbitrary: atom }, { weight: 1, arbitrary: brace }), { minLength: 1, maxLength: 4 })
  .map((list) => ({ pieces: list }))
  // More is refused when it is written.
  .filter(
    (pattern) => (textOf(pattern).match(/\*+/g)?.length ?? 0) <= 3 && alternativesOf(pattern.pieces).length <= 16,
  );
const pattern: fc.Arbitrary<Pattern> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Pattern>({ pieces: [{ kind: 'any' }] }) },
  { weight: 8, arbitrary: pieces },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        '',
        '!a',
        '**a*b*c*',
        '{a}',
        '{a,{b,c}}',
        '[z-a]',
        '[!a]',
        'a|b',
        '(a|b)',
        '*/*',
        '@(a)',
        'a,b',
        '*\n',
        '^a$',
        '{a,b',
        '[a',
        'a b',
        '\\*',
        '+(a)',
        '{a,b}{c,d}{e,f}{g,h}{i,j}',
        'a'.repeat(257),
      )
      .map((invalid): Pattern => ({ invalid })),
  },
);
const patterns = fc.array(pattern, { maxLength: 3 });
const offer = fc.record({
  service: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('git', 'a') },
    { weight: 2, arbitrary: fc.constantFrom(...SERVICES) },
  ),
  patterns,
  narrowing: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: patterns }),
  tools: fc.option(fc.array(tool, { maxLength: 10 }), { freq: 9 }),
  isSuspended: fc.nat(12).map((number) => number === 0),
  forged: fc.array(fc.nat(20), { maxLength: 2 }),
});

/** Gives configs their names, and some upstreams tools whose names are other tools' spellings. */
const offers = fc.array(offer, { minLength: 1, maxLength: 4 }).map((list): Offer[] => {
  const names = list.flatMap(({ service, tools }) =>
    (tools ?? []).filter(({ name }) => EXPOSED.test(name)).map(({ name }) => ({ service, upstreamName: name })),
  );
  const spellings = [...spellNames(names, 'dot'), ...spellNames(names, 'underscore')];
  return list.map(({ service, forged, tools, ...rest }, index) => {
    const copies = forged.flatMap((number) => {
      const spelling = spellings[number % (spellings.length + 1)];
      if (spelling === undefined) return [];
      return [spelling, spelling.slice(service.length + 1), spelling.slice(service.length + 2)];
    });
    const more = copies.map((name): Tool => ({ name, isBroken: false }));
    return { ...rest, configName: `${service}-${index}`, tools: tools === null ? null : [...tools, ...more] };
  });
});

/** The object an upstream lists, with bytes that a parser would not keep, around the name it is given. */
function toolText(configName: string, { name, isBroken }: Tool, spelling = JSON.stringify(name)): string {
  const schema = isBroken ? '"none"' : '{"type":"object","properties":{"n":{"const":1.0}}}';
  return `{ "description":"of ${configName}: ${JSON.stringify(name).slice(1, -1)} \\u00e9" , "name" : ${spelling},"x":[1e400,9007199254740993],"inputSchema":${schema}}`;
}

// The real thing, with upstreams that nobody connects to.

const upstreams = Array.from(
  { length: 4 },
  (_, index) =>
    new Upstream({
      key: `upstream-${index}`,
      service: 'any',
      endpoint: new URL('http://127.0.0.1:1/mcp'),
      policy: { allowHttp: true, allowCidrs: ['127.0.0.0/8'] },
      credentialHeaders: [],
      limits: { connections: 1, connectTimeoutMs: 1, headersTimeoutMs: 1, idleTimeoutMs: 1 },
      clientInfo: '{}',
      now: () => 0,
      onFailure: () => {},
    }),
);
after(() => Promise.all(upstreams.map((upstream) => upstream.close())));

function buildCatalog(list: readonly Offer[]): Catalog {
  const mcpConfigs = list.map(
    (each): McpConfig =>
      aConfig(each.configName, {
        id: each.configName,
        endpoint: 'http://127.0.0.1:1/mcp',
        allowedTools: each.patterns.map(textOf),
        authMechanism: { type: 'bearer' },
        customHeaders: [],
      }),
  );
  const token: StoredToken = {
    id: 'token',
    name: 'token',
    hash: '',
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
  const lists = new Map(list.map((each, index): [Upstream, ToolList | undefined] => [upstreams[index]!, listOf(each)]));
  return new Catalog({
    accountId: DEFAULT_ACCOUNT,
    epoch: 1,
    grants: snapshot.resolve(token),
    listOf: (upstream) => lists.get(upstream),
    owners: new Map(),
  });
}

function listOf({ configName, tools }: Offer): ToolList | undefined {
  if (tools === null) return undefined;
  return readToolArray(Buffer.from(`[${tools.map((each) => toolText(configName, each)).join()}]`), 0);
}

// What must come of it.

interface Expected {
  readonly canonicalName: string;
  readonly service: string;
  readonly configName: string;
  readonly tool: Tool;
}

function serviceOf(configName: string): string {
  return configName.slice(0, configName.indexOf('-'));
}

/** Every tool that is to be listed, in order: grants in turn, the first of a name wins. */
function expectedOf(list: readonly Offer[]): Expected[] {
  const expected = new Map<string, Expected>();
  for (const { configName, patterns: allowed, narrowing, tools, isSuspended } of list) {
    if (isSuspended || tools === null) continue;
    const service = serviceOf(configName);
    const usable = tools.filter(({ name, isBroken }) => EXPOSED.test(name) && !isBroken);
    for (const each of usable) {
      const canonicalName = `${service}.${each.name}`;
      if (!admits(allowed, service, each.name)) continue;
      if (narrowing !== null && !admits(narrowing, service, each.name)) continue;
      if (!expected.has(canonicalName)) expected.set(canonicalName, { canonicalName, service, configName, tool: each });
    }
  }
  return [...expected.values()];
}

interface Listed {
  readonly spelling: string;
  readonly text: string;
}

/** The tools of the list's result, each with its name and its bytes. */
function readList(catalog: Catalog, style: NameStyle): Listed[] {
  const { bytes } = catalog.toolArray('legacy', style);
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

/** Names that somebody might try: every name of every tool there is in every spelling, and what looks like one. */
function probes(list: readonly Offer[], catalog: Catalog): Set<string> {
  const names = new Set([
    '',
    '.',
    'search',
    'git.',
    '.search',
    'git',
    'constructor',
    '__proto__',
    'toString',
    'git.search\n',
  ]);
  for (const style of NAME_STYLES) for (const spelling of catalog.spellings(style)) names.add(spelling);
  for (const { configName, tools } of list) {
    for (const service of new Set([serviceOf(configName), configName, 'git'])) {
      for (const { name } of tools ?? []) {
        for (const each of [
          name,
          `${service}.${name}`,
          `${service}__${name}`,
          `${service}_${name}`,
          `${service}.${service}.${name}`,
        ]) {
          names.add(each);
          names.add(each.replaceAll('.', '_'));
          names.add(each.toUpperCase());
          names.add(` ${each}`);
        }
      }
    }
  }
  return names;
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
    const tools = readToolArray(Buffer.from(text), 0);
    assert.deepEqual([...(tools?.tools.keys() ?? [])], ['b']);
    assert.equal(tools?.leftOut[0]?.name, 'a');
  });

  test('a tool goes to the grant that served it first, until the configuration changes', () => {
    const list = [offerOf('git-a', ['x']), offerOf('git-b', ['x'])];
    const { grants } = buildCatalog(list);
    const owners = new Map<string, number>();
    const build = (first: ToolList | undefined, second: ToolList | undefined) =>
      new Catalog({
        accountId: DEFAULT_ACCOUNT,
        epoch: 1,
        grants,
        owners,
        listOf: (upstream) => (upstream === upstreams[0] ? first : second),
      });
    const [first, second] = list.map(listOf);
    const serving = (catalog: Catalog) => catalog.route('git.x', 'dot')?.grant.config.config.name;
    assert.equal(serving(build(undefined, second)), 'git-b');
    const both = build(first, second);
    assert.equal(serving(both), 'git-b');
    assert.deepEqual(both.collisions, [{ canonicalName: 'git.x', servedBy: 'git-b', alsoIn: 'git-a' }]);
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
