// A command as a Streamable HTTP server, against a real supervisor and real processes.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { UpstreamIds } from '../../../../src/protocol/upstream-id.ts';
import { createLogger } from '../../../../src/telemetry/logger.ts';
import { classifyUpstreamError, type UpstreamPools } from '../../../../src/upstream/pool.ts';
import { createStdioPools, type StdioOptions } from '../../../../src/upstream/stdio/bridge.ts';
import { Launcher } from '../../../../src/upstream/stdio/launcher.ts';
import { eventually } from '../../../support/eventually.ts';
import { childrenOf, isRunning, processesMarked } from '../../../support/marked-processes.ts';

const SERVER = join(import.meta.dirname, '../../../support/stdio-server.ts');
const ids = new UpstreamIds();
const records: Record<string, unknown>[] = [];
const destination = { write: (line: string) => void records.push(JSON.parse(line)) };
const log = createLogger({ level: 'info', destination });
const launcher = new Launcher(log);
/** Every look at the clock is a second later, so no pause is waited for. */
let nowMs = 0;
const now = (): number => (nowMs += 1_000);
const opened: UpstreamPools[] = [];
const isLinux = process.platform === 'linux';
let folder: string;
/** The launcher keeps no process alive. */
const awake = setInterval(() => undefined, 1_000);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchboard-test-'));
});
after(async () => {
  clearInterval(awake);
  for (const pools of opened) pools.destroy();
  await Promise.all(opened.map((pools) => pools.close()));
  await launcher.close();
  await rm(folder, { recursive: true });
});

function open(era: string, options: Partial<StdioOptions> = {}): UpstreamPools & { readonly journal: string } {
  const journal = join(folder, ids.mint());
  const { PATH = '', NODE_COMPILE_CACHE = join(tmpdir(), 'switchboard-compiled') } = process.env;
  const env = { PATH, NODE_COMPILE_CACHE, API_KEY: 's3cret-value', ...options.launch?.env };
  const pools = createStdioPools({
    name: 'files',
    process: 'credential',
    secrets: ['s3cret-value'],
    launcher,
    maxProcesses: 4,
    startTimeoutMs: 10_000,
    clientInfo: '{"name":"test","version":"1"}',
    log,
    now,
    random: () => 0,
    ...options,
    launch: { command: process.execPath, args: [SERVER, era, journal], cwd: null, ...options.launch, env },
  });
  opened.push(pools);
  return { ...pools, journal };
}

interface Answered {
  readonly status: number;
  readonly sessionId: string | undefined;
  /** The data of every event, or the body. */
  readonly datas: readonly string[];
  readonly id: string;
}

async function post(
  pools: UpstreamPools,
  body: string,
  sessionId?: string,
  signal: AbortSignal | null = null,
): Promise<Omit<Answered, 'id'>> {
  const headers = [
    'content-type',
    'application/json',
    ...(sessionId === undefined ? [] : ['mcp-session-id', sessionId]),
  ];
  const answer = await pools.calls.request({ path: 'files', method: 'POST', headers, body, signal });
  const text = await answer.body.text();
  const datas = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data ?? '');
  const given = answer.headers['mcp-session-id'];
  return { status: answer.statusCode, sessionId: given?.toString(), datas: datas.length > 0 ? datas : [text] };
}

async function ask(
  pools: UpstreamPools,
  method: string,
  params: string,
  sessionId?: string,
  signal: AbortSignal | null = null,
): Promise<Answered> {
  const id = ids.mint();
  const body = `{"jsonrpc":"2.0","id":"${id}","method":"${method}","params":${params}}`;
  return { ...(await post(pools, body, sessionId, signal)), id };
}

async function initialize(pools: UpstreamPools, capabilities = '{}'): Promise<string> {
  const params = `{"protocolVersion":"2025-11-25","capabilities":${capabilities},"clientInfo":{"name":"t","version":"1"}}`;
  const { sessionId, datas } = await ask(pools, 'initialize', params);
  assert.ok(sessionId, datas.join());
  await post(pools, '{"jsonrpc":"2.0","method":"notifications/initialized"}', sessionId);
  return sessionId;
}

const call = (pools: UpstreamPools, name: string, sessionId?: string, signal: AbortSignal | null = null) =>
  ask(pools, 'tools/call', `{"name":"${name}"}`, sessionId, signal);

function textOf({ datas }: Pick<Answered, 'datas'>): string {
  return JSON.parse(datas.at(-1) ?? '').result.content[0].text;
}

async function failureOf(promise: Promise<unknown>): Promise<{ reason: string; message: string }> {
  return promise.then(
    () => assert.fail('it was answered'),
    (error: unknown) => classifyUpstreamError(error),
  );
}

