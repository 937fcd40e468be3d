// Work for many streams in one go: after a slice of it, requests have their turn.

import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';

const SLICE_MS = 5;

export class TimeSlice {
  #endsMs = performance.now() + SLICE_MS;

  get isOver(): boolean {
    return performance.now() > this.#endsMs;
  }

  /** Lets the others have their turn. */
  async rest(): Promise<void> {
    await nextTurn();
    this.#endsMs = performance.now() + SLICE_MS;
  }
}
