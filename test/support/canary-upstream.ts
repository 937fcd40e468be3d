// An upstream whose tool `echo` answers with the canary it was called with, and which remembers who was seen in which
// session and which calls the gateway gave up. Among the progress of every call it mixes that of another call.

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { closeServer, listenLocally } from './local-server.ts';
import { listResult, refuse, replyToProtocolMethod, sendJson, toEvent, toMessage } from './sdk-server-replies.ts';
import {
  type ClientMessage,
  METHOD_NOT_ALLOWED,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  parseClientMessage,
  type Refusal,
  refusalOfLegacy,
  refusalOfModern,
} from './sdk-server-rules.ts';

/** `stateful` and `stateless` are legacy; only the first mints session ids. */
export type UpstreamKind = 'stateful' | 'stateless' | 'modern';

/** The `arguments` of a call. */
export interface EchoArguments {
  readonly canary: string;
  /** Who calls: one downstream conversation, or a principal without one. */
  readonly caller: string;
  /** Answers with an event stream that begins with this many progress notifications; 0 answers with JSON. */
  readonly steps: number;
  /** Before the answer, in milliseconds; without one the call hangs until it is given up. */
  readonly holdMs?: number;
  /** Legacy only: ends the stream behind its first progress, and expects to be asked for the rest. */
  readonly isPolled?: boolean;
}

interface EchoCall {
  readonly idText: string;
  readonly sessionId: string | undefined;
  readonly progressToken: unknown;
  readonly args: EchoArguments;
  /** The stream it is answered on now. */
  response: ServerResponse;
  step: number;
  timer: NodeJS.Timeout | undefined;
}

/** What one session looks like to the upstream. */
export interface SeenSession {
  readonly callers: Set<string>;
  ends: number;
}

const TOOLS = ['echo', 'second', 'third', 'fourth', 'fifth'].map(
  (name) => `{"name":"${name}","inputSchema":{"type":"object"}}`,
);

/** Starts one on 127.0.0.1, port 0. Idle connections are kept for `keepAliveMs`. */
export async function startCanaryUpstream(kind: UpstreamKind, keepAliveMs = 5_000): Promise<CanaryUpstream> {
  const upstream = new CanaryUpstream(kind, keepAliveMs);
  await upstream.listen();
  return upstream;
}

