// Makes bench/REPORT.md and its charts from the JSON of the last runs, and from nothing else. Also a command of its own.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RESULTS_FOLDER, type Results, readJson, readResults, resultsFile } from '../results.ts';
import { SCENARIOS } from '../scenarios.ts';
import { toCharts } from './charts.ts';
import { type ReportInput, toMarkdown } from './markdown.ts';
import type { MicroResults } from './pieces.ts';

const FOLDER = join(import.meta.dirname, '..');

/** What the results in the checkout say, as REPORT.md holds it, held to the bounds of today. */
export function readReport(): ReportInput {
  const [full, quick] = (['full', 'quick'] as const).map((set) => withBounds(readResults(resultsFile(set))));
  return { full, quick, micro: readJson<MicroResults>(join(RESULTS_FOLDER, 'micro.json')) };
}

/** A bound that came after the last run is part of the report all the same. */
function withBounds(results: Results | undefined): Results | undefined {
  if (results === undefined) return undefined;
  const scenarios = results.scenarios.map((scenario) => {
    const budgets = SCENARIOS.find(({ name }) => name === scenario.name)?.budgets ?? scenario.budgets;
    return { ...scenario, budgets };
  });
  return { ...results, scenarios };
}

export function writeReport(): void {
  const input = readReport();
  const main = input.full ?? input.quick;
  const charts = join(FOLDER, 'charts');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts);
  for (const [name, svg] of main === undefined ? [] : toCharts(main)) writeFileSync(join(charts, name), svg);
  writeFileSync(join(FOLDER, 'REPORT.md'), toMarkdown(input));
}

if (import.meta.main) writeReport();
