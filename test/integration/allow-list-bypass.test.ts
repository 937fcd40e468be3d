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
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, startGateway, type TestGateway } from '../support/gateway.ts';
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
  race: 12,
  allowed: 14,
});

/** Statuses, codes and words of the refusals that say something else than that a tool is unknown. */
const REFUSALS = {
  ambiguous: { status: 400, code: -32600, message: /./ },
  unreadable: { status: 400, code: -32700, message: /not valid JSON|not valid UTF-8|goes on behind/ },
  batch: { status: 400, code: -32600, message: /Batches are not served/ },
  nameless: { status: 400, code: -32602, message: /params\.name is required and must be a string/ },
  mismatch: { status: 400, code: -32020, message: /^M[Cc][Pp]-\w+(?:-\w+)? (?:says|is missing)/ },
  'no-cursor': { status: 200, code: -32602, message: /^params\.cursor is unknown, or has expired/ },
} as const;

/** Where agents call, with which token and so in which spelling: another path to the same tools is one line more. */
const WAYS: readonly { readonly path: string; readonly token: string }[] = [
  { path: '/mcp', token: 'agent' },
  { path: '/mcp', token: 'under' },
  { path: '/mcp', token: 'solo' },
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
    sessions.set(token, await openSession(gateway, token));
  }
});
after(async () => {
  await gateway.close();
  for (const upstream of Object.values(upstreams)) await upstream.close();
});

const NOW_MS = Date.UTC(2026, 10, 20, 12);
const INITIALIZE = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';

async function openSession(at: TestGateway, token: string): Promise<string> {
  const answer = await post('/mcp', { ...mcpRequest('initialize', { params: INITIALIZE }), token }, at);
  return String(answer.headers['mcp-session-id']);
}

interface Posted {
  readonly http?: string;
  /** A token's name. */
  readonly token: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body: string | Buffer;
  readonly agent?: Agent;
}