export class CanaryUpstream {
  readonly kind: UpstreamKind;
  url = '';
  /** Every session ever minted, by its id. */
  readonly sessions = new Map<string, SeenSession>();
  /** Canaries of calls that the gateway gave up. */
  readonly givenUp = new Set<string>();
  /** What no gateway may do. */
  readonly violations: string[] = [];
  /** The last event id that was sent. */
  lastEventId = '';
  resumed = 0;
  readonly #era: 'legacy' | 'modern';
  readonly #open = new Set<string>();
  readonly #calls = new Map<string, EchoCall>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  constructor(kind: UpstreamKind, keepAliveMs: number) {
    this.kind = kind;
    this.#era = kind === 'modern' ? 'modern' : 'legacy';
    this.#server.keepAliveTimeout = keepAliveMs;
  }

  get openSessions(): number {
    return this.#open.size;
  }

  get openCalls(): number {
    return this.#calls.size;
  }

  async listen(): Promise<void> {
    this.url = `http://127.0.0.1:${await listenLocally(this.#server)}/mcp`;
  }

  async close(): Promise<void> {
    for (const { timer } of this.#calls.values()) clearTimeout(timer);
    await closeServer(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A caller that leaves is what the tests are about, never an error of the upstream.
    response.on('error', () => undefined);
    const body = await buffer(request).catch(() => undefined);
    if (body === undefined) return;
    if (request.method === 'DELETE' && this.kind === 'stateful') return this.#endSession(request, response);
    if (request.method === 'GET' && this.#era === 'legacy') return this.#resume(request, response);
    if (request.method !== 'POST') return refuse(response, METHOD_NOT_ALLOWED);
    const message = parseClientMessage(body);
    if (message === undefined) return refuse(response, PARSE_ERROR);
    const refusal = this.#refusalOf(request, message);
    if (refusal !== undefined) return refuse(response, refusal, message.idText);
    if (message.idText === undefined) {
      if (message.method === 'notifications/cancelled') this.#cancel(message.params.requestId);
      response.writeHead(202).end();
    } else if (message.method === 'tools/call') this.#call(request, response, message, message.idText);
    else this.#answer(response, message, message.idText);
  }

  #refusalOf({ headers }: IncomingMessage, message: ClientMessage): Refusal | undefined {
    if (this.#era === 'modern') return refusalOfModern(headers, message);
    return refusalOfLegacy(headers, message.method, this.kind === 'stateful' ? this.#open : undefined);
  }

  #answer(response: ServerResponse, { method = '', params }: ClientMessage, idText: string): void {
    const reply =
      method === 'tools/list'
        ? listResult(this.#era, TOOLS, params.cursor, TOOLS.length)
        : replyToProtocolMethod(this.#era, method, params);
    if (reply === undefined) {
      refuse(response, METHOD_NOT_FOUND, idText);
      return;
    }
    if (method === 'initialize' && this.kind === 'stateful') {
      const sessionId = randomUUID();
      this.#open.add(sessionId);
      this.sessions.set(sessionId, { callers: new Set(), ends: 0 });
      response.setHeader('mcp-session-id', sessionId);
    }
    sendJson(response, 200, toMessage(idText, reply));
  }

  #endSession({ headers }: IncomingMessage, response: ServerResponse): void {
    const sessionId = String(headers['mcp-session-id']);
    const seen = this.sessions.get(sessionId);
    if (seen === undefined) this.violations.push(`DELETE of a session that was never minted: ${sessionId}`);
    else if (++seen.ends > 1) this.violations.push(`DELETE number ${seen.ends} of one session`);
    this.#open.delete(sessionId);
    response.writeHead(200).end();
  }

  #call({ headers }: IncomingMessage, response: ServerResponse, { params }: ClientMessage, idText: string): void {
    const args = params.arguments as EchoArguments;
    const { progressToken } = (params._meta ?? {}) as { progressToken?: unknown };
    const sessionId = headers['mcp-session-id']?.toString();
    const call: EchoCall = { idText, sessionId, progressToken, args, response, step: 0, timer: undefined };
    if (this.#calls.has(idText)) this.violations.push(`the id ${idText} is in flight twice`);
    if (sessionId !== undefined) this.sessions.get(sessionId)?.callers.add(args.caller);
    this.#calls.set(idText, call);
    this.#watch(call, response);
    if (args.steps === 0) this.#finishLater(call);
    else this.#stream(call);
  }

  #stream(call: EchoCall): void {
    const { response, args } = call;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    while (call.step < args.steps) {
      call.step++;
      for (const other of this.#calls.values()) {
        if (other === call) continue;
        this.#sendEvent(response, toProgress(other));
        break;
      }
      this.#sendEvent(response, toProgress(call), eventIdOf(call));
      if (args.isPolled && call.step === 1) {
        this.lastEventId = eventIdOf(call);
        response.end();
        return;
      }
    }
    this.#finishLater(call);
  }

  #resume({ headers }: IncomingMessage, response: ServerResponse): void {
    const eventId = headers['last-event-id']?.toString();
    const call = [...this.#calls.values()].find((each) => eventIdOf(each) === eventId);
    // The gateway may have been told in the meantime that nobody waits for it any more.
    if (call === undefined) {
      refuse(response, METHOD_NOT_ALLOWED);
      return;
    }
    if (headers['mcp-session-id'] !== call.sessionId) this.violations.push('a stream was resumed in another session');
    this.resumed++;
    call.response = response;
    this.#watch(call, response);
    this.#stream(call);
  }

  #finishLater(call: EchoCall): void {
    const { holdMs } = call.args;
    if (holdMs !== undefined) call.timer = setTimeout(() => this.#finish(call), holdMs);
  }

  #finish(call: EchoCall): void {
    const { response, args, idText } = call;
    this.#calls.delete(idText);
    const more = this.#era === 'modern' ? ',"resultType":"complete"' : '';
    const answer = toMessage(idText, `{"content":[{"type":"text","text":"${args.canary}"}]${more}}`);
    if (args.steps === 0) sendJson(response, 200, answer);
    else response.end(toEvent(answer));
  }

  /** As the SDK servers do it: the handler stops, nothing more is said, and the stream stays open. */
  #cancel(requestId: unknown): void {
    const call = this.#calls.get(JSON.stringify(requestId));
    if (call === undefined) return;
    this.givenUp.add(call.args.canary);
    clearTimeout(call.timer);
    call.timer = undefined;
    // Between two streams there is nothing whose end would be noticed.
    if (call.response.writableEnded) this.#calls.delete(call.idText);
  }

  #watch(call: EchoCall, response: ServerResponse): void {
    response.once('close', () => {
      if (response.writableFinished || this.#calls.get(call.idText) !== call) return;
      this.givenUp.add(call.args.canary);
      clearTimeout(call.timer);
      this.#calls.delete(call.idText);
    });
  }

  #sendEvent(response: ServerResponse, data: string, eventId?: string): void {
    response.write(`${eventId === undefined ? '' : `id: ${eventId}\nretry: 1\n`}${toEvent(data)}`);
  }
}

function toProgress({ args, progressToken, step }: EchoCall): string {
  const params = { progressToken: progressToken ?? 'none', progress: step, message: args.canary };
  return JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params });
}

function eventIdOf({ idText, step }: EchoCall): string {
  return `${JSON.parse(idText)}:${step}`;
}
