// One round of the drain proof: the real command with calls in flight on both HTTP versions gets SIGTERM, and everything
// that was under way is answered before it leaves. `npm test` runs a few rounds, `npm run test:full` fifty.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from './eventually.ts';
import { createHttp1Client, judgeAnswer, sendOver2 } from './load.ts';
import { type Answer, type Sent, toolCall } from './mcp-http.ts';
import { RawHttp1, toHttp1 } from './raw-http1.ts';
import { connectHttp2, type RawHttp2 } from './raw-http2.ts';
import { type RecordedCall, type RecordingUpstream, startRecordingUpstream } from './recording-upstream.ts';
import { type ServeChild, startServe } from './serve-child.ts';

/** Half of them over HTTP/1.1, half over HTTP/2; either half of each client era to either upstream. */
const CALLS = 500;
const HTTP2_SESSIONS = 5;
const IDLE_CONNECTIONS = 20;
const IDLE_SESSIONS = 5;
const LEAST_HELD_MS = 200;
const DRAIN_MS = 10_000;
const IDLE_CLOSED_WITHIN_MS = 1_000;
const GONE_WITHIN_MS = 2_000;
const TOOLS = ['quick', 'slow'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);

export interface DrainFigures {
  readonly answered: number;
  /** From the signal to the last answer, and from there to the end of the process. */
  readonly lastAnswerMs: number;
  readonly exitMs: number;
  /** From the signal to when the last idle connection or session had heard of it. */
  readonly idleClosedMs: number;
}

/** Calls are answered until `mostHeldMs` behind the signal. */
export async function drainUnderLoad(t: TestContext, mostHeldMs: number): Promise<DrainFigures> {
  const signal = Promise.withResolvers<void>();
  const hold = async (): Promise<void> => {
    await signal.promise;
    await delay(LEAST_HELD_MS + Math.random() * (mostHeldMs - LEAST_HELD_MS));
  };
  const upstreams = [await startHolding('legacy', hold), await startHolding('modern', hold)];
  for (const upstream of upstreams) t.after(() => upstream.close());
  const gateway = await startServe({
    configs: upstreams.map(({ url }, index) => ({ name: ['one', 'two'][index]!, url })),
    // For a process that has just begun, 500 calls at once may be overload, of which it would speak.
    limits: { drain_ms: DRAIN_MS, delay_ms: 0 },
  });
  t.after(() => gateway.stop('SIGKILL'));
  const idle = await openIdle(gateway);
  const busy = await Promise.all(Array.from({ length: HTTP2_SESSIONS }, () => connectHttp2(gateway.url)));
  const sessions = [...idle.sessions, ...busy];
  const goneAways = sessions.map(
    ({ session }) =>
      new Promise<number>((resolve) => {
        session.once('goaway', () => resolve(performance.now()));
      }),
  );
  const calls = beginCalls(gateway, busy);
  await eventually(() => slowCallsOf(upstreams) === CALLS, 30_000);

  const signalMs = performance.now();
  const ended = gateway.stop('SIGTERM').then(({ code, stderr }) => ({ code, stderr, atMs: performance.now() }));
  signal.resolve();
  const answers = await Promise.all(calls);
  const answeredMs = performance.now();
  const { code, stderr, atMs } = await ended;

  assert.deepEqual(new Set(answers.map(({ outcome }) => outcome)), new Set(['ok']));
  const over1 = answers.filter(({ isHttp1 }) => isHttp1);
  assert.deepEqual(new Set(over1.map(({ answer }) => answer?.headers.connection)), new Set(['close']));
  assert.deepEqual([code, stderr], [0, '']);
  assert.ok(atMs - answeredMs < GONE_WITHIN_MS, `it ended ${atMs - answeredMs} ms behind the last answer`);
  const closedMs = await Promise.all([...idle.closed, ...goneAways.slice(0, idle.sessions.length)]);
  await Promise.all(goneAways);
  const idleClosedMs = Math.max(...closedMs) - signalMs;
  assert.ok(idleClosedMs < IDLE_CLOSED_WITHIN_MS, `an idle connection was closed after ${idleClosedMs} ms`);
  for (const upstream of upstreams) await upstream.close();
  return { answered: answers.length, lastAnswerMs: answeredMs - signalMs, exitMs: atMs - answeredMs, idleClosedMs };
}