async function journalOf({ journal }: { readonly journal: string }): Promise<string[]> {
  return (await readFile(journal, 'utf8')).trimEnd().split('\n');
}

test('a legacy server is initialised once, and every session is told what it said', async () => {
  const pools = open('legacy');
  const { datas, status } = await ask(pools, 'server/discover', '{}');
  assert.equal(status, 400);
  assert.equal(JSON.parse(datas[0]!).error.code, -32601);
  const [one, other] = [await initialize(pools), await initialize(pools)];
  assert.equal(one, other);
  const { id, datas: answer } = await call(pools, 'echo', one);
  assert.equal(JSON.parse(answer[0]!).id, id);
  const methods = (await journalOf(pools)).map((line) => JSON.parse(line).method);
  assert.deepEqual(methods, ['server/discover', 'initialize', 'notifications/initialized', 'tools/call']);
  assert.equal(pools.stats().connected, 1);
});

test('a modern server is asked without a session, and told what nobody waits for any more', async () => {
  const pools = open('modern');
  const { datas } = await ask(pools, 'server/discover', '{}');
  assert.deepEqual(JSON.parse(datas[0]!).result.supportedVersions, ['2026-07-28']);
  await call(pools, 'echo');
  const leaving = new AbortController();
  const left = call(pools, 'hang', undefined, leaving.signal);
  const { id } = await eventually(async () => {
    const last = (await journalOf(pools)).map((line) => JSON.parse(line)).at(-1);
    return last.params.name === 'hang' && last;
  });
  leaving.abort();
  await assert.rejects(left);
  const cancelled = await eventually(async () => {
    return (await journalOf(pools)).map((line) => JSON.parse(line)).find(({ method }) => method.includes('cancelled'));
  });
  assert.equal(cancelled.params.requestId, id);
});

test('a modern server that is slow to answer the first question is not taken for a legacy one', async () => {
  const pools = open('slow-modern', { probeMs: 20 });
  const { datas } = await ask(pools, 'server/discover', '{}');
  assert.deepEqual(JSON.parse(datas[0]!).result.supportedVersions, ['2026-07-28']);
});

test('a server that does not answer what it does not know is a legacy one', async () => {
  const pools = open('silent', { probeMs: 20 });
  await initialize(pools);
});

test('with a process for each session, each has its own, which ends with it', async () => {
  const pools = open('legacy', { process: 'session', maxProcesses: 2 });
  await ask(pools, 'server/discover', '{}');
  const [one, other] = [await initialize(pools), await initialize(pools)];
  assert.notEqual(one, other);
  const pids = [textOf(await call(pools, 'pid', one)), textOf(await call(pools, 'pid', other))];
  assert.notEqual(pids[0], pids[1]);
  // The one that was asked for its era serves the first session.
  assert.equal(pools.stats().connected, 2);
  const refused = await failureOf(initialize(pools));
  assert.deepEqual(refused, {
    reason: 'overloaded',
    message: '2 processes of it run, and its limits allow no more',
  });
  const { statusCode } = await pools.streams.request({
    path: 'files',
    method: 'DELETE',
    headers: ['mcp-session-id', one],
  });
  assert.equal(statusCode, 200);
  await eventually(() => pools.stats().connected === 1);
  assert.equal((await call(pools, 'echo', one)).status, 404);
  assert.equal((await call(pools, 'echo', other)).status, 200);
});

test('progress and logs come in front of the answer, and a changed list on the stream of the session', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const heard: string[] = [];
  const stream = await pools.streams.request({ path: 'files', method: 'GET', headers: ['mcp-session-id', session] });
  stream.body.on('error', () => undefined).on('data', (chunk) => heard.push(String(chunk)));
  const second = await pools.streams.request({ path: 'files', method: 'GET', headers: ['mcp-session-id', session] });
  assert.equal(second.statusCode, 409);
  const id = ids.mint();
  const params = `{"name":"progress","_meta":{"progressToken":"${id}"}}`;
  const { datas } = await post(
    pools,
    `{"jsonrpc":"2.0","id":"${id}","method":"tools/call","params":${params}}`,
    session,
  );
  const methods = datas.map((data) => JSON.parse(data).method);
  assert.deepEqual(methods, ['notifications/progress', 'notifications/message', undefined]);
  await call(pools, 'changed', session);
  await eventually(() => heard.join('').includes('list_changed'));
});

