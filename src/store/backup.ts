// Backup and restore of a whole store, beside running gateways. What is sealed in it stays sealed.

import { existsSync, realpathSync } from 'node:fs';
import { GatewayError } from '../domain/errors.ts';
import { readBackup, type TableRow, writeBackup } from './backup-file.ts';
import { epochOfRestore } from './epoch.ts';
import { MIGRATIONS, SCHEMA_VERSION_TABLE, stepsAfter, tablesOf } from './migrations.ts';
import { openPostgresTables } from './postgres-tables.ts';
import type { RawSession, RawTables, Row } from './raw-tables.ts';
import { openSqliteTables } from './sqlite-tables.ts';
import { DEFAULT_ACCOUNT } from './store.ts';

export interface BackupSummary {
  readonly rows: number;
  readonly schema: number;
  /** Of the master key that opens what is sealed; unknown where none was used yet. */
  readonly keyFingerprint: string | undefined;
}

/**
 * Writes everything that the store at `url` holds, as of one moment, to `file`, which restores into a store of either
 * kind. Throws `store_unavailable` where there is no store, and `invalid_argument` for a file that is the store's own.
 */
export async function backUp(url: string, file: string): Promise<BackupSummary> {
  requireOtherFile(url, file);
  return openRawTables(url).read(async (session) => {
    const schema = await session.version();
    if (schema === 0) throw new GatewayError('store_unavailable', 'There is no store in the database yet.');
    stepsAfter(schema, 'to back up');
    const found = { keyFingerprint: undefined as string | undefined };
    const rows = await writeBackup(file, schema, noting(found, rowsOf(session, schema)));
    return { rows, schema, ...found };
  });
}

/**
 * Makes what the backup in `file` holds all that the store at `url` holds, in one transaction; a store that is not there
 * is made. `replaces` permits to lose what is there. Gateways that run on the store take it up within a second. Throws
 * `invalid_argument` for a file that is no backup, or torn, or of a newer schema, `conflict` for a store that holds
 * something, and `store_unavailable`.
 */
export async function restore(url: string, file: string, { replaces = false } = {}): Promise<BackupSummary> {
  const { schema } = await proveWhole(file);
  return openRawTables(url).rewrite(async (session) => {
    const epochs = await clear(session, replaces);
    for (const step of MIGRATIONS.slice(0, schema)) await session.execute(step);
    const found = { keyFingerprint: undefined as string | undefined };
    let rows = 0;
    // Read again, and not kept: a store may be larger than the memory. That it is still the same is proved again.
    for await (const { table, row } of noting(found, (await readBackup(file)).rows)) {
      await session.insert(table, table === 'accounts' ? withLaterEpoch(row, epochs) : row);
      rows++;
    }
    for (const step of MIGRATIONS.slice(schema)) await session.execute(step);
    await session.execute(SCHEMA_VERSION_TABLE);
    await session.execute('DELETE FROM schema_version');
    await session.insert('schema_version', { version: MIGRATIONS.length });
    return { rows, schema, ...found };
  });
}

function openRawTables(url: string): RawTables {
  return url.startsWith('sqlite:') ? openSqliteTables(url.slice('sqlite:'.length)) : openPostgresTables(url);
}

/** Before the store is touched. */
async function proveWhole(file: string): Promise<{ readonly schema: number }> {
  const { schema, rows } = await readBackup(file);
  if (schema > MIGRATIONS.length) {
    throw new GatewayError(
      'invalid_argument',
      `${file} was made by a newer Switchboard (schema ${schema}, this one knows ${MIGRATIONS.length}). Nothing was restored: restore it with that one.`,
    );
  }
  for await (const _ of rows);
  return { schema };
}

async function* rowsOf(session: RawSession, schema: number): AsyncGenerator<TableRow> {
  for (const table of tablesOf(schema)) {
    for await (const row of session.rows(table)) yield { table, row };
  }
}

/** Passes the rows on, and keeps the fingerprint of the master key as it goes by. */
async function* noting(
  found: { keyFingerprint: string | undefined },
  rows: AsyncIterable<TableRow>,
): AsyncGenerator<TableRow> {
  for await (const each of rows) {
    if (each.table === 'pins' && each.row.name === 'master_key') found.keyFingerprint = String(each.row.value);
    yield each;
  }
}

/** Drops the tables; gives the epochs that gateways may know. */
async function clear(session: RawSession, replaces: boolean): Promise<ReadonlyMap<unknown, number>> {
  const version = await session.version();
  stepsAfter(version, 'to restore to');
  const tables = tablesOf(version);
  const epochs = new Map<unknown, number>();
  for (const table of tables) {
    for await (const row of session.rows(table)) {
      if (table === 'accounts') epochs.set(row.account_id, Number(row.epoch));
      if (replaces || isOfEveryStore(table, row)) continue;
      throw new GatewayError(
        'conflict',
        'The store is not empty. Nothing was restored. Restore into an empty one, or add --force to lose all that this one holds.',
      );
    }
  }
  for (const table of tables.toReversed()) await session.execute(`DROP TABLE ${table}`);
  return epochs;
}

/** What a store has as soon as it was opened once. */
function isOfEveryStore(table: string, row: Row): boolean {
  return table === 'pins' || (table === 'accounts' && row.account_id === DEFAULT_ACCOUNT && row.epoch === 0);
}

/** An epoch that gateways have seen would tell them that nothing has changed. */
function withLaterEpoch(row: Row, epochs: ReadonlyMap<unknown, number>): Row {
  return { ...row, epoch: epochOfRestore(Math.max(Number(row.epoch), epochs.get(row.account_id) ?? 0)) };
}

function requireOtherFile(url: string, file: string): void {
  const store = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined;
  if (store === undefined || !existsSync(file)) return;
  const own = [store, `${store}-wal`, `${store}-shm`, `${store}.key`].filter((each) => existsSync(each));
  if (!own.map((each) => realpathSync(each)).includes(realpathSync(file))) return;
  throw new GatewayError('invalid_argument', `${file} belongs to the store itself: name another file.`);
}
