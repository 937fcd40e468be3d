// One `tools/call`, from the route to the last byte of the answer. It is its own undici handler: an answer streams
// through it with back-pressure, and only its id, its progress tokens and its framing are touched.

import type { IncomingHttpHeaders } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Route } from '../catalog/catalog.ts';
import type { UpstreamFailureReason } from '../domain/errors.ts';
import { AnswerStream, MAX_WALKED_BYTES, rewriteAnswer, rewriteShortAnswer } from '../protocol/answer-splice.ts';
import { META_LOG_LEVEL } from '../protocol/era.ts';
import { findMember } from '../protocol/json-scan.ts';
import { errorAnswer } from '../protocol/jsonrpc.ts';
import { toParamHeaders } from '../protocol/param-headers.ts';
import { SHORT_BYTES, toText } from '../protocol/splice.ts';
import { type RelayRewrite, SseRelay } from '../protocol/sse-relay.ts';
import { rewriteCall } from '../protocol/tool-call.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import { toUpstreamFailedError, UpstreamError } from '../upstream/failure.ts';
import type { Link } from '../upstream/handshake.ts';
import { classifyUpstreamError } from '../upstream/pool.ts';
import type { DispatchController, DispatchHandler } from '../upstream/upstream.ts';
import { CallReply } from './call-reply.ts';
import type { RpcRequest } from './exchange.ts';
import { acceptsStream } from './reply.ts';
import { isForgotten, isHandlersError } from './upstream-refusal.ts';

/** Answers up to this size are held and leave in one write; larger ones stream. */
const HELD_BYTES = 64 * 1024;
/** How often an upstream that ended its stream early is asked to go on. */
const MAX_RESUMPTIONS = 100;
/** Its pause if it names none (2025-11-25 basic/transports#resumability leaves it to the client). */
const DEFAULT_RETRY_MS = 1_000;

/** What the calls of the process share. */
export interface CallShared {
  readonly count: (route: Route, outcome: CallOutcome) => void;
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

/** `held`: a JSON answer still small enough to be kept. `parts`: one that streams. `refused`: an HTTP status other than 200. */
type Phase = 'waiting' | 'held' | 'parts' | 'events' | 'refused' | 'done';

export class ToolCall implements DispatchHandler {
  /** Where it stands among the calls in flight; theirs to set. */
  slot = -1;
  readonly request: RpcRequest;
  readonly route: Route;
  readonly conversation: string;
  readonly deadlineMs: number;
  readonly reply: CallReply;
  readonly #shared: CallShared;
  #phase: Phase = 'waiting';
  /** The attempt whose answer counts; what an earlier one still sends is dropped. */
  #controller: DispatchController | undefined;
  #abandoned: DispatchController | undefined;
  #link: Link | undefined;
  #upstreamId = '';
  #status = 0;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #parts: AnswerStream | undefined;
  #relay: SseRelay | undefined;
  #sentMs = 0;
  #firstByteMs = 0;
  #isRepeated = false;
  #resumptions = 0;

