// The end of a run on a terminal.

import { judge, type Outcome } from '../budgets.ts';
import { FIGURE_NAMES, FIGURES, type FigureName } from '../figures.ts';
import { ratiosOf } from '../gate.ts';
import type { Results, ScenarioResult } from '../results.ts';
import { spreadOf } from '../statistics.ts';
import { figureHeading, formatBound, formatMeasured, formatNumber, formatSpread, toRatio } from './format.ts';

const HIDDEN: readonly FigureName[] = ['p999Us', 'heapMiB', 'loopDelayP99Ms', 'allocatedPerCall', 'cpuNsPerByte'];

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  holds: 'holds',
  missed: 'MISSED',
  unresolved: 'NOT RESOLVED',
  unmeasured: 'NOT MEASURED',
};

export function toText(results: Results): string {
  return results.scenarios.map(toSection).join('\n');
}

function toSection(scenario: ScenarioResult): string {
  const { title, name, lanes, skipped = [], notes = [], failure } = scenario;
  const figures = FIGURE_NAMES.filter(
    (figure) => !HIDDEN.includes(figure) && lanes.some(({ rounds }) => rounds.some((round) => figure in round)),
  );
  const ratios = ratiosOf(scenario);
  const rows = lanes.map((lane) => [
    lane.name,
    ...figures.map((figure) => {
      const spread = spreadOf(lane.rounds, figure);
      if (spread === undefined) return '';
      const { digits } = FIGURES[figure];
      return figure.startsWith('cpu') ? formatSpread(spread, digits) : formatNumber(spread.median, digits);
    }),
    ...(ratios === undefined ? [] : [toRatio(ratios, lane.name, 3)]),
  ]);
  const verdicts = scenario.budgets.map((budget) => {
    const verdict = judge(budget, lanes);
    const measured = formatMeasured(verdict);
    const place = `${budget.lane}: ${budget.words}`;
    return `  ${OUTCOMES[verdict.outcome]}  ${place}: ${measured === '' ? '' : `${measured}, `}bound ${formatBound(budget)}`;
  });
  const lines = [
    `${title} (${name}, ${scenario.seconds} s)`,
    ...alignColumns([
      ['', ...figures.map(figureHeading), ...(ratios === undefined ? [] : [`× ${ratios.baseline}`])],
      ...rows,
    ]),
    ...verdicts,
    ...(failure === undefined ? [] : [`  FAILED: ${failure}`]),
    ...skipped.map((each) => `  skipped ${each.name}: ${each.reason}`),
    ...notes.map((note) => `  ${note}`),
  ];
  return `${lines.join('\n')}\n`;
}

function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const align = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(align).join('  ').trimEnd()}`);
}
