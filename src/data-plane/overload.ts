// Tells overload, and what is turned away under it, so that the rest is answered soon instead of all late. It looks at what
// waits for the process itself, in each turn of the event loop and for a connection; slow upstreams alone are no overload.

import { performance } from 'node:perf_hooks';

export interface OverloadOptions {
  /** How long every call must wait before requests are turned away; 0 for never. */
  readonly delayMs: number;
  /** Told when it begins and when it is over. */
  readonly onChange: (isOverloaded: boolean) => void;
}

/** Milliseconds; replaced in tests. */
export interface LoopClock {
  readonly nowMs: () => number;
  /** How long the loop has had nothing to do, and how many turns it has taken, since it began. */
  readonly idleMs: () => number;
  readonly turns: () => number;
}

const SWEEP_MS = 100;
/** A loop that is idle for more of a sweep keeps up with its work. */
const IDLE_SHARE = 0.05;
/** What every call waits for: the turn in which its request is read, and the one in which its answer is. */
const TURNS_OF_CALL = 2;
/** So long everything must wait, and in so many sweeps in a row: a pause of the machine, or one large piece of work, is no overload. */
const LONG_MS = 500;
const LONG_SWEEPS = 3;
/** Overload is over when so many in a row had nothing to turn away. */
const QUIET_SWEEPS = 10;
/** Under overload a turn takes requests for so long, and an upstream has so many calls wait for a connection. */
const TAKING_MS = 20;
const WAITING = 32;
/** From here on whoever is turned away in a turn has to wait for its end. */
const LONG_TURN_MS = 50;

const LOOP_CLOCK: LoopClock = {
  nowMs: () => performance.now(),
  idleMs: () => performance.eventLoopUtilization().idle,
  turns: () => performance.nodeTiming.uvMetricsInfo.loopCount,
};

/**
 * Controlled delay (RFC 8289): what counts is the wait that nobody was spared for a while. A queue that was short once in it
 * was a burst; one that never was only makes everybody late, and is kept short from then on.
 */
export class Overload {
  readonly #options: OverloadOptions;
  readonly #clock: LoopClock;
  readonly #sweep: NodeJS.Timeout | undefined;
  #isOn = false;
  /** When the first request of this turn came; 0 before it, and while there is no overload. */
  #turnSinceMs = 0;
  #shortestWaitMs = Number.POSITIVE_INFINITY;
  #longSweeps = 0;
  #longMs = 0;
  #quietSweeps = 0;
  #hasRefused = false;
  #lookedMs: number;
  #idleMs: number;
  #turns: number;
  /** Requests by token, of this sweep and of the one before, of which a token had so many on average. */
  #asked = new Map<string, number>();
  #askedBefore: ReadonlyMap<string, number> = new Map();
  #average = 0;

  constructor(options: OverloadOptions, clock = LOOP_CLOCK) {
    this.#options = options;
    this.#clock = clock;
    this.#lookedMs = clock.nowMs();
    this.#idleMs = clock.idleMs();
    this.#turns = clock.turns();
    if (options.delayMs > 0) this.#sweep = setInterval(() => this.#look(), SWEEP_MS).unref();
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** A request has come, at `nowMs` by `performance.now()`. */
  noteRequest(nowMs: number): void {
    if (!this.#isOn || this.#turnSinceMs !== 0) return;
    this.#turnSinceMs = nowMs;
    setImmediate(() => {
      this.#turnSinceMs = 0;
    });
  }

  /** A call was sent after it had waited so long for a connection. */
  noteWait(ms: number): void {
    if (ms < this.#shortestWaitMs) this.#shortestWaitMs = ms;
  }

  /** Whether a request of this token comes too late in its turn. To be asked once of each, under overload. */
  refusesRequest(tokenId: string): boolean {
    this.#asked.set(tokenId, (this.#asked.get(tokenId) ?? 0) + 1);
    return this.#refuses(this.#turnMs > TAKING_MS * this.#roomOf(tokenId));
  }

  /**
   * Whether those who are turned away must not hear of it before this turn ends. Who hears at once sends again at once, and
   * libuv reads on, in the same turn, as long as it finds more than a thousand sockets with something to read: turns of six
   * seconds were seen, in which nothing but refusing was done.
   */
  get isTurnLong(): boolean {
    return this.#turnMs > LONG_TURN_MS;
  }

  /** Whether a call of this token is not to wait behind so many others for its upstream. */
  refusesCall(tokenId: string, waiting: number): boolean {
    return this.#isOn && this.#refuses(waiting >= WAITING * this.#roomOf(tokenId));
  }

  /** Whether a call has waited too long for its upstream to be sent at all: it came before overload was told. */
  refusesWait(ms: number): boolean {
    return this.#isOn && this.#refuses(ms > this.#options.delayMs);
  }

  /** Stops looking. */
  close(): void {
    clearInterval(this.#sweep);
  }

  /** How long this turn takes requests already. The body may have come in another than its head. */
  get #turnMs(): number {
    return this.#turnSinceMs === 0 ? 0 : this.#clock.nowMs() - this.#turnSinceMs;
  }

  #refuses(isRefused: boolean): boolean {
    if (isRefused) this.#hasRefused = true;
    return isRefused;
  }

  /** A token that asks for no more than others on average has room where one that asks for more has none left. */
  #roomOf(tokenId: string): number {
    return (this.#askedBefore.get(tokenId) ?? 0) > this.#average ? 1 : 2;
  }

  #look(): void {
    const nowMs = this.#clock.nowMs();
    const idleMs = this.#clock.idleMs();
    const turns = this.#clock.turns();
    const passedMs = nowMs - this.#lookedMs;
    const isBusy = idleMs - this.#idleMs < passedMs * IDLE_SHARE;
    const turnMs = passedMs / Math.max(1, turns - this.#turns);
    // Where no call was sent there is none that had to wait.
    const waitMs = Number.isFinite(this.#shortestWaitMs) ? this.#shortestWaitMs : -turnMs * TURNS_OF_CALL;
    const isLong = isBusy && turnMs * TURNS_OF_CALL + waitMs >= this.#options.delayMs;
    this.#longSweeps = isLong ? this.#longSweeps + 1 : 0;
    this.#longMs = isLong ? this.#longMs + passedMs : 0;
    this.#quietSweeps = this.#hasRefused ? 0 : this.#quietSweeps + 1;
    const hasBegun = this.#longSweeps >= LONG_SWEEPS && this.#longMs >= LONG_MS;
    if (this.#isOn ? this.#quietSweeps >= QUIET_SWEEPS : hasBegun) this.#change();
    this.#lookedMs = nowMs;
    this.#idleMs = idleMs;
    this.#turns = turns;
    this.#shortestWaitMs = Number.POSITIVE_INFINITY;
    this.#hasRefused = false;
    this.#countAverage();
  }

  #change(): void {
    this.#isOn = !this.#isOn;
    this.#longSweeps = 0;
    this.#longMs = 0;
    this.#quietSweeps = 0;
    this.#options.onChange(this.#isOn);
  }

  #countAverage(): void {
    this.#askedBefore = this.#asked;
    if (this.#asked.size === 0) return;
    let sum = 0;
    for (const count of this.#asked.values()) sum += count;
    this.#average = sum / this.#asked.size;
    this.#asked = new Map();
  }
}
