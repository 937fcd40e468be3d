// One `tools/call`, from the route to the last byte of the answer. It is its own undici handler: an answer streams
// through it with back-pressure, and only its id, its progress tokens and its framing are touched.

import type { IncomingHttpHeaders } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Route } from '../catalog/catalog.ts';
import { GatewayError, type UpstreamFailureReason } from '../domain/errors.ts';
import { AnswerStream, rewriteAnswer, rewriteShortAnswer } from '../protocol/answer-splice.ts';
import { META_LOG_LEVEL } from '../protocol/era.ts';
import { findMember, JsonScanner, type Member } from '../protocol/json-scan.ts';
import { errorAnswer, rawText } from '../protocol/jsonrpc.ts';
import { SHORT_BYTES, toText } from '../protocol/splice.ts';
import { type RelayRewrite, SseRelay } from '../protocol/sse-relay.ts';
import { rewriteCall } from '../protocol/tool-call.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import { toUpstreamFailedError, UpstreamError } from '../upstream/failure.ts';
import type { Link } from '../upstream/handshake.ts';
import { classifyUpstreamError } from '../upstream/pool.ts';
import type { DispatchController, DispatchHandler } from '../upstream/upstream.ts';
import type { RpcRequest } from './exchange.ts';
import {
  acceptsStream,
  EVENT_END,
  EVENT_HEAD,
  end,
  type Framing,
  type HttpResponse,
  reply,
  replyShort,
  toDataLines,
  toEvent,
  write,
  writeHead,
} from './reply.ts';

/** Answers up to this size are held and leave in one write; larger ones stream. */
const HELD_BYTES = 64 * 1024;

/** What the calls of the process share. */
export interface CallShared {
  readonly count: (route: Route, outcome: CallOutcome) => void;
  readonly observeOverhead: (seconds: number) => void;
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
  readonly #request: RpcRequest;
  readonly #response: HttpResponse;
  readonly #route: Route;
  readonly #conversation: string;
  readonly #shared: CallShared;
  readonly deadlineMs: number;
  #phase: Phase = 'waiting';
  #controller: DispatchController | undefined;
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
  #isClientGone = false;
  /** Output framing once the head has been sent. */
  #sentFraming: Framing | undefined;

  constructor(input: CallInput, shared: CallShared) {
    this.#request = input.request;
    this.#response = input.request.exchange.response;
    this.#route = input.route;
    this.#conversation = input.conversation;
    this.deadlineMs = input.deadlineMs;
    this.#shared = shared;
    this.#response.on('close', () => this.#onClientClose());
  }

