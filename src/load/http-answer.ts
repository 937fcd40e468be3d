// Reads one HTTP/1.1 answer off a socket as cheaply as that can be done without taking its end on trust: the head once,
// then lengths. Of the body the first and the last bytes are kept: all of a small one, and of others where an envelope is.

import { Buffer } from 'node:buffer';

/** Kept of each end of a body. */
const END_BYTES = 8 * 1024;
const MAX_HEAD_BYTES = 64 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const LF = 0x0a;

type Phase = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'whole';

export class HttpAnswer {
  status = 0;
  bodyBytes = 0;
  readonly #endBytes: number;
  #first = '';
  #last = '';
  #phase: Phase = 'head';
  #head = '';
  #left = 0;
  #line = '';
  canReuse = true;

  constructor(endBytes = END_BYTES) {
    this.#endBytes = endBytes;
  }

  /** Takes the next bytes; returns whether the answer is whole, or throws an `Error` that says what is wrong with it. */
  push(bytes: Buffer): boolean {
    for (let at = 0; at < bytes.length; ) {
      if (this.#phase === 'whole') throw new Error('there are bytes behind the answer');
      at = this.#take(bytes, at);
    }
    return this.#phase === 'whole';
  }

  /** This and the next: the ends of the body as latin1; a small one is wholly in both. */
  get first(): string {
    return this.#first;
  }

  get last(): string {
    return this.bodyBytes === this.#first.length ? this.#first : this.#last.slice(-this.#endBytes);
  }

  /** Ready for the next. */
  reset(): void {
    this.status = 0;
    this.bodyBytes = 0;
    this.#first = '';
    this.#last = '';
    this.#phase = 'head';
    this.#head = '';
    this.#line = '';
  }

  #take(bytes: Buffer, at: number): number {
    switch (this.#phase) {
      case 'head':
        return this.#takeHead(bytes, at);
      case 'length':
      case 'chunk':
        return this.#takeBody(bytes, at);
      default:
        return this.#takeLine(bytes, at);
    }
  }

  #takeHead(bytes: Buffer, at: number): number {
    // Heads come whole but for the rarest case, and are then searched where they are.
    const known = this.#head.length;
    const whole = known === 0 ? bytes : Buffer.concat([Buffer.from(this.#head, 'latin1'), bytes.subarray(at)]);
    const from = known === 0 ? at : 0;
    const end = whole.indexOf(HEAD_END, from);
    if (end < 0) {
      this.#head = whole.toString('latin1', from);
      if (this.#head.length > MAX_HEAD_BYTES) throw new Error('its head does not end');
      return bytes.length;
    }
    this.#readHead(whole.toString('latin1', from, end + 2));
    return (known === 0 ? 0 : at - known) + end + HEAD_END.length;
  }

  #readHead(head: string): void {
    const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(head) ?? [];
    if (status === undefined) throw new Error('it is not HTTP');
    this.status = Number(status);
    this.canReuse = !/\r\nconnection: *close\r\n/i.test(head);
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
    if (/\r\ntransfer-encoding: *chunked\r\n/i.test(head)) this.#phase = 'chunk-size';
    else if (length !== undefined) this.#expect(Number(length), 'length');
    else if (this.status === 204 || this.status === 304) this.#phase = 'whole';
    else throw new Error('it has no length');
  }

  #expect(length: number, phase: 'length' | 'chunk'): void {
    this.#left = length;
    if (length > 0) this.#phase = phase;
    else this.#phase = phase === 'length' ? 'whole' : 'trailer';
  }

  #takeBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#note(bytes, at, end);
    this.#left -= end - at;
    if (this.#left === 0) this.#phase = this.#phase === 'length' ? 'whole' : 'chunk-end';
    return end;
  }

  #note(bytes: Buffer, from: number, to: number): void {
    const endBytes = this.#endBytes;
    const before = this.bodyBytes;
    this.bodyBytes += to - from;
    if (before < endBytes) this.#first += bytes.toString('latin1', from, Math.min(to, from + endBytes - before));
    if (this.bodyBytes <= endBytes) return;
    const earlier = before <= endBytes ? this.#first.slice(0, before) : this.#last;
    const last = earlier + bytes.toString('latin1', Math.max(from, to - endBytes), to);
    // Cut now and then, or every small chunk would cost a copy of the end.
    this.#last = last.length > 2 * endBytes ? last.slice(-endBytes) : last;
  }

  /** The lines between the parts of a chunked body (RFC 9112 §7.1). */
  #takeLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LF, at);
    this.#line += bytes.toString('latin1', at, end < 0 ? bytes.length : end);
    if (this.#line.length > MAX_HEAD_BYTES) throw new Error('a line of its framing does not end');
    if (end < 0) return bytes.length;
    this.#readLine(this.#line.trimEnd());
    this.#line = '';
    return end + 1;
  }

  #readLine(line: string): void {
    if (this.#phase === 'chunk-size') {
      const [size] = /^[0-9a-f]{1,8}(?=;|$)/i.exec(line) ?? [];
      if (size === undefined) throw new Error('a chunk of it has no size');
      this.#expect(Number.parseInt(size, 16), 'chunk');
    } else if (this.#phase === 'chunk-end') this.#phase = 'chunk-size';
    // The trailer ends with an empty line.
    else if (line === '') this.#phase = 'whole';
  }
}
