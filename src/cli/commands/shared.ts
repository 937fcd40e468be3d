// Words and options that commands of several kinds have in common.

import { Argument, Option } from 'commander';
import { parseCount, parseName } from '../arguments.ts';
import { toFields, toTable, toTime } from '../output.ts';
import type { View } from '../rest-client.ts';
import type { Outcome } from '../rest-command.ts';

export interface ListOptions {
  readonly name?: string;
  readonly limit?: number;
}

export interface MatchOptions {
  /** A revision. */
  readonly ifMatch?: number;
}

export const ID_OR_NAME = new Argument('<id-or-name>', 'id or name');

export function newName(): Argument {
  return new Argument('<name>', 'shown in lists and logs').argParser(parseName);
}

/** This and the next are questions to the gateway: a command on the store itself (`-c`) does not know them. */
export function limitOption(): Option {
  return new Option('--limit <count>', 'most to show; all of them unless told')
    .argParser(parseCount)
    .conflicts('config');
}

export function nameFilter(): Option {
  return new Option('--name <prefix>', 'only those whose name begins with this').conflicts('config');
}

export function matchOption(): Option {
  return new Option('--if-match <revision>', 'only if this is its revision still').argParser(parseCount);
}

export function pathOf(list: string, idOrName: string | undefined, action = ''): string {
  return `/${list}/${encodeURIComponent(idOrName ?? '')}${action}`;
}

export function listed(views: readonly View[], toRow: (view: View) => Record<string, string>): Outcome {
  return { view: views, text: toTable(views.map(toRow)), ...(views.length === 0 ? { note: 'none\n' } : {}) };
}

/** The id alone, for scripts. */
export function written(view: View): Outcome {
  return { view, text: `${view.id}\n` };
}

/** Every field a line, times as people read them. */
export function shown(view: View, more: View = {}): Outcome {
  const fields = Object.entries({ ...view, ...more }).map(([name, value]) =>
    name.endsWith('_time_ms') ? [name.slice(0, -'_ms'.length), toTime(value)] : [name, value],
  );
  return { view, text: toFields(Object.fromEntries(fields)) };
}
