// `/mcp`: authenticates, reads the body once, decides the era once and hands the message to that era's methods.

import { performance } from 'node:perf_hooks';
import { toProblemBody } from '../domain/errors.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import { isBatch, scanBatch } from '../protocol/batch-scan.ts';
import { classify, type Era } from '../protocol/era.ts';
import type { Member } from '../protocol/json-scan.ts';
import { errorAnswer, type Message, rawText, scanMessage } from '../protocol/jsonrpc.ts';
import { BATCH_REVISION, Batch } from './batch.ts';
import type { ClientNotices } from './client-notices.ts';
import { Exchange, OVERLOADED, type Refusal, RpcRequest, TOKEN_GONE } from './exchange.ts';
import { type MethodDeps, Methods } from './methods.ts';
import { Overload } from './overload.ts';
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
import type { Session } from './sessions.ts';
import { Subscriptions, type SubscriptionsOptions } from './subscriptions.ts';
import { readRequest, turnAway } from './turned-away.ts';

export interface EndpointDeps extends Omit<MethodDeps, 'overload'> {
  readonly authenticator: Authenticator;
  readonly limits: MethodDeps['limits'] &
    SubscriptionsOptions['limits'] & { readonly bodyBytes: number; readonly delayMs: number };
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class McpEndpoint {
  readonly #deps: EndpointDeps;
  readonly #methods: Methods;
  readonly #subscriptions: Subscriptions;
  readonly #overload: Overload;

  constructor(deps: EndpointDeps) {
    this.#deps = deps;
    const { delayMs } = deps.limits;
    this.#overload = new Overload({ delayMs, onChange: (isOverloaded) => this.#onOverload(isOverloaded) });
    this.#subscriptions = new Subscriptions(deps);
    this.#methods = new Methods({ ...deps, overload: this.#overload }, this.#subscriptions);
  }

  /** Serves one request to `/mcp`. */
  handle(request: HttpRequest, response: HttpResponse): void {
    const startedMs = performance.now();
    this.#overload.noteRequest(startedMs);
    const principal = this.#deps.authenticator.authenticateToken(request.headers.authorization, request.socket);
    if (principal.kind === 'denied') {
      this.#refuseUnauthenticated(request, response, principal.message);
      return;
    }
    const exchange = new Exchange(request, response, principal, startedMs, this.#deps.telemetry);
    if (exchange.view !== undefined && !this.#isGranted(exchange)) this.#refuseView(exchange);
    else if (request.method === 'POST') this.#post(exchange);
    else if (request.method === 'DELETE') this.#delete(exchange);
    else if (request.method === 'GET' && asksForStream(request)) this.#openStream(exchange);
    else {
      request.resume();
      refuseHttpMethod(request, response);
    }
  }

  /** Streams that clients listen to. */
  get streams(): number {
    return this.#subscriptions.count;
  }

  /** What clients say without expecting an answer. */
  get notices(): ClientNotices {
    return this.#methods.calls.notices;
  }

  /** Ends the calls in flight and the streams of tokens that are no longer good. */
  endRevoked(): void {
    this.#methods.calls.endRevoked();
    this.#subscriptions.endRevoked();
  }

  /** What some tokens may list may be another: their sessions are told, if it is. */
  noteChange(): void {
    this.#subscriptions.noteChange();
  }

  /** Ends streams, which would never end by themselves, and calls that wait for a person, and lets no more begin. */
  endStreams(): void {
    this.#methods.calls.endParked();
    this.#subscriptions.close();
  }

  /** Stops the timers; calls in flight go on. */
  close(): void {
    this.#methods.calls.close();
    this.#subscriptions.close();
    this.#overload.close();
  }

  #post(exchange: Exchange): void {
    const problem = findMediaProblem(exchange.request);
    if (problem !== undefined) {
      exchange.refuseUnread({ code: 'unsupported_media_type', message: problem });
      return;
    }
    const { id } = exchange.principal.token;
    readBody(exchange.request, id, this.#deps.limits.bodyBytes, this.#methods.calls.room, (body) => {
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
      // A body may take half a minute to come, and the token may have been revoked since.
      if (!this.#isInForce(exchange)) this.#refuseUnauthenticated(exchange.request, exchange.response, TOKEN_GONE);
      else if (this.#overload.isOn && this.#turnsAway(exchange, body)) return;
      else if (isBatch(body)) this.#onBatch(exchange, body);
      else {
        const message = scanMessage(body);
        if (message.kind === 'fault') exchange.refuse(message, message.id);
        else this.#onMessage(exchange, message);
      }
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #onOverload(isOverloaded: boolean): void {
    this.#deps.telemetry.overloaded.set(isOverloaded ? 1 : 0);
    if (isOverloaded) this.#deps.log.warn('overloaded: requests are turned away');
    else this.#deps.log.info('overload is over');
  }

  #turnsAway(exchange: Exchange, body: Buffer): boolean {
    const request = readRequest(body);
    if (request === undefined || !this.#overload.refusesRequest(exchange.principal.token.id)) return false;
    turnAway(exchange, request.id, this.#overload.isTurnLong);
    return true;
  }

  #isInForce({ principal }: Exchange): boolean {
    return this.#deps.catalogs.isInForce(principal.accountId, principal.token);
  }

  #fail(exchange: Exchange, error: unknown, id?: string): void {
    this.#deps.log.error('request failed', { error });
    exchange.fail(id);
  }

  #onBatch(exchange: Exchange, body: Buffer): void {
    const session = this.#findSession(exchange);
    if (session === UNKNOWN_SESSION) {
      exchange.refuse(UNKNOWN_SESSION_REFUSAL);
      return;
    }
    const revision = oneHeader(exchange.request.headers['mcp-protocol-version']) ?? BATCH_REVISION;
    const isServed = session?.revision === BATCH_REVISION && revision === BATCH_REVISION;
    const messages = isServed ? scanBatch(body) : NO_BATCHES;
    if ('code' in messages) exchange.refuse(messages);
    else {
      const { room } = this.#methods.calls;
      const isInForce = this.#isInForce.bind(this, exchange);
      const serve = this.#onMember.bind(this);
      new Batch(exchange, { serve, room, isInForce }).serve(messages);
    }
  }

  #onMember(exchange: Exchange, message: Message): void {
    try {
      this.#onMessage(exchange, message);
    } catch (error) {
      this.#fail(exchange, error, textOf(message, message.id));
    }
  }

  #onMessage(exchange: Exchange, message: Message): void {
    const { headers, url } = exchange.request;
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
      this.#onUnanswered(exchange, session, message);
      return;
    }
    const method = this.#methods.find(era.era, message.method, exchange);
    const style = readNameStyle(url) ?? exchange.principal.token.nameStyle;
    if (method === undefined) refuseMethod(exchange, era.era, rawText(message.bytes, id));
    else method(new RpcRequest(exchange, message, id, era.era, style, session));
  }

