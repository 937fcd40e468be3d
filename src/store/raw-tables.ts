// A store's tables as rows of plain values, for backup and restore: the same words whichever database holds them.

/** 64-bit integers are numbers here, below 2^53; bytes are a Buffer. */
export type Cell = string | number | null | Buffer;
export type Row = Readonly<Record<string, Cell>>;

/** What can be done inside one transaction. */
export interface RawSession {
  /** Version of the schema; 0 for a database without a store. */
  version(): Promise<number>;
  rows(table: string): AsyncIterable<Row>;
  insert(table: string, row: Row): Promise<void>;
  /** Statements as SQLite reads them, in words that `toPostgres` knows. */
  execute(statements: string): Promise<void>;
}

export interface RawTables {
  /** Everything as of one moment, while others write. Throws `store_unavailable`. */
  read<T>(work: (session: RawSession) => Promise<T>): Promise<T>;
  /** All or nothing, while nobody else writes. Throws `store_unavailable`. */
  rewrite<T>(work: (session: RawSession) => Promise<T>): Promise<T>;
}