test('a question goes to the one call that runs, and to nobody when there are two or one was given up', async () => {
  const pools = open('legacy', { now: () => 0 });
  const session = await initialize(pools);
  const id = ids.mint();
  const body = `{"jsonrpc":"2.0","id":"${id}","method":"tools/call","params":{"name":"ask"}}`;
  const headers = ['content-type', 'application/json', 'mcp-session-id', session];
  const asking = await pools.calls.request({ path: 'files', method: 'POST', headers, body });
  let text = '';
  asking.body.on('data', (chunk) => {
    text += chunk;
  });
  await eventually(() => text.includes('elicitation/create'));
  const { status } = await post(pools, `{"jsonrpc":"2.0","id":"ask-é-${id}","result":{"action":"accept"}}`, session);
  assert.equal(status, 202);
  await eventually(() => text.includes('accept'));

  const leaving = new AbortController();
  const hanging = call(pools, 'hang', session, leaving.signal).catch(() => undefined);
  assert.match(textOf(await call(pools, 'ask', session)), /-32601/);
  leaving.abort();
  await hanging;
  assert.match(textOf(await call(pools, 'ask', session)), /-32601/);

  // Each was given up and answered after all, and pushed one out of the books that still runs.
  const crowd = Array.from({ length: 1_000 }, () => {
    const left = new AbortController();
    const answered = call(pools, 'echo', session, left.signal).catch(() => undefined);
    setImmediate(() => left.abort());
    return answered;
  });
  await Promise.all(crowd);
  assert.match(textOf(await call(pools, 'ask', session, AbortSignal.timeout(5_000))), /-32601/);
});

test('what is no message is passed over, and said once', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  records.length = 0;
  const { datas } = await call(pools, 'garbage', session);
  assert.deepEqual(JSON.parse(datas[0]!).result, { content: [] });
  assert.equal(records.filter(({ event }) => String(event).startsWith('stdio output ignored')).length, 1);
  const unusual = await call(pools, 'unusual', session);
  assert.equal(JSON.parse(unusual.datas[0]!).id, unusual.id);
  const large = await call(pools, 'large', session);
  assert.equal(textOf(large).length, 20 * 1024 * 1024);
});

test('a message of several lines is sent as one, and is otherwise as it was', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const id = ids.mint();
  const body = `{\n  "jsonrpc": "2.0",\r\n"id": "${id}", "method": "tools/call",\n"params": {"name": "echo", "arguments": {"n": 1.0, "m": 9007199254740993, "s": "a\\nb"}}}`;
  const answered = await post(pools, body, session);
  assert.equal(textOf(answered), body.replaceAll(/[\r\n]/g, ' '));
});

test('a process that ends fails its calls at once, is forgotten, and is started again after a pause', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const hanging = failureOf(call(pools, 'hang', session));
  const { reason, message } = await failureOf(call(pools, 'crash', session));
  assert.deepEqual([reason, message], ['unreachable', 'its process ended with exit code 3']);
  assert.equal((await hanging).reason, 'unreachable');
  assert.equal((await call(pools, 'echo', session)).status, 404);
  const next = await initialize(pools);
  assert.notEqual(next, session);
  assert.match(textOf(await call(pools, 'echo', next)), /echo/);
});

test('a command that ends at once is not started with every request', async () => {
  let clockMs = 0;
  const launch = { command: 'false', args: [], env: {}, cwd: null };
  const pools = open('legacy', { launch, now: () => clockMs });
  const discover = () => failureOf(ask(pools, 'server/discover', '{}'));
  assert.equal((await discover()).message, 'its process ended with exit code 1');
  clockMs = 500;
  await discover();
  clockMs = 1_500;
  await discover();
  const { reason, message } = await discover();
  assert.equal(reason, 'unreachable');
  assert.match(message, /^its process ended with exit code 1; it is started again in 2 s$/);
});

test('a command that cannot be started is named, without the folder it is in', async () => {
  const launch = { command: 'no-such-command', args: [], env: {}, cwd: null };
  const { message } = await failureOf(ask(open('legacy', { launch }), 'server/discover', '{}'));
  assert.equal(
    message,
    'its command "no-such-command" is not found: install it, or give its path; it is looked up in the PATH of the gateway',
  );
  const inFolder = { ...launch, command: '/somebody/private/no-such-command' };
  const withPath = await failureOf(ask(open('legacy', { launch: inFolder }), 'server/discover', '{}'));
  assert.equal(withPath.message, message);
  const nowhere = { ...launch, cwd: '/no/such/folder' };
  const other = await failureOf(ask(open('legacy', { launch: nowhere }), 'server/discover', '{}'));
  assert.equal(other.message, "its working directory, 'cwd' of its config, is no directory here");
});

test('a command that cannot be started leaves no connection open', { skip: !isLinux }, async () => {
  const launch = () => assert.rejects(launcher.launch({ command: 'no-such-command', args: [], env: {}, cwd: null }));
  const openFiles = () => readdirSync('/proc/self/fd').length;
  await launch();
  const before = openFiles();
  await Promise.all(Array.from({ length: 10 }, launch));
  await eventually(() => openFiles() < before + 10);
});

