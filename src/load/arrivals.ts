// When requests are due, whether or not those before them have been answered.

/** `poisson`: like many clients that know nothing of one another. `even`: like a metronome. */
export type ArrivalPattern = 'poisson' | 'even';

export interface ArrivalOptions {
  /** Requests per second. */
  readonly rate: number;
  readonly pattern: ArrivalPattern;
  /** A whole number; the same one gives the same arrivals. */
  readonly seed: number;
}

/** Returns a function that gives the milliseconds from each arrival to the next. */
export function createArrivals({ rate, pattern, seed }: ArrivalOptions): () => number {
  const meanMs = 1000 / rate;
  if (pattern === 'even') return () => meanMs;
  const random = createRandom(seed);
  return () => -Math.log(1 - random()) * meanMs;
}

/** Numbers from 0 to below 1 that look random and are the same for one seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
