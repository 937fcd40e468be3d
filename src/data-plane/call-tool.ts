// One `tools/call`, from the route to the last byte of the answer. It is its own undici handler: an answer streams
// through it with back-pressure, and only its id, its progress tokens and its framing are touched.

import type { IncomingHttpHeaders } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { CallReason } from '../audit-log/call-record.ts';
import type { Route } from '../catalog/catalog.ts';
import { ERRORS, type UpstreamFailureReason } from '../domain/errors.ts';
import type { AnswerRewrite } from '../protocol/answer-splice.ts';
import { META_LOG_LEVEL } from '../protocol/era.ts';
import { HeldBytes } from '../protocol/held-bytes.ts';
import { findMember, MAX_MEMBERS } from '../protocol/json-scan.ts';
import { errorAnswer } from '../protocol/jsonrpc.ts';
import { toParamHeaders } from '../protocol/param-headers.ts';
import { toText } from '../protocol/splice.ts';
import type { RelayRewrite } from '../protocol/sse-relay.ts';
import { rewriteCall } from '../protocol/tool-call.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import { readRetryAfter, toUpstreamFailedError, UpstreamError } from '../upstream/failure.ts';
import type { Link } from '../upstream/handshake.ts';
import { classifyUpstreamError } from '../upstream/pool.ts';
import type { DispatchController, DispatchHandler } from '../upstream/upstream.ts';
import {
  type AnswerFailure,
  type AnswerReader,
  type AnswerSink,
  createAnswerReader,
  type EventsReader,
  HELD_BYTES,
  type Verdict,
} from './answer-reader.ts';
import { CallReply } from './call-reply.ts';
import { type RpcRequest, TOKEN_GONE } from './exchange.ts';
import { acceptsStream, isGone } from './reply.ts';
import { toServerTiming } from './server-timing.ts';
import { readRefusal } from './upstream-refusal.ts';

/** How often an upstream that ended its stream early is asked to go on. */
const MAX_RESUMPTIONS = 100;
/** Its pause if it names none (2025-11-25 basic/transports#resumability leaves it to the client). */
const DEFAULT_RETRY_MS = 1_000;
/** An upstream that has answered has this long to end its event stream, before its connection is. */
const ENDING_MS = 1_000;

/** What the calls of the process share. */
export interface CallShared {
  /** Told once of every call, when it is decided how it ends; `nowMs` is `performance.now()`. */
  readonly onOutcome: (call: ToolCall, outcome: CallOutcome, reason: CallReason | null, nowMs: number) => void;
  readonly observeOverhead: (seconds: number) => void;
  /** A notification of the upstream that is not for the client, such as a changed list. */
  readonly onNotification: (route: Route, method: string) => void;
  /** Told once, when nothing of the call is left to do. */
  readonly onEnd: (call: ToolCall) => void;
}

export interface CallInput {
  readonly request: RpcRequest;
  readonly route: Route;
  /** Names the conversation with the upstream: the client's session, or its principal. */
  readonly conversation: string;
  /** `performance.now()` at which the call is given up. */
  readonly deadlineMs: number;
}

/** `refused`: the upstream answered with an HTTP status other than 200. `answered`: the client has been sent all it will get. */
type Phase = 'waiting' | 'answering' | 'refused' | 'answered';

export class ToolCall implements DispatchHandler, AnswerSink {
  /** Where it stands among the calls in flight; theirs to set. */
  slot = -1;
  readonly request: RpcRequest;
  readonly route: Route;
  readonly conversation: string;
  readonly reply: CallReply;
  upstreamId = '';
  readonly #shared: CallShared;
  #deadlineMs: number;
  #phase: Phase = 'waiting';
  /** The attempt whose answer counts; what an earlier one still sends is dropped. */
  #controller: DispatchController | undefined;
  #abandoned: DispatchController | undefined;
  #link: Link | undefined;
  /** Whether an HTTP request of this call is with the upstream, and whether the response to the client is open. */
  #isUpstreamOpen = false;
  #isClientOpen = true;
  #isOver = false;
  #reader: AnswerReader | undefined;
  #status = 0;
  #refusal: HeldBytes | undefined;
  #sentMs = 0;
  /** Since when the upstream's next byte is waited for; 0 before the call is written, and while it waits to be sent again. */
  #waitsSinceMs = 0;
  #retryAfterMs: number | undefined;
  #firstByteMs = 0;
  #isRepeated = false;
  #resumptions = 0;
  #lastEventId: string | undefined;
  #retryMs = DEFAULT_RETRY_MS;

