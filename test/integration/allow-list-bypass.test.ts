// Every way to reach a tool that the policy hides: none is executed, and where the request is well-formed its answer is,
// byte for byte, that of a tool that does not exist. The same runner proves that allowed tools work.

import assert from 'node:assert/strict';
import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
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
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, ENVELOPE, MODERN, mcpRequest, toAnswer, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

type Era = 'legacy' | 'modern';

/** `unknown` is what is expected unless told: the answer of a tool that does not exist. */
type Expected =
  | keyof typeof REFUSALS
  | 'no-method'
  | 'silence'
  | 'repeated'
  | { readonly status: number }
  | { readonly called: string; readonly by?: string };

interface Case extends CorpusCase {
  /** The tool's name. */
  readonly call?: string;
  /** Instead: raw JSON of the name, of the members of `params`, or of the message with `{meta}` where an envelope may stand. */
  readonly nameText?: string;
  readonly params?: string;
  readonly body?: string;
  readonly base64?: string;
  /** Raw JSON without quotes; `tools/call` unless told. */
  readonly method?: string;
  /** Instead of what a well-behaved client sends; `null` for none. */
  readonly headers?: Readonly<Record<string, string | string[] | null>>;
  readonly http?: string;
  readonly path?: string;
  readonly query?: string;
  readonly token?: string;
  readonly eras?: readonly Era[];
  /** Whether a legacy client is in a session, too. */
  readonly sessions?: boolean;
  readonly expect?: Expected;
}

const FILE = 'allow-list-bypass.jsonl';
const cases = readCorpus<Case>(FILE, {
  case: 14,
  confusable: 20,
  invisible: 23,
  dots: 23,
  encoding: 27,
  padding: 18,
  duplicate: 18,
  'key-case': 22,
  place: 20,
  header: 19,
  batch: 19,
  prototype: 22,
  glob: 28,
  scope: 34,
  method: 48,
  allowed: 14,
});

/** Statuses, codes and words of the refusals that say something else than that a tool is unknown. */
const REFUSALS = {
  ambiguous: { status: 400, code: -32600, message: /./ },
  unreadable: { status: 400, code: -32700, message: /not valid JSON|not valid UTF-8|goes on behind/ },
  batch: { status: 400, code: -32600, message: /Batches are not served/ },
  nameless: { status: 400, code: -32602, message: /params\.name is required and must be a string/ },
  mismatch: { status: 400, code: -32020, message: /^M[Cc][Pp]-\w+(?:-\w+)? (?:says|is missing)/ },
  'nobody-asked': { status: 400, code: -32600, message: /^No request of this id waits for an answer/ },
  'no-cursor': { status: 200, code: -32602, message: /^params\.cursor is unknown, or has expired/ },
} as const;

/** Where agents call, with which token and so in which spelling: another path to the same tools is one line more. */
const WAYS: readonly { readonly path: string; readonly token: string }[] = [
  { path: '/mcp', token: 'agent' },
  { path: '/mcp', token: 'under' },
  { path: '/mcp', token: 'solo' },
  { path: '/mcp/github-readonly', token: 'agent' },
];

const tool = (name: string): string => `{"name":${JSON.stringify(name)},"inputSchema":{"type":"object"}}`;
const TOOLS: Readonly<Record<string, readonly string[]>> = {
  github: [
    ...['search_issues', 'search_code2', 'create_issue', 'delete_repo', 'link_repo', 'search.delete_index'],
    // What no list may show, whatever the globs say.
    ...['search_*x', 'search_{a,b}', 'search_/x'],
  ],
  admin: ['search_issues', 'create_issue', 'delete_repo'],
  jira: ['get_issue', 'create_issue', 'search_issues'],
  mimic: ['github.create_issue', 'github__delete_repo', 'delete_repo', 'drop_table'],
  closed: ['search_issues'],
  vault: ['search_secrets', 'get_secret'],
  orphan: ['search_issues'],
};

const upstreams: Record<string, RecordingUpstream> = {};
const sessions = new Map<string, string>();
const unknownAnswers = new Map<string, Answer>();
const logLines: string[] = [];
let gateway: TestGateway;
let runs = 0;

