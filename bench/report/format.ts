// Numbers for people.

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

/** What a bound counts in: times, or the unit of its figure. */
export function unitOf({ over, by = 'ratio', figure }: Budget): string {
  return over !== undefined && by === 'ratio' ? '×' : FIGURES[figure].unit;
}

export function digitsOf({ over, by = 'ratio', figure, atLeast }: Budget): number {
  if (over !== undefined && by === 'ratio') return atLeast === undefined ? 2 : 1;
  return FIGURES[figure].digits;
}

export function formatBound(budget: Budget): string {
  const { atMost, atLeast } = budget;
  const bounds = [atMost === undefined ? [] : [`≤ ${atMost}`], atLeast === undefined ? [] : [`≥ ${atLeast}`]].flat();
  return `${bounds.join(', ')} ${unitOf(budget)}`.trimEnd();
}

export function toRatio({ baseline, byLane }: Ratios, lane: string, digits: number): string {
  const ratio = byLane.get(lane);
  if (ratio === undefined) return lane === baseline ? '1' : '';
  return formatNumber(ratio, digits);
}
