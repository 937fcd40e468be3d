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
    budgets.map((budget) => {
      const { measured, outcome } = judge(budget, lanes);
      const bound = `bound ${formatBound(budget)}`;
      if (measured === undefined)
        return { label: name, median: 0, min: 0, max: 0, text: `not measured, ${bound}`, isOwn: false };
      const { atMost, atLeast } = budget;
      const share = (value: number) => shareOf(value, atMost, atLeast);
      const shares = [measured.min, measured.max].map(share);
      const text = `${formatNumber(measured.median, digitsOf(budget))}, ${bound}`;
      const [min, max] = [Math.min(...shares), Math.max(...shares)];
      return { label: name, median: share(measured.median), min, max, text, isOwn: outcome === 'holds' };
    }),
  );
  if (bars.length === 0) return undefined;
  return { title: 'How much of each bound is used', groups: [{ title: 'Up to the line it holds', bars, mark: 1 }] };
}

/** Nothing of a bound of nothing is used as long as it holds. */
function shareOf(value: number, atMost: number | undefined, atLeast = 0): number {
  if (atMost === undefined) return Math.max(0, atLeast / value);
  return atMost === 0 ? Number(value > 0) : Math.max(0, value / atMost);
}
