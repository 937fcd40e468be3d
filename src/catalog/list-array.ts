// What one list shows, serialised in parts that other catalogs show as well: of any run of objects, the bytes without a copy.

import { hash } from 'node:crypto';

/** What one grant shows: one JSON array, of which any run of objects can be cut without copying. */
export class ListPart {
  /** The whole array. */
  readonly bytes: Buffer;
  readonly digest: string;
  /** Where each object begins in `bytes`, and behind them where one more would. */
  readonly #starts: readonly number[];

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
    this.digest = hash('sha256', this.bytes, 'base64url');
    this.#starts = starts;
  }

  get count(): number {
    return this.#starts.length - 1;
  }

  /** The objects from index `from` up to `to`, not included, and the commas between them. */
  slice(from: number, to: number): Buffer {
    if (from >= Math.min(to, this.count)) return EMPTY;
    return this.bytes.subarray(this.#starts[from], (this.#starts[Math.min(to, this.count)] ?? 0) - COMMA.length);
  }
}

export class ListArray {
  readonly count: number;
  /** Of the whole array. */
  readonly byteLength: number;
  readonly #parts: readonly ListPart[];
  /** Index of the first object of each part. */
  readonly #firsts: readonly number[];
  #digest: string | undefined;

  constructor(parts: readonly ListPart[]) {
    this.#parts = parts.filter(({ count }) => count > 0);
    const firsts: number[] = [];
    let [count, bytes] = [0, OPEN.length];
    for (const part of this.#parts) {
      firsts.push(count);
      count += part.count;
      // Of the brackets one is left, for the comma or for the end.
      bytes += part.bytes.length - 1;
    }
    this.count = count;
    this.byteLength = count === 0 ? OPEN.length + CLOSE.length : bytes;
    this.#firsts = firsts;
  }

  /** How many bytes the object at an index takes. */
  sizeAt(index: number): number {
    const at = this.#partAt(index);
    const from = index - (this.#firsts[at] ?? 0);
    return this.#parts[at]?.slice(from, from + 1).length ?? 0;
  }

  /** Names the content: the same objects in the same parts have the same digest in every replica. */
  get digest(): string {
    this.#digest ??= hash('sha256', this.#parts.map(({ digest }) => digest).join(), 'base64url');
    return this.#digest;
  }

  /** The objects from index `from` up to `to`, not included, as a JSON array in pieces to be sent one behind the other. */
  slice(from = 0, to = this.count): readonly Buffer[] {
    const [only, ...others] = this.#parts;
    if (only !== undefined && others.length === 0 && from === 0 && to >= this.count) return [only.bytes];
    const pieces: Buffer[] = [OPEN];
    for (let at = this.#partAt(from); at < this.#parts.length; at++) {
      const [part, first] = [this.#parts[at], this.#firsts[at] ?? 0];
      if (part === undefined || first >= to) break;
      if (pieces.length > 1) pieces.push(COMMA);
      pieces.push(part.slice(Math.max(from - first, 0), to - first));
    }
    pieces.push(CLOSE);
    return pieces;
  }

  /** The part that the object at an index is in; behind the last object, behind the last part. */
  #partAt(index: number): number {
    if (index >= this.count) return this.#parts.length;
    let [low, high] = [0, this.#parts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#firsts[middle] ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');
const COMMA = Buffer.from(',');
const EMPTY = Buffer.alloc(0);
