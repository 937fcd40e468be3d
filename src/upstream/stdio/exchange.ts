// One request of the gateway to a process. Its handler is told what undici would tell of the answer of a Streamable HTTP
// server: an event stream, whose events are the lines that belong to the request.

import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { EVENT_END, EVENT_HEAD } from '../../protocol/sse.ts';
import type { Requester } from './process.ts';

/** Lines are handed over in parts of this size, so that the reader can pause within one. */
const PART_BYTES = 64 * 1024;
/** What may wait for a reader who has paused. The answer always may. */
const MAX_WAITING_BYTES = 1024 * 1024;
const EVENT_STREAM: IncomingHttpHeaders = { 'content-type': 'text/event-stream' };

export class Exchange implements Dispatcher.DispatchController, Requester {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #waiting: Buffer[] = [];
  #heldBytes = 0;
  #hasBegun = false;
  #isDraining = false;
  #isEnding = false;
  #isOver = false;
  isCall = false;
  /** Told when the gateway has lost interest. */
  onAbort: (() => void) | undefined;
  /** Told when a message has to wait for a reader who has paused. */
  onHeld: (() => void) | undefined;
  /** Told when it is over, in whatever way. */
  onOver: (() => void) | undefined;
  paused = false;
  reason: Error | null = null;

  constructor(handler: Dispatcher.DispatchHandler) {
    this.#handler = handler;
  }

  get aborted(): boolean {
    return this.reason !== null;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Of all messages of which a part still waits: that part keeps the whole message in memory. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The request has been written, or is about to be. The handler may abort it at once. */
  start(): void {
    this.#tell(() => this.#handler.onRequestStart?.(this, {}));
  }

  /** Answers without a body of events. */
  respond(status: number, body = '', headers: IncomingHttpHeaders = {}): void {
    if (this.#isOver) return;
    const bytes = Buffer.from(body);
    const type = body === '' ? {} : { 'content-type': 'application/json' };
    this.#start(status, { ...type, 'content-length': `${bytes.length}`, ...headers });
    if (bytes.length > 0) this.#push(bytes);
    this.end();
  }

  /** Opens the event stream; the first event does so itself. */
  begin(headers: IncomingHttpHeaders = {}): void {
    if (!this.#hasBegun) this.#start(200, { ...EVENT_STREAM, ...headers });
  }

  /** A message that belongs to the request. Dropped while too much waits for a slow reader. */
  event(line: Buffer): void {
    if (this.#heldBytes <= MAX_WAITING_BYTES) this.#event(line);
  }

  /** The message that answers the request, and ends it. */
  answer(line: Buffer, headers?: IncomingHttpHeaders): void {
    this.begin(headers);
    this.#event(line);
    this.end();
  }

  /** No more comes, once what waits has been taken. */
  end(): void {
    this.begin();
    this.#isEnding = true;
    this.#drain();
  }

  fail(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.length = 0;
    this.#heldBytes = 0;
    this.onOver?.();
    // Later, because whoever aborts a request does not expect its handler to be called within `abort`.
    process.nextTick(() => this.#handler.onResponseError?.(this, error));
  }

  abort(reason: Error): void {
    if (this.#isOver) return;
    this.reason = reason;
    this.onAbort?.();
    this.fail(reason);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.#drain();
  }

  #start(status: number, headers: IncomingHttpHeaders): void {
    this.#hasBegun = true;
    this.#tell(() => this.#handler.onResponseStart?.(this, status, headers));
  }

  #event(line: Buffer): void {
    if (this.#isOver || this.#isEnding) return;
    this.begin();
    this.#push(EVENT_HEAD);
    for (let from = 0; from < line.length; from += PART_BYTES) this.#push(line.subarray(from, from + PART_BYTES));
    this.#push(EVENT_END);
    if (this.#waiting.length === 0) return;
    this.#heldBytes += line.length;
    this.onHeld?.();
  }

  #push(bytes: Buffer): void {
    if (this.#isOver) return;
    this.#waiting.push(bytes);
    this.#drain();
  }

  #drain(): void {
    // A handler may resume while it is handed a part; it gets the next when it has returned.
    if (this.#isDraining) return;
    this.#isDraining = true;
    while (!this.paused && !this.#isOver) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) break;
      this.#tell(() => this.#handler.onResponseData?.(this, bytes));
    }
    this.#isDraining = false;
    if (this.#waiting.length === 0) this.#heldBytes = 0;
    if (!this.#isEnding || this.#isOver || this.#waiting.length > 0) return;
    this.#isOver = true;
    this.onOver?.();
    this.#handler.onResponseEnd?.(this, {});
  }

  /** A handler that throws fails its own request, as with undici, and not the process that others share. */
  #tell(step: () => void): void {
    if (this.#isOver) return;
    try {
      step();
    } catch (error) {
      this.abort(error instanceof Error ? error : new Error('its handler failed', { cause: error }));
    }
  }
}
