// The response that the answer to one message of a batch is written to: it keeps the answer instead of sending it, and
// is otherwise a client that reads JSON, takes all at once and is gone as soon as it has its answer.

import { EventEmitter } from 'node:events';
import { HeldBytes } from '../protocol/held-bytes.ts';

/** What became of it: the answer, empty where there is none, or why it is not kept. */
export type Collected = Buffer | 'too_large' | 'no_room' | 'broken_off';

/** Whether bytes may be kept. */
export type Room = 'held' | 'too_large' | 'no_room';

export interface CollectedResponseOptions {
  /** Makes room for `count` more bytes, with which there will be `length`. */
  readonly tryHold: (count: number, length: number) => Room;
  /** Told once, unless the client leaves before. `held` is how many bytes room was made for. */
  readonly onOver: (collected: Collected, held: number) => void;
}

/** The part of Node's responses that the data plane uses. Headers are taken and dropped: a batch has its own. */
export class CollectedResponse extends EventEmitter {
  headersSent = false;
  destroyed = false;
  readonly #options: CollectedResponseOptions;
  readonly #held = new HeldBytes();
  #isOver = false;

  constructor(options: CollectedResponseOptions) {
    super();
    this.#options = options;
  }

  setHeader(_name: string, _value: string): this {
    return this;
  }

  writeHead(_status: number, _headers: readonly string[]): this {
    this.headersSent = true;
    return this;
  }

  flushHeaders(): void {}

  /** Always ready for more: what does not fit is not kept. */
  write(chunk: Buffer | string, encoding?: BufferEncoding): boolean {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
    if (this.#isOver) return true;
    const held = this.#options.tryHold(bytes.length, this.#held.length + bytes.length);
    if (held === 'held') this.#held.push(bytes);
    else this.#finish(held);
    return true;
  }

  end(chunk?: Buffer | string, encoding?: BufferEncoding): this {
    if (chunk !== undefined) this.write(chunk, encoding);
    this.#finish(this.#held.whole());
    return this;
  }

  /** Broken off by who writes to it. */
  destroy(): this {
    this.destroyed = true;
    this.#finish('broken_off');
    return this;
  }

  /** The client has left: whoever still works on the answer is told, as by any response. */
  leave(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.destroyed = true;
    this.#held.clear();
    this.emit('close');
  }

  #finish(collected: Collected): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { length } = this.#held;
    this.#held.clear();
    this.#options.onOver(collected, length);
    // As with any response it comes after who wrote to it has gone on.
    process.nextTick(() => this.emit('close'));
  }
}