  /** What a client says without expecting an answer: a notification, or the response to a request of an upstream. */
  #onUnanswered(exchange: Exchange, session: Session | undefined, message: Message): void {
    const { calls } = this.#methods;
    const { principal, response } = exchange;
    if (message.kind === 'response' && !calls.notices.takeResponse(principal, session, message)) {
      exchange.refuse(UNASKED);
      return;
    }
    if (message.kind === 'notification') calls.notices.notify(principal, session, message);
    replyEmpty(response, 202);
  }

  #openStream(exchange: Exchange): void {
    const { request } = exchange;
    request.resume();
    const session = this.#findSession(exchange);
    const refusal =
      findRevisionProblem(request) ?? (session ? this.#subscriptions.open(exchange, session) : UNKNOWN_SESSION_REFUSAL);
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
    this.#subscriptions.endSession(session);
    this.#methods.calls.notices.endSession(session);
    for (const upstream of this.#deps.catalogs.upstreams()) upstream.end(session.nonce);
    replyEmpty(exchange.response, 204);
  }

  #findSession({ request, sessionOwner }: Exchange): Session | typeof NO_SESSION | typeof UNKNOWN_SESSION {
    const id = oneHeader(request.headers['mcp-session-id']);
    return id === undefined ? NO_SESSION : (this.#deps.sessions.find(sessionOwner, id) ?? UNKNOWN_SESSION);
  }

  #isGranted({ principal: { accountId, token }, view }: Exchange): boolean {
    return this.#deps.catalogs.current(accountId, token.id, view) !== undefined;
  }

  /** A config that is not granted is answered like one that there is not. */
  #refuseView({ request, response, telemetry }: Exchange): void {
    telemetry.httpRefusals.labels('not_found').add();
    // Its body is not read, as that of a client without a token.
    if (request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    const body = toProblemBody(404, 'not_found', NO_SUCH_VIEW);
    reply(response, 404, Buffer.from(body), 'json');
  }

  /** An unauthenticated client cannot push a body: the connection closes behind the answer. */
  #refuseUnauthenticated(request: HttpRequest, response: HttpResponse, message: string): void {
    this.#deps.telemetry.httpRefusals.labels('unauthenticated').add();
    const description = message.replaceAll('…', '...').replace(/[^\x20-\x7e]|["\\]/g, "'");
    const challenge = `Bearer error="invalid_token", error_description="${description}"`;
    if (request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    const body = toProblemBody(401, 'unauthenticated', message);
    reply(response, 401, Buffer.from(body), 'json', ['www-authenticate', challenge]);
  }
}

const NO_SESSION = undefined;
const UNKNOWN_SESSION = null;
const UNKNOWN_SESSION_REFUSAL: Refusal = {
  code: 'unknown_session',
  message: 'This session is unknown, or has ended. Send initialize without Mcp-Session-Id to open another.',
};

const NO_SUCH_VIEW =
  'This token is granted no McpConfig of this name. /mcp serves all that it is granted; /mcp/NAME serves one config by its name, as in /mcp/github-readonly.';

const UNASKED: Refusal = {
  code: 'unknown_request',
  message:
    'No request of this id waits for an answer of this client: it was answered already, has been given up, or was sent to another.',
};

const NO_BATCHES: Refusal = {
  code: 'invalid_request',
  message: `Batches are not served, but in sessions of revision ${BATCH_REVISION}; send one JSON-RPC message per request.`,
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
