// The printed result: scenarios by cells, in each the number of checks that passed, failed, or cannot be bridged; the
// reasons for the last; and what is lost.

import { type ExpectedFailure, isMissing, type Judgement, matchesCell, type Verdict } from './verdicts.ts';

export interface Column {
  readonly title: string;
  readonly verdicts: readonly Verdict[];
}

/** Long enough for what the suite expected and what it got. */
const MAX_MESSAGE = 300;

/** A heading, a line per scenario in the order of the first column, and the sums. */
export function sectionLines(heading: string, columns: readonly Column[]): string[] {
  const scenarios = new Set(columns.flatMap(({ verdicts }) => verdicts.map(({ scenario }) => scenario)));
  const rows = [...scenarios].map((scenario) => [
    scenario,
    ...columns.map(({ verdicts }) => count(verdicts.filter((verdict) => verdict.scenario === scenario))),
  ]);
  const all = [
    [heading, ...columns.map(({ title }) => title)],
    ...rows,
    ['all', ...columns.map(({ verdicts }) => count(verdicts))],
  ];
  const widths = [heading, ...columns].map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0)));
  const lines = all.map((row) => row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  '));
  return lines.map((line) => line.trimEnd());
}

/** `7 ✗2 (1) –1`, without what there is none of. */
function count(verdicts: readonly Verdict[]): string {
  const number = (outcome: Verdict['outcome']) => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const failed = number('failed');
  const directly = number('failed directly');
  const impossible = number('not bridgeable');
  return [
    String(number('passed')),
    ...(failed > 0 ? [`✗${failed}`] : []),
    ...(directly > 0 ? [`(${directly})`] : []),
    ...(impossible > 0 ? [`–${impossible}`] : []),
  ].join(' ');
}

/** What the marks mean, and why a check cannot be bridged: every sentence once, with the checks it concerns. */
export function reasonLines(expected: readonly ExpectedFailure[], judged: ReadonlyMap<string, Judgement>): string[] {
  const inForce = expected.filter(({ cells }) => [...judged.keys()].some((name) => matchesCell(cells, name)));
  const bySentence = Map.groupBy(inForce, ({ sentence, page }) => `    "${sentence}"\n    ${page}`);
  return [
    'n passed · ✗n failed · (n) fail directly as well · –n cannot be bridged, because:',
    ...[...bySentence].flatMap(([reason, entries]) => [
      ...entries.map(({ cells, scenario, check }) => `  – ${cells}: ${scenario}, ${check}`),
      reason,
    ]),
  ];
}

export function findingLines(judged: ReadonlyMap<string, Judgement>): string[] {
  return [...judged].flatMap(([cell, { verdicts, stale }]) => {
    const failed = verdicts.filter(({ outcome }) => outcome === 'failed');
    const [missing, reported] = [failed.filter(isMissing), failed.filter((verdict) => !isMissing(verdict))];
    return [
      ...reported.map(({ scenario, id, name, status, message }) => {
        const why = (message ?? '').replaceAll(/\s+/g, ' ').slice(0, MAX_MESSAGE);
        return `✗ ${cell}: ${scenario}, ${id} (${name}), ${status}: ${why}`;
      }),
      // The first failure of a scenario often ends it: the rest says nothing of its own.
      ...[...Map.groupBy(missing, ({ scenario }) => scenario)].map(
        ([scenario, lost]) => `✗ ${cell}: ${scenario}, not reported: ${lost.map(({ id }) => id).join(', ')}`,
      ),
      ...stale.map(({ scenario, check }) => `✗ ${cell}: ${scenario}, ${check}: is expected to fail, and does not`),
    ];
  });
}

export function unusedLines(entries: readonly ExpectedFailure[]): string[] {
  return entries.map(({ cells, scenario, check }) => `✗ ${cells}: ${scenario}, ${check}: there is no such cell`);
}
