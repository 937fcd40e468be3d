// A scriptable MCP upstream on a real socket that records every request byte for byte.
// Results, errors and events are JSON text given by the test and spliced as they are: nothing is ever re-serialised.
// It refuses what SDK servers of its era refuse, so a gateway that authors a wrong header or envelope is found out.

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { closeServer, listenLocally } from './local-server.ts';
import {
  callResult,
  listResult,
  type Reply,
  refuse,
  replyToProtocolMethod,
  sendJson,
  toEvent,
  toMessage,
} from './sdk-server-replies.ts';
import {
  type ClientMessage,
  METHOD_NOT_ALLOWED,
  METHOD_NOT_FOUND,
  PARSE_ERROR,
  parseClientMessage,
  type Refusal,
  refusalOfLegacy,
  refusalOfMediaTypes,
  refusalOfModern,
} from './sdk-server-rules.ts';

export interface RecordedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they came, alternating. */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** Aborted when the caller goes away before it has its whole answer. */
  readonly signal: AbortSignal;
}

/** A recorded `tools/call`; a refused one is recorded too. */
export interface RecordedCall extends RecordedRequest {
  /** `params.name` as the upstream reads it. */
  readonly name: string;
  /** The request id's JSON text, `"a"` or `1`. */
  readonly idText: string;
}

export interface RecordingUpstreamOptions {
  readonly era: 'legacy' | 'modern';
  /** Raw JSON of tool objects; one tool, `echo`, by default. */
  readonly tools?: readonly string[];
  /** Tools per page of `tools/list`; one page by default. */
  readonly pageSize?: number;
  /** Legacy only: mints a session id on `initialize` and insists on it afterwards. Stateless by default. */
  readonly sessions?: boolean;
  /** How requests are answered; `json` by default (an SDK server's own default is `sse`). */
  readonly reply?: 'json' | 'sse';
  /** Answers the call of a listed tool, with a fixed text by default. While its promise is pending the call is unanswered. */
  readonly onCall?: (call: RecordedCall) => Reply | Promise<Reply>;
  /** Sees every recorded request first; returns true when it takes over the answer, for 5xx, broken bytes, dead sockets. */
  readonly intercept?: (request: RecordedRequest, response: ServerResponse) => boolean;
}

const ECHO_TOOL =
  '{"name":"echo","description":"Answers with a fixed text","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}';
const SSE_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** Starts one on 127.0.0.1, port 0. */
export async function startRecordingUpstream(options: RecordingUpstreamOptions): Promise<RecordingUpstream> {
  const upstream = new RecordingUpstream(options);
  await upstream.listen();
  return upstream;
}

export class RecordingUpstream {
  /** Every request in the order of arrival of its last byte. */
  readonly requests: RecordedRequest[] = [];
  /** Only `tools/call`. */
  readonly calls: RecordedCall[] = [];
  url = '';

