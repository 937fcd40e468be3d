// Makes bench/REPORT.md and its charts from the JSON of the last runs, and from nothing else. Also a command of its own.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RESULTS_FOLDER, readJson, readResults, resultsFile } from '../results.ts';
import { toCharts } from './charts.ts';
import { toMarkdown } from './markdown.ts';
import type { MicroResults } from './pieces.ts';

const FOLDER = join(import.meta.dirname, '..');

export function writeReport(): void {
  const [full, quick] = [readResults(resultsFile('full')), readResults(resultsFile('quick'))];
  const micro = readJson<MicroResults>(join(RESULTS_FOLDER, 'micro.json'));
  const charts = join(FOLDER, 'charts');
  rmSync(charts, { recursive: true, force: true });
  mkdirSync(charts);
  const main = full ?? quick;
  for (const [name, svg] of main === undefined ? [] : toCharts(main)) writeFileSync(join(charts, name), svg);
  writeFileSync(join(FOLDER, 'REPORT.md'), toMarkdown({ full, quick, micro }));
}

if (import.meta.main) writeReport();
