// bench/REPORT.md, from the JSON of the last runs alone: the same JSON gives the same words.

import { judge, type Outcome, type Verdict } from '../budgets.ts';
import { FIGURE_NAMES, FIGURES, type FigureName } from '../figures.ts';
import { committedRatios, ratiosOf } from '../gate.ts';
import type { Results, ScenarioResult } from '../results.ts';
import { type Lane, SUBJECTS, type Subject } from '../scenario.ts';
import { compare, spreadOf } from '../statistics.ts';
import { MOST_ROUNDS_WITHOUT_BOUND } from '../suite.ts';
import { GATEWAY_FLAG } from '../targets.ts';
import { SUBJECT_TITLES } from './charts.ts';
import {
  digitsOf,
  figureHeading,
  formatBound,
  formatMeasured,
  formatNumber,
  formatSpread,
  OUTCOME_WORDS,
  toRatio,
  unitOf,
} from './format.ts';
import { type MicroResults, toPieces } from './pieces.ts';

export interface ReportInput {
  readonly full: Results | undefined;
  readonly quick: Results | undefined;
  readonly micro?: MicroResults | undefined;
}

const HEAD = `# What Switchboard costs

Measured by \`npm run bench:full\` and \`npm run bench\`, which write this page from \`bench/results/*.json\`; edits are lost. How it
is measured is in [the README of the benchmark](README.md). Numbers are medians over interleaved rounds, with the range in
parentheses. Times belong to the machine; ratios are taken between rounds that ran next to each other, and are the result.
Where there is CPU per call, p50 to p99.9 are of a closed loop, in which a slow answer holds back the calls behind it; what
callers wait for is told at half of saturation and beyond it.

The gateway and the mock upstream set a flag of V8 for themselves, \`${GATEWAY_FLAG}\`; everything
else is Node as it comes. With results and arguments of 100 KB and more that flag alone makes a pipe cheaper: the lane \`pipe-flag\`
is the bare pipe with it, and what the gateway costs beside that lane is what it costs without help from the flag.`;

/** A full run is told whole; of a quick one, beside it, only the ratios that CI compares with. */
export function toMarkdown({ full, quick, micro }: ReportInput): string {
  const main = full ?? quick;
  if (main === undefined) return `${HEAD}\n\nNothing has been measured yet.\n`;
  const sections = [
    HEAD,
    ...toFailures(main),
    toMachine(main),
    toBounds(main),
    ...SUBJECTS.flatMap((subject) => toSubject(subject, main)),
    ...(micro === undefined ? [] : [toPieces(micro)]),
    ...(quick === undefined ? [] : [toReference(quick)]),
  ];
  return `${sections.join('\n\n')}\n`;
}

function toTable(rows: readonly (readonly string[])[]): string {
  const [heads = [], ...body] = rows;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = heads.map((_, column) => (column === 0 ? '---' : '--:'));
  return [line(heads), line(rule), ...body.map(line)].join('\n');
}

