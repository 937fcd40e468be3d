// One `tools/call`, from the route to the last byte of the answer. It is its own undici handler: an answer streams
// through it with back-pressure, and only its id, its progress tokens and its framing are touched.

import type { IncomingHttpHeaders } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Route } from '../catalog/catalog.ts';
import { GatewayError, type UpstreamFailureReason } from '../domain/errors.ts';
import { AnswerStream, rewriteAnswer } from '../protocol/answer-splice.ts';
import { type Era, META_LOG_LEVEL } from '../protocol/era.ts';
import { findMember, JsonScanner, type Member } from '../protocol/json-scan.ts';
import { errorAnswer, type Message, rawText } from '../protocol/jsonrpc.ts';
import { type RelayRewrite, SseRelay } from '../protocol/sse-relay.ts';
import { rewriteCall } from '../protocol/tool-call.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import { toUpstreamFailedError, UpstreamError } from '../upstream/failure.ts';
import type { Link } from '../upstream/handshake.ts';
import { classifyUpstreamError } from '../upstream/pool.ts';
import type { DispatchController, DispatchHandler } from '../upstream/upstream.ts';
import { end, type Framing, type HttpResponse, reply, toDataLines, toEvent, write, writeHead } from './reply.ts';

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
  readonly route: Route;
  readonly message: Message;
  readonly id: Member;
  readonly era: Era;
  /** Names the conversation with the upstream: the client's session, or its principal. */
  readonly session: string;
  readonly response: HttpResponse;
  /** What a whole answer is sent as. */
  readonly framing: Framing;
  /** Whether the client can read an event stream. */
  readonly acceptsStream: boolean;
  readonly startedMs: number;
  readonly deadlineMs: number;
}

/** `held`: a JSON answer still small enough to be kept. `parts`: one that streams. `refused`: an HTTP status other than 200. */
type Phase = 'waiting' | 'held' | 'parts' | 'events' | 'refused' | 'done';

export class ToolCall implements DispatchHandler {
  /** Where it stands among the calls in flight; theirs to set. */
  slot = -1;
  readonly #input: CallInput;
  readonly #shared: CallShared;
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
    this.#input = input;
    this.#shared = shared;
    input.response.on('close', () => this.#onClientClose());
  }

  /** `performance.now()` at which the call is given up. */
  get deadlineMs(): number {
    return this.#input.deadlineMs;
  }

