// Reads the body of an answer to one of the gateway's own requests while it arrives. What is not ours is noticed with its
// last byte, not behind it: by then the connection would carry the next caller's request.

import type { IncomingHttpHeaders } from 'node:http';
import { HeldBytes } from '../protocol/held-bytes.ts';
import { endsInBrace, MAX_TRIED_BYTES } from '../protocol/json-bytes.ts';
import { mediaType } from '../protocol/media-type.ts';
import { SseLines } from '../protocol/sse-lines.ts';
import { type RpcAnswer, readAnswer } from './control-answer.ts';

/** `undefined`: nothing that is an answer, yet or at all. */
export type Found = RpcAnswer | 'misdirected' | undefined;

export interface ControlReader {
  push(chunk: Buffer): Found;
  /** The HTTP answer has ended. */
  end(): Found;
  /** Whether the upstream went on behind its answer. */
  readonly isOverrun: boolean;
}

/** Reads the answer to the request `id` from a body with these headers, be it JSON or an event stream. */
export function createControlReader(headers: IncomingHttpHeaders, id: string, status: number): ControlReader {
  const read = (bytes: Buffer) => readAnswer(bytes, id, status);
  const isStream = mediaType(headers['content-type']) === 'text/event-stream';
  return isStream ? new EventsReader(read) : new WholeReader(read, Number(headers['content-length'] ?? Number.NaN));
}

type Read = (bytes: Buffer) => Found;

const SPACE = 0x20;
class WholeReader implements ControlReader {
  /** undici destroys a connection on which bytes come behind the end of an answer. */
  readonly isOverrun = false;
  readonly #read: Read;
  readonly #length: number;
  readonly #body = new HeldBytes();
  #triedBytes = 0;
  /** In a body that is whole. */
  #found: Found;

  constructor(read: Read, length: number) {
    this.#read = read;
    this.#length = length;
  }

  push(chunk: Buffer): Found {
    const body = this.#body;
    body.push(chunk);
    if (body.length === this.#length) {
      this.#found = this.end();
      return this.#found;
    }
    if (!Number.isNaN(this.#length) || !endsInBrace(chunk)) return undefined;
    if (this.#triedBytes + body.length > MAX_TRIED_BYTES) return undefined;
    this.#triedBytes += body.length;
    return this.end();
  }

  end(): Found {
    return this.#found ?? this.#read(this.#body.whole());
  }
}

const DATA = 'data:';
const NEWLINE = Buffer.from('\n');

class EventsReader implements ControlReader {
  isOverrun = false;
  readonly #read: Read;
  readonly #lines: SseLines;
  readonly #data = new HeldBytes();
  #hasData = false;
  #found: Found;

  constructor(read: Read) {
    this.#read = read;
    const ignored = { onLongLine: () => false, onPart: () => {} };
    // The caller bounds the answer, and so every line of it.
    this.#lines = new SseLines({ onLine: (line) => this.#onLine(line), ...ignored }, Number.POSITIVE_INFINITY);
  }

  push(chunk: Buffer): Found {
    this.#lines.push(chunk);
    return this.#found;
  }

  end(): Found {
    return this.#found;
  }

  #onLine(line: Buffer): void {
    if (line.length === 0) this.#dispatch();
    else if (line.toString('latin1', 0, DATA.length) === DATA) {
      if (this.#found !== undefined) this.isOverrun = true;
      if (this.#hasData) this.#data.push(NEWLINE);
      this.#hasData = true;
      this.#data.push(line.subarray(line[DATA.length] === SPACE ? DATA.length + 1 : DATA.length));
    }
  }

  #dispatch(): void {
    if (this.#hasData) this.#found ??= this.#read(this.#data.whole());
    this.#hasData = false;
    this.#data.clear();
  }
}
