// Breaks up work for many streams into slices of a few milliseconds: requests have their turn in between.

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
