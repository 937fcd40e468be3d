// Says when a request is due, closer than timers can, until nothing is due any more.

export interface DueClockOptions {
  /** Milliseconds from each arrival to the next. */
  readonly nextGap: () => number;
  /** May move towards now. */
  readonly endMs: () => number;
  readonly onDue: (dueMs: number) => void;
  readonly onEnd: () => void;
}

/** Timers count in milliseconds: closer than this to the next arrival the loop turns and looks. */
const TIMER_MS = 2;

export class DueClock {
  readonly #options: DueClockOptions;
  #nextMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: DueClockOptions) {
    this.#options = options;
  }

  /** The first is due now. */
  start(nowMs: number): void {
    this.#nextMs = nowMs;
    this.#turn();
  }

  /** A process need not wait for a rare arrival that nobody wants. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #turn(): void {
    if (this.#isClosed) return;
    const nowMs = performance.now();
    const { nextGap, endMs, onDue } = this.#options;
    while (this.#nextMs <= nowMs && this.#nextMs < endMs()) {
      onDue(this.#nextMs);
      this.#nextMs += nextGap();
    }
    if (this.#nextMs >= endMs()) {
      this.#awaitEnd();
      return;
    }
    const waitMs = this.#nextMs - nowMs;
    if (waitMs > TIMER_MS) this.#timer = setTimeout(() => this.#turn(), waitMs - TIMER_MS);
    else setImmediate(() => this.#turn());
  }

  #awaitEnd(): void {
    const leftMs = this.#options.endMs() - performance.now();
    // A timer counts from when its turn of the loop began, and so may be early.
    if (leftMs > 0) this.#timer = setTimeout(() => this.#awaitEnd(), leftMs);
    else this.#options.onEnd();
  }
}
