// One request of a watch, to be answered by an event stream; another answer is read for the reason that it gives.

import type { IncomingHttpHeaders } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { Dispatcher } from 'undici';
import { HeldBytes } from '../protocol/held-bytes.ts';
import { mediaType } from '../protocol/media-type.ts';
import { classifyUpstreamError } from './pool.ts';
import { WatchEvents } from './watch-events.ts';

/** Why there is no stream, or none any more. */
export interface StreamEnd {
  /** Of an answer that was no event stream; `undefined` for a stream, and where no answer came. */
  readonly status: number | undefined;
  readonly body: Buffer;
  /** A clause about the upstream. */
  readonly message: string;
}

export interface StreamSink {
  /** The answer has begun, and is an event stream. */
  onOpen(): void;
  /** The data of one event. */
  onData(data: Buffer): void;
  /** Told once, and nothing after it. */
  onEnd(end: StreamEnd): void;
}

/** An upstream that sends more than this in a window is not read on until the next: its floods must not cost others time. */
const MAX_LINES = 4_000;
const MAX_BYTES = 4 * 1024 * 1024;
const WINDOW_MS = 1_000;
const MAX_REFUSAL_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);

export class WatchStream implements Dispatcher.DispatchHandler {
  readonly #sink: StreamSink;
  readonly #refusal = new HeldBytes();
  readonly events: WatchEvents;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #isStream = false;
  #isOver = false;
  #windowEndsMs = 0;
  #bytesInWindow = 0;
  #linesBefore = 0;
  #pause: NodeJS.Timeout | undefined;

  constructor(sink: StreamSink) {
    this.#sink = sink;
    this.events = new WatchEvents((data) => {
      if (!this.#isOver) sink.onData(data);
    });
  }

  /** Ends it; the sink is told nothing more. */
  abort(): void {
    this.#isOver = true;
    clearTimeout(this.#pause);
    this.#controller?.abort(new Error('the watch has ended'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(new Error('the watch has ended'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#isOver) return;
    this.#status = status;
    this.#isStream = status === 200 && mediaType(headers['content-type']) === 'text/event-stream';
    if (this.#isStream) this.#sink.onOpen();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return;
    if (!this.#isStream) {
      this.#refusal.push(chunk);
      if (this.#refusal.length > MAX_REFUSAL_BYTES) this.#stop('it answered with something that is no event stream');
      return;
    }
    if (!this.events.push(chunk)) this.#stop('an event of its stream is too large');
    else if (this.#isTooMuch(chunk)) this.#rest(controller);
  }

  onResponseEnd(): void {
    this.#end(this.#isStream ? 'it ended its event stream' : `it answered HTTP ${this.#status} and no event stream`);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#end(classifyUpstreamError(error).message);
  }

  #isTooMuch({ length }: Buffer): boolean {
    const { lines } = this.events;
    const nowMs = performance.now();
    if (nowMs >= this.#windowEndsMs) {
      this.#windowEndsMs = nowMs + WINDOW_MS;
      this.#linesBefore = lines;
      this.#bytesInWindow = 0;
    }
    this.#bytesInWindow += length;
    return this.#bytesInWindow > MAX_BYTES || lines - this.#linesBefore > MAX_LINES;
  }

  /** What it sends meanwhile stays in its socket, and so with the upstream itself. */
  #rest(controller: Dispatcher.DispatchController): void {
    if (this.#isOver) return;
    controller.pause();
    clearTimeout(this.#pause);
    const resume = (): void => {
      if (!this.#isOver) controller.resume();
    };
    this.#pause = setTimeout(resume, Math.max(this.#windowEndsMs - performance.now(), 0)).unref();
  }

  #stop(message: string): void {
    this.#end(message);
    this.#controller?.abort(new Error(message));
  }

  #end(message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#pause);
    const body = this.#isStream ? NO_BYTES : this.#refusal.whole();
    this.#sink.onEnd({ status: this.#isStream ? undefined : this.#status || undefined, body, message });
  }
}
