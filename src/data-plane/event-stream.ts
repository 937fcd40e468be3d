// One stream that a client has opened with GET. At most one write of it waits to be taken: what a client that reads
// nothing is told does not grow.

import type { ServerResponse } from 'node:http';
import { breakOff, COMMENT, type HttpResponse, isGone, STREAM_HEADERS, writeHead } from './reply.ts';

/** A stream that is silent this long gets a comment, for proxies that cut what is idle. */
const KEEP_ALIVE_MS = 15_000;
/** A client that takes nothing of what was written this long is cut off. */
const STALL_MS = 120_000;

export class EventStream {
  readonly #response: HttpResponse;
  #lastWriteMs = 0;
  #isTaken = true;
  /** The event that follows when the last write was taken. */
  #owed: Buffer | undefined;

  /** Sends the headers, and a comment so that they go out at once. Times are in ms of one clock that never goes back. */
  constructor(response: HttpResponse, nowMs: number) {
    this.#response = response;
    writeHead(response, 200, STREAM_HEADERS);
    this.#write(COMMENT, nowMs);
  }

  /** Sends an event, once, however often it is asked for while the client takes nothing. */
  send(event: Buffer, nowMs: number): void {
    if (this.#isTaken) this.#write(event, nowMs);
    else this.#owed = event;
  }

  /** To be called about once a second. */
  tend(nowMs: number): void {
    const silentMs = nowMs - this.#lastWriteMs;
    if (!this.#isTaken && silentMs > STALL_MS) this.breakOff();
    else if (this.#isTaken && silentMs >= KEEP_ALIVE_MS) this.#write(COMMENT, nowMs);
  }

  /** Ends it at once: a client that is not reading would not see an orderly end, and hold up a drain. */
  end(): void {
    if (this.#isTaken) this.#response.end();
    else this.breakOff();
  }

  breakOff(): void {
    if (!isGone(this.#response)) breakOff(this.#response);
  }

  #write(bytes: Buffer, nowMs: number): void {
    if (isGone(this.#response)) return;
    this.#lastWriteMs = nowMs;
    this.#isTaken = false;
    // The callback and not the result: below its high-water mark a response takes writes that nobody reads.
    (this.#response as ServerResponse).write(bytes, (error) => {
      if (error) return;
      this.#isTaken = true;
      const owed = this.#owed;
      this.#owed = undefined;
      // A while may have passed: the silence is counted from the write before.
      if (owed !== undefined) this.#write(owed, this.#lastWriteMs);
    });
  }
}
