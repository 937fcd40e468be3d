// `npm run bench:micro`: what the pieces of the hot path cost by themselves. Options are in bench/README.md.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeCommit, describeMachine } from '../machine.ts';
import { toTime } from '../report/format.ts';
import { authenticateCases } from './authenticate-cases.ts';
import { catalogCases } from './catalog-cases.ts';
import { classifyCases } from './classify-cases.ts';
import { type MicroCase, type MicroFigures, measureCases } from './measure.ts';
import { scannerCases } from './scanner-cases.ts';
import { sealerCases } from './sealer-cases.ts';
import { spliceCases } from './splice-cases.ts';
import { sseCases } from './sse-cases.ts';

/** Each makes the cases of one subject; their names begin with it. */
const SUBJECTS: readonly (() => readonly MicroCase[])[] = [
  scannerCases,
  classifyCases,
  spliceCases,
  sseCases,
  authenticateCases,
  sealerCases,
  catalogCases,
];

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    'round-ms': { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: join(import.meta.dirname, '..', 'results', 'micro.json') },
  },
});

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value >= 1)) throw new Error(`--${option} takes a number from 1, not "${text}"`);
  return value;
}

const HEADINGS = ['', 'best', 'median', 'worst', 'ns/byte'];

function toTable(figures: readonly MicroFigures[]): string {
  const rows = figures.map(({ name, bestNs, medianNs, worstNs, bestNsPerByte }) => [
    name,
    ...[bestNs, medianNs, worstNs].map(toTime),
    bestNsPerByte === null ? '' : bestNsPerByte.toFixed(3),
  ]);
  const all = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return all.map((row) => row.map(pad).join('  ')).join('\n');
}

const rounds = positive('rounds', options.rounds);
const roundMs = positive('round-ms', options['round-ms']);
const cases = SUBJECTS.flatMap((toCases) => toCases()).filter(({ name }) => name.includes(options.only));
if (cases.length === 0) throw new Error(`No case has "${options.only}" in its name`);
const figures = measureCases(cases, {
  rounds,
  roundMs,
  onRound: (round) => process.stderr.write(`round ${round} of ${rounds}\n`),
});
const report = {
  date: new Date().toISOString(),
  commit: describeCommit(),
  node: process.version,
  machine: describeMachine(),
  rounds,
  roundMs,
  cases: figures,
};
mkdirSync(dirname(options.out), { recursive: true });
writeFileSync(options.out, `${JSON.stringify(report, null, 2)}\n`);
console.log(toTable(figures));
