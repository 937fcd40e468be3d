// A plan for eyes: `+` is made, `~` is changed, `-` goes or is only there; below it, its fields and what comes and goes.

import { paint, toLine, toText, toTime } from '../output.ts';
import type { FieldChange, Step, Stuck } from './plan.ts';
import type { ListEffect, ToolEffect } from './tool-effect.ts';

const SIGNS = { create: '+', update: '~', delete: '-' } as const;
const PAINTS = { create: 'green', update: 'yellow', delete: 'red' } as const;
/** More of the same would hide the rest. */
const MAX_TOOLS = 20;

export function titleOf({ action, kind, name }: Pick<Step, 'action' | 'kind' | 'name'>): string {
  return `${SIGNS[action]} ${kind} ${name}`;
}

/** `remark` follows the name; lines end with line breaks. */
export function toStepText(step: Step, effect: ToolEffect | undefined, remark = ''): string {
  const value = step.action === 'update' && step.hasValue ? ['    value: as in the file'] : [];
  const effects = effect === undefined ? [] : toEffectLines(effect, step.name);
  return joined([
    paint(PAINTS[step.action], titleOf(step)) + remark,
    ...step.changes.map(toChangeLine),
    ...value,
    ...effects,
  ]);
}

export function toStuckText({ kind, name, changes, reason }: Stuck): string {
  return joined([`${paint('yellow', `~ ${kind} ${name}`)} (${reason})`, ...changes.map(toChangeLine)]);
}

function toChangeLine({ field, before, after }: FieldChange): string {
  const [was, is] = [describe(field, before), describe(field, after)];
  return `    ${field}: ${before === null ? is : `${was} → ${is}`}`;
}

function describe(field: string, value: unknown): string {
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return 'none';
  return toLine(field === 'expire_time_ms' ? toTime(value) : toText(value));
}

function toEffectLines(effect: ToolEffect, config: string): string[] {
  const warnings = effect.warnings.map((each) => paint('yellow', `    warning: ${toLine(each)}`));
  const next = effect.suspends.length > 0 ? [`    then: switchboard configs confirm ${config}`] : [];
  if (effect.problem !== null) return [`    tools: not known (${toLine(effect.problem)})`, ...warnings, ...next];
  const others = (['prompts', 'resources'] as const).filter(
    (what) => effect[what].appear_count + effect[what].disappear_count > 0,
  );
  const lists = [...toListLines('tools', effect), ...others.flatMap((what) => toListLines(what, effect[what]))];
  return [...lists, ...warnings, ...next];
}

function toListLines(what: string, { appear, disappear, appear_count, disappear_count }: ListEffect): string[] {
  const all = [
    ...appear.map((name) => paint('green', `      + ${toLine(name)}`)),
    ...disappear.map((name) => paint('red', `      - ${toLine(name)}`)),
  ];
  const more = appear_count + disappear_count - Math.min(all.length, MAX_TOOLS);
  const rest = more > 0 ? [`      and ${more} more`] : [];
  return [`    ${what}: +${appear_count} −${disappear_count}`, ...all.slice(0, MAX_TOOLS), ...rest];
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
