// When something is looked at again after changes: once for a burst of them, soon enough that nobody waits a second, and
// never while the look before goes on.

export interface Pace {
  /** A burst is over when nothing has changed for this long. */
  readonly quietMs: number;
  /** A burst that does not end is not waited for any longer. */
  readonly longestWaitMs: number;
  /** Between two looks. */
  readonly minIntervalMs: number;
}

/** An upstream whose lists change all the time costs a look in a second, and its clients a list. */
const LIST_PACE: Pace = { quietMs: 100, longestWaitMs: 500, minIntervalMs: 1_000 };

export class ChangeDebounce {
  readonly #look: () => Promise<void> | void;
  readonly #now: () => number;
  readonly #pace: Pace;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** When the first change came that was not looked at yet. */
  #sinceMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  /** `look` must not reject; `now` is in ms and never goes back. */
  constructor(look: () => Promise<void> | void, now: () => number, pace = LIST_PACE) {
    this.#look = look;
    this.#now = now;
    this.#pace = pace;
  }

  /** Something has changed: a look follows, and no later than after both the longest wait and the interval. */
  note(): void {
    const { quietMs, longestWaitMs, minIntervalMs } = this.#pace;
    const nowMs = this.#now();
    this.#sinceMs ??= nowMs;
    const calmAtMs = Math.min(nowMs + quietMs, this.#sinceMs + longestWaitMs);
    const dueAtMs = Math.max(calmAtMs, this.#lookedAtMs + minIntervalMs);
    clearTimeout(this.#timer);
    if (this.#isLooking) return;
    this.#timer = setTimeout(() => this.#run(), Math.max(dueAtMs - nowMs, 0)).unref();
  }

  /** Forgets what was noted. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#sinceMs = undefined;
  }

  #run(): void {
    this.#lookedAtMs = this.#now();
    this.#sinceMs = undefined;
    const looking = this.#look();
    if (looking === undefined) return;
    this.#isLooking = true;
    void looking.finally(() => {
      this.#isLooking = false;
      if (this.#sinceMs !== undefined) this.note();
    });
  }
}
