// Cuts a byte stream into the lines of an event stream (WHATWG HTML §9.2.6): LF, CR LF and CR end a line, wherever
// the stream is split. Lines longer than the caller wants to hold are handed over in parts.

const LF = 0x0a;
const CR = 0x0d;

export interface LineSink {
  /** A whole line without its end, or the last part of a long one. */
  onLine(line: Buffer): void;
  /** A line has grown past `longLineBytes`: return `true` to take it in parts through `onPart`, `false` to let it grow. */
  onLongLine(begun: Buffer): boolean;
  onPart(part: Buffer): void;
}

export class SseLines {
  readonly #sink: LineSink;
  readonly #longLineBytes: number;
  #parts: Buffer[] = [];
  #length = 0;
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
    // One look for CR per chunk: streams that use it are rare, and then each line is looked at.
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
      if (lf < from) lf = chunk.indexOf(LF, from);
    }
    if (from < chunk.length) this.#grow(chunk.subarray(from));
  }

  /** Bytes held for a line that has not ended. */
  get heldBytes(): number {
    return this.#length;
  }

  #endLine(rest: Buffer): void {
    if (this.#isInParts) {
      this.#isInParts = false;
      this.#sink.onLine(rest);
      return;
    }
    let line = this.#parts.length === 0 ? rest : Buffer.concat([...this.#parts, rest]);
    this.#parts = [];
    this.#length = 0;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (line.length >= 3 && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf) line = line.subarray(3);
    }
    this.#sink.onLine(line);
  }

  #grow(part: Buffer): void {
    if (this.#isInParts) {
      this.#sink.onPart(part);
      return;
    }
    this.#parts.push(part);
    this.#length += part.length;
    if (this.#length < this.#longLineBytes) return;
    const begun = Buffer.concat(this.#parts);
    this.#parts = [begun];
    if (!this.#sink.onLongLine(begun)) return;
    this.#isInParts = true;
    this.#parts = [];
    this.#length = 0;
  }
}
