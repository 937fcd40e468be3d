// Every way not to be authenticated, against every route and method that asks for credentials. The routes come from the
// real table: one that is neither called public here nor refused without credentials fails the test.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import type http2 from 'node:http2';
import { after, before, suite, test } from 'node:test';
import { createOperations, type OperationsDeps } from '../../src/control-plane/operations.ts';
import { createPerform, type PerformDeps } from '../../src/control-plane/perform.ts';
import { createRestDoor } from '../../src/control-plane/rest.ts';
import { createApp } from '../../src/edge/app.ts';
import { Authenticator } from '../../src/identity/authenticate.ts';
import { RateLimiter } from '../../src/rate-limiter.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import {
  assertNoCanary,
  CANARY,
  type CorpusCase,
  readCorpus,
  reportCounts,
  withoutStall,
  withoutUpstreamBytes,
} from '../support/corpus.ts';
import { type Credentials, type Door, makeCredentials } from '../support/credentials.ts';
import { makeFolder, startGateway, type TestGateway, tokenValue } from '../support/gateway.ts';
import { type Answer, BOTH, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { exchangeRaw, pushBody, type RawAnswer, toChunk } from '../support/raw-http1.ts';
import { connectHttp2, sendHttp2 } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { fill } from '../support/templates.ts';

/** One way. `{…}` stands for a value made at run time, see `fill`; `good` is what would open the door that is knocked at. */
interface Case extends CorpusCase {
  /** Header lines behind `Host`. */
  readonly lines?: readonly string[];
  /** Appended to the query. */
  readonly query?: string;
  /** Instead of a tool call. */
  readonly body?: string;
  /** Everything that is sent, instead of the above. */
  readonly raw?: string;
  /** Instead of the routes' own paths. */
  readonly target?: string;
  /** Of the only answer, 401 unless told. */
  readonly status?: number;
  /** Of several answers. */
  readonly statuses?: readonly number[];
  /** What the message of the last answer says. */
  readonly says?: string | Readonly<Record<Door, string>>;
  readonly only?: Door;
  /** Characters are bytes, instead of UTF-8. */
  readonly latin1?: boolean;
}

const FILE = 'authentication.jsonl';
const cases = readCorpus<Case>(FILE, {
  missing: 10,
  empty: 12,
  scheme: 17,
  duplicate: 10,
  comma: 12,
  characters: 20,
  elsewhere: 18,
  altered: 24,
  time: 8,
  environment: 12,
  swapped: 9,
  deleted: 5,
  huge: 13,
  equivalent: 10,
  path: 30,
  smuggled: 22,
  accepted: 11,
});

const METHODS = ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD', 'OPTIONS'];
/** A peer on this machine needs no key for these, unless it speaks for somebody else. */
const FORWARDED = 'X-Forwarded-For: 203.0.113.7';

/** Paths that answer somebody without credentials, with the statuses they do it with. */
const PUBLIC: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  '/livez': { GET: 200, HEAD: 200 },
  '/readyz': { GET: 200, HEAD: 200 },
  '/schema/config.json': { GET: 200, HEAD: 200 },
  '/openapi.json': { GET: 200, HEAD: 200 },
  // Its code is the credential: test/integration/claims.test.ts.
  '/claim/:code': {},
};

interface Guarded {
  /** As it stands in the table of routes; `/mcp` is in front of it. */
  readonly route: string;
  readonly path: string;
  readonly door: Door;
  readonly methods: readonly string[];
  readonly lines: readonly string[];
}

/** Every path that asks for credentials, and the methods with which it does. */
const GUARDED: readonly Guarded[] = [
  { route: '/mcp', path: '/mcp', door: 'data', methods: METHODS, lines: [] },
  { route: '/v1/*', path: '/v1/nothing', door: 'control', methods: [], lines: [] },
  {
    route: '/v1/explain',
    path: '/v1/explain?tool=rec.echo&token=agent',
    door: 'control',
    methods: METHODS,
    lines: [],
  },
  { route: '/admin/mcp', path: '/admin/mcp', door: 'control', methods: METHODS, lines: [] },
  { route: '/metrics', path: '/metrics', door: 'control', methods: ['GET', 'HEAD'], lines: [FORWARDED] },
  { route: '/readyz', path: '/readyz?detail', door: 'control', methods: ['GET', 'HEAD'], lines: [FORWARDED] },
];

const NOW_MS = Date.UTC(2026, 10, 20, 12);
/** A second before: lists that are asked for now are not asked for again. */
let nowMs = NOW_MS - 1_000;

