// What commands print: data on stdout, talk on stderr. Text is for scripts and eyes, JSON for programs.

export type OutputFormat = 'text' | 'json';
type Row = Readonly<Record<string, string>>;

/** A table with a header line, or a JSON array. */
export function printTable(format: OutputFormat, rows: readonly Row[]): void {
  if (format === 'json') {
    process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    return;
  }
  const [first] = rows;
  if (first === undefined) {
    process.stderr.write('none\n');
    return;
  }
  const columns = Object.keys(first);
  const widths = columns.map((column) => Math.max(column.length, ...rows.map((row) => row[column]?.length ?? 0)));
  for (const line of [
    columns.map((column) => column.toUpperCase()),
    ...rows.map((row) => columns.map((column) => row[column] ?? '')),
  ]) {
    process.stdout.write(
      `${line
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}

/** Something made: its one-time value alone on stdout for scripts, or the whole as JSON. */
export function printCreated(format: OutputFormat, row: Row, valueColumn: string): void {
  if (format === 'json') process.stdout.write(`${JSON.stringify(row, null, 2)}\n`);
  else {
    process.stderr.write(`${row.id} '${row.name}' was made. This is its value; it is not shown again:\n`);
    process.stdout.write(`${row[valueColumn]}\n`);
  }
}