  constructor(input: CallInput, shared: CallShared) {
    this.request = input.request;
    this.route = input.route;
    this.conversation = input.conversation;
    this.deadlineMs = input.deadlineMs;
    this.#shared = shared;
    this.reply = new CallReply(input.request.exchange, () => this.#controller?.resume());
    input.request.exchange.response.on('close', () => this.#onClientClose());
  }

  start(): void {
    // The client may have left while its tool was looked for, before anybody listened.
    if (this.request.exchange.response.destroyed) this.#onClientClose();
    if (this.#phase === 'done') return;
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

  /** Gives the call up. */
  expire(): void {
    this.#cancelUpstream();
    this.#fail('timeout', 'it did not finish the call in time');
  }

  /** A legacy client wants no answer any more (2025-11-25 basic/utilities/cancellation). */
  cancel(): void {
    if (this.#phase === 'done') return;
    this.#cancelUpstream();
    this.reply.endUnanswered();
    this.route.upstream.abandon(this);
    this.#conclude('cancelled');
    this.#controller?.abort(new Error('the client has cancelled'));
  }

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller;
    if (this.#phase === 'done') controller.abort(new Error('the call has ended'));
  }

  onResponseStart(controller: DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.#phase === 'done' || this.#isAbandoned(controller)) return;
    if (this.#firstByteMs === 0) this.#firstByteMs = performance.now();
    this.#status = status;
    const type = mediaType(headers['content-type']);
    const encoding = headers['content-encoding'];
    if (status !== 200) this.#phase = 'refused';
    else if (encoding !== undefined && encoding !== 'identity') {
      this.#fail('broken_answer', 'it compressed its answer although it was asked not to');
    } else if (type === 'application/json') this.#phase = 'held';
    else if (type === 'text/event-stream') this.#beginEvents();
    else this.#fail('broken_answer', 'its answer is neither JSON nor an event stream');
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    if (this.#isAbandoned(controller)) return;
    if (this.#phase === 'held' || this.#phase === 'refused') this.#hold(chunk);
    else if (this.#phase === 'parts') this.#sendOn(this.#parts?.push(chunk));
    else if (this.#phase === 'events') this.#relayEvents(chunk);
  }

  onResponseEnd(controller: DispatchController): void {
    if (this.#isAbandoned(controller)) return;
    if (this.#phase === 'held') this.#answerWhole();
    else if (this.#phase === 'parts') this.#endParts();
    else if (this.#phase === 'events') this.#resume();
    else if (this.#phase === 'refused') this.#onRefused();
  }

  onResponseError(controller: DispatchController, error: Error): void {
    if (this.#phase === 'done' || this.#isAbandoned(controller)) return;
    const { reason, message } = classifyUpstreamError(error);
    this.#fail(reason, message);
  }

  /** A request that could not even be connected has no controller, and is never an abandoned one. */
  #isAbandoned(controller: DispatchController | undefined): boolean {
    return controller !== undefined && controller !== null && controller === this.#abandoned;
  }

  #send(link: Link): void {
    if (this.#phase === 'done') return;
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
        message: 'params.arguments has a key twice on the way to a value that its server wants as a header.',
      });
      this.#conclude('invalid');
      return;
    }
    this.#link = link;
    this.#upstreamId = upstream.mintId();
    const body = rewriteCall(message, {
      clientEra: era,
      upstreamEra: link.era,
      upstreamId: this.#upstreamId,
      upstreamName,
      clientInfo: upstream.clientInfo,
    });
    this.#sentMs = performance.now();
    upstream.dispatchCall(link, upstreamName, body, this, headers);
  }

  #beginEvents(): void {
    this.#phase = 'events';
    const { era, exchange, message } = this.request;
    const framing = acceptsStream(exchange.request.headers.accept) ? 'sse' : 'json';
    const rewrite: RelayRewrite = {
      ...this.#rewrite(),
      progressToken: this.#progressToken(),
      // Without a log level a modern client must not be sent logs (2026-07-28 server/utilities/logging).
      passesLogs: era === 'legacy' || findMember(message.meta, META_LOG_LEVEL) !== undefined,
      framing,
    };
    this.#relay = new SseRelay(rewrite, (method) => this.#shared.onNotification(this.route, method));
    if (framing === 'sse' && !this.reply.hasBegun) this.reply.beginEvents(this.#timing());
  }

  #relayEvents(chunk: Buffer): void {
    const relay = this.#relay;
    if (relay === undefined) return;
    for (const bytes of relay.push(chunk)) this.#sendOn(bytes);
    if (relay.state === 'answered') this.#succeed();
    else if (relay.state === 'broken') {
      this.#fail('broken_answer', 'its event stream holds something that is no answer to this call');
    }
  }

  /** A legacy upstream may end a stream that has event ids on purpose, and expects to be asked for the rest (SEP-1699). */
  #resume(): void {
    const relay = this.#relay;
    const link = this.#link;
    const lastEventId = relay?.lastEventId;
    const canResume = link?.era === 'legacy' && lastEventId !== undefined && relay?.isInsideEvent === false;
    if (!canResume || this.#resumptions === MAX_RESUMPTIONS) {
      this.#fail('broken_answer', 'it ended its event stream without an answer');
      return;
    }
    this.#resumptions++;
    this.#phase = 'waiting';
    setTimeout(() => {
      if (this.#phase !== 'done') this.route.upstream.dispatchResume(link, lastEventId, this);
    }, relay.retryMs ?? DEFAULT_RETRY_MS).unref();
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes <= (this.#reshapesResult() ? MAX_WALKED_BYTES : HELD_BYTES)) return;
    if (this.#phase === 'refused') {
      this.#onRefused();
      return;
    }
    this.#phase = 'parts';
    this.#parts = new AnswerStream(this.#rewrite());
    this.#sendOn(this.#parts.push(this.#takeHeld()));
  }

  #answerWhole(): void {
    const held = this.#takeHeld();
    const rewrite = this.#rewrite();
    const answer = held.length > SHORT_BYTES ? rewriteAnswer(held, rewrite) : rewriteShortAnswer(held, rewrite);
    if (answer === undefined) {
      this.#failUnanswered();
      return;
    }
    this.route.upstream.succeed();
    this.reply.whole(answer, this.#timing());
    this.#conclude('answered');
  }

  #endParts(): void {
    const rest = this.#parts?.end();
    if (rest === undefined) {
      this.#failUnanswered();
      return;
    }
    this.#sendOn(rest);
    this.#succeed();
  }

  #failUnanswered(): void {
    this.#fail('broken_answer', 'its answer is not an answer to this call');
  }

  /** The upstream answered with an HTTP status other than 200. */
  #onRefused(): void {
    const status = this.#status;
    const body = this.#takeHeld();
    if (!this.#isRepeated && this.#link !== undefined && isForgotten(this.#link, status, body)) {
      this.#repeat(this.#link);
      return;
    }
    if (status === 401 || status === 403) {
      this.#fail('credential_refused', 'it refused the credential this gateway holds for it');
    } else if (status === 429) this.#fail('rate_limited', 'it limits the rate of calls');
    else if (this.#isRepeated && this.#link !== undefined && isForgotten(this.#link, status, body)) {
      this.#fail('session_lost', 'it forgets its session with this gateway as soon as it is opened');
    } else if (status >= 400 && status < 500 && isHandlersError(body)) {
      this.#held = [body];
      this.#answerWhole();
    } else if (status >= 300) this.#fail('bad_status', `it answered HTTP ${status}`, status);
    else this.#fail('broken_answer', `it answered HTTP ${status} and no result`);
  }

  /** Opens another conversation and sends the call again, once. */
  #repeat(link: Link): void {
    this.#isRepeated = true;
    this.#phase = 'waiting';
    this.#abandoned = this.#controller;
    this.#abandoned?.abort(new Error('the call is sent again'));
    this.route.upstream.release(link);
    this.#link = undefined;
    this.route.upstream.forget(this.conversation, link);
    this.start();
  }

  #failToConnect(error: unknown): void {
    if (this.#phase === 'done') return;
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
    this.#tell({ reason: 'breaker_open', message, sinceMs: failure?.sinceMs ?? Date.now() });
  }

  #fail(reason: UpstreamFailureReason, message: string, status?: number): void {
    if (this.#phase === 'done') return;
    const { upstream } = this.route;
    upstream.fail(new UpstreamError(reason, 'call', message, status === undefined ? {} : { status }), 'call');
    this.#tell({ reason, message, sinceMs: upstream.failure?.sinceMs ?? Date.now() });
    this.#controller?.abort(new Error(reason));
  }

  /** Ends the call with an error that the client can see. */
  #tell(failure: { reason: UpstreamFailureReason; message: string; sinceMs: number }): void {
    const { jsonRpcCode: code, message, data } = toUpstreamFailedError(this.route.service, failure);
    const body = Buffer.from(errorAnswer(this.request.idText, { code, message, data }));
    this.reply.fail(body, this.#relay?.isInsideEvent === true);
    this.#conclude('upstream_failed');
  }

  /** A modern client that leaves has cancelled (2026-07-28 basic/patterns/cancellation); a legacy one has not, and its call runs on. */
  #onClientClose(): void {
    if (this.#phase === 'done') return;
    this.reply.isClientGone = true;
    if (this.request.era === 'legacy') {
      this.#controller?.resume();
      return;
    }
    this.#cancelUpstream();
    this.route.upstream.abandon(this);
    this.#conclude('cancelled');
    this.#controller?.abort(new Error('the client has left'));
  }

  /** Tells a legacy upstream that its answer is not wanted; a modern one is told by the end of the connection. */
  #cancelUpstream(): void {
    if (this.#link?.era !== 'legacy' || this.#phase === 'done') return;
    const params = `{"requestId":"${this.#upstreamId}","reason":"the client no longer waits"}`;
    this.route.upstream.notify(this.#link, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`);
  }

  /** Sends bytes of a streamed answer to the client, and lets the upstream wait for it. */
  #sendOn(bytes: Buffer | undefined): void {
    if (bytes === undefined || bytes.length === 0) return;
    if (!this.reply.hasBegun) this.reply.beginParts(this.#timing());
    if (!this.reply.send(bytes)) this.#controller?.pause();
  }

  /** Ends a streamed answer. */
  #succeed(): void {
    this.route.upstream.succeed();
    this.reply.end();
    this.#conclude('answered');
  }

  #conclude(outcome: CallOutcome): void {
    this.#phase = 'done';
    this.#held = [];
    if (this.#link !== undefined) this.route.upstream.release(this.#link);
    this.#shared.count(this.route, outcome);
    this.#shared.onEnd(this);
  }

  #rewrite() {
    const { era } = this.request;
    return {
      upstreamId: this.#upstreamId,
      clientId: this.#clientId(),
      addsResultType: era === 'modern' && this.#link?.era === 'legacy',
      stripsResultType: era === 'legacy' && this.#link?.era === 'modern',
      wrapsStructuredContent: this.#reshapesResult(),
    };
  }

  /** A legacy client was shown this tool's output schema wrapped into an object. */
  #reshapesResult(): boolean {
    return this.request.era === 'legacy' && this.route.tool.wrapsOutput;
  }

  #clientId(): string {
    const { id, message } = this.request;
    return toText(message.bytes, id.start, id.end);
  }

  #progressToken(): string | undefined {
    const { message } = this.request;
    const token = findMember(message.meta, 'progressToken');
    return token === undefined ? undefined : toText(message.bytes, token.start, token.end);
  }

  #takeHeld(): Buffer {
    const held = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** `up` is the upstream's time to its first byte, `gw` all the rest up to the head of the answer (milliseconds). */
  #timing(): string[] {
    const up = this.#firstByteMs - this.#sentMs;
    const own = performance.now() - this.request.exchange.startedMs - up;
    this.#shared.observeOverhead(own / 1000);
    return ['server-timing', `up;dur=${toMilliseconds(up)}, gw;dur=${toMilliseconds(own)}`];
  }
}

const NO_HEADERS: readonly string[] = [];

function mediaType(header: string | string[] | undefined): string {
  const text = Array.isArray(header) ? '' : (header ?? '');
  if (text === 'application/json' || text === 'text/event-stream') return text;
  return (text.split(';', 1)[0] ?? '').trim().toLowerCase();
}

/** Three decimals, from two integers: `toFixed` costs more than the rest of the header. */
function toMilliseconds(durationMs: number): string {
  const us = Math.max(0, Math.round(durationMs * 1000));
  const rest = us % 1000;
  return `${(us - rest) / 1000}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}