function toMachine(results: Results): string {
  const { machine, versions, load } = { ...results, load: loadWords(results) };
  const rows = [
    ['', ''],
    ['commit', `${results.commit}, ${results.date.slice(0, 10)}`],
    ['command', `\`${results.command}\``],
    ['machine', machineWords(machine)],
    [
      'versions',
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    ['load', load],
  ];
  const [heads = [], ...body] = rows;
  return [
    '## What it ran on',
    '',
    `| ${heads.join(' | ')} |`,
    '| --- | --- |',
    ...body.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n');
}

function machineWords({ cpu, cores, memoryGiB, kernel, isVirtual }: Results['machine']): string {
  return `${isVirtual ? 'virtual, ' : ''}${cores} cores (${cpu}), ${memoryGiB} GiB, ${kernel}`;
}

function loadWords({ generator, connections, rounds, secondsPerRound, seed }: Results): string {
  const by = generator === 'own' ? 'the generator of `switchboard bench`' : generator;
  return `${by}, ${connections} connections unless said otherwise, ${rounds} rounds of ${secondsPerRound} s (at most ${MOST_ROUNDS_WITHOUT_BOUND} where nothing is held to a bound), seed ${seed}; generator, upstream and target share the cores`;
}

interface Held {
  readonly scenario: ScenarioResult;
  readonly verdict: Verdict;
}

/** In front of everything: what failed is missing in all that follows. */
function toFailures({ scenarios }: Results): string[] {
  const failed = scenarios.filter(({ failure }) => failure !== undefined);
  if (failed.length === 0) return [];
  return [`**Failed, and so not measured: ${failed.map(({ title, name }) => `[${title}](#${name})`).join(', ')}.**`];
}

function toBounds({ scenarios }: Results): string {
  const all = scenarios.flatMap((scenario) =>
    scenario.budgets.map((budget): Held => ({ scenario, verdict: judge(budget, scenario.lanes) })),
  );
  if (all.length === 0) return '## What it is held to\n\nNothing in this run has a bound.';
  const rows = all.map(({ scenario, verdict }) => [
    `[${scenario.title}](#${scenario.name}), ${verdict.budget.lane}: ${verdict.budget.words}`,
    formatBound(verdict.budget),
    formatMeasured(verdict),
    OUTCOME_WORDS[verdict.outcome],
  ]);
  return [
    '## What it is held to',
    '',
    `${countWords(all)} A bound is *ours* where what was asked for has no number. Of more than eight rounds it is told between which`,
    'values their median lies (95 times of 100); a bound between these is not resolved.',
    '',
    '![How much of each bound is used](charts/bounds.svg)',
    '',
    toTable([['', 'Bound', 'Measured', ''], ...rows]),
    '',
    ...toMissed(all.filter(({ verdict }) => verdict.outcome === 'missed')),
  ]
    .join('\n')
    .trimEnd();
}

function countWords(all: readonly Held[]): string {
  const count = (outcome: Outcome) => all.filter(({ verdict }) => verdict.outcome === outcome).length;
  const others = [
    ['not kept', count('missed')],
    ['not resolved', count('unresolved')],
    ['not measured', count('unmeasured')],
  ] as const;
  const words = others.flatMap(([what, number]) => (number === 0 ? [] : [`${what}: ${number}`]));
  return `${[`${count('holds')} of ${all.length} bounds hold`, ...words].join('; ')}.`;
}

/** What is slower than we would like, in words. */
function toMissed(missed: readonly Held[]): string[] {
  if (missed.length === 0) return [];
  const lines = missed.map(({ scenario, verdict: { budget, measured } }) => {
    const value = `${formatNumber(measured?.median ?? 0, digitsOf(budget))} ${unitOf(budget)}`.trimEnd();
    return `- ${scenario.title}, ${budget.lane}: ${budget.words} is ${value} where ${formatBound(budget)} is wanted.`;
  });
  return ['### Slower than we would like', '', ...lines];
}

function toSubject(subject: Subject, { scenarios }: Results): string[] {
  const own = scenarios.filter((scenario) => scenario.subject === subject);
  if (own.length === 0) return [];
  const title = SUBJECT_TITLES[subject];
  return [`## ${title}`, `![${title}](charts/${subject}.svg)`, ...own.map(toScenario)];
}

function toScenario(scenario: ScenarioResult): string {
  const { name, title, method, lanes, skipped = [], notes = [], failure } = scenario;
  const figures = FIGURE_NAMES.filter((figure) => lanes.some(({ rounds }) => rounds.some((round) => figure in round)));
  const ratios = ratiosOf(scenario);
  const added = addedOver(lanes, figures);
  const rows = lanes.map((lane) => [
    lane.name,
    ...figures.map((figure) => cellOf(lane, figure)),
    ...added.map(({ cells }) => cells.get(lane.name) ?? ''),
    ...(ratios === undefined ? [] : [toRatio(ratios, lane.name, 2)]),
  ]);
  const heads = [
    '',
    ...figures.map(figureHeading),
    ...added.map(({ heading }) => heading),
    ...(ratios === undefined ? [] : [`CPU × ${ratios.baseline}`]),
  ];
  const failed = failure === undefined ? [] : [`**It failed:** ${failure}`];
  const remarks = [...failed, ...notes, ...skipped.map((each) => `Not measured here: ${each.name} (${each.reason}).`)];
  return [
    `### ${title}`,
    '',
    `<a id="${name}"></a>${method}`,
    ...(rows.length === 0 ? [] : ['', toTable([heads, ...rows])]),
    ...remarks.flatMap((remark) => ['', remark]),
  ].join('\n');
}

interface AddedColumn {
  readonly heading: string;
  readonly cells: ReadonlyMap<string, string>;
}

/** What lanes add to the latency of the upstream itself. In a closed loop latency is only the other side of calls/s. */
function addedOver(lanes: readonly Lane[], figures: readonly FigureName[]): AddedColumn[] {
  const direct = lanes.find(({ name }) => name === 'direct');
  if (direct === undefined || figures.includes('callsPerSecond')) return [];
  return figures.filter(isLatency).map((figure) => {
    const cells = lanes.flatMap(({ name, rounds }) => {
      const spread = name === 'direct' ? undefined : compare(rounds, direct.rounds, figure, 'difference');
      return spread === undefined ? [] : [[name, formatSpread(spread, FIGURES[figure].digits)] as const];
    });
    return { heading: `${figureHeading(figure)} over direct`, cells: new Map(cells) };
  });
}

function isLatency(figure: FigureName): boolean {
  return figure === 'p50Us' || figure === 'p99Us' || figure === 'p999Us';
}

function cellOf({ rounds }: Lane, figure: FigureName): string {
  const spread = spreadOf(rounds, figure);
  return spread === undefined ? '' : formatSpread(spread, FIGURES[figure].digits);
}

function toReference(quick: Results): string {
  const titleOf = (name: string) => quick.scenarios.find((each) => each.name === name)?.title ?? name;
  const rows = committedRatios(quick.scenarios).map(({ scenario, lane, baseline, committed }) => [
    titleOf(scenario),
    lane,
    `${formatNumber(committed, 2)} × ${baseline}`,
  ]);
  return [
    '## What CI compares with',
    '',
    `The quick run of ${quick.date.slice(0, 10)}, commit ${quick.commit}, ${machineWords(quick.machine)}: CPU per call over the bare pipe, of a list over a`,
    'static answer. CI fails when one of them is more than 15 % above these, or cannot be measured, in each of three tries.',
    '',
    toTable([['', 'Target', 'CPU'], ...rows]),
  ].join('\n');
}
