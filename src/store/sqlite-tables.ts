// The tables of a SQLite store as plain rows.

import { existsSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '../domain/errors.ts';
import { readSchemaVersion } from './migrations.ts';
import type { Cell, RawSession, RawTables, Row } from './raw-tables.ts';
import { createDatabaseFile, openReader, openWriter } from './sqlite-connection.ts';
import { isSqliteError, toOpenError } from './sqlite-errors.ts';

export function openSqliteTables(file: string): RawTables {
  return {
    read: (work) =>
      inTransaction(file, 'BEGIN', work, () => {
        if (existsSync(file)) return openReader(file);
        throw new GatewayError('store_unavailable', `There is no store at ${file}.`);
      }),
    rewrite: (work) =>
      inTransaction(file, 'BEGIN IMMEDIATE', work, () => {
        createDatabaseFile(file);
        return openWriter(file);
      }),
  };
}

async function inTransaction<T>(
  file: string,
  begin: string,
  work: (session: RawSession) => Promise<T>,
  open: () => DatabaseSync,
): Promise<T> {
  let database: DatabaseSync | undefined;
  let isOpen = false;
  try {
    database = open();
    database.exec(begin);
    isOpen = true;
    const result = await work(toSession(database));
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // The work has failures of its own, which say themselves what they are about.
    throw isOpen && !isSqliteError(error) ? error : toOpenError(file, error);
  } finally {
    // Without a commit, this undoes the transaction.
    database?.close();
  }
}

function toSession(database: DatabaseSync): RawSession {
  return {
    async version() {
      const isThere = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'").get();
      return isThere === undefined ? 0 : readSchemaVersion(database);
    },
    async *rows(table) {
      for (const row of database.prepare(`SELECT * FROM "${table}"`).iterate()) yield toRow(row);
    },
    async insert(table, row) {
      const columns = Object.keys(row).map((column) => `"${column}"`);
      const places = columns.map(() => '?');
      database.prepare(`INSERT INTO "${table}" (${columns}) VALUES (${places})`).run(...Object.values(row));
    },
    async execute(statements) {
      database.exec(statements);
    },
  };
}

function toRow(row: Record<string, unknown>): Row {
  const cells = Object.entries(row).map(([column, cell]): [string, Cell] => {
    return [column, cell instanceof Uint8Array ? Buffer.from(cell) : (cell as Cell)];
  });
  return Object.fromEntries(cells);
}
