// Whether measured lanes keep the bounds of their scenario. A bound that nothing was measured for is not kept in silence.

import type { Budget, Lane } from './scenario.ts';
import { compare, type Spread, spreadOf } from './statistics.ts';

/** `unresolved`: of many rounds, where the median lies is known too little to tell. `unmeasured`: a lane or its figure is not there. */
export type Outcome = 'holds' | 'missed' | 'unresolved' | 'unmeasured';

export interface Verdict {
  readonly budget: Budget;
  /** Absent where it was not measured. */
  readonly measured?: Spread;
  readonly outcome: Outcome;
}

export function judge(budget: Budget, lanes: readonly Lane[]): Verdict {
  const measured = measure(budget, lanes);
  if (measured === undefined) return { budget, outcome: 'unmeasured' };
  const { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = budget;
  const keeps = (value: number) => value <= atMost && value >= atLeast;
  const { median, medianWithin: [from, to] = [median, median] } = measured;
  if (keeps(from) !== keeps(to)) return { budget, measured, outcome: 'unresolved' };
  return { budget, measured, outcome: keeps(median) ? 'holds' : 'missed' };
}

function measure({ lane, figure, over, by = 'ratio' }: Budget, lanes: readonly Lane[]): Spread | undefined {
  const roundsOf = (name: string) => lanes.find((each) => each.name === name)?.rounds;
  const own = roundsOf(lane);
  if (own === undefined) return undefined;
  if (over === undefined) return spreadOf(own, figure);
  const other = roundsOf(over);
  return other === undefined ? undefined : compare(own, other, figure, by);
}
