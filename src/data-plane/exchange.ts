// One request on its way through the data plane, and the ways it can be answered.

import { ERRORS, type ErrorCode, toRetryAfter } from '../domain/errors.ts';
import type { NameStyle } from '../domain/principal.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { type ClientCapabilities, NO_CAPABILITIES, readEnvelopeCapabilities } from '../protocol/client-capabilities.ts';
import { type Era, META_LOG_LEVEL } from '../protocol/era.ts';
import { findMember, type Member } from '../protocol/json-scan.ts';
import { errorAnswer, type Message, rawText, resultAnswer } from '../protocol/jsonrpc.ts';
import { LOG_LEVELS, type LogLevel, readLogLevel } from '../protocol/log-level.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { CollectedResponse } from './collected-response.ts';
import { breakOff, type Framing, framingFor, type HttpRequest, type HttpResponse, reply } from './reply.ts';
import type { Session } from './sessions.ts';
import { readView } from './view.ts';

/** An error of the gateway's own, as a client is told of it. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>> | undefined;
  /** Sent as `Retry-After`. */
  readonly retryAfterMs?: number | undefined;
}

/** How long a client that was refused for load is asked to wait. */
export const RETRY_AFTER_MS = 1_000;

export const OVERLOADED: Refusal = {
  code: 'overloaded',
  message: 'The gateway has as much work as it can hold. Try again shortly.',
  data: { source: 'gateway', reason: 'overloaded', retry_after_ms: RETRY_AFTER_MS },
  retryAfterMs: RETRY_AFTER_MS,
};

/** Said to whoever is still here when their token is revoked, deleted or given another value. */
export const TOKEN_GONE = 'This token has been revoked or replaced. Ask the operator of this gateway for another.';

/** An HTTP request whose token is known. */
export class Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly principal: TokenPrincipal;
  /** The config that is all this request may see, where its path names one. */
  readonly view: string | undefined;
  /** The media types that the client reads. */
  readonly accept: string | undefined;
  /** What a whole answer is sent as. */
  readonly framing: Framing;
  /** `performance.now()` at which the request was received. */
  readonly startedMs: number;
  readonly telemetry: Telemetry;

  constructor(
    request: HttpRequest,
    response: HttpResponse,
    principal: TokenPrincipal,
    startedMs: number,
    telemetry: Telemetry,
    accept = request.headers.accept,
  ) {
    this.request = request;
    this.response = response;
    this.principal = principal;
    this.view = readView(request.url);
    this.accept = accept;
    this.framing = framingFor(accept);
    this.startedMs = startedMs;
    this.telemetry = telemetry;
  }

  /** The same for one message of a batch, whose answer is wanted whole. */
  forMember(collected: CollectedResponse): Exchange {
    const { request, principal, startedMs, telemetry } = this;
    // The part of a response that answers are written with, which TypeScript cannot single out of Node's overloads.
    const response = collected as unknown as HttpResponse;
    return new Exchange(request, response, principal, startedMs, telemetry, 'application/json');
  }

  /** Whose sessions are this request's: the principal's, and of the same view. */
  get sessionOwner(): string {
    const { id } = this.principal.token;
    return this.view === undefined ? id : `${id}/${this.view}`;
  }

  /** Refuses with a JSON-RPC error, and returns its size in bytes; `id` is raw JSON, `undefined` where it could not be read. */
  refuse(refusal: Refusal, id?: string, era?: Era): number {
    const { status, jsonRpcCode, legacyJsonRpcCode } = ERRORS[refusal.code];
    const code = era === 'legacy' ? (legacyJsonRpcCode ?? jsonRpcCode) : jsonRpcCode;
    const { message, data, retryAfterMs } = refusal;
    if (retryAfterMs !== undefined) this.response.setHeader('retry-after', toRetryAfter(retryAfterMs));
    this.telemetry.httpRefusals.labels(refusal.code).add();
    const body = Buffer.from(errorAnswer(id, { code, message, ...(data === undefined ? {} : { data }) }));
    reply(this.response, status, body, this.framing);
    return body.length;
  }

  /** Ends an exchange on which the gateway itself has failed, wherever it stands. */
  fail(id?: string): void {
    if (this.response.headersSent) breakOff(this.response);
    else this.refuse({ code: 'internal', message: 'The gateway failed on this request. Its log says why.' }, id);
  }

  /** Refuses a request whose body is not read to its end: HTTP/1.1 can say so only by closing, HTTP/2 resets the stream. */
  refuseUnread(refusal: Refusal): void {
    if (this.request.httpVersionMajor === 1) this.response.setHeader('connection', 'close');
    this.refuse(refusal);
    // Without an error, which waits for the answer to be sent (RFC 9113 §8.1).
    if ('stream' in this.request) this.request.stream.close();
  }
}

/** A JSON-RPC request of a known era: what a method works on. */
export class RpcRequest {
  readonly exchange: Exchange;
  readonly message: Message;
  readonly id: Member;
  readonly era: Era;
  readonly style: NameStyle;
  /** The client's legacy session, if it named one. */
  readonly session: Session | undefined;

  constructor(
    exchange: Exchange,
    message: Message,
    id: Member,
    era: Era,
    style: NameStyle,
    session: Session | undefined,
  ) {
    this.exchange = exchange;
    this.message = message;
    this.id = id;
    this.era = era;
    this.style = style;
    this.session = session;
  }

  get view(): string | undefined {
    return this.exchange.view;
  }

  /** What the client can be asked, by its own word. */
  get capabilities(): ClientCapabilities {
    if (this.era === 'modern') return readEnvelopeCapabilities(this.message, this.view !== undefined);
    return this.session?.capabilities ?? NO_CAPABILITIES;
  }

  /** From which level on the client wants logs. Modern ones must ask for them (2026-07-28 server/utilities/logging). */
  get logLevel(): LogLevel | undefined {
    if (this.era === 'legacy') return this.session?.logLevel ?? LOG_LEVELS[0];
    const at = findMember(this.message.meta, META_LOG_LEVEL);
    return at && readLogLevel(this.message.bytes, at);
  }

  /** The client's id as raw JSON. */
  get idText(): string {
    return rawText(this.message.bytes, this.id);
  }

  /** Answers with a result, given as raw JSON. */
  answer(result: string, headers?: readonly string[]): void {
    const { response, framing } = this.exchange;
    reply(response, 200, Buffer.from(resultAnswer(this.idText, result)), framing, headers);
  }

  refuse(refusal: Refusal): number {
    return this.exchange.refuse(refusal, this.idText, this.era);
  }
}