  constructor(input: CallInput, shared: CallShared) {
    this.request = input.request;
    this.route = input.route;
    this.conversation = input.conversation;
    this.#deadlineMs = input.deadlineMs;
    this.#shared = shared;
    this.reply = new CallReply(input.request.exchange, () => {
      // The upstream was not read while the client took nothing: that was no silence of its own.
      this.#waitsSinceMs = performance.now();
      this.#controller?.resume();
    });
    input.request.exchange.response.on('close', () => this.#onClientClose());
  }

  start(): void {
    // The client may have left while its tool was looked for, before anybody listened.
    if (isGone(this.request.exchange.response)) this.#onClientClose();
    if (this.#isAnswered) return;
    const { upstream } = this.route;
    if (!upstream.tryAcquire(this)) {
      this.#failFast();
      return;
    }
    const link = upstream.link(this.conversation);
    if (link !== undefined) this.#send(link);
    else {
      upstream.connect(this.conversation).then(
        (opened) => this.#send(opened),
        (error: unknown) => this.#failToConnect(error),
      );
    }
  }

  /** Whether the client still waits for an answer. */
  get isOpen(): boolean {
    return !this.#isAnswered;
  }

  /** How long the upstream took to its first byte, or to fail; `null` when the call was not sent. */
  upstreamMs(nowMs: number): number | null {
    return this.#sentMs === 0 ? null : (this.#firstByteMs || nowMs) - this.#sentMs;
  }

  /** Gives the call up if it has had its time, or the upstream's connection if it does not end behind the answer. */
  expire(nowMs: number): void {
    if (this.#isOverdue(nowMs)) {
      const message =
        this.#phase === 'waiting' ? 'it did not begin to answer in time' : 'it fell silent in the middle of its answer';
      this.#fail({ reason: 'timeout', message });
    }
    if (nowMs < this.#deadlineMs) return;
    if (!this.#isAnswered) this.#endLate();
    else if (this.#isUpstreamOpen) this.#controller?.abort(new Error('it did not end its stream behind the answer'));
  }

  /** undici's own timers count in half seconds, and begin anew with every 1xx. */
  #isOverdue(nowMs: number): boolean {
    if (this.#waitsSinceMs === 0 || this.#isAnswered || this.reply.stalledSinceMs !== undefined) return false;
    const { headersTimeoutMs, idleTimeoutMs } = this.route.upstream.limits;
    return nowMs - this.#waitsSinceMs > (this.#phase === 'waiting' ? headersTimeoutMs : idleTimeoutMs);
  }

  /** A legacy client wants no answer any more (2025-11-25 basic/utilities/cancellation). */
  cancel(): void {
    if (this.#isAnswered) return;
    this.reply.endUnanswered();
    this.#giveUp('client_cancelled');
  }

  /** The token has been revoked: nothing more of the answer may reach its holder. */
  revoke(): void {
    // What waits here to be taken would still go out, in front of an error or as the rest of the answer.
    if (this.#isAnswered || this.reply.stalledSinceMs !== undefined) this.reply.breakOff();
    else {
      const error = { code: ERRORS.unauthenticated.jsonRpcCode, message: TOKEN_GONE };
      this.reply.fail(Buffer.from(errorAnswer(this.request.idText, error)), this.#reader?.isInsideEvent === true);
    }
    if (!this.#isAnswered) this.#giveUp('token_revoked');
  }

  /** Says something on a stream that has been silent for long, unless that would fall into the middle of an event. */
  keepAlive(): void {
    if (this.#reader?.isInsideEvent !== true) this.reply.comment();
  }

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller;
    this.#waitsSinceMs = performance.now();
    if (this.#isAnswered) controller.abort(new Error('the call has ended'));
  }

  onResponseStart(controller: DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#isAnswered || this.#isAbandoned(controller)) return;
    this.#waitsSinceMs = performance.now();
    if (this.#firstByteMs === 0) this.#firstByteMs = this.#waitsSinceMs;
    this.#status = status;
    this.#retryAfterMs = status === 429 ? readRetryAfter(headers['retry-after'], Date.now()) : undefined;
    if (status !== 200) {
      this.#phase = 'refused';
      return;
    }
    this.#phase = 'answering';
    const reader = createAnswerReader(this, headers);
    if ('reason' in reader) this.#fail(reader);
    else this.#reader = reader;
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    if (this.#isAbandoned(controller)) return;
    this.#waitsSinceMs = performance.now();
    if (this.#phase === 'answering') this.#judge(this.#reader?.push(chunk) ?? 'open');
    else if (this.#phase === 'refused') this.#holdRefusal(chunk);
    else if (this.#phase === 'answered') this.#reader?.push(chunk);
    if (this.#isAnswered && this.#reader?.isOverrun) {
      controller.abort(new Error('it sent a message behind its answer'));
    }
  }

  onResponseEnd(controller: DispatchController): void {
    if (this.#isAbandoned(controller)) return;
    this.#isUpstreamOpen = false;
    if (this.#phase === 'answering') this.#judge(this.#reader?.end() ?? 'open');
    else if (this.#phase === 'refused') this.#onRefused();
    else this.#leave();
  }

  onResponseError(controller: DispatchController, error: Error): void {
    if (this.#isAbandoned(controller)) return;
    this.#isUpstreamOpen = false;
    if (this.#isAnswered) this.#leave();
    else this.#fail(classifyUpstreamError(error));
  }

  sendWhole(answer: Buffer | string): void {
    this.reply.whole(answer, this.#timing());
  }

  beginEvents(): void {
    if (!this.reply.hasBegun) this.reply.beginEvents(this.#timing());
  }

  sendOn(part: Buffer): void {
    if (part.length === 0) return;
    if (!this.reply.hasBegun) this.reply.beginParts(this.#timing());
    if (!this.reply.send(part)) this.#controller?.pause();
  }

  onNotification(method: string): void {
    this.#shared.onNotification(this.route, method);
  }

  rewrite(): AnswerRewrite {
    const { era } = this.request;
    const upstreamEra = this.#link?.era;
    return {
      upstreamId: this.upstreamId,
      clientId: this.#clientText(this.request.id),
      clientEra: era,
      addsResultType: era === 'modern' && upstreamEra === 'legacy',
      stripsResultType: era === 'legacy' && upstreamEra === 'modern',
      // A legacy client was shown this tool's output schema wrapped into an object.
      wrapsStructuredContent: era === 'legacy' && this.route.tool.wrapsOutput,
    };
  }

  relayRewrite(): RelayRewrite {
    const { era, exchange, message } = this.request;
    const token = findMember(message.meta, 'progressToken');
    return {
      ...this.rewrite(),
      progressToken: token === undefined ? undefined : this.#clientText(token),
      // Without a log level a modern client must not be sent logs (2026-07-28 server/utilities/logging).
      passesLogs: era === 'legacy' || findMember(message.meta, META_LOG_LEVEL) !== undefined,
      framing: acceptsStream(exchange.request.headers.accept) ? 'sse' : 'json',
    };
  }

  get #isAnswered(): boolean {
    return this.#phase === 'answered';
  }

  /** A request that could not even be connected has no controller, and is never an abandoned one. */
  #isAbandoned(controller: DispatchController | undefined): boolean {
    return controller !== undefined && controller !== null && controller === this.#abandoned;
  }

  #send(link: Link): void {
    if (this.#isAnswered) return;
    const { message, era } = this.request;
    const { upstream, upstreamName, tool } = this.route;
    const headers =
      link.era === 'modern' && tool.paramHeaders.length > 0
        ? toParamHeaders(message.bytes, findMember(message.params, 'arguments'), tool.paramHeaders)
        : NO_HEADERS;
    if (headers === 'ambiguous') {
      upstream.abandon(this);
      this.request.refuse({
        code: 'invalid_request',
        message: `params.arguments has a key twice, or more than ${MAX_MEMBERS} keys, on the way to a value that its server wants as a header.`,
      });
      this.#conclude('invalid', 'invalid_request');
      return;
    }
    this.#link = link;
    this.upstreamId = upstream.mintId();
    const body = rewriteCall(message, {
      clientEra: era,
      upstreamEra: link.era,
      upstreamId: this.upstreamId,
      upstreamName,
      clientInfo: upstream.clientInfo,
    });
    this.#sentMs = performance.now();
    this.#isUpstreamOpen = true;
    upstream.dispatchCall(link, upstreamName, body, this, headers);
  }

  #judge(verdict: Verdict): void {
    if (verdict === 'open') return;
    if (verdict === 'answered') this.#succeed();
    else if (verdict === 'ended') this.#resume();
    else this.#fail(verdict);
  }

  /** A legacy upstream may end a stream that has event ids on purpose, and expects to be asked for the rest (SEP-1699). */
  #resume(): void {
    const reader = this.#reader as EventsReader;
    const link = this.#link;
    // Both hold on for streams that do not name them (WHATWG HTML §9.2.6).
    this.#lastEventId = reader.lastEventId ?? this.#lastEventId;
    this.#retryMs = reader.retryMs ?? this.#retryMs;
    const lastEventId = this.#lastEventId;
    const canResume = link?.era === 'legacy' && lastEventId !== undefined && !reader.isInsideEvent;
    if (!canResume || this.#resumptions === MAX_RESUMPTIONS) {
      this.#fail({ reason: 'broken_answer', message: 'it ended its event stream without an answer' });
      return;
    }
    this.#resumptions++;
    this.#phase = 'waiting';
    this.#waitsSinceMs = 0;
    setTimeout(() => {
      if (this.#phase !== 'waiting') return;
      this.#isUpstreamOpen = true;
      this.route.upstream.dispatchResume(link, lastEventId, this);
    }, this.#retryMs).unref();
  }

  #holdRefusal(chunk: Buffer): void {
    this.#refusal ??= new HeldBytes();
    this.#refusal.push(chunk);
    if (this.#refusal.length > HELD_BYTES) this.#onRefused();
  }

  #onRefused(): void {
    const link = this.#link as Link;
    const body = this.#refusal?.whole() ?? NO_BYTES;
    this.#refusal = undefined;
    const refusal = readRefusal(link, this.upstreamId, this.#status, body);
    if (refusal === 'forgotten') this.#onForgotten(link);
    else if (refusal === 'answer') this.#answerWith(body);
    else {
      if (refusal.isStale) this.onNotification('notifications/tools/list_changed');
      this.#fail(refusal.failure, this.#status);
    }
  }

  /** An error of the upstream's handler came with an HTTP status of its own. */
  #answerWith(body: Buffer): void {
    const reader = createAnswerReader(this, { 'content-type': 'application/json' });
    this.#judge('reason' in reader ? reader : reader.push(body));
    if (!this.#isAnswered && 'end' in reader) this.#judge(reader.end());
  }

  /** Opens another conversation and sends the call again, once, and only if its answer had not begun. */
  #onForgotten(link: Link): void {
    if (this.#isRepeated || this.#resumptions > 0) {
      const message = this.#isRepeated
        ? 'it forgets its session with this gateway as soon as it is opened'
        : 'it has forgotten its session with this gateway in the middle of the call';
      this.#fail({ reason: 'session_lost', message });
      return;
    }
    this.#isRepeated = true;
    this.#phase = 'waiting';
    this.#waitsSinceMs = 0;
    this.#abandoned = this.#controller;
    this.#abandoned?.abort(new Error('the call is sent again'));
    this.#isUpstreamOpen = false;
    this.route.upstream.release(link);
    this.#link = undefined;
    this.route.upstream.forget(this.conversation, link);
    this.start();
  }

  #failToConnect(error: unknown): void {
    if (this.#isAnswered) return;
    // `connect` has recorded it: of many that waited for one handshake none counts it again.
    const { upstream } = this.route;
    const { reason, message } = upstream.fail(error, 'connect');
    this.#tell({ reason, message, sinceMs: upstream.failure?.sinceMs ?? Date.now() });
  }

  /** The circuit breaker is open: what is known to be broken is not tried. */
  #failFast(): void {
    const { failure } = this.route.upstream;
    const cause = failure === undefined ? 'it failed several times' : failure.message;
    const message = `${cause}, and it is given a rest`;
    const { retryAfterMs } = this.route.upstream;
    this.#tell({
      reason: 'breaker_open',
      message,
      sinceMs: failure?.sinceMs ?? Date.now(),
      retryAfterMs: Math.max(1, retryAfterMs),
    });
  }

  /** The call has had its time. An upstream that has begun to answer works, and must not be shut out for others. */
  #endLate(): void {
    this.#cancelUpstream();
    const isAnswering = this.#phase === 'answering';
    const failure: AnswerFailure = { reason: 'timeout', message: 'it did not finish the call in time' };
    this.#fail(failure, isAnswering ? this.#status : undefined);
    if (isAnswering) this.route.upstream.abandon(this);
  }

  #fail({ reason, message }: AnswerFailure, status?: number): void {
    if (this.#isAnswered) return;
    const { upstream } = this.route;
    upstream.fail(new UpstreamError(reason, 'call', message, status === undefined ? {} : { status }), 'call');
    this.#tell({ reason, message, sinceMs: upstream.failure?.sinceMs ?? Date.now(), retryAfterMs: this.#retryAfterMs });
    this.#controller?.abort(new Error(reason));
  }

  /** Ends the call with an error that the client can see. */
  #tell(failure: {
    reason: UpstreamFailureReason;
    message: string;
    sinceMs: number;
    retryAfterMs?: number | undefined;
  }): void {
    const { jsonRpcCode: code, message, data } = toUpstreamFailedError(this.route.service, failure);
    const body = Buffer.from(errorAnswer(this.request.idText, { code, message, data }));
    this.reply.fail(body, this.#reader?.isInsideEvent === true);
    this.#conclude('upstream_failed', failure.reason);
  }

  /** A modern client that leaves has cancelled (2026-07-28 basic/patterns/cancellation); a legacy one has not, and its call runs on. */
  #onClientClose(): void {
    this.#isClientOpen = false;
    if (this.#isAnswered) {
      this.#leave();
      return;
    }
    this.reply.isClientGone = true;
    if (this.request.era === 'legacy') this.#controller?.resume();
    else this.#giveUp('client_left');
  }

  /** Ends the call on both sides by the client's wish, or because its token is no longer good. */
  #giveUp(why: CallReason): void {
    this.#cancelUpstream();
    this.route.upstream.abandon(this);
    this.#conclude('cancelled', why);
    this.#controller?.abort(new Error(why));
  }

  /** Tells a legacy upstream that its answer is not wanted; a modern one is told by the end of the connection. */
  #cancelUpstream(): void {
    if (this.#link?.era !== 'legacy') return;
    const params = `{"requestId":"${this.upstreamId}","reason":"the client no longer waits"}`;
    this.route.upstream.notify(this.#link, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`);
  }

  #succeed(): void {
    this.route.upstream.succeed();
    if (this.reply.hasBegun) this.reply.end();
    // What is left to read is the end of the upstream's answer, and waits for no client.
    this.#controller?.resume();
    this.#conclude('answered', null);
  }

  #conclude(outcome: CallOutcome, reason: CallReason | null): void {
    const nowMs = performance.now();
    this.#shared.onOutcome(this, outcome, reason, nowMs);
    this.#phase = 'answered';
    this.#refusal = undefined;
    this.#deadlineMs = nowMs + ENDING_MS;
    this.reply.stalledSinceMs ??= nowMs;
    this.#leave();
  }

  /** Parts with the upstream when its HTTP answer has ended, and with the call when the client has taken its own. */
  #leave(): void {
    if (this.#isUpstreamOpen) return;
    if (this.#link !== undefined) this.route.upstream.release(this.#link);
    this.#link = undefined;
    if (this.#isClientOpen) return;
    if (!this.#isOver) this.#shared.onEnd(this);
    this.#isOver = true;
  }

  /** A part of the client's message as it stands there. */
  #clientText({ start, end }: { readonly start: number; readonly end: number }): string {
    return toText(this.request.message.bytes, start, end);
  }

  #timing(): string[] {
    const upstreamMs = this.#firstByteMs - this.#sentMs;
    const ownMs = performance.now() - this.request.exchange.startedMs - upstreamMs;
    this.#shared.observeOverhead(ownMs / 1000);
    return ['server-timing', toServerTiming(upstreamMs, ownMs)];
  }
}

const NO_HEADERS: readonly string[] = [];
const NO_BYTES = Buffer.alloc(0);
