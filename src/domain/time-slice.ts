// Breaks up long work into slices of a few milliseconds: requests have their turn in between.

import { performance } from 'node:perf_hooks';

const SLICE_MS = 5;

/** All the work that shares it takes no more than a slice in one turn of the event loop. */
export class TimeSlice {
  /** Of this turn; `undefined` when nothing has been done in it yet. */
  #endsMs: number | undefined;
  #resting: Promise<void> | undefined;

  /** To be asked after each piece of work. */
  get isOver(): boolean {
    if (this.#endsMs !== undefined) return performance.now() > this.#endsMs;
    this.#endsMs = performance.now() + SLICE_MS;
    setImmediate(() => {
      this.#endsMs = undefined;
    });
    return false;
  }

  /** Lets the others have their turn. */
  rest(): Promise<void> {
    this.#resting ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#resting = undefined;
        resolve();
      });
    });
    return this.#resting;
  }
}

/** However many clients ask for long lists at once. */
const SHARED = new TimeSlice();

/** Takes steps, one at least, for as long as this turn of the event loop has room; whether that was all. */
export function fitsInTurn(steps: Iterable<unknown>): boolean {
  return begin(steps) === undefined;
}

/** Takes all steps; `undefined` when they fit into this turn, else resolves when they are done. */
export function inSlices(steps: Iterable<unknown>): Promise<void> | undefined {
  const left = begin(steps);
  return left && goOn(left);
}

/** What is left when this turn has no more room. */
function begin(steps: Iterable<unknown>): Iterator<unknown> | undefined {
  const left = steps[Symbol.iterator]();
  do {
    if (left.next().done === true) return undefined;
  } while (!SHARED.isOver);
  return left;
}

async function goOn(left: Iterator<unknown>): Promise<void> {
  do {
    while (SHARED.isOver) await SHARED.rest();
  } while (left.next().done !== true);
}