  readonly #options: RecordingUpstreamOptions;
  readonly #isModern: boolean;
  readonly #sessions: Set<string> | undefined;
  readonly #sockets = new Set<Socket>();
  #bytesOfClosed = 0;
  #tools: readonly string[];
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  constructor(options: RecordingUpstreamOptions) {
    this.#options = options;
    this.#isModern = options.era === 'modern';
    this.#sessions = options.sessions ? new Set() : undefined;
    this.#tools = options.tools ?? [ECHO_TOOL];
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        this.#bytesOfClosed += socket.bytesRead;
      });
    });
  }

  /** All bytes of all connections so far, whether or not they made up a request. */
  get bytesReceived(): number {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.bytesRead, this.#bytesOfClosed);
  }

  async listen(): Promise<void> {
    this.url = `http://127.0.0.1:${await listenLocally(this.#server)}/mcp`;
  }

  /** Replaces the tools (raw JSON of tool objects) from the next request on. */
  setTools(tools: readonly string[]): void {
    this.#tools = tools;
  }

  /** Answers 404 to every session minted so far, as after a restart. */
  forgetSessions(): void {
    this.#sessions?.clear();
  }

  /** Breaks open connections and frees the port. */
  close(): Promise<void> {
    return closeServer(this.#server);
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    // A caller that leaves is what some tests are about, never an error of the upstream.
    response.on('error', () => {});
    const body = await buffer(incoming).catch(() => undefined);
    if (body === undefined) return;
    const request = toRecordedRequest(incoming, body, response);
    const message = parseClientMessage(body);
    const call = toRecordedCall(request, message);
    this.requests.push(request);
    if (call !== undefined) this.calls.push(call);
    if (this.#options.intercept?.(request, response)) return;
    if (request.method !== 'POST') return this.#answerOtherMethod(request, response);
    if (message === undefined) return refuse(response, PARSE_ERROR);
    const refusal = refusalOfMediaTypes(request.headers) ?? this.#refusalOf(request, message);
    if (refusal !== undefined) return refuse(response, refusal, this.#isModern ? message.idText : undefined);
    await this.#answer(request, response, message, call);
  }

  #refusalOf({ headers }: RecordedRequest, message: ClientMessage): Refusal | undefined {
    return this.#isModern
      ? refusalOfModern(headers, message)
      : refusalOfLegacy(headers, message.method, this.#sessions);
  }

  /** DELETE ends a session; GET is refused, as the specification allows, and so is DELETE without sessions. */
  #answerOtherMethod({ method, headers }: RecordedRequest, response: ServerResponse): void {
    if (method !== 'DELETE' || this.#sessions === undefined) {
      response.setHeader('allow', this.#sessions === undefined ? 'POST' : 'POST, DELETE');
      refuse(response, METHOD_NOT_ALLOWED);
      return;
    }
    const refusal = refusalOfLegacy(headers, undefined, this.#sessions);
    this.#sessions.delete(String(headers['mcp-session-id']));
    if (refusal === undefined) response.writeHead(200).end();
    else refuse(response, refusal);
  }

  async #answer(
    request: RecordedRequest,
    response: ServerResponse,
    { method, idText, params }: ClientMessage,
    call: RecordedCall | undefined,
  ): Promise<void> {
    if (method === undefined || idText === undefined) return void response.writeHead(202).end();
    if (this.#sessions !== undefined) {
      response.setHeader('mcp-session-id', this.#sessionFor(method, request.headers));
    }
    const reply = call === undefined ? this.#replyTo(method, params) : await this.#replyToCall(call);
    if (reply !== undefined) return this.#send(response, idText, reply, request.signal);
    if (this.#isModern) return refuse(response, METHOD_NOT_FOUND, idText);
    return this.#send(response, idText, { error: METHOD_NOT_FOUND.error }, request.signal);
  }

  #sessionFor(method: string, headers: IncomingHttpHeaders): string {
    if (method !== 'initialize') return String(headers['mcp-session-id']);
    const id = randomUUID();
    this.#sessions?.add(id);
    return id;
  }

  #replyTo(method: string, params: ClientMessage['params']): Reply | undefined {
    const { era, pageSize = this.#tools.length } = this.#options;
    if (method === 'tools/list') return listResult(era, this.#tools, params.cursor, pageSize);
    return replyToProtocolMethod(era, method, params);
  }

  #replyToCall(call: RecordedCall): Reply | Promise<Reply> {
    if (!this.#tools.some((tool) => JSON.parse(tool).name === call.name)) {
      return { error: JSON.stringify({ code: -32602, message: `Tool ${call.name} not found` }) };
    }
    return this.#options.onCall?.(call) ?? callResult(this.#options.era);
  }

  async #send(response: ServerResponse, idText: string, reply: Reply, signal: AbortSignal): Promise<void> {
    const message = toMessage(idText, reply);
    if (typeof reply === 'string' || 'error' in reply) {
      if (this.#options.reply !== 'sse') return sendJson(response, 200, message);
      response.writeHead(200, SSE_HEADERS);
    } else {
      response.writeHead(200, SSE_HEADERS).flushHeaders();
      for await (const data of reply.sse) {
        if (signal.aborted) return;
        response.write(toEvent(data));
      }
    }
    response.end(toEvent(message));
  }
}

function toRecordedRequest(incoming: IncomingMessage, body: Buffer, response: ServerResponse): RecordedRequest {
  const { method = '', url: path = '', headers, rawHeaders } = incoming;
  const left = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) left.abort();
  });
  return { method, path, headers, rawHeaders, body, signal: left.signal };
}

function toRecordedCall(request: RecordedRequest, message: ClientMessage | undefined): RecordedCall | undefined {
  if (message?.method !== 'tools/call' || message.idText === undefined) return undefined;
  return { ...request, name: String(message.params.name), idText: message.idText };
}
