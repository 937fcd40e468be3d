// `/mcp`: authenticates, reads the body once, decides the era once and hands the message to that era's methods.

import { performance } from 'node:perf_hooks';
import type { Authenticator } from '../identity/authenticate.ts';
import { classify, type Era } from '../protocol/era.ts';
import type { Member } from '../protocol/json-scan.ts';
import { errorAnswer, type Message, rawText, scanMessage } from '../protocol/jsonrpc.ts';
import { Exchange, OVERLOADED, type Refusal, RpcRequest, TOKEN_GONE } from './exchange.ts';
import { type MethodDeps, Methods } from './methods.ts';
import { type HttpRequest, type HttpResponse, reply, replyEmpty } from './reply.ts';
import { readBody } from './request-body.ts';
import {
  asksForStream,
  findMediaProblem,
  findRevisionProblem,
  oneHeader,
  readNameStyle,
  refuseHttpMethod,
} from './request-head.ts';
import { SessionStreams, type SessionStreamsOptions } from './session-streams.ts';
import type { Session } from './sessions.ts';

export interface EndpointDeps extends MethodDeps {
  readonly authenticator: Authenticator;
  readonly limits: MethodDeps['limits'] & SessionStreamsOptions['limits'] & { readonly bodyBytes: number };
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class McpEndpoint {
  readonly #deps: EndpointDeps;
  readonly #methods: Methods;
  readonly #streams: SessionStreams;

  constructor(deps: EndpointDeps) {
    this.#deps = deps;
    this.#streams = new SessionStreams(deps);
    this.#methods = new Methods(deps, (request, catalog) => this.#streams.noteListed(request, catalog));
  }

  /** Serves one request to `/mcp`. Never throws. */
  handle(request: HttpRequest, response: HttpResponse): void {
    const startedMs = performance.now();
    const principal = this.#deps.authenticator.authenticateToken(request.headers.authorization, request.socket);
    if (principal.kind === 'denied') {
      this.#refuseUnauthenticated(request, response, principal.message);
      return;
    }
    const exchange = new Exchange(request, response, principal, startedMs, this.#deps.telemetry);
    if (request.method === 'POST') this.#post(exchange);
    else if (request.method === 'DELETE') this.#delete(exchange);
    else if (request.method === 'GET' && asksForStream(request)) this.#openStream(exchange);
    else {
      request.resume();
      refuseHttpMethod(request, response);
    }
  }

  /** Open streams of sessions. */
  get streams(): number {
    return this.#streams.count;
  }

  /** Ends the calls in flight and the streams of tokens that are no longer good. */
  endRevoked(): void {
    this.#methods.endRevoked();
    this.#streams.endRevoked();
  }

  /** What some tokens may list may be another: their sessions are told, if it is. */
  noteChange(): void {
    this.#streams.noteChange();
  }

  /** Ends the streams of sessions, which would never end by themselves, and opens no more. */
  endStreams(): void {
    this.#streams.close();
  }

  /** Stops the timers; calls in flight go on. */
  close(): void {
    this.#methods.close();
    this.#streams.close();
  }

  #post(exchange: Exchange): void {
    const problem = findMediaProblem(exchange.request);
    if (problem !== undefined) {
      exchange.refuseUnread({ code: 'unsupported_media_type', message: problem });
      return;
    }
    const { id } = exchange.principal.token;
    readBody(exchange.request, id, this.#deps.limits.bodyBytes, this.#methods.bodyRoom, (body) => {
      if (typeof body === 'string') this.#refuseBody(exchange, body);
      else this.#onBody(exchange, body);
    });
  }

