// How long to wait before a process that ended by itself is started again: longer each time, until one has lived for a
// while. Without it a command that ends at once would be started with every call.

export interface BackOffOptions {
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** A process that has lived so long worked: the waits begin with the first again. */
const STEADY_MS = 60_000;
/** Each wait is up to this share shorter, so that many that ended together do not begin together. */
const JITTER = 0.25;

export class BackOff {
  readonly #options: BackOffOptions;
  #endings = 0;
  #startableAtMs = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** How long until a start may be tried; 0 when one may be now. */
  waitMs(): number {
    const leftMs = this.#startableAtMs - this.#options.now();
    // More than that can only be left because the clock was set back.
    return leftMs > LONGEST_MS ? 0 : Math.max(0, leftMs);
  }

  /** One has ended by itself after so long, or could not be started at all. */
  note(livedMs: number): void {
    // During a pause it ended for the same reason as the one before: a hundred that are killed at once count as one.
    if (this.waitMs() > 0) return;
    const { now, random } = this.#options;
    if (livedMs >= STEADY_MS) this.#endings = 0;
    const longMs = Math.min(FIRST_MS * 2 ** this.#endings, LONGEST_MS);
    this.#endings++;
    this.#startableAtMs = now() + longMs * (1 - JITTER * random());
  }
}