before(async () => {
  for (const [name, tools] of Object.entries(TOOLS)) {
    const era = name === 'github' || name === 'mimic' ? 'modern' : 'legacy';
    upstreams[name] = await startRecordingUpstream({ era, tools: tools.map(tool) });
  }
  const config = (name: string, upstream: string, allowedTools: readonly string[]) => {
    return { name, url: upstreams[upstream]!.url, allowedTools, credential: `${CANARY}-${name}` };
  };
  const grants = [
    'github-readonly',
    'jira',
    { config: 'mimic', allowedTools: ['mimic.github.*', 'delete_*', 'github__*'] },
    'closed',
  ];
  gateway = await startGateway({
    configs: [
      config('github-readonly', 'github', ['search_*']),
      config('github-admin', 'admin', ['*']),
      config('jira', 'jira', ['get_*']),
      config('mimic', 'mimic', ['*']),
      config('closed', 'closed', []),
      config('vault', 'vault', ['*']),
      config('orphan', 'orphan', ['*']),
    ],
    tokens: [
      { name: 'agent', grants },
      { name: 'under', grants, names: 'underscore' },
      { name: 'solo', grants: ['github-readonly'], names: 'bare' },
      { name: 'admin', grants: ['github-admin'] },
      { name: 'stranger', grants: ['vault'] },
    ],
    // A clock that stands still: no list grows old and is asked for again.
    now: () => NOW_MS,
    log: createLogger({ level: 'debug', destination: { write: (line) => void logLines.push(line) } }),
  });
  for (const token of ['agent', 'under', 'solo', 'admin', 'stranger']) {
    await post('/mcp', { ...mcpRequest('tools/list'), token });
    sessions.set(`/mcp ${token}`, await openSession('/mcp', token));
  }
  for (const { path, token } of WAYS) sessions.set(`${path} ${token}`, await openSession(path, token));
});
after(async () => {
  await gateway.close();
  for (const upstream of Object.values(upstreams)) await upstream.close();
});

const NOW_MS = Date.UTC(2026, 10, 20, 12);
const INITIALIZE = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';

async function openSession(path: string, token: string): Promise<string> {
  const answer = await post(path, { ...mcpRequest('initialize', { params: INITIALIZE }), token });
  return String(answer.headers['mcp-session-id']);
}

interface Posted {
  readonly http?: string;
  /** A token's name. */
  readonly token: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body: string | Buffer;
}

async function post(path: string, { http = 'POST', token, headers, body }: Posted): Promise<Answer> {
  const outgoing = request(gateway.url + path, {
    method: http,
    agent: ONE_EACH,
    headers: {
      authorization: `Bearer ${gateway.token(token)}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...headers,
    },
  });
  outgoing.end(body);
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject);
  });
  const answer = toAnswer(response.statusCode ?? 0, response.headers, await buffer(response));
  assertNoCanary(answer.bytes);
  assertNoCanary(JSON.stringify(answer.headers));
  return answer;
}

const ONE_EACH = new Agent({ keepAlive: false });

interface Run {
  readonly era: Era;
  readonly isInSession: boolean;
  readonly path: string;
  readonly token: string;
}

function runsOf(each: Case): Run[] {
  const ways = each.call === undefined || each.token !== undefined ? WAYS.slice(0, 1) : WAYS;
  return ways.flatMap(({ path, token }) => {
    const at = { path: (each.path ?? path) + (each.query ?? ''), token: each.token ?? token };
    const run = (era: Era, isInSession: boolean) => ({ ...at, era, isInSession });
    const { eras = ['legacy', 'modern'], sessions: hasSessions = true } = each;
    return [
      ...(eras.includes('legacy') ? [run('legacy', false)] : []),
      ...(eras.includes('legacy') && hasSessions ? [run('legacy', true)] : []),
      ...(eras.includes('modern') ? [run('modern', false)] : []),
    ];
  });
}

/** The request as a client of that era sends it, but for what the case says. */
function toPosted(each: Case, { era, isInSession, path, token }: Run): Posted {
  const meta = era === 'modern' ? `"_meta":${ENVELOPE},` : '';
  const {
    method = 'tools/call',
    nameText = JSON.stringify(each.call ?? ''),
    params = `"name":${nameText},"arguments":{"a":1}`,
  } = each;
  const text =
    each.body?.replaceAll('{meta}', meta) ??
    `{"jsonrpc":"2.0","id":7,"method":"${method}","params":{${params === '' ? meta.slice(0, -1) : meta + params}}}`;
  const named = toolCall(nameOf(each) ?? 'github.search_issues', { era }).headers;
  const usual = { ...named, ...(era === 'modern' ? { 'mcp-method': method, 'mcp-protocol-version': MODERN } : {}) };
  const headers: OutgoingHttpHeaders = {
    accept: BOTH,
    ...usual,
    ...(isInSession ? { 'mcp-session-id': sessions.get(`${path} ${token}`) ?? sessions.get(`/mcp ${token}`) } : {}),
    ...each.headers,
  } as OutgoingHttpHeaders;
  for (const [name, value] of Object.entries(headers)) if (value === null) delete headers[name];
  const body = each.base64 === undefined ? text : Buffer.from(each.base64, 'base64');
  return { token, headers, body, ...(each.http === undefined ? {} : { http: each.http }) };
}

function nameOf({ call, nameText }: Case): string | undefined {
  return nameText === undefined ? call : JSON.parse(nameText);
}

/** What is said to a call of a tool that does not exist, made the same way. */
async function unknownAnswer(run: Run): Promise<Answer> {
  const key = JSON.stringify(run);
  let answer = unknownAnswers.get(key);
  if (answer === undefined) {
    const nobody: Case = { name: '', class: '', call: 'no_such_tool' };
    answer = await post(run.path, toPosted(nobody, run));
    const error = { code: -32602, message: 'Unknown tool: no_such_tool' };
    assert.deepEqual([answer.status, answer.message], [200, { jsonrpc: '2.0', id: 7, error }]);
    unknownAnswers.set(key, answer);
  }
  return answer;
}

async function assertUnknown(each: Case, run: Run, answer: Answer): Promise<void> {
  const name = nameOf(each) ?? '';
  const control = await unknownAnswer(run);
  const told = control.text.replace('"Unknown tool: no_such_tool"', () =>
    JSON.stringify(`Unknown tool: ${name.slice(0, 256)}`),
  );
  assert.equal(answer.text, told);
  assert.equal(answer.status, control.status);
  assert.deepEqual(comparable(answer), comparable(control));
}

function comparable({ headers }: Answer): object {
  return { ...headers, date: undefined, 'content-length': undefined };
}

async function assertAnswer(each: Case, run: Run, answer: Answer): Promise<void> {
  const { expect } = each;
  if (expect === undefined) await assertUnknown(each, run, answer);
  else if (expect === 'silence') assert.deepEqual([answer.status, answer.text], [202, '']);
  else if (expect === 'repeated') {
    assert.equal(answer.status, 400);
    assert.match(answer.text, /is sent more than once/);
  } else if (expect === 'no-method')
    assertRefused(answer, { status: run.era === 'modern' ? 404 : 200, code: -32601, message: /^Method not found$/ });
  else if (typeof expect === 'string') assertRefused(answer, REFUSALS[expect]);
  else if ('status' in expect) assert.equal(answer.status, expect.status, answer.text);
}

function assertRefused(
  answer: Answer,
  { status, code, message }: { status: number; code: number; message: RegExp },
): void {
  assert.deepEqual([answer.status, answer.message.error?.code], [status, code], answer.text);
  assert.match(answer.message.error?.message ?? '', message);
}

function callsOf(): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(upstreams).map(([name, { calls }]) => [name, calls.map((call) => call.name)]),
  );
}

async function attempt(each: Case): Promise<void> {
  for (const run of runsOf(each)) {
    runs++;
    await assertAnswer(each, run, await post(run.path, toPosted(each, run)));
  }
}

suite('a tool that the policy hides', () => {
  for (const each of cases) {
    const { expect } = each;
    if (typeof expect === 'object' && 'called' in expect) continue;
    test(`is not reached: ${each.class}: ${each.name}`, async () => {
      await withoutStall(() => withoutUpstreamBytes(Object.values(upstreams), () => attempt(each)));
    });
  }

  test('is not reached by a body of four megabytes of keys, nor do others wait for it', async () => {
    const keys = Array.from({ length: 330_000 }, (_, index) => `"k${index}":0`).join();
    for (const params of [`${keys},"name":"github.create_issue"`, `"name":"github.create_issue","_meta":{${keys}}`]) {
      const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{${params}}}`;
      await withoutStall(() =>
        withoutUpstreamBytes(Object.values(upstreams), async () => {
          const answer = await post('/mcp', { token: 'agent', body });
          assertRefused(answer, { status: 400, code: -32600, message: /more than 1024 keys/ });
        }),
      );
    }
  });
});

