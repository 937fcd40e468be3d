// Runs scenarios one after the other, each with a folder and processes of its own.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ScenarioResult } from './results.ts';
import { type Context, type Measured, type Scenario, toReason } from './scenario.ts';

/** Where nothing is held to a bound fewer rounds tell as much, and the full run ends in time. */
export const MOST_ROUNDS_WITHOUT_BOUND = 3;

export interface SuiteOptions extends Omit<Context, 'directory' | 'cleanup' | 'say'> {
  /** Ends the scenario that runs, as failed, and no other begins. */
  readonly interrupted: AbortSignal;
}

/** A scenario that fails is kept as that, and the next one runs. */
export async function runScenarios(scenarios: readonly Scenario[], options: SuiteOptions): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    if (options.interrupted.aborted) break;
    const place = `${index + 1}/${scenarios.length} ${scenario.name}`;
    results.push(await runScenario(scenario, options, (text) => showProgress(`${place}: ${text}`)));
    showProgress('');
  }
  return results;
}

async function runScenario(scenario: Scenario, options: SuiteOptions, say: (text: string) => void) {
  const directory = mkdtempSync(join(tmpdir(), 'switchboard-bench-'));
  const { run, set: _set, ...described } = scenario;
  const startedMs = performance.now();
  say('starting');
  const { name, subject, title, method, budgets } = described;
  const rounds = budgets.length > 0 ? options.rounds : Math.min(options.rounds, MOST_ROUNDS_WITHOUT_BOUND);
  const { interrupted } = options;
  const measured = await attempt((cleanup) =>
    Promise.race([whenInterrupted(interrupted), run({ ...options, rounds, directory, cleanup, say })]),
  );
  rmSync(directory, { recursive: true, force: true });
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  return { name, subject, title, method, budgets, seconds, ...measured };
}

function whenInterrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('it was interrupted'))));
}

async function attempt(
  run: (cleanup: AsyncDisposableStack) => Promise<Measured>,
): Promise<Measured & { readonly failure?: string }> {
  try {
    await using cleanup = new AsyncDisposableStack();
    const measured = await run(cleanup);
    // Scenarios keep more with a lane than belongs into the JSON.
    return { ...measured, lanes: measured.lanes.map(({ name, rounds }) => ({ name, rounds })) };
  } catch (error) {
    process.stderr.write(`${(error as Error).stack}\n`);
    return { lanes: [], failure: toReason(error) };
  }
}

/** On one line of a terminal; elsewhere only how it began. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text.endsWith('starting')) process.stderr.write(`${text.replace(': starting', '')}\n`);
}
