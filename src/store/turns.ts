// Work that takes turns by a key, in the order it asked.

import { setImmediate } from 'node:timers/promises';
import { GatewayError } from '../domain/errors.ts';

/** Who waited so long is turned away, so that a store that hangs does not keep its callers for their sum. */
const LONGEST_WAIT_MS = 5_000;

export class Turns {
  /** Resolves, whatever became of it, with the last that asked. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when all that asked before under `key` have ended. Throws `store_unavailable` when its turn comes too late. */
  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const askedMs = performance.now();
    const before = this.#last.get(key);
    // SQLite works in the thread of the event loop: between two turns that gets one of its own, for the calls in flight.
    const turn = before === undefined ? work() : before.then(() => setImmediate()).then(() => inTime(askedMs, work));
    const ended = turn.then(
      () => {},
      () => {},
    );
    this.#last.set(key, ended);
    ended.then(() => {
      if (this.#last.get(key) === ended) this.#last.delete(key);
    });
    return turn;
  }
}

function inTime<T>(askedMs: number, work: () => Promise<T>): Promise<T> {
  if (performance.now() - askedMs <= LONGEST_WAIT_MS) return work();
  throw new GatewayError('store_unavailable', 'Other writes took too long. Nothing was changed; try again.', {
    retryAfterMs: 1_000,
  });
}
