// Runs scenarios one after the other, each with a folder and processes of its own.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ScenarioResult } from './results.ts';
import type { Context, Scenario } from './scenario.ts';

export type SuiteOptions = Omit<Context, 'directory' | 'cleanup' | 'say'>;

/** Rejects with the first scenario that cannot be measured; what it had started is stopped. */
export async function runScenarios(scenarios: readonly Scenario[], options: SuiteOptions): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const [index, scenario] of scenarios.entries()) {
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
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));
  const { name, subject, title, method, budgets } = described;
  const measured = await run({ ...options, directory, cleanup, say });
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  return { name, subject, title, method, budgets, seconds, ...measured };
}

/** On one line of a terminal; elsewhere only how it began. */
function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text.endsWith('starting')) process.stderr.write(`${text.replace(': starting', '')}\n`);
}
