// SIGTERM: no new work, calls in flight finish, the process ends with 0.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { type Answer, send, toolCall } from '../support/mcp-http.ts';
import { connectHttp2, sendHttp2 } from '../support/raw-http2.ts';
import {
  type RecordedCall,
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';
import { type ServeChild, startServe } from '../support/serve-child.ts';

const TOOLS = ['plain', 'streamed'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);

interface Running {
  readonly child: ServeChild;
  readonly upstream: RecordingUpstream;
  readonly adminUrl: string;
  /** Lets the upstream answer what it has been called with. */
  answer(): void;
}

async function start(
  t: TestContext,
  options: { readonly upstream?: Partial<RecordingUpstreamOptions>; readonly drainMs?: number } = {},
): Promise<Running> {
  const gate = Promise.withResolvers<void>();
  const upstream = await startRecordingUpstream({
    era: 'legacy',
    sessions: true,
    tools: TOOLS,
    onCall: async (call) => {
      if (call.name === 'streamed') return { sse: progressUntil(gate.promise, call), result: '{"streamed":true}' };
      await gate.promise;
      return '{"plain":true}';
    },
    ...options.upstream,
  });
  t.after(() => upstream.close());
  const child = await startServe({
    configs: [{ name: 'rec', url: upstream.url }],
    limits: { drain_ms: options.drainMs ?? 10_000 },
    settings: { admin: { listen: { host: '127.0.0.1', port: 0 } } },
  });
  t.after(() => child.stop('SIGKILL'));
  const adminUrl = await eventually(() => /Operators connect to (\S+)/.exec(child.output.stdout)?.[1]);
  return { child, upstream, adminUrl, answer: () => gate.resolve() };
}

async function* progressUntil(end: Promise<void>, { idText }: RecordedCall): AsyncGenerator<string> {
  const event = (step: number) =>
    `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${idText},"progress":${step}}}`;
  yield event(1);
  await end;
  yield event(2);
}

function callOver1(child: ServeChild, tool: string): Promise<Answer> {
  return send(child.mcpUrl, { ...toolCall(tool, { meta: '"progressToken":9' }), token: child.token() });
}

async function callOver2(t: TestContext, child: ServeChild, tool: string): Promise<Answer> {
  const { session } = await connectHttp2(child.url);
  t.after(() => session.destroy());
  return sendHttp2(session, child.mcpUrl, { ...toolCall(tool), token: child.token() });
}

async function isRefused(url: string): Promise<boolean> {
  return send(`${url}/livez`, { method: 'GET' }).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED',
  );
}

suite('SIGTERM', { concurrency: 2 }, () => {
  test('lets calls in flight finish on both protocols, whole or streamed, and ends with 0', async (t) => {
    const { child, upstream, adminUrl, answer } = await start(t);
    assert.equal((await send(`${adminUrl}/readyz`, { method: 'GET' })).status, 200);
    const calls = [callOver1(child, 'rec.plain'), callOver1(child, 'rec.streamed'), callOver2(t, child, 'rec.plain')];
    await eventually(() => upstream.calls.length === calls.length);
    const ended = child.stop('SIGTERM');
    await eventually(() => isRefused(child.url));
    const { status, text } = await send(`${adminUrl}/readyz`, { method: 'GET' });
    assert.deepEqual([status, text], [503, '{"status":"not ready"}']);
    answer();
    const [plain, streamed, plainOver2] = await Promise.all(calls);
    for (const done of [plain!, plainOver2!]) {
      assert.deepEqual([done.status, done.message.result], [200, { plain: true }]);
    }
    assert.equal(plain!.headers.connection, 'close');
    assert.equal(streamed!.datas.length, 3);
    assert.deepEqual(streamed!.message.result, { streamed: true });
    const { code, stderr } = await ended;
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(await isRefused(adminUrl), true);
  });

  test('ends an idle gateway at once, whoever keeps connections open, and says goodbye to upstream sessions', async (t) => {
    const { child, upstream, answer } = await start(t);
    answer();
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const { session } = await connectHttp2(child.url);
    t.after(() => session.destroy());
    await send(child.mcpUrl, { ...toolCall('rec.plain'), token: child.token() }, agent);
    const startedMs = performance.now();
    const { code } = await child.stop('SIGTERM');
    assert.equal(code, 0);
    assert.ok(performance.now() - startedMs < 1_500);
    const opened = new Set(upstream.requests.flatMap(({ headers: got }) => got['mcp-session-id'] ?? []));
    const ended = upstream.requests
      .filter(({ method }) => method === 'DELETE')
      .map(({ headers: got }) => got['mcp-session-id']);
    assert.deepEqual(new Set(ended), opened);
  });

  test('cuts at drain_ms what has not finished, and still ends with 0', async (t) => {
    const { child, upstream } = await start(t, { drainMs: 300 });
    const cut = callOver1(child, 'rec.plain');
    const failed = assert.rejects(cut);
    await eventually(() => upstream.calls.length === 1);
    const startedMs = performance.now();
    const { code } = await child.stop('SIGTERM');
    const tookMs = performance.now() - startedMs;
    await failed;
    assert.equal(code, 0);
    assert.ok(tookMs >= 250 && tookMs < 3_000, `took ${tookMs} ms`);
  });

  test('SIGINT does the same', async (t) => {
    const { child, upstream, answer } = await start(t);
    const call = callOver1(child, 'rec.plain');
    await eventually(() => upstream.calls.length === 1);
    const ended = child.stop('SIGINT');
    await eventually(() => isRefused(child.url));
    answer();
    assert.deepEqual((await call).message.result, { plain: true });
    assert.equal((await ended).code, 0);
  });
});
