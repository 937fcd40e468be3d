// Medians and ranges over rounds, and comparisons of two lanes taken round by round.

import type { FigureName, Round } from './figures.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Where the median of such rounds lies, 95 times of 100; absent of fewer than nine, whose range says as much. */
  readonly medianWithin?: readonly [number, number];
}

const MOST_OUTSIDE = 0.05;

/** `undefined` for no values. */
export function toSpread(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) return undefined;
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const median = (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
  const left = leftAtEachEnd(sorted.length);
  return { median, min, max, ...(left === 0 ? {} : { medianWithin: [at(left), at(sorted.length - 1 - left)] }) };
}

/**
 * How many of so many sorted values stand outside of that interval at each end (order statistics: a value is below the
 * median as often as a coin falls on its head). No assumption is made about how values spread.
 */
function leftAtEachEnd(count: number): number {
  let probability = 0.5 ** count;
  let sum = probability;
  let left = 0;
  for (; sum <= MOST_OUTSIDE / 2; left++) {
    probability *= (count - left) / (left + 1);
    sum += probability;
  }
  return Math.max(0, left - 1);
}

/** Of one figure over the rounds that have it. */
export function spreadOf(rounds: readonly Round[], figure: FigureName): Spread | undefined {
  return toSpread(rounds.flatMap((round) => round[figure] ?? []));
}

/** Of the ratios (or differences) of rounds with the same index. The median of these is not the ratio of the medians. */
export function compare(
  rounds: readonly Round[],
  over: readonly Round[],
  figure: FigureName,
  by: 'ratio' | 'difference',
): Spread | undefined {
  const values = rounds.flatMap((round, index) => {
    const [own, other] = [round[figure], over[index]?.[figure]];
    if (own === undefined || other === undefined) return [];
    return by === 'ratio' ? own / other : own - other;
  });
  return toSpread(values);
}
