// Short sessions: opened, used once and closed, as scripts and many agents do.

import { Pool } from 'undici';
import { LEGACY_REVISION, LOAD_CLIENT } from '../../src/load/rpc-request.ts';
import { toCall } from '../calls.ts';
import { cpuMsBetween, readCpu } from '../cpu.ts';
import type { Round } from '../figures.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import type { RunningTarget, TargetName } from '../targets.ts';

const WORKERS = 16;
const INITIALIZE = `{"method":"initialize","params":{"protocolVersion":"${LEGACY_REVISION}","capabilities":{},"clientInfo":${LOAD_CLIENT}},"jsonrpc":"2.0","id":0}`;
const INITIALIZED = '{"method":"notifications/initialized","jsonrpc":"2.0"}';

async function run(context: Context): Promise<Measured> {
  const era = 'legacy';
  const upstream = await openUpstream(context, era);
  const lanes: { name: string; target: RunningTarget; rounds: Round[] }[] = [];
  for (const name of ['pipe', 'gateway', 'sdk-proxy'] as const satisfies readonly TargetName[]) {
    lanes.push({ name, target: await openTarget(context, { lane: name, target: name, era, upstream }), rounds: [] });
  }
  for (const { target } of lanes) await measure(target, context.seconds * 2);
  await interleave(context, lanes, async ({ target, rounds }) => {
    rounds.push(await measure(target, context.seconds));
  });
  return { lanes };
}

async function measure({ endpoint, pid }: RunningTarget, seconds: number): Promise<Round> {
  const client = new ShortSessions(endpoint.url, toCall({ ...endpoint, sessionId: undefined }));
  const before = readCpu(pid);
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  const counts = await Promise.all(Array.from({ length: WORKERS }, () => client.repeatUntil(endMs)));
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const cpuMs = cpuMsBetween(before, readCpu(pid));
  await client.close();
  const sessions = counts.reduce((sum, count) => sum + count, 0);
  return { cpuUsPerCall: (cpuMs * 1000) / sessions, callsPerSecond: sessions / elapsedSeconds };
}

class ShortSessions {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #callBody: string;

  constructor(url: string, { headers, body }: { headers: Readonly<Record<string, string>>; body: string }) {
    const { origin, pathname } = new URL(url);
    this.#pool = new Pool(origin, { connections: WORKERS });
    this.#path = pathname;
    this.#headers = headers;
    this.#callBody = body;
  }

  async repeatUntil(endMs: number): Promise<number> {
    let count = 0;
    for (; performance.now() < endMs; count++) await this.#once();
    return count;
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  /** The upstream itself keeps no sessions, and so neither has the pipe one to close: it is sent the same requests. */
  async #once(): Promise<void> {
    const opened = await this.#send('POST', {}, INITIALIZE);
    const id = opened.headers['mcp-session-id'];
    const session = typeof id === 'string' ? { 'mcp-session-id': id } : {};
    await this.#send('POST', session, INITIALIZED);
    const { text } = await this.#send('POST', session, this.#callBody);
    if (!text.includes('mock result')) throw new Error(`a session's call was answered ${text.slice(0, 300)}`);
    await this.#send('DELETE', session, null);
  }

  async #send(method: 'POST' | 'DELETE', headers: Readonly<Record<string, string>>, body: string | null) {
    const answer = await this.#pool.request({
      path: this.#path,
      method,
      headers: { ...this.#headers, ...headers },
      body,
    });
    const text = await answer.body.text();
    if (method === 'POST' && answer.statusCode >= 300)
      throw new Error(`HTTP ${answer.statusCode}: ${text.slice(0, 300)}`);
    return { headers: answer.headers, text };
  }
}

export const SESSIONS: readonly Scenario[] = [
  {
    name: 'short-sessions',
    subject: 'sessions',
    title: 'Open, one call, close',
    method: `Legacy: \`initialize\`, \`initialized\`, the small call and DELETE, by ${WORKERS} clients one session after the other. A call here is all four.`,
    set: 'full',
    budgets: [],
    run,
  },
];
