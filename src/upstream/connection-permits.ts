// How many calls may run on an upstream's connections at once. A call that waits for a person rests: it keeps its socket
// and needs no permit, because people think for minutes and ordinary calls must not wait for them.

/** Who runs with a permit, or waits for one. */
export interface PermitHolder {
  /** `none` at first; the permits' to set. */
  permit: 'none' | 'waiting' | 'held' | 'resting';
}

/** Calls that rest on one upstream; those that have let go of their client (`parked-calls.ts`) are bounded beside it. */
const MAX_RESTING = 64;
/** Sockets beyond those of running calls: for twice as many that rest, and for requests of the gateway's own. */
export const SPARE_CONNECTIONS = 2 * MAX_RESTING + 8;

export class ConnectionPermits {
  readonly #limit: number;
  #held = 0;
  #resting = 0;
  /** In the order in which they came. */
  readonly #waiting = new Map<PermitHolder, () => void>();
  /** They keep their permits, and rest as soon as fewer do; in the order in which they came. */
  readonly #restless = new Set<PermitHolder>();
  #isStartDue = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Whether the holder may start now; if not, it is to `wait`. */
  tryTake(holder: PermitHolder): boolean {
    if (this.#held >= this.#limit || this.#waiting.size > 0) return false;
    this.#held++;
    holder.permit = 'held';
    return true;
  }

  /** Calls `start` when it is the holder's turn, unless it gives up before. */
  wait(holder: PermitHolder, start: () => void): void {
    holder.permit = 'waiting';
    this.#waiting.set(holder, start);
  }

  /**
   * The holder waits for a person, and another may run meanwhile. Where `most` rest already it keeps its permit until one
   * of them no longer does; harmless when it does not run.
   */
  rest(holder: PermitHolder, most = MAX_RESTING): void {
    if (holder.permit !== 'held') return;
    if (this.#resting >= most) {
      this.#restless.add(holder);
      return;
    }
    this.#restless.delete(holder);
    holder.permit = 'resting';
    this.#resting++;
    this.#free();
  }

  /**
   * The person has answered: a holder that rests runs on at once, whoever waits, because its upstream is at work already.
   * Those that run are then more than the limit; the sockets are not, for nobody starts before they are fewer again.
   */
  wake(holder: PermitHolder): void {
    this.#restless.delete(holder);
    if (holder.permit !== 'resting') return;
    holder.permit = 'held';
    this.#held++;
    this.#endRest();
  }

  /** The holder runs no longer, or waits no longer; harmless when it does neither. */
  giveBack(holder: PermitHolder): void {
    const { permit } = holder;
    holder.permit = 'none';
    if (permit === 'waiting') this.#waiting.delete(holder);
    else if (permit === 'resting') this.#endRest();
    else if (permit === 'held') {
      this.#restless.delete(holder);
      this.#free();
    }
  }

  #endRest(): void {
    this.#resting--;
    const [next] = this.#restless;
    if (next !== undefined) this.rest(next);
  }

  #free(): void {
    this.#held--;
    if (this.#waiting.size > 0) this.#startLater();
  }

  /** Lets all who wait start, whatever the limit: what they start on has been shut, and tells them so. */
  startAll(): void {
    for (const holder of [...this.#waiting.keys()]) this.#start(holder);
  }

  /**
   * A turn later, when undici has taken back the socket of the call that has ended: what is dispatched before opens
   * another. It is told in a microtask, so that this runs behind undici's own immediate.
   */
  #startLater(): void {
    if (this.#isStartDue) return;
    this.#isStartDue = true;
    queueMicrotask(() => setImmediate(() => this.#startNext()));
  }

  #startNext(): void {
    this.#isStartDue = false;
    for (const holder of this.#waiting.keys()) {
      if (this.#held >= this.#limit) return;
      this.#start(holder);
    }
  }

  #start(holder: PermitHolder): void {
    const start = this.#waiting.get(holder);
    if (start === undefined) return;
    this.#waiting.delete(holder);
    this.#held++;
    holder.permit = 'held';
    start();
  }
}
