// How often somebody may ask: a bucket of permits for each, which fills again evenly.

import { LRUCache } from 'lru-cache';

export interface Allowance {
  readonly isAllowed: boolean;
  /** Permits left in the bucket. */
  readonly remaining: number;
  /** Until there is a permit, when none is left; until the bucket is full, otherwise. */
  readonly resetMs: number;
}

export interface RateLimiterOptions {
  /** Permits of a full bucket, and how many come back in a window. */
  readonly permits: number;
  readonly windowMs: number;
  /** Milliseconds; need not begin anywhere. */
  readonly now: () => number;
}

/** Somebody who is forgotten begins with a full bucket: they have been away for longer than all these others. */
const MAX_REMEMBERED = 50_000;

/** A token bucket kept as one number each: the time at which it would be full again (GCRA, ITU-T I.371 Annex A). */
export class RateLimiter {
  readonly permits: number;
  readonly windowMs: number;
  readonly #now: () => number;
  // `max` would take the room for all of them, and milliseconds, at every start.
  readonly #fullAtMs = new LRUCache<string, number>({ maxSize: MAX_REMEMBERED, sizeCalculation: () => 1 });

  constructor({ permits, windowMs, now }: RateLimiterOptions) {
    this.permits = permits;
    this.windowMs = windowMs;
    this.#now = now;
  }

  /** Takes a permit, if there is one. */
  take(key: string): Allowance {
    const nowMs = this.#now();
    const costMs = this.windowMs / this.permits;
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(key) ?? nowMs) + costMs;
    const overMs = fullAtMs - nowMs - this.windowMs;
    // A hair above nothing is what is left of adding fractions.
    if (overMs > 1e-6) return { isAllowed: false, remaining: 0, resetMs: overMs };
    this.#fullAtMs.set(key, fullAtMs);
    const resetMs = fullAtMs - nowMs;
    return { isAllowed: true, remaining: Math.floor((this.windowMs - resetMs) / costMs + 1e-6), resetMs };
  }
}
