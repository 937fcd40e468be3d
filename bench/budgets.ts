// Whether measured lanes keep the bounds of their scenario.

import type { Budget, Lane } from './scenario.ts';
import { compare, type Spread, spreadOf } from './statistics.ts';

export interface Verdict {
  readonly budget: Budget;
  readonly measured: Spread;
  readonly holds: boolean;
}

/** `undefined` where one of its lanes was not measured. */
export function judge(budget: Budget, lanes: readonly Lane[]): Verdict | undefined {
  const measured = measure(budget, lanes);
  if (measured === undefined) return undefined;
  const { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = budget;
  return { budget, measured, holds: measured.median <= atMost && measured.median >= atLeast };
}

function measure({ lane, figure, over, by = 'ratio' }: Budget, lanes: readonly Lane[]): Spread | undefined {
  const roundsOf = (name: string) => lanes.find((each) => each.name === name)?.rounds;
  const own = roundsOf(lane);
  if (own === undefined) return undefined;
  if (over === undefined) return spreadOf(own, figure);
  const other = roundsOf(over);
  return other === undefined ? undefined : compare(own, other, figure, by);
}
