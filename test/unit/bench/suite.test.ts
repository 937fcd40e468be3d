// Scenarios one after the other, whatever becomes of each.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { Context, Scenario } from '../../../bench/scenario.ts';
import { runScenarios, type SuiteOptions } from '../../../bench/suite.ts';

function scenario(name: string, run: Scenario['run']): Scenario {
  return { name, subject: 'calls', title: name, method: 'Nothing.', set: 'full', budgets: [], run };
}

function options(interrupted: AbortSignal): SuiteOptions {
  return { set: 'full', rounds: 1, seconds: 1, seed: 1, generator: 'own', lanes: undefined, interrupted };
}

test('a scenario that fails is kept as that, and the next one is measured', async () => {
  const fails = scenario('fails', () => Promise.reject(new Error('1 of 9 calls failed')));
  const measures = scenario('measures', async () => ({ lanes: [{ name: 'pipe', rounds: [{ p50Us: 1 }] }] }));
  const results = await runScenarios([fails, measures], options(new AbortController().signal));
  assert.deepEqual(
    results.map(({ name, failure, lanes }) => [name, failure, lanes.length]),
    [
      ['fails', '1 of 9 calls failed', 0],
      ['measures', undefined, 1],
    ],
  );
});

test('an interruption keeps what was measured, ends what runs, and leaves nothing of it behind', async () => {
  const interruption = new AbortController();
  const seen: string[] = [];
  const measures = scenario('measures', async () => ({ lanes: [] }));
  const hangs = scenario('hangs', ({ directory, cleanup }: Context) => {
    seen.push(directory);
    cleanup.defer(() => void seen.push('stopped'));
    interruption.abort();
    return new Promise(() => {});
  });
  const results = await runScenarios([measures, hangs, measures], options(interruption.signal));
  assert.deepEqual(
    results.map(({ name, failure }) => [name, failure]),
    [
      ['measures', undefined],
      ['hangs', 'it was interrupted'],
    ],
  );
  const [directory = '', stopped] = seen;
  assert.equal(stopped, 'stopped');
  assert.equal(existsSync(directory), false);
});
