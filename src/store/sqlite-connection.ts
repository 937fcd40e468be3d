// Opening SQLite connections: the pragmas every one of them gets, and Kysely over `node:sqlite`.

import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import {
  CamelCasePlugin,
  CompiledQuery,
  type DatabaseConnection,
  Kysely,
  type SqliteDatabase,
  SqliteDialect,
  type SqliteDialectConfig,
  SqliteDriver,
} from 'kysely';
import { GatewayError } from '../domain/errors.ts';
import { isBusy } from './sqlite-errors.ts';
import type { Tables } from './tables.ts';

const LOCK_WAIT_MS = 5000;
const LOCK_RETRY_MS = 10;

/** A connection and the query builder over it. The two share one lock: a transaction has the connection to itself. */
export interface Connection {
  readonly database: DatabaseSync;
  readonly sql: Kysely<Tables>;
}

/** Creates the file, 0600 in a 0700 directory, unless it exists. SQLite gives its `-wal` and `-shm` the same mode. */
export function createDatabaseFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try {
    // 'wx' and no other flag: closing a descriptor of a database that this process has open would drop its POSIX locks.
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

/** The one connection of this process that writes. */
export function openWriter(file: string): DatabaseSync {
  return prepared(new DatabaseSync(file), (database) => {
    const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode;
    // The file system may refuse WAL (network disks do), and SQLite then goes on in another mode without an error.
    expectPragma('journal_mode', mode, 'wal');
  });
}

/** A connection of its own for reads: they see the last commit, never an open transaction, and do not wait for one. */
export function openReader(file: string): DatabaseSync {
  return prepared(new DatabaseSync(file, { readOnly: true }), () => {});
}

function prepared(database: DatabaseSync, prepare: (database: DatabaseSync) => void): DatabaseSync {
  try {
    setPragmas(database);
    prepare(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function setPragmas(database: DatabaseSync): void {
  database.exec(`
    PRAGMA busy_timeout = ${LOCK_WAIT_MS};
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA synchronous = FULL;
  `);
  // Some builds of SQLite fall back to NORMAL when a WAL database is opened again, and an acknowledged write is lost on power loss.
  expectPragma('synchronous', database.prepare('PRAGMA synchronous').get()?.synchronous, 2);
}

function expectPragma(name: string, actual: unknown, expected: unknown): void {
  if (actual === expected) return;
  throw new GatewayError(
    'store_unavailable',
    `SQLite runs with ${name} ${actual} where ${expected} is needed to keep acknowledged writes. Put the store on a local disk.`,
  );
}

/** Kysely over a connection; `forWriting` begins transactions with the write lock taken. */
export function toConnection(database: DatabaseSync, forWriting: boolean): Connection {
  const dialect = forWriting ? new ImmediateDialect(database) : new SqliteDialect(toDialectConfig(database));
  const plugins = [new CamelCasePlugin({ maintainNestedObjectKeys: true })];
  return { database, sql: new Kysely<Tables>({ dialect, plugins }) };
}

function toDialectConfig(database: DatabaseSync): SqliteDialectConfig {
  const kyselyDatabase: SqliteDatabase = {
    close: () => database.close(),
    prepare(text) {
      const statement = database.prepare(text);
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
        run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
        iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
      };
    },
  };
  return { database: kyselyDatabase };
}

class ImmediateDialect extends SqliteDialect {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super(toDialectConfig(database));
    this.#database = database;
  }

  override createDriver(): SqliteDriver {
    return new ImmediateDriver(this.#database);
  }
}

class ImmediateDriver extends SqliteDriver {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super(toDialectConfig(database));
    this.#database = database;
    // SQLite waits for a lock by stopping the thread, and with it every call in flight. The wait is made here instead.
    database.exec('PRAGMA busy_timeout = 0');
  }

  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += LOCK_RETRY_MS) {
      try {
        await connection.executeQuery(CompiledQuery.raw('begin immediate'));
        return;
      } catch (error) {
        if (!isBusy(error) || waitedMs >= LOCK_WAIT_MS) throw error;
      }
      await delay(LOCK_RETRY_MS);
    }
  }

  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // On a full disk SQLite has rolled back by itself; a second rollback would hide that error behind its own.
    if (this.#database.isTransaction) await super.rollbackTransaction(connection);
  }
}
