// The JSON of one run: everything that the report is made of.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine, Versions } from './machine.ts';
import type { Measured, Scenario, ScenarioSet } from './scenario.ts';

export const RESULTS_FOLDER = join(import.meta.dirname, 'results');

export interface Results {
  readonly set: ScenarioSet;
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly seed: number;
  readonly rounds: number;
  readonly secondsPerRound: number;
  readonly connections: number;
  readonly generator: string;
  readonly machine: Machine;
  readonly versions: Versions;
  readonly scenarios: readonly ScenarioResult[];
}

/** With its title and bounds: a report is made of the JSON alone. */
export interface ScenarioResult extends Omit<Scenario, 'run' | 'set'>, Measured {
  readonly seconds: number;
  /** Why it could not be measured to its end; there are no lanes then. */
  readonly failure?: string;
}

export function resultsFile(set: ScenarioSet): string {
  return join(RESULTS_FOLDER, `${set}.json`);
}

export function readResults(file: string): Results | undefined {
  return readJson<Results>(file);
}

/** What a run has written; `undefined` where there is none. */
export function readJson<T>(file: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  return JSON.parse(text) as T;
}

const SIGNIFICANT_DIGITS = 5;

/** One round on a line; five digits are more than a round is good for. */
export function writeResults(file: string, results: Results): void {
  const round = (_: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(SIGNIFICANT_DIGITS)) : value;
  const text = JSON.stringify(results, round, 1);
  // Innermost objects hold no braces: rounds and bounds are put on one line each.
  const folded = text.replaceAll(/\{[^{}[\]]*\}/g, (object) => object.replaceAll(/\s*\n\s*/g, ' '));
  writeFileSync(file, `${folded}\n`);
}
