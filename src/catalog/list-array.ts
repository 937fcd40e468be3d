// What one list shows, serialised once: one JSON array, of which any run of objects can be cut without copying.

import { hash } from 'node:crypto';

export class ListArray {
  /** The whole array. */
  readonly bytes: Buffer;
  /** Where each object begins in `bytes`, and behind them where one more would. */
  readonly #starts: readonly number[];
  #digest: string | undefined;

  /** `items` are JSON objects as bytes. */
  constructor(items: readonly Buffer[]) {
    const parts: Buffer[] = [OPEN];
    const starts = [OPEN.length];
    let length = OPEN.length;
    for (const item of items) {
      if (starts.length > 1) parts.push(COMMA);
      parts.push(item);
      length += item.length + COMMA.length;
      starts.push(length);
    }
    parts.push(CLOSE);
    this.bytes = Buffer.concat(parts);
    this.#starts = starts;
  }

  get count(): number {
    return this.#starts.length - 1;
  }

  /** How many bytes the object at an index takes. */
  sizeAt(index: number): number {
    const start = this.#starts[index];
    const end = this.#starts[index + 1];
    return start === undefined || end === undefined ? 0 : end - start - COMMA.length;
  }

  /** Names the content: the same objects have the same digest in every replica. */
  get digest(): string {
    this.#digest ??= hash('sha256', this.bytes, 'base64url');
    return this.#digest;
  }

  /** The objects from index `from` up to `to`, not included, as a JSON array in parts to be sent one behind the other. */
  slice(from: number, to: number): readonly Buffer[] {
    if (from === 0 && to >= this.count) return [this.bytes];
    const start = this.#starts[from];
    const end = this.#starts[Math.min(to, this.count)];
    if (start === undefined || end === undefined || start >= end) return [OPEN, CLOSE];
    return [OPEN, this.bytes.subarray(start, end - COMMA.length), CLOSE];
  }
}

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');
const COMMA = Buffer.from(',');
