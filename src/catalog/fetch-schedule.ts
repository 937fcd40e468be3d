// When one upstream's list is fetched: once for all who wait, at most once a second however often it is demanded, and
// always once more after the last demand.

/** A storm of change notifications costs the upstream a request in this time, and no more. */
export const MIN_INTERVAL_MS = 1_000;

export class FetchSchedule {
  readonly #fetch: () => Promise<void>;
  readonly #now: () => number;
  #running: Promise<void> | undefined;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #isDemanded = false;
  #timer: NodeJS.Timeout | undefined;
  #dueAtMs = 0;
  #isStopped = false;

  /** `fetch` must not reject. */
  constructor(fetch: () => Promise<void>, now: () => number) {
    this.#fetch = fetch;
    this.#now = now;
  }

  get running(): Promise<void> | undefined {
    return this.#running;
  }

  /** Whether something changed after the last fetch began. */
  get isDemanded(): boolean {
    return this.#isDemanded;
  }

  /** Fetches now, unless a fetch is under way; resolves when it has ended. */
  run(): Promise<void> {
    if (this.#running !== undefined) return this.#running;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isDemanded = false;
    this.#begunAtMs = this.#now();
    this.#running = this.#fetch().finally(() => {
      this.#running = undefined;
      if (this.#isDemanded) this.demand();
    });
    return this.#running;
  }

  /** What was fetched is out of date. What a fetch under way will bring may be so, too: another follows. */
  demand(): void {
    this.#isDemanded = true;
    // The clock may have been set back since.
    const dueAtMs = Math.min(this.#begunAtMs, this.#now()) + MIN_INTERVAL_MS;
    if (this.#running === undefined) this.#runAt(dueAtMs);
  }

  /** Fetches after a pause, unless that happens sooner for another reason. */
  runLater(pauseMs: number): void {
    this.#runAt(this.#now() + pauseMs);
  }

  /** Fetches no more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #runAt(dueAtMs: number): void {
    if (this.#isStopped || (this.#timer !== undefined && this.#dueAtMs <= dueAtMs)) return;
    clearTimeout(this.#timer);
    this.#dueAtMs = dueAtMs;
    const pauseMs = Math.max(dueAtMs - this.#now(), 0);
    this.#timer = setTimeout(() => void this.run(), pauseMs).unref();
  }
}
