// A table of outcomes by row and column, with a legend for the cells that cannot exist.

export type Mark = '✓' | '✗' | '–';

export class MatrixTable {
  readonly #rows: readonly string[];
  readonly #columns: readonly string[];
  readonly #marks = new Map<string, Mark>();
  readonly #reasons = new Map<string, string>();

  constructor(rows: readonly string[], columns: readonly string[]) {
    this.#rows = rows;
    this.#columns = columns;
  }

  /** `reason` says why a cell that is `–` cannot exist. */
  set(row: string, column: string, mark: Mark, reason?: string): void {
    this.#marks.set(`${row}: ${column}`, mark);
    if (reason !== undefined) this.#reasons.set(`${row}: ${column}`, reason);
  }

  /** Names of the cells with that mark; without one, of those that have none. */
  cells(mark?: Mark): string[] {
    const names = this.#rows.flatMap((row) => this.#columns.map((column) => `${row}: ${column}`));
    return names.filter((name) => this.#marks.get(name) === mark);
  }

  lines(): string[] {
    const width = Math.max(...this.#rows.map((row) => row.length));
    const line = (name: string, values: readonly string[]): string =>
      [name.padEnd(width), ...values.map((value, index) => value.padEnd(this.#columns[index]?.length ?? 0))]
        .join('  ')
        .trimEnd();
    const reasons = [...new Set(this.#reasons.values())];
    return [
      line('client → upstream, its reply', this.#columns),
      ...this.#rows.map((row) =>
        line(
          row,
          this.#columns.map((column) => this.#marks.get(`${row}: ${column}`) ?? '?'),
        ),
      ),
      ...reasons.map((reason) => `– ${reason}`),
    ];
  }
}
