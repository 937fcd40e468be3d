// What commands print: data on stdout, talk on stderr. Text is for scripts and eyes, JSON and YAML for programs.

import { styleText } from 'node:util';

export type OutputFormat = 'text' | 'json' | 'yaml';
type Row = Readonly<Record<string, string>>;

/** The view itself for programs, or `text` for eyes. */
export async function print(format: OutputFormat, view: unknown, text: string): Promise<void> {
  if (format === 'json') process.stdout.write(`${JSON.stringify(view, null, 2)}\n`);
  else if (format === 'yaml') process.stdout.write(await toYaml(view));
  else process.stdout.write(text);
}

/** The library is loaded by who wants YAML: it would be a third of the time that `--version` takes. */
async function toYaml(view: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(view, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** A table with a header line, or the rows for programs. */
export function printTable(format: OutputFormat, rows: readonly Row[]): Promise<void> {
  if (format === 'text' && rows.length === 0) process.stderr.write('none\n');
  return print(format, rows, toTable(rows));
}

/** Something made: its one-time value alone on stdout for scripts, or the whole for programs. */
export function printCreated(format: OutputFormat, row: Row, valueColumn: string): Promise<void> {
  if (format === 'text') process.stderr.write(valueNote(row));
  return print(format, row, `${row[valueColumn]}\n`);
}

export function valueNote({ id, name }: Readonly<Record<string, unknown>>, done = 'was made'): string {
  return `${id} '${name}' ${done}. This is its value; it is not shown again:\n`;
}

/** A header line and a line for each row; nothing for no rows. */
export function toTable(rows: readonly Row[]): string {
  const [first] = rows;
  if (first === undefined) return '';
  const columns = Object.keys(first);
  const cells = rows.map((row) => columns.map((column) => toLine(row[column] ?? '')));
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...cells.map((each) => each[index]?.length ?? 0)),
  );
  return [columns.map((column) => column.toUpperCase()), ...cells]
    .map((each) => each.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** One field a line. */
export function toFields(view: Readonly<Record<string, unknown>>): string {
  const width = Math.max(0, ...Object.keys(view).map((name) => name.length));
  return Object.entries(view)
    .map(([name, value]) => `${name.padEnd(width)}  ${toLine(toText(value))}`.trimEnd())
    .map((line) => `${line}\n`)
    .join('');
}

/** A field of a view as people read it: times as ISO 8601 are the caller's business, as only their names tell them. */
export function toText(value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value.join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function toTime(ms: unknown): string {
  return typeof ms === 'number' ? new Date(ms).toISOString() : '-';
}

/** What others wrote must not move the cursor or paint the terminal of who reads it. */
export function toLine(text: string): string {
  return text.replace(/\p{Cc}/gu, '\ufffd');
}

type Paint = 'green' | 'red' | 'yellow' | 'bold';

/** Coloured on a terminal that wants it: not with `NO_COLOR`, and not into a file. */
export function paint(style: Paint, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}
