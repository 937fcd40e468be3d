// Bytes that come in pieces and are wanted whole. As a Buffer of its own a piece of one byte costs two hundred, so a peer
// that sends such pieces would fill the memory with what counts as little: small ones are copied together.

/** From here on a piece is worth its Buffer. */
const SMALL_BYTES = 1024;
const FIRST_BLOCK_BYTES = 1024;
const LARGEST_BLOCK_BYTES = 64 * 1024;

export class HeldBytes {
  #length = 0;
  #pieces: Buffer[] = [];
  /** Small pieces behind the others; the rest of the block is room for more. */
  #block: Buffer = EMPTY;
  #filled = 0;
  #blockBytes = FIRST_BLOCK_BYTES;

  get length(): number {
    return this.#length;
  }

  /**
   * Keeps a large piece as it is, and so the first one: what comes whole is never copied. A piece that is little of what it
   * was cut from would hold all of that.
   */
  push(piece: Buffer): void {
    this.#length += piece.length;
    const isLarge = piece.length >= SMALL_BYTES && 2 * piece.length >= piece.buffer.byteLength;
    if (isLarge || (this.#pieces.length === 0 && this.#filled === 0)) {
      this.#endBlock();
      this.#pieces.push(piece);
    } else if (piece.length > 0) this.#fill(piece);
  }

  /** All bytes, uncopied but for the small pieces. They stay held. */
  pieces(): readonly Buffer[] {
    this.#endBlock();
    return this.#pieces;
  }

  /** The first bytes, at least `count` of them where there are so many. They stay held. */
  beginning(count: number): Buffer {
    const [first = EMPTY] = this.pieces();
    return first.length < count ? this.whole() : first;
  }

  /** All bytes as one Buffer. They stay held. */
  whole(): Buffer {
    const pieces = this.pieces();
    if (pieces.length < 2) return pieces[0] ?? EMPTY;
    const whole = Buffer.concat(pieces, this.#length);
    this.#pieces = [whole];
    return whole;
  }

  clear(): void {
    this.#length = 0;
    this.#pieces = [];
    this.#block = EMPTY;
    this.#filled = 0;
    this.#blockBytes = FIRST_BLOCK_BYTES;
  }

  #fill(piece: Buffer): void {
    if (this.#filled + piece.length > this.#block.length) {
      this.#endBlock();
      this.#block = Buffer.allocUnsafe(Math.max(this.#blockBytes, piece.length));
      this.#blockBytes = Math.min(2 * this.#blockBytes, LARGEST_BLOCK_BYTES);
    }
    piece.copy(this.#block, this.#filled);
    this.#filled += piece.length;
  }

  #endBlock(): void {
    if (this.#filled === 0) return;
    this.#pieces.push(this.#block.subarray(0, this.#filled));
    this.#block = this.#block.subarray(this.#filled);
    this.#filled = 0;
  }
}

const EMPTY = Buffer.alloc(0);
