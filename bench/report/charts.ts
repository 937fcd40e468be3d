// Which charts a report has: one for each subject, and one of all bounds.

import { judge } from '../budgets.ts';
import { FIGURE_NAMES, FIGURES, type FigureName } from '../figures.ts';
import type { Results, ScenarioResult } from '../results.ts';
import { SUBJECTS, type Subject } from '../scenario.ts';
import { spreadOf } from '../statistics.ts';
import { digitsOf, figureHeading, formatBound, formatNumber } from './format.ts';
import { type BarGroup, type Chart, toSvg } from './svg.ts';

export const SUBJECT_TITLES: Readonly<Record<Subject, string>> = {
  calls: 'Small calls',
  payloads: 'Large results and arguments',
  lists: 'Lists of tools',
  scale: 'Many grants, configs and tokens',
  latency: 'Latency',
  sessions: 'Sessions',
  workers: 'More than one process',
  memory: 'Memory and streams',
  overload: 'Overload',
};

/** By file name. */
export function toCharts({ scenarios }: Results): ReadonlyMap<string, string> {
  const charts = SUBJECTS.flatMap((subject) => {
    const groups = scenarios.filter((each) => each.subject === subject).flatMap(toGroup);
    return groups.length === 0 ? [] : [[`${subject}.svg`, toSvg({ title: SUBJECT_TITLES[subject], groups })] as const];
  });
  const bounds = toBoundsChart(scenarios);
  return new Map([...charts, ...(bounds === undefined ? [] : [['bounds.svg', toSvg(bounds)] as const])]);
}

/** Its most telling figure, of all lanes. */
function toGroup({ title, lanes, budgets }: ScenarioResult): BarGroup[] {
  const has = (figure: FigureName) => lanes.some(({ rounds }) => rounds.some((round) => figure in round));
  const figure = [...budgets.map((budget) => budget.figure), ...FIGURE_NAMES].find(has);
  if (figure === undefined) return [];
  const { digits, unit } = FIGURES[figure];
  const bars = lanes.flatMap(({ name, rounds }) => {
    const spread = spreadOf(rounds, figure);
    if (spread === undefined) return [];
    return [{ label: name, ...spread, text: `${formatNumber(spread.median, digits)} ${unit}`, isOwn: isOwn(name) }];
  });
  return [{ title: `${title}: ${figureHeading(figure)}`, bars }];
}

const OTHERS = /^(?:direct|pipe|static|nginx|haproxy|sdk-|mcp-proxy|supergateway)/;

/** Lanes are the gateway in some state, or what it is compared with. */
function isOwn(lane: string): boolean {
  return !OTHERS.test(lane);
}

/** How much of each bound is used: what is beyond the mark does not hold. */
function toBoundsChart(scenarios: readonly ScenarioResult[]): Chart | undefined {
  const bars = scenarios.flatMap(({ name, lanes, budgets }) =>
    budgets.flatMap((budget) => {
      const verdict = judge(budget, lanes);
      if (verdict === undefined) return [];
      const { atMost, atLeast } = budget;
      const share = (value: number) => Math.max(0, atMost === undefined ? (atLeast ?? 0) / value : value / atMost);
      const shares = [verdict.measured.min, verdict.measured.max].map(share);
      const text = `${formatNumber(verdict.measured.median, digitsOf(budget))}, bound ${formatBound(budget)}`;
      const [min, max] = [Math.min(...shares), Math.max(...shares)];
      return [{ label: name, median: share(verdict.measured.median), min, max, text, isOwn: verdict.holds }];
    }),
  );
  if (bars.length === 0) return undefined;
  return { title: 'How much of each bound is used', groups: [{ title: 'Up to the line it holds', bars, mark: 1 }] };
}
