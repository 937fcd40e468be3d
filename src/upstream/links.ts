// The open conversations with an upstream that keeps sessions: found by name, given up when idle, and ended only when no
// call runs on them any more, since an upstream may cut off the calls of a session that ends.

import { LRUCache } from 'lru-cache';
import type { Link } from './handshake.ts';

export interface LinksOptions {
  /** A conversation without calls for this long is ended. */
  readonly idleMs: number;
  readonly now: () => number;
  /** Tells the upstream that a session is over. */
  readonly onEnd: (link: Link) => void;
}

/** Open conversations kept per upstream; the least recently used one is ended to make room. */
const MAX_LINKS = 10_000;
const LONGEST_SWEEP_MS = 60 * 60 * 1000;

export class Links {
  readonly #options: LinksOptions;
  readonly #open: LRUCache<string, Link>;
  /** Out of use for new calls, while old ones still run on them. */
  readonly #ending = new Set<Link>();
  #calls = 0;
  #sweep: NodeJS.Timeout | undefined;
  #onUnused: (() => void) | undefined;
  #isOver = false;

  constructor(options: LinksOptions) {
    this.#options = options;
    // `max` would take the room for all of them, a quarter of a megabyte, for every upstream.
    const room = { maxSize: MAX_LINKS, sizeCalculation: () => 1 };
    this.#open = new LRUCache({ ...room, dispose: (link) => this.#end(link) });
  }

  /** Sessions that the upstream has not been told to end yet. */
  get size(): number {
    return this.#open.size + this.#ending.size;
  }

  get(conversation: string): Link | undefined {
    return this.#open.get(conversation);
  }

  set(conversation: string, link: Link): void {
    if (this.#isOver) {
      this.#options.onEnd(link);
      return;
    }
    link.usedAtMs = this.#options.now();
    this.#open.set(conversation, link);
    this.#sweepLater();
  }

  /** Ends a conversation; with `link`, only if it is still that one. Returns whether there was one. */
  delete(conversation: string, link?: Link): boolean {
    const open = this.#open.peek(conversation);
    return open !== undefined && (link === undefined || open === link) && this.#open.delete(conversation);
  }

  /** A call begins. Every call is counted, also on links without a session: `unused` waits for all. */
  acquire(link: Link): void {
    link.calls++;
    this.#calls++;
  }

  /** A call has ended. */
  release(link: Link): void {
    link.calls--;
    this.#calls--;
    link.usedAtMs = this.#options.now();
    if (link.calls === 0 && this.#ending.size > 0 && this.#ending.delete(link)) this.#options.onEnd(link);
    if (this.#calls === 0) this.#onUnused?.();
  }

  /** Resolves when no call runs. */
  async unused(): Promise<void> {
    if (this.#calls > 0) await new Promise<void>((resolve) => (this.#onUnused = resolve));
  }

  /** Ends all conversations at once, whatever runs on them, and every one that is opened yet. */
  endAll(): void {
    this.#isOver = true;
    clearTimeout(this.#sweep);
    this.#sweep = undefined;
    this.#open.clear();
    for (const link of this.#ending) this.#options.onEnd(link);
    this.#ending.clear();
  }

  #end(link: Link): void {
    if (link.calls > 0) this.#ending.add(link);
    else this.#options.onEnd(link);
  }

  #sweepLater(): void {
    if (this.#sweep !== undefined || this.#open.size === 0) return;
    const pauseMs = Math.min(this.#options.idleMs / 2, LONGEST_SWEEP_MS);
    this.#sweep = setTimeout(() => {
      this.#sweep = undefined;
      this.#endIdle();
      this.#sweepLater();
    }, pauseMs).unref();
  }

  #endIdle(): void {
    const usedBeforeMs = this.#options.now() - this.#options.idleMs;
    for (const [conversation, link] of [...this.#open.entries()]) {
      if (link.calls === 0 && link.usedAtMs <= usedBeforeMs) this.#open.delete(conversation);
    }
  }
}