/** Holds calls of `slow` until the signal, and then each for a time of its own. */
function startHolding(era: 'legacy' | 'modern', hold: () => Promise<void>): Promise<RecordingUpstream> {
  const onCall = async (call: RecordedCall) => {
    if (call.name === 'slow') await hold();
    const { text } = JSON.parse(call.body.toString()).params.arguments;
    const members = era === 'modern' ? ',"resultType":"complete"' : '';
    return `{"content":[{"type":"text","text":"${text}"}]${members}}`;
  };
  return startRecordingUpstream({
    era,
    sessions: era === 'legacy',
    reply: era === 'legacy' ? 'json' : 'sse',
    tools: TOOLS,
    onCall,
  });
}

function slowCallsOf(upstreams: readonly RecordingUpstream[]): number {
  return upstreams.reduce((sum, { calls }) => sum + calls.filter(({ name }) => name === 'slow').length, 0);
}

function echo(name: string, text: string, era: 'legacy' | 'modern'): Sent & { readonly body: string } {
  return toolCall(name, { era, id: text, params: `"arguments":{"text":"${text}"}` });
}

interface Idle {
  /** `performance.now()` at which each connection was closed by the gateway. */
  readonly closed: readonly Promise<number>[];
  readonly sessions: readonly RawHttp2[];
}

/** Connections and sessions on which a call has been answered, and that are kept. */
async function openIdle(gateway: ServeChild): Promise<Idle> {
  const sent = { ...echo('one.quick', '1', 'legacy'), token: gateway.token() };
  const { head, body } = toHttp1(gateway.mcpUrl, sent);
  const connections = await Promise.all(Array.from({ length: IDLE_CONNECTIONS }, () => RawHttp1.connect(gateway.url)));
  const sessions = await Promise.all(Array.from({ length: IDLE_SESSIONS }, () => connectHttp2(gateway.url)));
  for (const connection of connections) {
    connection.write(head, body);
    assert.match(await connection.until(/"id":1\}$/), /^HTTP\/1\.1 200 .*"text":"1"/s);
  }
  for (const { session } of sessions) {
    assert.equal(judgeAnswer(await sendOver2(session, gateway.mcpUrl, sent), '1'), 'ok');
  }
  const closed = connections.map(
    ({ socket }) =>
      new Promise<number>((resolve) => {
        socket.once('end', () => {
          resolve(performance.now());
          socket.destroy();
        });
      }),
  );
  return { closed, sessions };
}

interface Ended {
  readonly isHttp1: boolean;
  readonly outcome: string;
  readonly answer: Answer | undefined;
}

function beginCalls(gateway: ServeChild, sessions: readonly RawHttp2[]): Promise<Ended>[] {
  const token = gateway.token();
  const http1 = createHttp1Client(gateway.mcpUrl);
  return Array.from({ length: CALLS }, async (_, index) => {
    const isHttp1 = index % 2 === 0;
    const tool = (index >> 1) % 2 === 0 ? 'one.slow' : 'two.slow';
    const sent = { ...echo(tool, String(index), (index >> 2) % 2 === 0 ? 'legacy' : 'modern'), token };
    const { session } = sessions[index % sessions.length]!;
    try {
      const answer = await (isHttp1 ? http1.send(sent) : sendOver2(session, gateway.mcpUrl, sent));
      return { isHttp1, outcome: judgeAnswer(answer, String(index)), answer };
    } catch (error) {
      return { isHttp1, outcome: String(error), answer: undefined };
    }
  });
}
