// Cuts a byte stream into the lines of an event stream (WHATWG HTML §9.2.6): LF, CR LF and CR end a line, wherever
// the stream is split. Lines longer than the caller wants to hold are handed over in parts.

const LF = 0x0a;
const CR = 0x0d;

export interface LineSink {
  /** A whole line without its end, or the last part of a long one. */
  onLine(line: Buffer): void;
  /** A line has reached `longLineBytes`: return `true` to take it in parts through `onPart`, `false` to let it grow. */
  onLongLine(begun: Buffer): boolean;
  onPart(part: Buffer): void;
}

export class SseLines {
  readonly #sink: LineSink;
  readonly #longLineBytes: number;
  /** Begins with the line that has not ended; grows by doubling, so that an upstream cannot have its bytes copied over and over. */
  #held: Buffer = EMPTY;
  #length = 0;
  /** Whether the sink has been asked how it takes the line that has not ended. */
  #isAsked = false;
  #isInParts = false;
  #endedWithCr = false;
  #isFirst = true;

  constructor(sink: LineSink, longLineBytes: number) {
    this.#sink = sink;
    this.#longLineBytes = longLineBytes;
  }

  push(chunk: Buffer): void {
    let from = 0;
    if (this.#endedWithCr && chunk.length > 0) {
      this.#endedWithCr = false;
      if (chunk[0] === LF) from = 1;
    }
    // Either is searched for again only when it has been passed: a chunk full of the one must not be searched for the other each time.
    let cr = chunk.indexOf(CR, from);
    let lf = chunk.indexOf(LF, from);
    while (lf >= 0 || cr >= 0) {
      const end = cr >= 0 && (lf < 0 || cr < lf) ? cr : lf;
      this.#endLine(chunk.subarray(from, end));
      from = end + 1;
      if (end === cr) {
        if (from === chunk.length) this.#endedWithCr = true;
        else if (chunk[from] === LF) from++;
        cr = chunk.indexOf(CR, from);
      }
      if (lf >= 0 && lf < from) lf = chunk.indexOf(LF, from);
    }
    if (from < chunk.length) this.#grow(chunk.subarray(from));
  }

  /** Bytes held for a line that has not ended. */
  get heldBytes(): number {
    return this.#length;
  }

  #endLine(end: Buffer): void {
    const isLong = this.#length + end.length >= this.#longLineBytes;
    // Asked about although it is whole: how a long line is taken must not depend on how its bytes came.
    if (isLong) this.#grow(end);
    const rest = isLong ? EMPTY : end;
    if (this.#isInParts) {
      this.#isInParts = false;
      this.#sink.onLine(rest);
      return;
    }
    if (this.#length > 0) this.#hold(rest);
    const line = this.#length > 0 ? this.#takeHeld() : rest;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    this.#sink.onLine(isFirst ? withoutBom(line) : line);
  }

  #grow(part: Buffer): void {
    if (this.#isInParts) {
      this.#sink.onPart(part);
      return;
    }
    this.#hold(part);
    if (!this.#isAsked && this.#length >= this.#longLineBytes) this.ask();
  }

  /** Asks the sink how it takes the line that has not ended; once more, if it has let it grow. */
  ask(): void {
    this.#isAsked = true;
    const begun = this.#held.subarray(0, this.#length);
    if (!this.#sink.onLongLine(this.#isFirst ? withoutBom(begun) : begun)) return;
    this.#takeHeld();
    this.#isFirst = false;
    this.#isInParts = true;
  }

  #hold(part: Buffer): void {
    const length = this.#length + part.length;
    if (length > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#held.length));
      this.#held.copy(larger, 0, 0, this.#length);
      this.#held = larger;
    }
    part.copy(this.#held, this.#length);
    this.#length = length;
  }

  /** The line so far, which is the sink's from now on. */
  #takeHeld(): Buffer {
    const line = this.#held.subarray(0, this.#length);
    this.#held = EMPTY;
    this.#length = 0;
    this.#isAsked = false;
    return line;
  }
}

const EMPTY = Buffer.alloc(0);

function withoutBom(line: Buffer): Buffer {
  return line.length >= 3 && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? line.subarray(3) : line;
}
