// Lanes and results as a run leaves them, for tests of what is made of them.

import type { Results, ScenarioResult } from '../../../bench/results.ts';
import type { Lane } from '../../../bench/scenario.ts';

/** A lane whose rounds cost so many µs of CPU per call. */
export function lane(name: string, ...costs: readonly number[]): Lane {
  return { name, rounds: costs.map((cpuUsPerCall) => ({ cpuUsPerCall })) };
}

export function scenarioResult(more: Partial<ScenarioResult> = {}): ScenarioResult {
  return {
    name: 'small-call',
    subject: 'calls',
    title: 'Small call',
    method: 'One small call.',
    budgets: [
      { words: 'CPU over the pipe', lane: 'gateway', figure: 'cpuUsPerCall', over: 'pipe', atMost: 1.2 },
      {
        words: 'CPU of the other over the gateway',
        lane: 'other',
        figure: 'cpuUsPerCall',
        over: 'gateway',
        atLeast: 20,
      },
    ],
    lanes: [lane('pipe', 30, 40, 50), lane('gateway', 33, 52, 60), lane('other', 990, 1040, 1200)],
    seconds: 3,
    ...more,
  };
}

export function runResults(more: Partial<Results> = {}): Results {
  return {
    set: 'full',
    date: '2026-11-21T20:00:00.000Z',
    commit: 'abc1234',
    command: 'npm run bench:full',
    seed: 1,
    rounds: 3,
    secondsPerRound: 1,
    connections: 32,
    generator: 'wrk',
    machine: { cpu: 'A CPU', cores: 2, memoryGiB: 4, kernel: 'Linux 6.18', isVirtual: true },
    versions: { node: '26.10.0', wrk: '4.1.0' },
    scenarios: [scenarioResult()],
    ...more,
  };
}
