// What one scenario of the benchmark is: something that is measured for several targets side by side, with the bounds that
// its figures are held to. The list of all is scenarios.ts.

import type { FigureName, Round } from './figures.ts';
import type { Generator } from './load.ts';

/** `quick` scenarios are part of the full run, too. */
export type ScenarioSet = 'quick' | 'full';

/** Scenarios of one subject stand together in the report, in this order. */
export const SUBJECTS = [
  'calls',
  'payloads',
  'lists',
  'scale',
  'latency',
  'sessions',
  'workers',
  'memory',
  'overload',
] as const;
export type Subject = (typeof SUBJECTS)[number];

export interface Scenario {
  /** Lower case with hyphens, for the command line and the JSON. */
  readonly name: string;
  readonly subject: Subject;
  readonly title: string;
  /** What is sent to what, in one or two sentences for the reader of the report. */
  readonly method: string;
  readonly set: ScenarioSet;
  readonly budgets: readonly Budget[];
  /** Throws when a target answers wrongly: a fast wrong answer is not a result. */
  run(context: Context): Promise<Measured>;
}

/** What a scenario is run with. */
export interface Context {
  readonly set: ScenarioSet;
  /** Counted rounds per lane, and the length of each where it is a time. */
  readonly rounds: number;
  readonly seconds: number;
  /** For arrivals at a fixed rate: the same seed, the same arrivals. */
  readonly seed: number;
  readonly generator: Generator;
  /** An empty folder of the scenario's own. */
  readonly directory: string;
  /** Lanes to measure, by name; undefined for all. */
  readonly lanes: readonly string[] | undefined;
  /** What is to be stopped when the scenario is over, however it ends. */
  readonly cleanup: AsyncDisposableStack;
  /** A line on the terminal about how far it is. */
  readonly say: (text: string) => void;
}

export interface Measured {
  readonly lanes: readonly Lane[];
  /** Targets that could not be measured here, each with why. */
  readonly skipped?: readonly Skipped[];
  /** Facts that the run brought about and a reader needs, such as the rate that was half of saturation. */
  readonly notes?: readonly string[];
}

/** One target (or one state of it). Rounds of one index ran next to each other, so that their ratio cancels the machine's mood. */
export interface Lane {
  readonly name: string;
  readonly rounds: readonly Round[];
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** A bound on the median over the rounds: of a figure, or, with `over`, of its ratio or difference to another lane in the same round. */
export interface Budget {
  readonly words: string;
  readonly lane: string;
  readonly figure: FigureName;
  readonly over?: string;
  /** How `over` is meant; a ratio where it is absent. */
  readonly by?: 'ratio' | 'difference';
  readonly atMost?: number;
  readonly atLeast?: number;
  /** We chose the number: what was asked for has none. */
  readonly isOwn?: boolean;
}

/** An error in one line for the report, which names no place on this machine. */
export function toReason(error: unknown): string {
  const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  return line.replaceAll(/(?<![\w.:/])\/(?:[^\s/:'"`]+\/)+/g, '').slice(0, 300);
}