  start(): void {
    const { upstream } = this.#route;
    const link = upstream.link(this.#conversation);
    if (link !== undefined) this.#send(link);
    else
      upstream.connect(this.#conversation).then(
        (opened) => this.#send(opened),
        (error: unknown) => this.#failToConnect(error),
      );
  }

  /** Gives the call up. */
  expire(): void {
    this.#fail('timeout', 'it did not finish the call in time');
  }

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller;
    if (this.#phase === 'done') controller.abort(new Error('the call has ended'));
  }

  onResponseStart(_controller: DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.#phase === 'done') return;
    this.#firstByteMs = performance.now();
    this.#status = status;
    const type = headers['content-type'] ?? '';
    const encoding = headers['content-encoding'];
    if (status !== 200) this.#phase = 'refused';
    else if (encoding !== undefined && encoding !== 'identity') {
      this.#fail('broken_answer', 'it compressed its answer although it was asked not to');
    } else if (type.startsWith('application/json')) this.#phase = 'held';
    else if (type.startsWith('text/event-stream')) this.#beginEvents();
    else this.#fail('broken_answer', 'its answer is neither JSON nor an event stream');
  }

  onResponseData(_controller: DispatchController, chunk: Buffer): void {
    switch (this.#phase) {
      case 'held':
      case 'refused':
        this.#hold(chunk);
        break;
      case 'parts':
        this.#writePart(this.#parts?.push(chunk));
        break;
      case 'events':
        this.#relayEvents(chunk);
        break;
      default:
        break;
    }
  }

  onResponseEnd(): void {
    switch (this.#phase) {
      case 'held':
        this.#answerWhole();
        break;
      case 'parts':
        this.#endParts();
        break;
      case 'events':
        this.#fail('broken_answer', 'it ended its event stream without an answer');
        break;
      case 'refused':
        this.#onRefused();
        break;
      default:
        break;
    }
  }

  onResponseError(_controller: DispatchController, error: Error): void {
    if (this.#phase === 'done') return;
    const { reason, message } = classifyUpstreamError(error);
    this.#fail(reason, message);
  }

  #send(link: Link): void {
    if (this.#phase === 'done') return;
    const { message, era } = this.#request;
    const { upstream, upstreamName } = this.#route;
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
    upstream.dispatchCall(link, upstreamName, body, this);
  }

  #beginEvents(): void {
    this.#phase = 'events';
    const framing = acceptsStream(this.#request.exchange.request.headers.accept) ? 'sse' : 'json';
    const rewrite: RelayRewrite = {
      ...this.#rewrite(),
      progressToken: this.#progressToken(),
      // Without a log level a modern client must not be sent logs (2026-07-28 server/utilities/logging).
      passesLogs:
        this.#request.era === 'legacy' || findMember(this.#request.message.meta, META_LOG_LEVEL) !== undefined,
      framing,
    };
    this.#relay = new SseRelay(rewrite);
    if (framing === 'sse') this.#begin('sse');
  }

  #relayEvents(chunk: Buffer): void {
    const relay = this.#relay;
    if (relay === undefined) return;
    const out = relay.push(chunk);
    if (relay.state === 'answered') this.#route.upstream.succeed();
    for (const bytes of out) {
      if (this.#sentFraming === 'sse') this.#write(bytes);
      else this.#writePart(bytes);
    }
    if (relay.state === 'answered') this.#finish('answered');
    if (relay.state === 'broken')
      this.#fail('broken_answer', 'its event stream holds something that is no answer to this call');
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes <= HELD_BYTES) return;
    if (this.#phase === 'refused') {
      this.#onRefused();
      return;
    }
    this.#phase = 'parts';
    this.#parts = new AnswerStream(this.#rewrite());
    this.#writePart(this.#parts.push(this.#takeHeld()));
  }

  #answerWhole(): void {
    const held = this.#takeHeld();
    if (held.length > SHORT_BYTES) {
      this.#replyWhole(rewriteAnswer(held, this.#rewrite()));
      return;
    }
    const text = rewriteShortAnswer(held, this.#rewrite());
    if (text === undefined) {
      this.#failUnanswered();
      return;
    }
    this.#route.upstream.succeed();
    if (!this.#isClientGone) replyShort(this.#response, text, this.#framing, this.#timing());
    this.#conclude('answered');
  }

  #replyWhole(answer: Buffer | undefined): void {
    if (answer === undefined) {
      this.#failUnanswered();
      return;
    }
    this.#route.upstream.succeed();
    if (!this.#isClientGone) reply(this.#response, 200, answer, this.#framing, this.#timing());
    this.#conclude('answered');
  }

  #failUnanswered(): void {
    this.#fail('broken_answer', 'its answer is not an answer to this call');
  }

  #endParts(): void {
    const rest = this.#parts?.end();
    if (rest === undefined) {
      this.#failUnanswered();
      return;
    }
    this.#route.upstream.succeed();
    this.#writePart(rest);
    this.#finish('answered');
  }

