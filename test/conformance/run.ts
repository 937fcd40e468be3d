// `npm run conformance [-- --report] [-- CELLS]`: the official conformance suite, directly and through the gateway, in every
// pair of eras, as one table. Fails on what is lost in one era, and on what is lost between eras without a reason.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { reportHead } from '../support/report-head.ts';
import { DIRECT_PASSES, type Revision } from './cells.ts';
import { readExpectedFailures } from './expected-failures.ts';
import { directName, type Plan, planCells, type Results, revisionsOf, runPlan } from './plan.ts';
import { openSuite } from './suite.ts';
import { findingLines, reasonLines, sectionLines, unusedLines } from './table.ts';
import { type Cell, type ExpectedFailure, type Judgement, judge, judgeDirect, matchesCell } from './verdicts.ts';

const ROOT = join(import.meta.dirname, '../..');
const REPORT = join(ROOT, 'test/reports/conformance.txt');
/** A run mostly waits: for pauses that the suite prescribes, and for programs to start. */
const AT_ONCE = availableParallelism() + 1;

const { values, positionals } = parseArgs({
  options: { report: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [pattern = '*'] = positionals;
if (values.report && pattern !== '*') throw new Error('A report is about all cells: name none.');
const head = reportHead('npm run conformance -- --report');
const startedMs = performance.now();
const plan = planCells(pattern);
const expected = readExpectedFailures();
const folder = mkdtempSync(join(tmpdir(), 'switchboard-conformance-'));
// The folder goes, and whatever still runs ends, when this process exits; a signal alone would not let it exit.
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
const broken: string[] = [];
const results = await runPlan(plan, await openSuite(folder), AT_ONCE, (line) => broken.push(line));

const judgements = judgeAll(plan, results, expected);
const unused = expected.filter(
  ({ cells }) => pattern === '*' && ![...judgements.keys()].some((name) => matchesCell(cells, name)),
);
const findings = [...broken, ...directFindings(plan, results), ...findingLines(judgements), ...unusedLines(unused)];
const printed = [
  ...sections(plan, results, judgements),
  ...reasonLines(expected, judgements),
  '',
  ...(findings.length === 0 ? ['Nothing is lost.'] : ['Lost:', ...findings]),
  `${Math.round((performance.now() - startedMs) / 1000)} s`,
].join('\n');
console.log(printed);
if (values.report) {
  mkdirSync(join(ROOT, 'test/reports'), { recursive: true });
  writeFileSync(REPORT, `${head}\n\n${printed}\n`.replaceAll(`${ROOT}/`, ''));
}
process.exitCode = findings.length === 0 ? 0 : 1;

function judgeAll(
  { servers, clients }: Plan,
  found: Results,
  entries: readonly ExpectedFailure[],
): ReadonlyMap<string, Judgement> {
  const judgeCell = (cell: Cell & { revision: Revision }, leg: 'server' | 'client'): [string, Judgement] => [
    cell.name,
    judge(cell, found.get(cell.name) ?? [], found.get(directName(leg, cell.revision)) ?? [], entries),
  ];
  return new Map([
    ...servers.map((cell) => judgeCell(cell, 'server')),
    ...clients.map((cell) => judgeCell(cell, 'client')),
  ]);
}

function directFindings({ servers, clients }: Plan, found: Results): string[] {
  const finding = (leg: 'server' | 'client') => (revision: Revision) => {
    const name = directName(leg, revision);
    const passed = (found.get(name) ?? []).filter(({ status }) => status === 'SUCCESS').length;
    const expectedPasses = DIRECT_PASSES[leg][revision];
    return passed === expectedPasses ? [] : [`✗ ${name}: ${passed} checks passed instead of ${expectedPasses}`];
  };
  return [...revisionsOf(servers).flatMap(finding('server')), ...revisionsOf(clients).flatMap(finding('client'))];
}

function sections({ servers, clients }: Plan, found: Results, judged: ReadonlyMap<string, Judgement>): string[] {
  const section = (
    leg: 'server' | 'client',
    cells: readonly { readonly name: string; readonly revision: Revision; readonly title: string }[],
  ) =>
    revisionsOf(cells).flatMap((revision) => [
      ...sectionLines(`${leg} scenarios of ${revision}`, [
        { title: 'directly', verdicts: judgeDirect(found.get(directName(leg, revision)) ?? []) },
        ...cells
          .filter((cell) => cell.revision === revision)
          .map(({ name, title }) => ({ title, verdicts: judged.get(name)?.verdicts ?? [] })),
      ]),
      '',
    ]);
  return [
    ...section(
      'server',
      servers.map((cell) => ({ ...cell, title: `${cell.upstream}, ${cell.naming}` })),
    ),
    ...section(
      'client',
      clients.map((cell) => ({ ...cell, title: `${cell.client} client` })),
    ),
  ];
}
