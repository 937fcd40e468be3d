// How many calls may run on an upstream's connections at once. A call that waits for a person gives its permit back and
// keeps its socket: people think for minutes, and ordinary calls must not wait for them.

/** Who runs with a permit, or waits for one. */
export interface PermitHolder {
  /** `none` at first; the permits' to set. */
  permit: 'none' | 'waiting' | 'held';
}

/** Sockets beyond those of running calls, for calls that wait for a person and for requests of the gateway's own. */
export const SPARE_CONNECTIONS = 72;

export class ConnectionPermits {
  readonly #limit: number;
  #held = 0;
  /** In the order in which they came. */
  readonly #waiting = new Map<PermitHolder, () => void>();
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

  /** The holder runs no longer, or waits no longer; harmless when it does neither. */
  giveBack(holder: PermitHolder): void {
    const { permit } = holder;
    holder.permit = 'none';
    if (permit === 'waiting') this.#waiting.delete(holder);
    if (permit !== 'held') return;
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