let folder: string;
let upstream: RecordingUpstream;
let gateway: TestGateway;
/** What cases can ask for by name. */
let values: Credentials = {};
const logLines: string[] = [];
let outputs = 0;

before(async () => {
  folder = await makeFolder();
  upstream = await startRecordingUpstream({ era: 'modern' });
  const configs = [{ name: 'rec', url: upstream.url, credential: CANARY }];
  const tokens = [{ name: 'agent' }, { name: 'removed' }, { name: 'expired-long', expiresAt: '2020-01-31' }];
  const log = createLogger({ level: 'debug', destination: { write: (line) => void logLines.push(line) } });
  gateway = await startGateway({ folder, configs, tokens, now: () => nowMs, log });
  values = await makeValues();
  // From here on what was made in the store is in force, and the token that the file has lost is not.
  await gateway.reload({ configs, tokens: tokens.filter(({ name }) => name !== 'removed') });
  nowMs = NOW_MS;
  const opened = await send(gateway.mcpUrl, {
    ...mcpRequest('initialize', INITIALIZE),
    token: valueAt('good', 'data'),
  });
  values = { ...values, session: String(opened.headers['mcp-session-id']) };
  await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: valueAt('good', 'data') });
});
after(async () => {
  await gateway.close();
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

const INITIALIZE = {
  params: '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}',
};

async function makeValues(): Promise<Credentials> {
  const made = await makeCredentials({
    folder,
    now: () => nowMs,
    endsAtMs: NOW_MS,
    mcpConfig: 'rec',
    secret: 'SECRET_REC',
  });
  const claims = [{ alg: 'none' }, { sub: made.id, aud: gateway.mcpUrl, exp: 4e9 }];
  return {
    ...made,
    brought: tokenValue('agent'),
    removed: tokenValue('removed'),
    'expired-long': tokenValue('expired-long'),
    canary: CANARY,
    jwt: `${claims.map((claim) => Buffer.from(JSON.stringify(claim)).toString('base64url')).join('.')}.`,
    x: 'x',
    space: ' ',
    colon: ':',
    zero: '0',
    zeros: '0'.repeat(43),
    host: new URL(gateway.url).host,
  };
}

function valueAt(name: string, door: Door): string {
  const value = values[name];
  assert.ok(value !== undefined, `no value is called ${name}`);
  return typeof value === 'string' ? value : value[door];
}

// One case against one route and method.

interface Knock {
  readonly method: string;
  readonly path: string;
  readonly door: Door;
  readonly lines: readonly string[];
}

const CALL = toolCall('rec.echo');

/** The request that must not be served, as bytes, with the credentials it holds. */
function requestOf(each: Case, knock: Knock): { bytes: Buffer; secrets: string[] } {
  const { method, door } = knock;
  const { body = CALL.body, lines = [] } = each;
  const valueHere = (name: string): string => valueAt(name, door);
  const query = each.query === undefined ? '' : `${knock.path.includes('?') ? '&' : '?'}${each.query}`;
  const path = fill(each.target ?? knock.path + query, valueHere);
  const content = fill(body, valueHere);
  const routeLines = knock.lines.map((line) => `\r\n${line}`).join('');
  const parts: Record<string, string> = {
    method,
    path: path.text,
    lines: routeLines,
    head: `${method} ${path.text} HTTP/1.1\r\nHost: ${valueHere('host')}${routeLines}`,
    content: content.text,
    authorized: authorized(CALL.body),
    'authorized-empty': authorized('{"jsonrpc":"2.0","method":"notifications/initialized"}'),
    'header-body': `Authorization: Bearer ${valueHere('good')}\r\n\r\n{}`,
  };
  const type = lines.some((line) => /^content-type:/i.test(line)) ? [] : ['Content-Type: application/json'];
  const usual = ['{head}', ...lines, ...type, `Accept: ${BOTH}`, 'Content-Length: {length(content)}', '', '{content}'];
  const { text, secrets } = fill(each.raw ?? usual.join('\r\n'), (name) => parts[name] ?? valueHere(name));
  assert.doesNotMatch(text, /\{[a-z]/, 'the case asks for a value that cannot be read');
  const others = new Set(Object.values(parts));
  return {
    bytes: Buffer.from(text, each.latin1 ? 'latin1' : 'utf8'),
    secrets: [...path.secrets, ...content.secrets, ...secrets.filter((secret) => !others.has(secret))],
  };
}

function authorized(body: string): string {
  const lines = [
    'POST /mcp HTTP/1.1',
    `Host: ${valueAt('host', 'data')}`,
    `Authorization: Bearer ${valueAt('good', 'data')}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

async function refuse(each: Case, knock: Knock): Promise<void> {
  const { bytes, secrets } = requestOf(each, knock);
  const statuses = each.statuses ?? [each.status ?? 401];
  const isHead = knock.method === 'HEAD';
  const exchange = await exchangeRaw(gateway.url, bytes, {
    answers: statuses.length,
    heads: isHead ? statuses.length : 0,
  });
  const where = `${knock.method} ${each.target ?? knock.path}`;
  assert.deepEqual(
    exchange.answers.map(({ status }) => status),
    statuses,
    `${where}: ${exchange.bytes.toString('latin1', 0, 400)}`,
  );
  assertKeepsSecrets(exchange.bytes, secrets);
  const last = exchange.answers.at(-1)!;
  if (last.status !== 404) assert.ok(exchange.isEnded && /^close$/i.test(last.headers.connection ?? ''), where);
  if (last.status === 401) assert.match(last.headers['www-authenticate'] ?? '', /^Bearer\b/, where);
  if (!isHead) assertTeaches(last, saysAt(each, knock.door), where);
}

function saysAt({ says }: Case, door: Door): string {
  return typeof says === 'object' ? says[door] : (says ?? '');
}

function assertTeaches({ status, headers, body }: RawAnswer, says: string, where: string): void {
  assert.match(headers['content-type'] ?? '', /^application\/(?:problem\+)?json$/, where);
  const problem = JSON.parse(body);
  assert.equal(problem.status, status, where);
  if (status === 401)
    assert.deepEqual(
      [problem.code, /Authorization: Bearer swb_|Ask the operator|Use another/.test(problem.message)],
      ['unauthenticated', true],
      body,
    );
  assert.ok(problem.message.length > 20 && problem.message.includes(says), `${where}: ${problem.message}`);
}

/** Of a credential nothing comes back that is longer than its id, whatever it was good for. */
function assertKeepsSecrets(output: Buffer | string, secrets: readonly string[]): void {
  outputs++;
  assertNoCanary(output);
  const text = output.toString();
  for (const secret of secrets) {
    for (let at = 0; at + 17 <= Math.min(secret.length, 512); at++) {
      assert.ok(!text.includes(secret.slice(at, at + 17)), 'an answer repeats the credential');
    }
  }
}

function knocksOf(each: Case): Knock[] {
  const doors = GUARDED.filter(({ door }) => each.only === undefined || each.only === door);
  // A path of its own needs no route; which door it tries is the case's.
  const guarded = each.target === undefined ? doors : GUARDED.slice(0, 1);
  return guarded.flatMap(({ methods, ...knock }) => methods.map((method) => ({ ...knock, method })));
}

suite('the table of routes', () => {
  /** The real table, over use cases that are never reached. */
  function routes(): string[] {
    const authenticator = new Authenticator({ pepper: Buffer.alloc(32), now: Date.now });
    const limiter = new RateLimiter({ permits: 1, windowMs: 1, now: Date.now });
    const app = createApp({
      rest: createRestDoor({
        authenticator,
        operations: createOperations({} as OperationsDeps),
        perform: createPerform({} as PerformDeps),
        limiter,
      }),
      manage: () => assert.fail(),
      claim: () => assert.fail(),
      limiter,
      authenticator,
      readMetrics: async () => [],
      log: createLogger({ level: 'silent' }),
      configSchema: {},
      openApi: () => ({}),
      isReady: () => true,
      readyDetail: () => ({}),
    });
    return [...new Set(app.routes.map(({ path }) => path.replace(':id', 'nothing')))];
  }
  /** Where clients look for OAuth: 404 for everybody. */
  const isOAuth = (path: string) => path.startsWith('/.well-known/') || path === '/register';
  /** To whom a path may answer, for methods it does not have; that of a claim is no code here. */
  const otherwise = (path: string) => (isOAuth(path) || path === '/claim/:code' ? 404 : 405);

  test('holds nothing that is neither public nor guarded', () => {
    const known = [...Object.keys(PUBLIC), ...GUARDED.map(({ route }) => route)];
    // All of the REST API is behind `/v1/*`.
    const unknown = routes().filter((path) => !known.includes(path) && !isOAuth(path) && !path.startsWith('/v1/'));
    assert.deepEqual(unknown, [], 'say of each new route whether it is PUBLIC or GUARDED');
    const gone = known.filter((path) => path !== '/mcp' && !routes().includes(path));
    assert.deepEqual(gone, []);
  });

  test('answers nobody in particular only where it is public, for every method of every path', async () => {
    const paths = [...routes().map((path) => path.replace('*', 'nothing')), ...GUARDED.map(({ path }) => path)];
    const answered: string[] = [];
    const expected: string[] = [];
    for (const path of new Set(paths)) {
      const guarded = GUARDED.find((each) => each.path === path);
      for (const method of METHODS) {
        const { status, bytes } = await send(gateway.url + path, { method, headers: { 'x-forwarded-for': '::1' } });
        assertKeepsSecrets(bytes, []);
        answered.push(`${method} ${path} ${status}`);
        const isGuarded =
          path.startsWith('/v1/') || guarded?.methods.includes(method) || (path === '/metrics' && method === 'GET');
        expected.push(`${method} ${path} ${isGuarded ? 401 : (PUBLIC[path]?.[method] ?? otherwise(path))}`);
      }
    }
    assert.deepEqual(answered, expected);
  });

  test('tells nobody in particular the name of a service, a tool or a token', async () => {
    for (const path of Object.keys(PUBLIC)) {
      const { text } = await send(gateway.url + path, { method: 'GET' });
      assert.doesNotMatch(text, /\brec\b|"echo"|"agent"/);
    }
  });
});

suite('whoever is not authenticated', () => {
  for (const each of cases.filter((candidate) => candidate.class !== 'accepted')) {
    test(`${each.class}: ${each.name}`, async () => {
      await withoutStall(() =>
        withoutUpstreamBytes([upstream], async () => {
          for (const knock of knocksOf(each)) await refuse(each, knock);
        }),
      );
    });
  }

  test('is refused over HTTP/2 alike, on a connection that stays open for the others', async () => {
    const { session } = await connectHttp2(gateway.url);
    const sample = cases.filter((each) => each.class !== 'accepted' && isForHttp2(each));
    assert.ok(sample.length > 80, `only ${sample.length} cases`);
    await withoutUpstreamBytes([upstream], async () => {
      for (const each of sample) {
        for (const knock of knocksOf(each)) {
          if (knock.method === 'POST' || knock.path !== '/mcp') await refuseOverHttp2(session, each, knock);
        }
      }
    });
    assert.equal(session.destroyed, false);
    session.close();
  });

  for (const [method, path] of [
    ['POST', '/mcp'],
    ['GET', '/mcp'],
    ['POST', '/v1/explain'],
    ['GET', '/metrics'],
    ['POST', '/nothing'],
    ['GET', '/livez'],
  ] as const) {
    test(`cannot push a body into ${method} ${path}`, async () => {
      const { text, sentBytes } = await push(`${method} ${path}`);
      assert.match(text, /^HTTP\/1\.1 (?:200|401|404) [\s\S]*?\r\nconnection: close\r\n/i);
      assert.ok(sentBytes < PUSHED_BYTES, `${sentBytes} bytes were taken`);
    });
  }

  test('ran every case', (t) => {
    reportCounts(t, FILE, cases, outputs);
  });

  test('has left nothing of a credential in the log or in the metrics', async () => {
    const { text } = await send(`${gateway.url}/metrics`, { method: 'GET' });
    const held = Object.values(values).flatMap((value) => (typeof value === 'string' ? value : Object.values(value)));
    const secrets = held.filter((value) => value.length >= 32 && !/^(.)\1*$/.test(value));
    assert.ok(secrets.length > 20);
    assertKeepsSecrets(text + logLines.join(''), secrets);
    assert.match(text, /switchboard_http_refusals_total\{[^}]*"unauthenticated"[^}]*\} \d{3}/);
  });
});

suite('whoever is authenticated', () => {
  const served = (each: Case): Knock[] =>
    knocksOf(each).filter(({ method, path }) => (path === '/mcp' ? method === 'POST' : method === 'GET'));
  for (const each of cases.filter((candidate) => candidate.class === 'accepted')) {
    test(`is served with: ${each.name}`, async () => {
      for (const knock of served(each)) {
        const calls = upstream.calls.length;
        const { answers, bytes } = await exchangeRaw(gateway.url, requestOf(each, knock).bytes);
        // By GET there is nothing to be had there, and whoever is not authenticated is not told so.
        const isManagement = knock.path === '/admin/mcp';
        assert.equal(answers[0]?.status, isManagement ? 405 : 200, `${knock.path}: ${bytes}`);
        assert.equal(upstream.calls.length - calls, knock.door === 'data' ? 1 : 0);
        if (!isManagement)
          assert.match(answers[0].body, knock.door === 'data' ? /"result":/ : /echo|"rec"|switchboard_/);
      }
    });
  }

  test('is so until the token ends, on one connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const token = valueAt('expired', 'data');
    const statusAt = async (ms: number): Promise<number> => {
      nowMs = ms;
      return (await ask(agent, token)).status;
    };
    assert.deepEqual(
      [await statusAt(NOW_MS - 1), await statusAt(NOW_MS - 1), await statusAt(NOW_MS), await statusAt(NOW_MS + 1)],
      [200, 200, 401, 401],
    );
    nowMs = NOW_MS;
    agent.destroy();
  });

  test('opens nothing any more with a token that has left the file, on one connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const configs = [{ name: 'rec', url: upstream.url, credential: CANARY }];
    assert.equal((await ask(agent, tokenValue('agent'))).status, 200);
    await gateway.reload({ configs, tokens: [{ name: 'another' }] });
    assert.equal((await ask(agent, tokenValue('agent'))).status, 401);
    await gateway.reload({ configs, tokens: [{ name: 'agent' }, { name: 'another' }] });
    assert.equal((await ask(agent, tokenValue('agent'))).status, 200);
    agent.destroy();
  });

  test('reaches nothing with a token whose service is gone', async () => {
    const stranger = await startRecordingUpstream({ era: 'legacy' });
    const configs = [{ name: 'other', url: stranger.url, credential: CANARY }];
    await gateway.reload({ configs, tokens: [{ name: 'agent' }] });
    await withoutUpstreamBytes([upstream], async () => {
      const { status, message } = await send(gateway.mcpUrl, { ...CALL, token: tokenValue('agent') });
      assert.deepEqual([status, message.error?.message], [200, 'Unknown tool: rec.echo']);
    });
    await gateway.reload({ configs: [], tokens: [] });
    await stranger.close();
  });
});

/** A ping on the agent's connection. */
function ask(agent: Agent, token: string): Promise<Answer> {
  return send(gateway.mcpUrl, { ...mcpRequest('ping'), token }, agent);
}

const PUSHED_BYTES = 16 * 1024 * 1024;

/** Sends a head without credentials and then as much of 16 MB as is taken. */
function push(line: string): Promise<{ text: string; sentBytes: number }> {
  const { host } = new URL(gateway.url);
  const head = `${line} HTTP/1.1\r\nHost: ${host}\r\n${FORWARDED}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  return pushBody(gateway.url, head, toChunk(Buffer.alloc(65_536, 0x20)), PUSHED_BYTES);
}

/** What an HTTP/2 client can send: no bytes of HTTP/1.1, and no repeated or malformed header. */
function isForHttp2({ raw, lines = [], status = 401 }: Case): boolean {
  return (
    raw === undefined && status === 401 && new Set(lines.map(nameOf)).size === lines.length && lines.every(isPlain)
  );
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(':')).toLowerCase();
}

function isPlain(line: string): boolean {
  return /^[\x20-\x7e]*$/.test(line) && !/fullwidth|x\*(?:8192|15360)/.test(line);
}

async function refuseOverHttp2(session: http2.ClientHttp2Session, each: Case, knock: Knock): Promise<void> {
  const { bytes, secrets } = requestOf(each, knock);
  const [head = '', body = ''] = bytes.toString().split('\r\n\r\n');
  const [requestLine = '', ...lines] = head.split('\r\n');
  const fields = lines.filter((line) => !/^(?:host|content-length|connection):/i.test(line));
  const target = requestLine.split(' ')[1]!.replace(gateway.url, '');
  const headerLines = fields.map((line) => [nameOf(line), line.slice(line.indexOf(':') + 1).trim()]);
  const {
    status,
    headers,
    bytes: answer,
  } = await sendHttp2(session, gateway.url, {
    method: knock.method,
    // As it stands in the case: an URL would be tidied up.
    headers: { ':path': target, ...Object.fromEntries(headerLines) },
    body,
  });
  const where = `${knock.method} ${knock.path} over HTTP/2: ${each.name}`;
  assert.deepEqual([status, headers.connection], [401, undefined], where);
  assert.match(String(headers['www-authenticate']), /^Bearer\b/, where);
  assertKeepsSecrets(answer, secrets);
  const type = String(headers['content-type']);
  if (knock.method !== 'HEAD') {
    const whole = { status: 401, headers: { 'content-type': type }, body: answer.toString() };
    assertTeaches(whole, saysAt(each, knock.door), where);
  }
}