test('a process that is started too late is ended', { skip: !isLinux }, async () => {
  const hasty = new Launcher(log, { launchMs: 150 });
  const mark = ids.mint();
  const launch = (MARK: string) =>
    hasty.launch({ command: 'sleep', args: ['100'], env: { PATH: process.env.PATH ?? '', MARK }, cwd: null });
  const isStarted = () => launch('').then(Boolean, () => false);
  await eventually(isStarted);
  const supervisor = childrenOf(process.pid).findLast(({ command }) => command.includes('supervisor'))!;
  process.kill(supervisor.pid, 'SIGSTOP');
  await assert.rejects(launch(mark), /was not started in time/);
  process.kill(supervisor.pid, 'SIGCONT');
  await eventually(isStarted);
  await eventually(() => processesMarked(mark).length === 0);
  await hasty.close();
});

test('where the socket of the streams was removed, the next start has another', { skip: !isLinux }, async () => {
  const cleaned = new Launcher(log);
  const launch = { command: 'sleep', args: ['100'], env: { PATH: process.env.PATH ?? '' }, cwd: null };
  await cleaned.launch(launch);
  const supervisor = childrenOf(process.pid).findLast(({ command }) => command.includes('supervisor'))!;
  await rm(supervisor.command.split(' ').at(-1)!);
  await assert.rejects(cleaned.launch(launch), /the supervisor of its process was ended/);
  await cleaned.launch(launch);
  await cleaned.close();
});

test('answers that nobody reads are given up when they are too many', async () => {
  const pools = open('legacy', { maxHeldBytes: 8 * 1024 * 1024 });
  const session = await initialize(pools);
  const body = (id: string) => `{"jsonrpc":"2.0","id":"${id}","method":"tools/call","params":{"name":"sizeable"}}`;
  const headers = ['content-type', 'application/json', 'mcp-session-id', session];
  const unread = await Promise.all(
    Array.from({ length: 3 }, () =>
      pools.calls.request({ path: 'files', method: 'POST', headers, body: body(ids.mint()) }),
    ),
  );
  const [one, two, three] = await Promise.allSettled(unread.map(({ body: each }) => each.text()));
  assert.deepEqual([one!.status, two!.status], ['fulfilled', 'fulfilled']);
  assert.equal(three!.status, 'rejected');
  assert.match(textOf(await call(pools, 'echo', session)), /echo/);
});

test('the log says how a process ended and what it wrote last, without its secrets and its colours', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  records.length = 0;
  await failureOf(call(pools, 'complain', session));
  const ended = await eventually(() => records.find(({ event }) => event === 'stdio process ended'));
  assert.equal(ended.mcp_config, 'files');
  assert.equal(ended.code, 1);
  assert.deepEqual(ended.stderr, ['the key is [redacted]']);
});

test('without the supervisor its processes are ended, and started again under another', {
  skip: !isLinux,
}, async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const pid = Number(textOf(await call(pools, 'pid', session)));
  const hanging = failureOf(call(pools, 'hang', session));
  const [supervisor] = childrenOf(process.pid).filter(({ command }) => command.includes('supervisor'));
  process.kill(supervisor!.pid, 'SIGKILL');
  assert.equal((await hanging).reason, 'unreachable');
  await eventually(() => !isRunning(pid));
  assert.match(textOf(await call(pools, 'echo', await initialize(pools))), /echo/);
});

test('a process that closes its stdout is ended', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const { message } = await failureOf(call(pools, 'mute', session));
  assert.equal(message, 'its process closed its stdout');
  await eventually(() => pools.stats().connected === 0);
});

test('a line without an end is not kept for ever', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const { reason, message } = await failureOf(call(pools, 'endless', session));
  assert.deepEqual([reason, message], ['broken_answer', 'its process wrote a line of more than 67108864 bytes']);
});

test('a process that does not read is not written to without end', async () => {
  const pools = open('legacy');
  const session = await initialize(pools);
  const pid = Number(textOf(await call(pools, 'deaf', session)));
  const filler = 'x'.repeat(4 * 1024 * 1024);
  const leaving = new AbortController();
  const failures = Array.from({ length: 6 }, () =>
    failureOf(ask(pools, 'tools/call', `{"name":"echo","filler":"${filler}"}`, session, leaving.signal)),
  );
  const refused = await Promise.race(failures);
  leaving.abort();
  await Promise.all(failures);
  process.kill(pid, 'SIGKILL');
  assert.deepEqual(refused, { reason: 'overloaded', message: 'its process does not read what it is sent' });
});