  start(): void {
    const { route, session } = this.#input;
    const link = route.upstream.link(session);
    if (link !== undefined) this.#send(link);
    else
      route.upstream.connect(session).then(
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
    const { route, message, era } = this.#input;
    const { upstream, upstreamName } = route;
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
    const framing = this.#input.acceptsStream ? 'sse' : 'json';
    const rewrite: RelayRewrite = {
      ...this.#rewrite(),
      progressToken: this.#progressToken(),
      // Without a log level a modern client must not be sent logs (2026-07-28 server/utilities/logging).
      passesLogs: this.#input.era === 'legacy' || findMember(this.#input.message.meta, META_LOG_LEVEL) !== undefined,
      framing,
    };
    this.#relay = new SseRelay(rewrite);
    if (framing === 'sse') this.#begin('sse');
  }

  #relayEvents(chunk: Buffer): void {
    const relay = this.#relay;
    if (relay === undefined) return;
    const out = relay.push(chunk);
    if (relay.state === 'answered') this.#input.route.upstream.succeed();
    if (this.#input.acceptsStream) {
      for (const bytes of out) this.#write(bytes);
      if (relay.state === 'answered') this.#finish('answered');
    } else {
      for (const bytes of out) this.#writePart(bytes);
      if (relay.state === 'answered') this.#finish('answered');
    }
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
    const answer = rewriteAnswer(this.#takeHeld(), this.#rewrite());
    if (answer === undefined) {
      this.#fail('broken_answer', 'its answer is not an answer to this call');
      return;
    }
    this.#input.route.upstream.succeed();
    if (!this.#isClientGone) reply(this.#input.response, 200, answer, this.#input.framing, this.#timing());
    this.#conclude('answered');
  }

  #endParts(): void {
    const rest = this.#parts?.end();
    if (rest === undefined) {
      this.#fail('broken_answer', 'its answer is not an answer to this call');
      return;
    }
    this.#input.route.upstream.succeed();
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
    else if (status >= 400 && status < 500 && this.#passError(body)) this.#conclude('answered');
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
    const { route, session } = this.#input;
    this.#isRepeated = true;
    this.#phase = 'waiting';
    if (this.#link !== undefined) route.upstream.forget(session, this.#link);
    this.start();
  }

  /** Passes on a JSON-RPC error that came with an HTTP error; errors about our own hop are not the client's. */
  #passError(body: Buffer): boolean {
    const code = readErrorCode(body);
    if (code === undefined || (code <= -32020 && code >= -32099)) return false;
    const answer = rewriteAnswer(body, this.#rewrite());
    if (answer === undefined) return false;
    if (!this.#isClientGone) reply(this.#input.response, 200, answer, this.#input.framing, this.#timing());
    return true;
  }

  #failToConnect(error: unknown): void {
    if (this.#phase === 'done') return;
    if (error instanceof UpstreamError) this.#fail(error.reason, error.message, true);
    else this.#fail('broken_answer', 'it could not be spoken to');
  }

  /** Ends the call with an error that the client can see, whatever it has been sent already. */
  #fail(reason: UpstreamFailureReason, message: string, isRecorded = false): void {
    if (this.#phase === 'done') return;
    const { route, response, framing } = this.#input;
    const { upstream } = route;
    if (!isRecorded) upstream.fail(new UpstreamError(reason, 'call', message), 'call');
    const error =
      upstream.failure === undefined
        ? new GatewayError('upstream_failed', message)
        : toUpstreamFailedError(upstream.service, upstream.failure);
    const body = errorAnswer(this.#clientId().toString(), {
      code: error.jsonRpcCode,
      message: error.message,
      data: error.data,
    });
    if (!this.#isClientGone) {
      if (this.#sentFraming === undefined) reply(response, error.status, body, framing);
      else if (this.#sentFraming === 'sse' && this.#parts === undefined) end(response, toEvent(body));
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
    if (this.#input.era === 'legacy') {
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
    writeHead(this.#input.response, 200, headers);
    (this.#input.response as { flushHeaders?: () => void }).flushHeaders?.();
  }

  /** Sends a part of a JSON answer in the framing the client reads. */
  #writePart(bytes: Buffer | undefined): void {
    if (bytes === undefined) return;
    if (this.#sentFraming === undefined) {
      this.#begin(this.#input.framing);
      if (this.#input.framing === 'sse') this.#write(EVENT_HEAD);
    }
    this.#write(this.#sentFraming === 'sse' ? toDataLines(bytes) : bytes);
  }

  #write(bytes: Buffer): void {
    if (this.#isClientGone || bytes.length === 0) return;
    if (write(this.#input.response, bytes)) return;
    const controller = this.#controller;
    controller?.pause();
    this.#input.response.once('drain', () => controller?.resume());
  }

  /** Ends a streamed answer. */
  #finish(outcome: CallOutcome): void {
    if (!this.#isClientGone) {
      end(this.#input.response, this.#sentFraming === 'sse' && this.#parts !== undefined ? EVENT_END : undefined);
    }
    this.#conclude(outcome);
  }

  #conclude(outcome: CallOutcome): void {
    this.#phase = 'done';
    this.#held = [];
    this.#shared.count(this.#input.route, outcome);
    if (this.#firstByteMs > 0) this.#shared.observeOverhead(this.#overheadMs(performance.now()) / 1000);
    this.#shared.onEnd(this);
  }

  #rewrite() {
    return {
      upstreamId: this.#upstreamId,
      clientId: this.#clientId(),
      addsResultType: this.#input.era === 'modern' && this.#link?.era === 'legacy',
    };
  }

  #clientId(): Buffer {
    const { id, message } = this.#input;
    return message.bytes.subarray(id.start, id.end);
  }

  #progressToken(): Buffer | undefined {
    const { message } = this.#input;
    const token = findMember(message.meta, 'progressToken');
    return token === undefined ? undefined : message.bytes.subarray(token.start, token.end);
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
    return ['server-timing', `up;dur=${up.toFixed(3)}, gw;dur=${own.toFixed(3)}`];
  }

  #overheadMs(nowMs: number): number {
    return nowMs - this.#input.startedMs - (this.#firstByteMs - this.#sentMs);
  }
}

const EVENT_HEAD = Buffer.from('event: message\ndata: ');
const EVENT_END = Buffer.from('\n\n');

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
