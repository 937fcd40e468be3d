// What one client is to be told, and of each subject only the last entry: a client that reads slowly, or comes back after
// its connection broke, is told once that something has changed, however often it did.

export interface Entry {
  /** Counts up over everything that was ever put in. */
  readonly number: number;
  readonly data: Buffer;
  /** Of the update of a resource: the URI that the client has subscribed to. */
  readonly subscribed: string | undefined;
}

export interface OutboxOptions {
  /** The number before the first. */
  readonly start?: number;
  /** Whether what was read is kept, for a client that may come back without having received it. */
  readonly keepsRead: boolean;
}

/** Of what is handed out at once. */
const BATCH_BYTES = 64 * 1024;
/** From here on what was read makes room. */
const MAX_ENTRIES = 1_100;
const MAX_BYTES = 256 * 1024;

export class Outbox {
  readonly #keepsRead: boolean;
  /** By subject, oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #last: number;
  #read: number;

  constructor({ start = 0, keepsRead }: OutboxOptions) {
    this.#keepsRead = keepsRead;
    this.#last = start;
    this.#read = start;
  }

  /** The number of what was read last. */
  get read(): number {
    return this.#read;
  }

  /** Whether only entries that take the place of others may be put in. Drops what was read, where that makes room. */
  get isFull(): boolean {
    for (const [key, { number }] of this.#entries) {
      if (!this.#isOver || number > this.#read) break;
      this.delete(key);
    }
    return this.#isOver;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Takes the place of the entry with this key. */
  put(key: string, data: Buffer, subscribed?: string): void {
    this.delete(key);
    this.#entries.set(key, { number: ++this.#last, data, subscribed });
    this.#bytes += data.length;
  }

  delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.data.length ?? 0;
    this.#entries.delete(key);
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  /** Hands `visit` what was not read yet, as much as is sent at once. */
  readOn(visit: (key: string, entry: Entry) => void): void {
    if (this.#read === this.#last) return;
    let bytes = 0;
    for (const [key, entry] of this.#entries) {
      if (entry.number <= this.#read) continue;
      visit(key, entry);
      this.#read = entry.number;
      if (!this.#keepsRead) this.delete(key);
      bytes += entry.data.length;
      if (bytes >= BATCH_BYTES) return;
    }
  }

  /** Has what came after `number` read again, as far as it is kept. */
  rewind(number: number): void {
    this.#read = Math.min(this.#read, number);
  }

  get #isOver(): boolean {
    return this.#entries.size >= MAX_ENTRIES || this.#bytes >= MAX_BYTES;
  }
}