  #refuseBody(exchange: Exchange, why: 'too_large' | 'no_room'): void {
    if (why === 'too_large') {
      const message = `The body is larger than ${this.#deps.limits.bodyBytes} bytes.`;
      exchange.refuseUnread({ code: 'payload_too_large', message });
    } else exchange.refuseUnread(OVERLOADED);
  }

  #onBody(exchange: Exchange, body: Buffer): void {
    try {
      this.#onMessage(exchange, body);
    } catch (error) {
      this.#deps.log.error('request failed', { error });
      exchange.fail();
    }
  }

  #onMessage(exchange: Exchange, body: Buffer): void {
    const { accountId, token } = exchange.principal;
    // A body may take half a minute to come, and the token may have been revoked since.
    if (!this.#deps.catalogs.isInForce(accountId, token)) {
      this.#refuseUnauthenticated(exchange.request, exchange.response, TOKEN_GONE);
      return;
    }
    const { headers, url } = exchange.request;
    const message = scanMessage(body);
    if (message.kind === 'fault') {
      exchange.refuse(message, message.id);
      return;
    }
    const { id } = message;
    const era = classify(message, {
      protocolVersion: oneHeader(headers['mcp-protocol-version']),
      method: oneHeader(headers['mcp-method']),
      name: oneHeader(headers['mcp-name']),
    });
    if (era.era === 'refused') {
      exchange.refuse(era, textOf(message, id));
      return;
    }
    // A modern request has no session, whatever an old client's header says (2026-07-28 streamable-http#sessions).
    const session = era.era === 'legacy' ? this.#findSession(exchange) : NO_SESSION;
    if (session === UNKNOWN_SESSION) {
      exchange.refuse(UNKNOWN_SESSION_REFUSAL, textOf(message, id));
      return;
    }
    if (message.kind !== 'request' || id === undefined) {
      if (message.kind === 'notification') this.#methods.notify(exchange.principal, session, message);
      replyEmpty(exchange.response, 202);
      return;
    }
    const method = this.#methods.find(era.era, message.method);
    const style = readNameStyle(url) ?? exchange.principal.token.nameStyle;
    if (method === undefined) refuseMethod(exchange, era.era, rawText(message.bytes, id));
    else method(new RpcRequest(exchange, message, id, era.era, style, session));
  }

  #openStream(exchange: Exchange): void {
    const { request } = exchange;
    request.resume();
    const session = this.#findSession(exchange);
    const refusal =
      findRevisionProblem(request) ?? (session ? this.#streams.open(exchange, session) : UNKNOWN_SESSION_REFUSAL);
    if (refusal !== undefined) exchange.refuse(refusal);
  }

  #delete(exchange: Exchange): void {
    exchange.request.resume();
    const session = this.#findSession(exchange);
    if (session === UNKNOWN_SESSION || session === NO_SESSION) {
      const message = 'DELETE ends the session named by Mcp-Session-Id; this one is missing or unknown.';
      exchange.refuse({ code: 'unknown_session', message });
      return;
    }
    this.#deps.sessions.end(session);
    this.#streams.endSession(session);
    for (const upstream of this.#deps.catalogs.upstreams()) upstream.end(session.nonce);
    replyEmpty(exchange.response, 204);
  }

  #findSession({ request, principal }: Exchange): Session | typeof NO_SESSION | typeof UNKNOWN_SESSION {
    const id = oneHeader(request.headers['mcp-session-id']);
    return id === undefined ? NO_SESSION : (this.#deps.sessions.find(principal.token.id, id) ?? UNKNOWN_SESSION);
  }

  /** An unauthenticated client cannot push a body: the connection closes behind the answer. */
  #refuseUnauthenticated(request: HttpRequest, response: HttpResponse, message: string): void {
    this.#deps.telemetry.httpRefusals.labels('unauthenticated').add();
    const challenge = `Bearer error="invalid_token", error_description="${message.replace(/[^\x20-\x7e]|["\\]/g, "'")}"`;
    if (request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    const body = JSON.stringify({ message, code: 'unauthenticated', status: 401 });
    reply(response, 401, Buffer.from(body), 'json', ['www-authenticate', challenge]);
  }
}

const NO_SESSION = undefined;
const UNKNOWN_SESSION = null;
const UNKNOWN_SESSION_REFUSAL: Refusal = {
  code: 'unknown_session',
  message: 'This session is unknown, or has ended. Send initialize without Mcp-Session-Id to open another.',
};

/** 404 in the modern era, an ordinary answer in the legacy one (2026-07-28 basic/transports/streamable-http#status-codes). */
function refuseMethod(exchange: Exchange, era: Era, id: string): void {
  if (era === 'modern') {
    exchange.refuse({ code: 'method_not_found', message: 'Method not found' }, id);
    return;
  }
  const body = errorAnswer(id, { code: -32601, message: 'Method not found' });
  reply(exchange.response, 200, Buffer.from(body), exchange.framing);
}

function textOf(message: Message, id: Member | undefined): string | undefined {
  return id === undefined ? undefined : rawText(message.bytes, id);
}
