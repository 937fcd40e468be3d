// Numbers for people.

import type { Outcome, Verdict } from '../budgets.ts';
import { FIGURES, type FigureName } from '../figures.ts';
import type { Ratios } from '../gate.ts';
import type { Budget } from '../scenario.ts';
import type { Spread } from '../statistics.ts';

export function formatNumber(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `12.3 (11.0–15.9)`; the median alone where all rounds are the same. */
export function formatSpread({ median, min, max }: Spread, digits: number): string {
  const [middle, least, most] = [median, min, max].map((value) => formatNumber(value, digits));
  return least === most ? `${middle}` : `${middle} (${least}–${most})`;
}

export function figureHeading(figure: FigureName): string {
  const { title, unit } = FIGURES[figure];
  return unit === '' ? title : `${title}, ${unit}`;
}

export const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = {
  holds: 'holds',
  missed: '**does not hold**',
  unresolved: '**not resolved**',
  unmeasured: '**not measured**',
};

/** With where the median lies, once there are rounds enough to tell that from their range. */
export function formatMeasured({ budget, measured }: Verdict): string {
  if (measured === undefined) return '';
  const [digits, unit] = [digitsOf(budget), unitOf(budget)];
  const [from, to] = measured.medianWithin ?? [];
  const within =
    from === undefined || to === undefined
      ? ''
      : `; the median lies between ${formatNumber(from, digits)} and ${formatNumber(to, digits)}`;
  return `${`${formatSpread(measured, digits)} ${unit}`.trimEnd()}${within}`;
}

/** What a bound counts in: times, or the unit of its figure. */
export function unitOf({ over, by = 'ratio', figure }: Budget): string {
  return over !== undefined && by === 'ratio' ? '×' : FIGURES[figure].unit;
}

export function digitsOf({ over, by = 'ratio', figure, atLeast }: Budget): number {
  if (over !== undefined && by === 'ratio') return atLeast === undefined ? 2 : 1;
  return FIGURES[figure].digits;
}

export function formatBound(budget: Budget): string {
  const { atMost, atLeast, isOwn = false } = budget;
  const bounds = [
    atMost === undefined ? [] : `≤ ${inFull(atMost)}`,
    atLeast === undefined ? [] : `≥ ${inFull(atLeast)}`,
  ];
  return `${`${bounds.flat().join(', ')} ${unitOf(budget)}`.trimEnd()}${isOwn ? ' (ours)' : ''}`;
}

function inFull(bound: number): string {
  return bound.toLocaleString('en');
}

export function toRatio({ baseline, byLane }: Ratios, lane: string, digits: number): string {
  const ratio = byLane.get(lane);
  if (ratio === undefined) return lane === baseline ? '1' : '';
  return formatNumber(ratio, digits);
}

export function toTime(ns: number): string {
  if (ns < 10_000) return `${formatNumber(ns, ns < 100 ? 1 : 0)} ns`;
  return ns < 10_000_000 ? `${formatNumber(ns / 1e3, 1)} µs` : `${formatNumber(ns / 1e6, 1)} ms`;
}
