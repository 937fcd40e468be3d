// One request of a call to its upstream, from its dispatch to the end of the HTTP answer. It is its own undici handler: an
// answer streams through it with back-pressure, and what an upstream cuts off on purpose is asked for again.

import type { IncomingHttpHeaders } from 'node:http';
import { performance } from 'node:perf_hooks';
import { HeldBytes } from '../protocol/held-bytes.ts';
import type { Pieces } from '../protocol/splice.ts';
import { readRetryAfter } from '../upstream/failure.ts';
import type { Link } from '../upstream/handshake.ts';
import { classifyUpstreamError } from '../upstream/pool.ts';
import type { CallHandler, CallHead, DispatchController, Upstream } from '../upstream/upstream.ts';
import {
  type AnswerFailure,
  type AnswerReader,
  type AnswerSink,
  createAnswerReader,
  type EventsReader,
  HELD_BYTES,
  type Verdict,
} from './answer-reader.ts';
import { readRefusal } from './upstream-refusal.ts';

/** How often an upstream that ended its stream early is asked to go on. */
const MAX_RESUMPTIONS = 100;
/** Its pause if it names none (2025-11-25 basic/transports#resumability leaves it to the client). */
const DEFAULT_RETRY_MS = 1_000;

/** The call whose request it is. Told of nothing any more once it has said `finish` or `drop`. */
export interface LegOwner extends AnswerSink {
  /** It could be sent now, and has waited so long for a connection; `false` when it is not to be sent any more. */
  onTurn(waitedMs: number): boolean;
  /** It is being sent, after it has waited so long for a connection. */
  onSent(waitedMs: number): void;
  /** The answer is complete, or there is none. `status` is of an HTTP answer that refused the request. */
  onVerdict(verdict: 'answered' | 'asked' | AnswerFailure, status?: number): void;
  /** The upstream knows nothing of the conversation, and has not run the call. */
  onForgotten(): void;
  /** The upstream finds fault with headers that were made from the list it gave us. */
  onStale(): void;
  /** The upstream needs a client that has declared this, as raw JSON. A failure follows, for clients that cannot be told so. */
  onUndeclared(required: string): void;
  /** Nothing of it is left with the upstream. */
  onLegEnd(): void;
}

/** `refused`: the upstream answered with an HTTP status other than 200. `over`: nobody wants to know more. */
type Phase = 'waiting' | 'answering' | 'refused' | 'over';

export class UpstreamLeg implements CallHandler {
  permit: CallHandler['permit'] = 'none';
  readonly link: Link;
  readonly upstreamId: string;
  /** Of the upstream's answer, once it has begun. */
  status = 0;
  retryAfterMs: number | undefined;
  /** `performance.now()` at which it was sent, and of the upstream's first byte; 0 before. */
  sentMs = 0;
  firstByteMs = 0;
  resumptions = 0;
  readonly #owner: LegOwner;
  readonly #upstream: Upstream;
  #phase: Phase = 'waiting';
  #controller: DispatchController | undefined;
  /** Whether an HTTP request is with the upstream. */
  #isOpen = false;
  #isSent = false;
  #isReleased = false;
  #isResting = false;
  #reader: AnswerReader | undefined;
  #refusal: HeldBytes | undefined;
  /** Since when the upstream's next byte is waited for; 0 before the request is written, and in the pause of a resumption. */
  #waitsSinceMs = 0;
  /** What happens while the leg is held, to be acted upon later. */
  #held: (() => void)[] | undefined;
  #lastEventId: string | undefined;
  #retryMs = DEFAULT_RETRY_MS;

  constructor(owner: LegOwner, upstream: Upstream, link: Link) {
    this.#owner = owner;
    this.#upstream = upstream;
    this.link = link;
    this.upstreamId = upstream.mintId();
  }

  send(head: CallHead, body: Pieces): void {
    this.sentMs = performance.now();
    this.#isOpen = true;
    this.#upstream.dispatchCall(this.link, head, body, this);
  }

  get isAnswering(): boolean {
    return this.#phase === 'answering';
  }

  /** Whether the upstream may have read it. */
  get isSent(): boolean {
    return this.#isSent;
  }