  /** The upstream answered with an HTTP status other than 200. */
  #onRefused(): void {
    const status = this.#status;
    const body = this.#takeHeld();
    if (this.#isForgotten(status, body)) {
      this.#repeat();
      return;
    }
    if (status === 401 || status === 403) {
      this.#fail('credential_refused', 'it refused the credential this gateway holds for it');
    } else if (status === 429) this.#fail('rate_limited', 'it limits the rate of calls');
    else if (status >= 400 && status < 500 && isHandlersError(body))
      this.#replyWhole(rewriteAnswer(body, this.#rewrite()));
    else if (status >= 300) this.#fail('bad_status', `it answered HTTP ${status}`);
    else this.#fail('broken_answer', `it answered HTTP ${status} and no result`);
  }

  /** Whether the upstream says that it knows nothing of our conversation, and so has not run the call. */
  #isForgotten(status: number, body: Buffer): boolean {
    if (this.#isRepeated || this.#link === undefined) return false;
    if (this.#link.era === 'modern') return status === 400 && readErrorCode(body) === -32022;
    if (this.#link.sessionId !== undefined && (status === 404 || status === 410)) return true;
    return status === 400 && /session|not initialized/i.test(body.toString('latin1', 0, 1024));
  }

  /** Opens another conversation and sends the call again, once. */
  #repeat(): void {
    this.#isRepeated = true;
    this.#phase = 'waiting';
    if (this.#link !== undefined) this.#route.upstream.forget(this.#conversation, this.#link);
    this.start();
  }

  #failToConnect(error: unknown): void {
    if (this.#phase === 'done') return;
    if (error instanceof UpstreamError) this.#fail(error.reason, error.message, true);
    else this.#fail('broken_answer', 'it could not be spoken to');
  }

  /** Ends the call with an error that the client can see, whatever it has been sent already. */
  #fail(reason: UpstreamFailureReason, message: string, isRecorded = false): void {
    if (this.#phase === 'done') return;
    const { upstream } = this.#route;
    const response = this.#response;
    if (!isRecorded) upstream.fail(new UpstreamError(reason, 'call', message), 'call');
    const error =
      upstream.failure === undefined
        ? new GatewayError('upstream_failed', message)
        : toUpstreamFailedError(upstream.service, upstream.failure);
    const { jsonRpcCode: code, message: text, data } = error;
    const body = Buffer.from(errorAnswer(this.#request.idText, { code, message: text, data }));
    if (!this.#isClientGone) {
      if (this.#sentFraming === undefined) reply(response, error.status, body, this.#framing);
      else if (this.#sentFraming === 'sse' && this.#parts === undefined) {
        // Half an event was sent: it ends here, or the error would be read as its continuation.
        end(response, this.#relay?.isInsideEvent ? Buffer.concat([EVENT_END, toEvent(body)]) : toEvent(body));
      }
      // Half an answer was sent: only a broken connection says that the rest is missing.
      else response.destroy();
    }
    this.#conclude('upstream_failed');
    this.#controller?.abort(new Error(reason));
  }

  /** A modern client that leaves has cancelled (2026-07-28 basic/patterns/cancellation); a legacy one may come back for nothing, but its call runs on. */
  #onClientClose(): void {
    if (this.#phase === 'done') return;
    this.#isClientGone = true;
    if (this.#request.era === 'legacy') {
      this.#controller?.resume();
      return;
    }
    this.#conclude('cancelled');
    this.#controller?.abort(new Error('the client has left'));
  }

  #begin(framing: Framing): void {
    if (this.#isClientGone) return;
    this.#sentFraming = framing;
    const type = framing === 'sse' ? 'text/event-stream' : 'application/json';
    const headers = ['content-type', type, ...this.#timing()];
    if (framing === 'sse') headers.push('cache-control', 'no-cache', 'x-accel-buffering', 'no');
    writeHead(this.#response, 200, headers);
    (this.#response as { flushHeaders?: () => void }).flushHeaders?.();
  }

  /** Sends a part of a JSON answer in the framing the client reads. */
  #writePart(bytes: Buffer | undefined): void {
    if (bytes === undefined) return;
    if (this.#sentFraming === undefined) {
      this.#begin(this.#framing);
      if (this.#framing === 'sse') this.#write(EVENT_HEAD);
    }
    this.#write(this.#sentFraming === 'sse' ? toDataLines(bytes) : bytes);
  }

  #write(bytes: Buffer): void {
    if (this.#isClientGone || bytes.length === 0) return;
    if (write(this.#response, bytes)) return;
    const controller = this.#controller;
    controller?.pause();
    this.#response.once('drain', () => controller?.resume());
  }

  /** Ends a streamed answer. */
  #finish(outcome: CallOutcome): void {
    if (!this.#isClientGone) {
      end(this.#response, this.#sentFraming === 'sse' && this.#parts !== undefined ? EVENT_END : undefined);
    }
    this.#conclude(outcome);
  }

  #conclude(outcome: CallOutcome): void {
    this.#phase = 'done';
    this.#held = [];
    this.#shared.count(this.#route, outcome);
    if (this.#firstByteMs > 0) this.#shared.observeOverhead(this.#overheadMs(performance.now()) / 1000);
    this.#shared.onEnd(this);
  }

  #rewrite() {
    return {
      upstreamId: this.#upstreamId,
      clientId: this.#clientId(),
      addsResultType: this.#request.era === 'modern' && this.#link?.era === 'legacy',
    };
  }

  #clientId(): string {
    const { id, message } = this.#request;
    return toText(message.bytes, id.start, id.end);
  }

  #progressToken(): string | undefined {
    const { message } = this.#request;
    const token = findMember(message.meta, 'progressToken');
    return token === undefined ? undefined : toText(message.bytes, token.start, token.end);
  }

  get #framing(): Framing {
    return this.#request.exchange.framing;
  }

  #takeHeld(): Buffer {
    const held = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return held;
  }

  /** `up` is the upstream's time to its first byte, `gw` all the rest so far (milliseconds). */
  #timing(): string[] {
    const up = this.#firstByteMs - this.#sentMs;
    const own = this.#overheadMs(performance.now());
    return ['server-timing', `up;dur=${toMilliseconds(up)}, gw;dur=${toMilliseconds(own)}`];
  }

  #overheadMs(nowMs: number): number {
    return nowMs - this.#request.exchange.startedMs - (this.#firstByteMs - this.#sentMs);
  }
}

/** Three decimals, from two integers: `toFixed` costs more than the rest of the header. */
function toMilliseconds(durationMs: number): string {
  const us = Math.max(0, Math.round(durationMs * 1000));
  const rest = us % 1000;
  return `${(us - rest) / 1000}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}

/** Whether a body is a JSON-RPC error made by the upstream's handler; codes of the protocol's hop are not the client's. */
function isHandlersError(body: Buffer): boolean {
  const code = readErrorCode(body);
  return code !== undefined && (code > -32020 || code < -32099);
}

/** `error.code` of a JSON-RPC error answer. */
function readErrorCode(body: Buffer): number | undefined {
  const scan = new JsonScanner(body);
  const members: Member[] = [];
  if (scan.readMembers(scan.skipSpace(0), 0, members) < 0) return undefined;
  const error = findMember(members, 'error');
  const inside: Member[] = [];
  if (error === undefined || scan.readMembers(error.start, 1, inside) < 0) return undefined;
  const code = findMember(inside, 'code');
  return code === undefined ? undefined : Number(rawText(body, code));
}
