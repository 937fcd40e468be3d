// CI's question: has a ratio to the bare pipe become worse than the committed one?

import type { ScenarioResult } from './results.ts';
import { compare } from './statistics.ts';

export const TRIES = 3;
const PIPE = 'pipe';
const MOST_WORSE = 1.15;

export interface Worse {
  readonly scenario: string;
  readonly lane: string;
  readonly committed: number;
  readonly measured: number;
}

/** The median ratio of CPU per call to the pipe, round by round, of every lane that has one. */
export function ratiosToPipe({ lanes }: Pick<ScenarioResult, 'lanes'>): ReadonlyMap<string, number> {
  const pipe = lanes.find(({ name }) => name === PIPE);
  const ratios = lanes.flatMap(({ name, rounds }) => {
    const spread =
      name === PIPE || pipe === undefined ? undefined : compare(rounds, pipe.rounds, 'cpuUsPerCall', 'ratio');
    return spread === undefined ? [] : [[name, spread.median] as const];
  });
  return new Map(ratios);
}

/** Only the gateway's own lanes are held to what they were. A scenario or lane that is new has nothing to be compared with. */
export function findWorse(
  measured: readonly Pick<ScenarioResult, 'name' | 'lanes'>[],
  committed: readonly Pick<ScenarioResult, 'name' | 'lanes'>[],
): Worse[] {
  return measured.flatMap((result) => {
    const before = committed.find(({ name }) => name === result.name);
    const known = before === undefined ? new Map<string, number>() : ratiosToPipe(before);
    return [...ratiosToPipe(result)].flatMap(([lane, ratio]) => {
      const reference = known.get(lane);
      if (reference === undefined || !lane.startsWith('gateway') || ratio <= reference * MOST_WORSE) return [];
      return [{ scenario: result.name, lane, committed: reference, measured: ratio }];
    });
  });
}
