// Open-loop load: calls begin at a fixed rate, whatever becomes of those before them, and a call's latency counts from the
// moment it was due, so that a stall shows in every call it held up.

import { once } from 'node:events';
import { Agent, request } from 'node:http';
import http2 from 'node:http2';
import { buffer } from 'node:stream/consumers';
import { eventually } from './eventually.ts';
import { type Answer, type Sent, toAnswer, toolCall } from './mcp-http.ts';

export type Http = 'http1' | 'http2';

/** Sends requests over connections that it keeps. */
export interface KeptClient {
  send(sent: Sent): Promise<Answer>;
  close(): void;
}

/** As many HTTP/1.1 connections as there are requests at once. */
export function createHttp1Client(url: string, agent = new Agent({ keepAlive: true })): KeptClient {
  return {
    send: async (sent) => {
      const outgoing = request(url, { method: 'POST', agent, headers: toHeaders(sent) });
      outgoing.end(sent.body);
      const [response] = await once(outgoing, 'response');
      return toAnswer(response.statusCode, response.headers, await buffer(response));
    },
    close: () => agent.destroy(),
  };
}

/** HTTP/2 sessions in turn; one that the server has ended is replaced. */
export function createHttp2Client(url: string, sessions: number): KeptClient {
  const open: http2.ClientHttp2Session[] = [];
  let turn = 0;
  const sessionOfTurn = (): http2.ClientHttp2Session => {
    turn = (turn + 1) % sessions;
    const known = open[turn];
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    // What breaks a session breaks its requests, and those tell.
    const session = http2.connect(new URL(url).origin).on('error', () => undefined);
    open[turn] = session;
    return session;
  };
  return {
    send: (sent) => sendOver2(sessionOfTurn(), url, sent),
    close: () => {
      for (const session of open) session?.destroy();
    },
  };
}

export async function sendOver2(session: http2.ClientHttp2Session, url: string, sent: Sent): Promise<Answer> {
  const stream = session.request({ ':method': 'POST', ':path': new URL(url).pathname, ...toHeaders(sent) });
  stream.end(sent.body);
  const headers = await new Promise<http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader>((resolve, reject) => {
    stream.once('response', resolve).on('error', reject);
    // A stream that is cancelled ends without an error.
    stream.once('close', () => reject(new Error(`closed unanswered (${stream.rstCode})`)));
  });
  return toAnswer(headers[':status'] ?? 0, headers, await buffer(stream));
}

function toHeaders({ token, headers }: Sent): Record<string, string> {
  return { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers };
}

/** A tool that answers with its argument `text`, and how to call it. */
export interface LoadedTool {
  /** As the token's list spells it. */
  readonly name: string;
  readonly era: 'legacy' | 'modern';
  readonly http: Http;
}

export interface Sample {
  readonly tool: LoadedTool;
  /** `performance.now()` when the call was to begin; and when it had ended, in whatever way. */
  readonly dueMs: number;
  readonly endMs: number;
  /** `ok`; `SERVICE REASON` of an upstream's failure; any other error as `CODE MESSAGE`; `HTTP 503`; or an error code of the connection. */
  readonly outcome: string;
}

export interface LoadOptions {
  readonly mcpUrl: string;
  readonly token: string;
  readonly perSecond: number;
  /** Called in turn. */
  readonly tools: readonly LoadedTool[];
}

/** Few enough for the gateway's 256 streams a session, at a second's worth of hanging calls. */
const HTTP2_SESSIONS = 4;
/** Behind the last call: longer than any answer that a test waits for. */
const LAST_ANSWER_MS = 30_000;

export class Load {
  readonly samples: Sample[] = [];
  readonly #options: LoadOptions;
  readonly #clients: Readonly<Record<Http, KeptClient>>;
  readonly #startedMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #begun = 0;
  #stallMs = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { mcpUrl } = options;
    this.#clients = { http1: createHttp1Client(mcpUrl), http2: createHttp2Client(mcpUrl, HTTP2_SESSIONS) };
    this.#timer = setInterval(() => this.#beginDue(), 1);
  }

  /** Calls begun so far. */
  get begun(): number {
    return this.#begun;
  }

  /** The most that a call began behind its time: how long this process, at least, stood still. */
  get longestStallMs(): number {
    return this.#stallMs;
  }

  /** Begins no more calls; resolves with all samples once the last one has ended. */
  async stop(): Promise<readonly Sample[]> {
    clearInterval(this.#timer);
    await eventually(() => this.samples.length === this.#begun, LAST_ANSWER_MS);
    for (const client of Object.values(this.#clients)) client.close();
    return this.samples;
  }

  #beginDue(): void {
    const { perSecond, tools } = this.#options;
    const intervalMs = 1000 / perSecond;
    const nowMs = performance.now();
    for (;;) {
      const dueMs = this.#startedMs + this.#begun * intervalMs;
      if (dueMs > nowMs) return;
      this.#stallMs = Math.max(this.#stallMs, nowMs - dueMs);
      const tool = tools[this.#begun % tools.length]!;
      void this.#call(tool, String(this.#begun++), dueMs);
    }
  }

  async #call(tool: LoadedTool, text: string, dueMs: number): Promise<void> {
    const sent = toolCall(tool.name, { era: tool.era, id: text, params: `"arguments":{"text":"${text}"}` });
    const { token } = this.#options;
    const outcome = await this.#clients[tool.http]
      .send({ ...sent, token })
      .then((answer) => judgeAnswer(answer, text))
      .catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
    this.samples.push({ tool, dueMs, endMs: performance.now(), outcome });
  }
}

/** An answer to another call, or with another's text, is no success. */
export function judgeAnswer({ status, datas }: Answer, text: string): string {
  if (status !== 200) return `HTTP ${status}`;
  const message = JSON.parse(datas.at(-1) ?? 'null');
  if (message?.id !== Number(text)) return 'not the answer to this call';
  const { result, error } = message;
  if (error !== undefined) {
    return error.data?.source === 'gateway'
      ? `${error.data.service} ${error.data.reason}`
      : `${error.code} ${error.message}`;
  }
  return result.content[0].text === text ? 'ok' : 'another call’s result';
}

/** How many samples ended how. */
export function countOutcomes(samples: readonly Sample[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of samples) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** In milliseconds, by nearest rank; NaN of nothing. */
export function latencyPercentile(samples: readonly Sample[], percent: number): number {
  const latencies = samples.map(({ dueMs, endMs }) => endMs - dueMs).sort((a, b) => a - b);
  return latencies[Math.ceil((latencies.length * percent) / 100) - 1] ?? Number.NaN;
}