  /** How long a request that came at `startedMs` has waited for the first byte; of one that came to a leg under way, all the time. */
  waitedMs(startedMs: number, nowMs: number): number {
    return this.sentMs < startedMs ? nowMs - startedMs : (this.firstByteMs || nowMs) - this.sentMs;
  }

  /** Whether nothing of it is left with the upstream. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** Whether what was passed on last ends inside an event. */
  get isInsideEvent(): boolean {
    return this.#reader?.isInsideEvent === true;
  }

  /** Whether the upstream has kept us waiting for too long; undici's own timers count in half seconds, and begin anew with every 1xx. */
  isOverdue(nowMs: number): boolean {
    if (this.#waitsSinceMs === 0 || this.#phase === 'over') return false;
    const { headersTimeoutMs, idleTimeoutMs } = this.#upstream.limits;
    return nowMs - this.#waitsSinceMs > (this.#phase === 'waiting' ? headersTimeoutMs : idleTimeoutMs);
  }

  pause(): void {
    this.#controller?.pause();
  }

  /** Reads on. While it was not read, the upstream's silence was not its own. */
  resume(): void {
    this.#touch();
    this.#controller?.resume();
  }

  #touch(): void {
    if (this.#waitsSinceMs !== 0) this.#waitsSinceMs = performance.now();
  }

  /** The upstream waits for a person: another call may run meanwhile. */
  rest(): void {
    this.#isResting = true;
    // How many are held for clients that were let go of is bounded where they are kept.
    this.#upstream.permits.rest(this, this.#held === undefined ? undefined : Number.POSITIVE_INFINITY);
  }

  /** The upstream is waited for from now on. */
  wake(): void {
    this.#isResting = false;
    this.#upstream.permits.wake(this);
    this.#touch();
  }

  /** Reads nothing for as long as there is no client to pass it on to. */
  hold(): void {
    this.#held ??= [];
    this.pause();
    this.rest();
  }

  /** There is a client again, whose request what comes now is for. */
  letGo(): void {
    this.#reader?.retarget();
    this.#replay();
    this.resume();
  }

  /** Its answer is known, or of no interest: what still comes is read to its end and dropped. */
  finish(): void {
    this.#phase = 'over';
    this.#refusal = undefined;
    this.#replay();
    // It has not been sent, and is not going to be.
    if (this.permit === 'waiting') this.#isOpen = false;
    this.#controller?.resume();
    this.#settle();
  }

  /** Ends the HTTP request where it stands. */
  abort(why: string): void {
    if (this.#isOpen) this.#controller?.abort(new Error(why));
  }

  #replay(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const happen of held) happen();
  }

  /** Lets go of it at once, for another that is sent in its place. */
  drop(why: string): void {
    this.#phase = 'over';
    this.#refusal = undefined;
    this.abort(why);
    this.#release();
  }

  onTurn(): boolean {
    // The rest of an answer is of a call that the upstream has read.
    if (this.#isSent || this.#owner.onTurn(performance.now() - this.sentMs)) return true;
    this.#isOpen = false;
    this.#settle();
    return false;
  }

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller;
    this.#isSent = true;
    this.#waitsSinceMs = performance.now();
    this.#owner.onSent(this.#waitsSinceMs - this.sentMs);
    if (this.#isResting) this.rest();
    if (this.#phase === 'over') controller.abort(new Error('the call has ended'));
  }

  onResponseStart(controller: DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#phase === 'over') return;
    if (this.#held !== undefined) {
      this.#held.push(() => this.onResponseStart(controller, status, headers));
      return;
    }
    this.#waitsSinceMs = performance.now();
    if (this.firstByteMs === 0) this.firstByteMs = this.#waitsSinceMs;
    this.status = status;
    this.retryAfterMs = status === 429 ? readRetryAfter(headers['retry-after'], Date.now()) : undefined;
    if (status !== 200) {
      this.#phase = 'refused';
      return;
    }
    this.#phase = 'answering';
    const reader = createAnswerReader(this.#owner, headers);
    if ('reason' in reader) this.#owner.onVerdict(reader);
    else this.#reader = reader;
  }

  onResponseData(controller: DispatchController, chunk: Buffer): void {
    if (this.#held !== undefined) {
      // The controller may be another than the one that was paused.
      controller.pause();
      this.#held.push(() => this.onResponseData(controller, chunk));
      return;
    }
    this.#waitsSinceMs = performance.now();
    if (this.#phase === 'answering') this.#judge(this.#reader?.push(chunk) ?? 'open');
    else if (this.#phase === 'refused') this.#holdRefusal(chunk);
    else this.#reader?.push(chunk);
    if (this.#phase === 'over' && this.#reader?.isOverrun) {
      controller.abort(new Error('it sent a message behind its answer'));
    }
  }

  onResponseEnd(): void {
    if (this.#held !== undefined) {
      this.#held.push(() => this.onResponseEnd());
      return;
    }
    this.#isOpen = false;
    if (this.#phase === 'answering') this.#judge(this.#reader?.end() ?? 'open');
    else if (this.#phase === 'refused') this.#onRefused();
    else this.#settle();
  }

  onResponseError(controller: DispatchController, error: Error): void {
    if (this.#held !== undefined) {
      this.#held.push(() => this.onResponseError(controller, error));
      return;
    }
    this.#isOpen = false;
    if (this.#phase === 'over') this.#settle();
    else this.#owner.onVerdict(classifyUpstreamError(error));
  }

  #judge(verdict: Verdict): void {
    if (verdict === 'ended') this.#askForRest();
    else if (verdict !== 'open') this.#owner.onVerdict(verdict);
  }

  /** A legacy upstream may end a stream that has event ids on purpose, and expects to be asked for the rest (SEP-1699). */
  #askForRest(): void {
    const { link } = this;
    const reader = this.#reader as EventsReader;
    // Both hold on for streams that do not name them (WHATWG HTML §9.2.6).
    this.#lastEventId = reader.lastEventId ?? this.#lastEventId;
    this.#retryMs = reader.retryMs ?? this.#retryMs;
    const lastEventId = this.#lastEventId;
    const canResume = link.era === 'legacy' && lastEventId !== undefined && !reader.isInsideEvent;
    if (!canResume || this.resumptions === MAX_RESUMPTIONS) {
      this.#owner.onVerdict({ reason: 'broken_answer', message: 'it ended its event stream without an answer' });
      return;
    }
    this.resumptions++;
    this.#phase = 'waiting';
    this.#waitsSinceMs = 0;
    this.#controller = undefined;
    // It needs no connection in the pause.
    this.#upstream.permits.giveBack(this);
    setTimeout(() => {
      if (this.#phase !== 'waiting') return;
      this.#isOpen = true;
      this.#upstream.dispatchResume(link, lastEventId, this);
    }, this.#retryMs).unref();
  }

  #holdRefusal(chunk: Buffer): void {
    this.#refusal ??= new HeldBytes();
    this.#refusal.push(chunk);
    if (this.#refusal.length > HELD_BYTES) this.#onRefused();
  }

  #onRefused(): void {
    const body = this.#refusal?.whole() ?? NO_BYTES;
    this.#refusal = undefined;
    const refusal = readRefusal(this.link, this.upstreamId, this.status, body);
    if (refusal === 'forgotten') this.#owner.onForgotten();
    else if (refusal === 'answer') this.#answerWith(body);
    else {
      if (refusal.isStale) this.#owner.onStale();
      if (refusal.required !== undefined) this.#owner.onUndeclared(refusal.required);
      this.#owner.onVerdict(refusal.failure, this.status);
    }
  }

  /** An error of the upstream's handler came with an HTTP status of its own. */
  #answerWith(body: Buffer): void {
    const reader = createAnswerReader(this.#owner, { 'content-type': 'application/json' });
    if ('reason' in reader) {
      this.#owner.onVerdict(reader);
      return;
    }
    this.#judge(reader.push(body));
    if (this.#phase !== 'over') this.#judge(reader.end());
  }

  #settle(): void {
    if (this.#isOpen || this.#isReleased) return;
    this.#release();
    this.#owner.onLegEnd();
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#upstream.release(this.link, this);
  }
}

const NO_BYTES = Buffer.alloc(0);
