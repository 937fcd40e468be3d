// Medians and ranges over rounds, and comparisons of two lanes taken round by round.

import type { FigureName, Round } from './figures.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** `undefined` for no values. */
export function toSpread(values: readonly number[]): Spread | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) return undefined;
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min, max };
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
