// One stream that a client listens to. At most one write of it waits to be taken: what a client that reads nothing is
// told does not grow here, it is asked for when there is room.

import type { ServerResponse } from 'node:http';
import { breakOff, COMMENT, end, type HttpResponse, isGone, STREAM_HEADERS, writeHead } from './reply.ts';

/** A stream that is silent this long gets a comment, for proxies that cut what is idle. */
const KEEP_ALIVE_MS = 15_000;
/** A client that takes nothing of what was written this long is cut off. */
const STALL_MS = 120_000;
/** A client that does not take what was written so soon is cut off where the stream is to end: it would hold up a drain. */
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
  #lastWriteMs = 0;
  #isTaken = true;
  #isFinishing = false;
  #isEnding = false;
  #last: Buffer | undefined;

  /** Sends the headers. Times are in ms of one clock that never goes back. */
  constructor({ response, first, next }: EventStreamOptions, nowMs: number) {
    this.#response = response;
    this.#next = next;
    writeHead(response, 200, STREAM_HEADERS);
    this.#write(first, nowMs);
  }

  /** There is something to send. */
  wake(nowMs: number): void {
    if (!this.#isTaken) return;
    const bytes = this.#isEnding ? undefined : this.#next();
    if (bytes !== undefined) this.#write(bytes, nowMs);
    else if (this.#isEnding || this.#isFinishing) this.#end();
  }

  /** To be called about once a second. */
  tend(nowMs: number): void {
    const silentMs = nowMs - this.#lastWriteMs;
    if (!this.#isTaken && silentMs > STALL_MS) this.breakOff();
    else if (this.#isTaken && silentMs >= KEEP_ALIVE_MS) this.#write(COMMENT, nowMs);
  }

  /** Ends it once there is nothing more to send. */
  finish(nowMs: number): void {
    this.#isFinishing = true;
    this.wake(nowMs);
  }

  /** Ends it now, with `last` behind what was written, and nothing else. */
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

  /** Nothing is written behind it: a second end with bytes would be an error that nobody catches. */
  #end(): void {
    this.#isTaken = false;
    end(this.#response, this.#last);
  }

  #write(bytes: Buffer, nowMs: number): void {
    if (isGone(this.#response)) return;
    this.#lastWriteMs = nowMs;
    this.#isTaken = false;
    // The callback and not the result: below its high-water mark a response takes writes that nobody reads.
    (this.#response as ServerResponse).write(bytes, (error) => {
      if (error) return;
      this.#isTaken = true;
      // A while may have passed: the silence is counted from the write before.
      this.wake(this.#lastWriteMs);
    });
  }
}
