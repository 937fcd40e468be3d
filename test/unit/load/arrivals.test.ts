import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createArrivals } from '../../../src/load/arrivals.ts';

function gaps(pattern: 'poisson' | 'even', seed: number): number[] {
  const next = createArrivals({ rate: 500, pattern, seed });
  return Array.from({ length: 20_000 }, () => next());
}

test('arrivals come at their rate, and poisson ones as far apart as those of independent clients', () => {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const poisson = gaps('poisson', 7);
  assert.ok(Math.abs(mean(poisson) - 2) < 0.05);
  const deviation = Math.sqrt(mean(poisson.map((gap) => (gap - 2) ** 2)));
  assert.ok(Math.abs(deviation - 2) < 0.1, 'the deviation of an exponential distribution is its mean');
  assert.deepEqual(new Set(gaps('even', 7)), new Set([2]));
});

test('the same seed gives the same arrivals, another gives others', () => {
  assert.deepEqual(gaps('poisson', 3), gaps('poisson', 3));
  assert.notDeepEqual(gaps('poisson', 3), gaps('poisson', 4));
});