async function post(
  path: string,
  { http = 'POST', token, headers, body, agent }: Posted,
  at = gateway,
): Promise<Answer> {
  const outgoing = request(at.url + path, {
    method: http,
    agent: agent ?? NO_AGENT,
    headers: {
      authorization: `Bearer ${at.token(token)}`,
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

const NO_AGENT = new Agent({ keepAlive: false });

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
function toPosted(each: Case, { era, isInSession, token }: Run): Posted {
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
    ...(isInSession ? { 'mcp-session-id': sessions.get(token) } : {}),
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
    if (each.class === 'race' || (typeof expect === 'object' && 'called' in expect)) continue;
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

suite('a policy that changes while it is used', () => {
  let raced: TestGateway;
  let first: RecordingUpstream;
  let second: RecordingUpstream;
  let nowMs = NOW_MS;
  /** What calls wait for. */
  let gate: Promise<void> | undefined;
  const ALL = ['search_issues', 'search_code2', 'create_issue'];
  const TIGHT = ['search_*'];

  before(async () => {
    const onCall = async () => {
      await gate;
      return '{"content":[]}';
    };
    first = await startRecordingUpstream({ era: 'modern', tools: ALL.map(tool), onCall });
    second = await startRecordingUpstream({ era: 'legacy', tools: ALL.map(tool), onCall });
    raced = await startGateway({ ...policy(TIGHT), now: () => nowMs });
  });
  after(async () => {
    await raced.close();
    await first.close();
    await second.close();
  });

  function policy(
    allowedTools: readonly string[],
    changes: Partial<ConfigFileOptions> & { narrowed?: string[]; url?: string } = {},
  ): ConfigFileOptions {
    const { narrowed, url = first.url, ...rest } = changes;
    const grant = narrowed === undefined ? 'github-readonly' : { config: 'github-readonly', allowedTools: narrowed };
    return {
      configs: [
        { name: 'github-readonly', url, allowedTools, credential: CANARY },
        { name: 'github-admin', url: second.url, allowedTools: ['*'], credential: `${CANARY}-admin` },
      ],
      tokens: [{ name: 'agent', grants: [grant] }, { name: 'other' }],
      ...rest,
    };
  }

  /** Begins with a policy in force, its tools known and the upstreams as they were. */
  async function begin(options: ConfigFileOptions): Promise<void> {
    for (const upstream of [first, second]) upstream.setTools(ALL.map(tool));
    await raced.reload(options);
    nowMs += 61_000;
    await eventually(async () => (await listed()).length > 0);
  }

  async function listed(): Promise<string[]> {
    const { message } = await post('/mcp', { ...mcpRequest('tools/list'), token: 'agent' }, raced);
    return message.result.tools.map(({ name }: { name: string }) => name);
  }

  function call(name: string, more: Partial<Posted> = {}, era: Era = 'legacy'): Promise<Answer> {
    const { body, headers } = toolCall(`github.${name}`, { era });
    return post('/mcp', { body, token: 'agent', ...more, headers: { ...headers, ...more.headers } }, raced);
  }

  async function assertHidden(name: string): Promise<void> {
    const calls = first.calls.length + second.calls.length;
    for (const era of ['legacy', 'modern'] as const) {
      const { message } = await call(name, {}, era);
      assert.deepEqual(message.error, { code: -32602, message: `Unknown tool: github.${name}` });
    }
    assert.equal(first.calls.length + second.calls.length, calls);
  }

  async function assertCalled(upstream: RecordingUpstream, name: string): Promise<void> {
    const calls = upstream.calls.length;
    for (const era of ['legacy', 'modern'] as const) {
      const answer = await call(name, {}, era);
      assert.ok(answer.message.result !== undefined, answer.text);
    }
    assert.deepEqual(
      upstream.calls.slice(calls).map((each) => each.name),
      [name, name],
    );
  }

  const RACES: Readonly<Record<string, () => Promise<void>>> = {
    'a policy that is tightened while a call runs ends what comes after it': async () => {
      await begin(policy(['*']));
      const held = Promise.withResolvers<void>();
      gate = held.promise;
      const calls = first.calls.length;
      const running = [call('create_issue'), call('create_issue', {}, 'modern')];
      await eventually(() => first.calls.length === calls + 2);
      await raced.reload(policy(TIGHT));
      await assertHidden('create_issue');
      gate = undefined;
      held.resolve();
      for (const { message } of await Promise.all(running)) assert.ok(message.result !== undefined);
    },
    'a list from before a policy was tightened opens nothing': async () => {
      await begin(policy(['*']));
      assert.ok((await listed()).includes('github.create_issue'));
      await raced.reload(policy(TIGHT));
      await assertHidden('create_issue');
      assert.deepEqual(await listed(), ['github.search_issues', 'github.search_code2']);
    },
    'a tool that was allowed for a moment is hidden again': async () => {
      await begin(policy(TIGHT));
      await assertHidden('create_issue');
      await raced.reload(policy(['*']));
      await assertCalled(first, 'create_issue');
      await raced.reload(policy(TIGHT));
      await assertHidden('create_issue');
    },
    'a grant that is narrowed ends its calls at once': async () => {
      await begin(policy(TIGHT));
      await assertCalled(first, 'search_issues');
      await raced.reload(policy(TIGHT, { narrowed: ['search_code2'] }));
      await assertHidden('search_issues');
      await assertCalled(first, 'search_code2');
      await raced.reload(policy(TIGHT, { narrowed: [] }));
      await assertHidden('search_code2');
    },
    'calls made all the while the policy changes reach only what it allows': async () => {
      await begin(policy(TIGHT));
      const created = () => first.calls.filter(({ name }) => name === 'create_issue').length;
      const before = created();
      let isChanging = true;
      const ask = async (name: string): Promise<Answer[]> => {
        const answers: Answer[] = [];
        while (isChanging) answers.push(await call(name, {}, answers.length % 2 === 0 ? 'legacy' : 'modern'));
        return answers;
      };
      const asking = [ask('create_issue'), ask('search_issues'), ask('create_issue')];
      for (let change = 0; change < 12; change++) {
        await raced.reload(policy(change % 2 === 0 ? ['*'] : TIGHT));
        if (change % 2 === 1) {
          const answered = created();
          await call('search_issues');
          // What began before the change may still arrive; nothing that began after it does.
          assert.ok(created() - answered <= 2);
        }
      }
      isChanging = false;
      const [some = [], all = [], more = []] = await Promise.all(asking);
      assert.ok(all.length > 0 && all.every(({ message }) => message.result !== undefined));
      const results = [...some, ...more].filter(({ message }) => message.result !== undefined);
      assert.equal(created() - before, results.length);
      for (const { message } of [...some, ...more]) {
        if (message.result === undefined) assert.equal(message.error?.message, 'Unknown tool: github.create_issue');
      }
      await assertHidden('create_issue');
    },
    'a tool that the upstream has dropped is not called any more': async () => {
      await begin(policy(['*']));
      first.setTools([tool('search_issues')]);
      nowMs += 61_000;
      await eventually(async () => (await listed()).length === 1);
      await assertHidden('create_issue');
      await assertHidden('search_code2');
    },
    'a tool that the upstream adds is callable if the policy says so and not else': async () => {
      await begin(policy(TIGHT));
      first.setTools([...ALL, 'search_new', 'create_new'].map(tool));
      nowMs += 61_000;
      await eventually(async () => (await listed()).includes('github.search_new'));
      await assertHidden('create_new');
      await assertCalled(first, 'search_new');
    },
    'a hidden tool called while its upstream is asked for its list for the first time stays unknown': async () => {
      const asked = Promise.withResolvers<void>();
      const slow = await startRecordingUpstream({
        era: 'modern',
        tools: ALL.map(tool),
        intercept: (incoming, response) => {
          if (!incoming.body.includes('"tools/list"') || response.headersSent) return false;
          void asked.promise.then(() => {
            const id = /"id":("[^"]*")/.exec(incoming.body.toString())?.[1];
            const result = `{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[${ALL.map(tool).join()}]}`;
            response
              .writeHead(200, { 'content-type': 'application/json' })
              .end(`{"jsonrpc":"2.0","id":${id},"result":${result}}`);
          });
          return true;
        },
      });
      await raced.reload(policy(TIGHT, { url: slow.url }));
      const answers = Promise.all([call('create_issue'), call('search_issues')] as const);
      await eventually(() => slow.requests.some(({ body }) => body.includes('"tools/list"')));
      asked.resolve();
      const [hidden, allowed] = await answers;
      assert.equal(hidden.message.error?.message, 'Unknown tool: github.create_issue');
      assert.ok(allowed.message.result !== undefined, allowed.text);
      assert.deepEqual(
        slow.calls.map(({ name }) => name),
        ['search_issues'],
      );
      await raced.reload(policy(TIGHT));
      await slow.close();
    },
    "a tool that the first grant's upstream drops is not served with another grant's credential": async () => {
      const grants = ['github-readonly', { config: 'github-admin', allowedTools: ['search_*'] }];
      await begin(policy(TIGHT, { tokens: [{ name: 'agent', grants }] }));
      await assertCalled(first, 'search_code2');
      first.setTools([tool('search_issues')]);
      nowMs += 61_000;
      await eventually(async () => (await listed()).length === 1);
      await assertHidden('search_code2');
    },
    'a token that is revoked makes no further call on its connection and session': async () => {
      await begin(policy(TIGHT));
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const headers = { 'mcp-session-id': await openSession(raced, 'agent') };
      assert.ok((await call('search_issues', { agent, headers })).message.result !== undefined);
      await raced.reload(policy(TIGHT, { tokens: [{ name: 'other' }] }));
      await withoutUpstreamBytes([first, second], async () => {
        assert.equal((await call('search_issues', { agent, headers })).status, 401);
        assert.equal((await call('search_issues', { agent }, 'modern')).status, 401);
      });
      agent.destroy();
    },
    'a session opens nothing for another token': async () => {
      await begin(policy(TIGHT));
      const headers = { 'mcp-session-id': await openSession(raced, 'other') };
      assert.ok((await call('create_issue', { token: 'other', headers })).message.result !== undefined);
      await withoutUpstreamBytes([first, second], async () => {
        for (const name of ['create_issue', 'search_issues']) {
          const { status, message } = await call(name, { headers });
          assert.deepEqual([status, message.error?.code], [404, -32600]);
        }
      });
    },
    'a config that moves to another upstream takes its policy along': async () => {
      await begin(policy(TIGHT));
      await raced.reload(policy(TIGHT, { url: second.url }));
      await eventually(async () => (await listed()).length === 2);
      await assertHidden('create_issue');
      await assertCalled(second, 'search_issues');
      assert.equal(second.calls.at(-1)?.headers.authorization, `Bearer ${CANARY}`);
    },
  };

  for (const { name } of cases.filter((each) => each.class === 'race')) {
    test(name, async () => {
      runs++;
      assert.ok(RACES[name] !== undefined, 'the corpus names a race that nobody has written');
      await RACES[name]();
    });
  }

  test('is raced in every way that is written', () => {
    assert.equal(Object.keys(RACES).length, cases.filter((each) => each.class === 'race').length);
  });
});

test('every case ran, and no credential is in the log', (t) => {
  reportCounts(t, FILE, cases, runs);
  assertNoCanary(logLines.join(''));
});
