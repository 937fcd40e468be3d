// CI's question: has a ratio of the gateway to its baseline become worse than the committed one?

import type { ScenarioResult } from './results.ts';
import { compare } from './statistics.ts';

export const TRIES = 3;
const MOST_WORSE = 1.15;
/** What CPU per call is compared with: the first of these that a scenario has. */
export const BASELINES = ['pipe', 'static'];

type Compared = Pick<ScenarioResult, 'name' | 'lanes'>;

export interface Ratios {
  readonly baseline: string;
  /** Medians, by lane. */
  readonly byLane: ReadonlyMap<string, number>;
}

export interface CommittedRatio {
  readonly scenario: string;
  readonly lane: string;
  readonly baseline: string;
  readonly committed: number;
}

export interface Worse extends CommittedRatio {
  /** `undefined` where it was not measured, which may hide anything. */
  readonly measured: number | undefined;
}

/** CPU per call over that of the baseline, round by round, of every lane that has one; `undefined` without a baseline. */
export function ratiosOf({ lanes }: Pick<ScenarioResult, 'lanes'>): Ratios | undefined {
  const baseline = BASELINES.map((name) => lanes.find((lane) => lane.name === name)).find((lane) => lane !== undefined);
  if (baseline === undefined) return undefined;
  const ratios = lanes.flatMap((lane) => {
    const spread = lane === baseline ? undefined : compare(lane.rounds, baseline.rounds, 'cpuUsPerCall', 'ratio');
    return spread === undefined ? [] : [[lane.name, spread.median] as const];
  });
  return ratios.length === 0 ? undefined : { baseline: baseline.name, byLane: new Map(ratios) };
}

/** Only the gateway's own lanes are held to what they were. */
export function committedRatios(scenarios: readonly Compared[]): CommittedRatio[] {
  return scenarios.flatMap((scenario) => {
    const { baseline = '', byLane = new Map<string, number>() } = ratiosOf(scenario) ?? {};
    const own = [...byLane].filter(([lane]) => lane.startsWith('gateway'));
    return own.map(([lane, committed]) => ({ scenario: scenario.name, lane, baseline, committed }));
  });
}

/** Those of `expected` that are worse in `measured`, or are not in it. */
export function findWorse(measured: readonly Compared[], expected: readonly CommittedRatio[]): Worse[] {
  return expected.flatMap((each) => {
    const result = measured.find(({ name }) => name === each.scenario);
    const ratios = result === undefined ? undefined : ratiosOf(result);
    const ratio = ratios?.baseline === each.baseline ? ratios.byLane.get(each.lane) : undefined;
    return ratio !== undefined && ratio <= each.committed * MOST_WORSE ? [] : [{ ...each, measured: ratio }];
  });
}

/** What was worse in each of three tries; once is enough for a ratio that is not. */
export async function findWorseEachTime(
  expected: readonly CommittedRatio[],
  measure: (scenarios: readonly string[]) => Promise<readonly Compared[]>,
  onTry: (tries: number, worse: readonly Worse[]) => void = () => {},
): Promise<readonly CommittedRatio[]> {
  let left = expected;
  for (let tries = 1; tries <= TRIES && left.length > 0; tries++) {
    const worse = findWorse(await measure([...new Set(left.map(({ scenario }) => scenario))]), left);
    onTry(tries, worse);
    left = worse;
  }
  return left;
}
