// Reads the event stream of a watch: whole events of bounded size, and what it takes to resume the stream.

import { HeldBytes } from '../protocol/held-bytes.ts';
import { readEventId, readRetry } from '../protocol/sse.ts';
import { SseLines } from '../protocol/sse-lines.ts';

/** Notifications are short: an event is held whole, and a larger one could only be meant to fill the memory. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

const SPACE = 0x20;
const NEWLINE = Buffer.from('\n');

export class WatchEvents {
  readonly #onData: (data: Buffer) => void;
  readonly #lines: SseLines;
  readonly #data = new HeldBytes();
  #hasData = false;
  /** Whether the event is of a type that carries no JSON-RPC. */
  #isForeign = false;
  #eventId: string | undefined;
  /** The id of the last whole event that had one. */
  lastEventId: string | undefined;
  retryMs: number | undefined;
  /** How many lines have come, comments and blank ones too. */
  lines = 0;

  /** `onData` is told the data of every event that has some. */
  constructor(onData: (data: Buffer) => void) {
    this.#onData = onData;
    const sink = { onLine: (line: Buffer) => this.#onLine(line), onLongLine: () => false, onPart: () => {} };
    this.#lines = new SseLines(sink, Number.POSITIVE_INFINITY);
  }

  /** Returns `false` when an event has more bytes than it may. */
  push(chunk: Buffer): boolean {
    this.#lines.push(chunk);
    return this.#lines.heldBytes + this.#data.length <= MAX_EVENT_BYTES;
  }

  #onLine(line: Buffer): void {
    this.lines++;
    if (line.length === 0) {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(0x3a);
    const name = line.toString('latin1', 0, colon < 0 ? line.length : colon);
    const value = colon < 0 ? line.subarray(line.length) : line.subarray(colon + (line[colon + 1] === SPACE ? 2 : 1));
    if (name === 'data') this.#hold(value);
    else if (name === 'event') this.#isForeign = value.length > 0 && value.toString('latin1') !== 'message';
    else if (name === 'id') this.#eventId = readEventId(value) ?? this.#eventId;
    else if (name === 'retry') this.retryMs = readRetry(value) ?? this.retryMs;
  }

  #hold(value: Buffer): void {
    if (this.#hasData) this.#data.push(NEWLINE);
    this.#hasData = true;
    this.#data.push(value);
  }

  #dispatch(): void {
    this.lastEventId = this.#eventId ?? this.lastEventId;
    const data = this.#data.whole();
    const isMessage = data.length > 0 && data.length <= MAX_EVENT_BYTES && !this.#isForeign;
    this.#hasData = false;
    this.#isForeign = false;
    this.#data.clear();
    if (isMessage) this.#onData(data);
  }
}