suite('a tool that the policy admits', () => {
  for (const each of cases) {
    const { expect } = each;
    if (typeof expect !== 'object' || !('called' in expect)) continue;
    test(`is called and nothing else: ${each.class}: ${each.name}`, async () => {
      for (const run of runsOf({ ...each, token: each.token ?? 'agent' })) {
        runs++;
        const { called, by = 'github' }: { called: string; by?: string } = expect;
        const before = callsOf();
        const answer = await post(run.path, toPosted(each, run));
        assert.ok(answer.status === 200 && answer.message.result !== undefined, answer.text);
        assert.deepEqual(callsOf(), { ...before, [by]: [...before[by]!, called] });
        const config = { github: 'github-readonly', admin: 'github-admin' }[by] ?? by;
        assert.equal(upstreams[by]!.calls.at(-1)?.headers.authorization, `Bearer ${CANARY}-${config}`);
      }
    });
  }

  test('is all that is listed', async () => {
    const listed = async (token: string, era: Era) => {
      const { message } = await post('/mcp', { ...mcpRequest('tools/list', { era }), token });
      return message.result.tools.map(({ name }: { name: string }) => name);
    };
    for (const era of ['legacy', 'modern'] as const) {
      const allowed = [
        'github.search_issues',
        'github.search_code2',
        'jira.get_issue',
        'mimic.github.create_issue',
        'mimic.github__delete_repo',
        'mimic.delete_repo',
      ];
      assert.deepEqual(await listed('agent', era), allowed);
      assert.deepEqual(
        await listed('under', era),
        allowed.map((name) => name.replace('.', '__').replace('.', '_')),
      );
      assert.deepEqual(await listed('solo', era), ['search_issues', 'search_code2']);
    }
  });
});

test('every case ran, and no credential is in the log', (t) => {
  reportCounts(t, FILE, cases, runs);
  assertNoCanary(logLines.join(''));
});
