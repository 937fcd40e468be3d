// When something is looked at again after changes: once for a burst of them, and soon enough that nobody waits a second.

/** A burst is over when nothing has changed for this long. */
const QUIET_MS = 100;
/** A burst that does not end is not waited for any longer. */
const LONGEST_WAIT_MS = 500;
/** Between two looks: an upstream that changes all the time costs a look in this time, and its clients a list. */
const MIN_INTERVAL_MS = 1_000;

export class ChangeDebounce {
  readonly #look: () => void;
  readonly #now: () => number;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** When the first change came that was not looked at yet. */
  #sinceMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `now` is in ms and never goes back. */
  constructor(look: () => void, now: () => number) {
    this.#look = look;
    this.#now = now;
  }

  /** Something has changed: a look follows, at most a second from now. */
  note(): void {
    const nowMs = this.#now();
    this.#sinceMs ??= nowMs;
    const calmAtMs = Math.min(nowMs + QUIET_MS, this.#sinceMs + LONGEST_WAIT_MS);
    const dueAtMs = Math.max(calmAtMs, this.#lookedAtMs + MIN_INTERVAL_MS);
    clearTimeout(this.#timer);
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
    this.#look();
  }
}
