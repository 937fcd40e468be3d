// One event stream that a client listens to. At most one write waits to be taken: what comes next is asked for only when
// the client has taken that, so nothing grows here for a client that does not read.

import type { ServerResponse } from 'node:http';
import { COMMENT } from '../protocol/sse.ts';
import { breakOff, end, type HttpResponse, isGone, STREAM_HEADERS, writeHead } from './reply.ts';

/** A stream that is silent this long gets a comment, for proxies that cut what is idle. */
const KEEP_ALIVE_MS = 15_000;
/** A client that takes nothing of what was written this long is cut off. */
const STALL_MS = 120_000;
/** When the stream is to end, a client that does not take the rest this soon is cut off: it would hold up a drain. */
const ENDING_MS = 250;

export interface EventStreamOptions {
  readonly response: HttpResponse;
  /** Whole events, or a comment, so that the headers go out at once. */
  readonly first: Buffer;
  /** What is to be sent next, asked for whenever the client has taken what was sent before. */
  readonly next: () => Buffer | undefined;
}

export class EventStream {
  readonly #response: HttpResponse;
  readonly #next: () => Buffer | undefined;
  /** As of the last call that told the time. */
  #nowMs: number;
  #lastWriteMs = 0;
  #isTaken = true;
  #isFinishing = false;
  #isEnding = false;
  #last: Buffer | undefined;

  /** Sends the headers. Times are in ms of one clock that never goes back. */
  constructor({ response, first, next }: EventStreamOptions, nowMs: number) {
    this.#response = response;
    this.#next = next;
    this.#nowMs = nowMs;
    writeHead(response, 200, STREAM_HEADERS);
    this.#write(first);
  }

  /** There may be something to send. */
  wake(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#isTaken) this.#goOn();
  }

  /** To be called about once a second. */
  tend(nowMs: number): void {
    this.#nowMs = nowMs;
    const silentMs = nowMs - this.#lastWriteMs;
    if (!this.#isTaken && silentMs > STALL_MS) this.breakOff();
    else if (this.#isTaken && silentMs >= KEEP_ALIVE_MS) this.#write(COMMENT);
  }

  /** Ends it once there is nothing more to send. */
  finish(nowMs: number): void {
    this.#isFinishing = true;
    this.wake(nowMs);
  }

  /** Ends it, with `last` as all that is still sent. */
  end(last?: Buffer): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#last = last;
    if (this.#isTaken) this.#end();
    setTimeout(() => this.breakOff(), ENDING_MS).unref();
  }

  breakOff(): void {
    if (!isGone(this.#response)) breakOff(this.#response);
  }

  #goOn(): void {
    const bytes = this.#isEnding ? undefined : this.#next();
    if (bytes !== undefined) this.#write(bytes);
    else if (this.#isEnding || this.#isFinishing) this.#end();
  }

  /** From here on nothing counts as taken, so nothing is written: a write after the end is an error that nobody catches. */
  #end(): void {
    this.#isTaken = false;
    end(this.#response, this.#last);
  }

  #write(bytes: Buffer): void {
    if (isGone(this.#response)) return;
    this.#lastWriteMs = this.#nowMs;
    this.#isTaken = false;
    // The callback and not the result: below its high-water mark a response takes writes that nobody reads.
    (this.#response as ServerResponse).write(bytes, (error) => {
      if (error) return;
      this.#isTaken = true;
      this.#goOn();
    });
  }
}
