// The queries of the Store port, over any SQL database Kysely speaks to. Every one filters on the account, but for pins
// and the values of tokens, which belong to the deployment.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Transaction } from 'kysely';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Devbox } from '../domain/revision.ts';
import type {
  Account,
  AccountConfiguration,
  DevboxFilter,
  DevboxQuery,
  RevisionQuery,
  StoredRevision,
  StoredToolList,
} from './store.ts';
import { type ApiKeyRow, type Tables, toDevbox, toMcpConfig, toSecret, toToken, withoutAccount } from './tables.ts';

export type Sql = Transaction<Tables>;

/** By id. */
export async function selectAccounts(sql: Sql): Promise<Account[]> {
  const rows = await sql.selectFrom('accounts').select(['accountId', 'name']).orderBy('accountId').execute();
  return rows.map(({ accountId, name }) => ({ id: accountId as AccountId, name }));
}

/**
 * One account's configuration, oldest object first; `known`, if it is of the epoch that the account is at, and its objects
 * where they were not written since. Throws `not_found` for an account the store does not have.
 */
export async function selectConfiguration(
  sql: Sql,
  accountId: AccountId,
  known?: AccountConfiguration,
): Promise<AccountConfiguration> {
  const account = await sql
    .selectFrom('accounts')
    .select('epoch')
    .where('accountId', '=', accountId)
    .executeTakeFirst();
  if (account === undefined) throw new GatewayError('not_found', `There is no account ${accountId} in the store.`);
  if (known?.accountId === accountId && known.epoch === account.epoch) return known;
  const mcpConfigs = sql.selectFrom('mcpConfigs').selectAll().where('accountId', '=', accountId).orderBy('id');
  const secrets = sql.selectFrom('secrets').selectAll().where('accountId', '=', accountId).orderBy('id');
  const tokens = sql.selectFrom('tokens').selectAll().where('accountId', '=', accountId).orderBy('id');
  const apiKeys = sql.selectFrom('apiKeys').selectAll().where('accountId', '=', accountId).orderBy('id');
  return {
    accountId,
    epoch: account.epoch,
    mcpConfigs: await readAll(
      (after) => mcpConfigs.where('id', '>', after).limit(PAGE).execute(),
      toMcpConfig,
      known?.mcpConfigs,
    ),
    secrets: await readAll((after) => secrets.where('id', '>', after).limit(PAGE).execute(), toSecret, known?.secrets),
    tokens: await readAll((after) => tokens.where('id', '>', after).limit(PAGE).execute(), toToken, known?.tokens),
    apiKeys: await readAll(
      (after) => apiKeys.where('id', '>', after).limit(PAGE).execute(),
      withoutAccount<ApiKeyRow>,
      known?.apiKeys,
    ),
  };
}

/** Rows that are read in one turn of the event loop: some milliseconds. */
const PAGE = 2_000;

/** The row that an object was read from. */
const rows = new WeakMap<object, object>();

/**
 * What the rows of a table say, oldest first; the same object as before where a row is the same in every column. Whoever
 * works on a configuration need then look at nothing but what was written.
 */
async function readAll<
  R extends { readonly id: string },
  T extends { readonly id: string; readonly createTimeMs: number },
>(
  readPage: (after: string) => Promise<readonly R[]>,
  read: (row: R) => T,
  known: readonly T[] | undefined,
): Promise<T[]> {
  const before = new Map(known?.map((object) => [object.id, object]));
  const all: T[] = [];
  for (let after = ''; ; ) {
    const page = await readPage(after);
    for (const row of page) {
      const was = before.get(row.id);
      all.push(was !== undefined && isSameRow(row, rows.get(was)) ? was : readRow(row, read));
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    after = last.id;
    await nextTurn();
  }
  return all.sort(byAge);
}

/** What a row says, which is remembered by it. */
export function readRow<R extends object, T extends object>(row: R, read: (row: R) => T): T {
  const object = read(row);
  rows.set(object, row);
  return object;
}

export interface Aged {
  readonly id: string;
  readonly createTimeMs: number;
}

/** Oldest first. */
export function byAge(one: Aged, other: Aged): number {
  return one.createTimeMs - other.createTimeMs || (one.id < other.id ? -1 : 1);
}

function isSameRow(row: object, other: object | undefined): boolean {
  if (other === undefined) return false;
  for (const column in row) if (row[column as never] !== other[column as never]) return false;
  return true;
}

/** The next epoch of the account, now stored. */
export async function raiseEpoch(sql: Sql, accountId: AccountId): Promise<number> {
  const { epoch } = await sql
    .updateTable('accounts')
    .set((row) => ({ epoch: row('epoch', '+', 1) }))
    .where('accountId', '=', accountId)
    .returning('epoch')
    .executeTakeFirstOrThrow();
  return epoch;
}

/** Newest first. */
export async function selectRevisions(
  sql: Sql,
  accountId: AccountId,
  { before, beforeObjectRevision, limit, sinceMs, untilMs, ...equal }: RevisionQuery,
): Promise<StoredRevision[]> {
  let query = sql.selectFrom('revisions').selectAll().where('accountId', '=', accountId);
  if (before !== undefined) query = query.where('sequence', '<', before);
  if (beforeObjectRevision !== undefined) query = query.where('objectRevision', '<', beforeObjectRevision);
  if (sinceMs !== undefined) query = query.where('timeMs', '>=', sinceMs);
  if (untilMs !== undefined) query = query.where('timeMs', '<', untilMs);
  for (const column of ['objectKind', 'objectId', 'objectRevision', 'actorId', 'action'] as const) {
    const value = equal[column];
    if (value !== undefined) query = query.where(column, '=', value);
  }
  const rows = await query.orderBy('sequence', 'desc').limit(limit).execute();
  return rows.map(withoutAccount);
}

/** Newest first. */
export async function selectDevboxes(
  sql: Sql,
  accountId: AccountId,
  { hasEnded, after, limit }: DevboxQuery,
): Promise<Devbox[]> {
  let query = sql.selectFrom('devboxes').selectAll().where('accountId', '=', accountId);
  if (hasEnded !== undefined) query = query.where('endTimeMs', hasEnded ? 'is not' : 'is', null);
  if (after !== undefined) {
    query = query.where(({ eb, refTuple, tuple }) =>
      eb(refTuple('createTimeMs', 'id'), '<', tuple(after.createTimeMs, after.id)),
    );
  }
  const rows = await query.orderBy('createTimeMs', 'desc').orderBy('id', 'desc').limit(limit).execute();
  return rows.map(toDevbox);
}

export async function countDevboxes(sql: Sql, accountId: AccountId, { hasEnded }: DevboxFilter): Promise<number> {
  let query = sql.selectFrom('devboxes').where('accountId', '=', accountId);
  if (hasEnded !== undefined) query = query.where('endTimeMs', hasEnded ? 'is not' : 'is', null);
  const { count } = await query.select(({ fn }) => fn.countAll().as('count')).executeTakeFirstOrThrow();
  return Number(count);
}

export async function selectDevbox(sql: Sql, accountId: AccountId, id: string): Promise<Devbox | undefined> {
  const devboxes = sql.selectFrom('devboxes').selectAll().where('accountId', '=', accountId);
  const row = await devboxes.where('id', '=', id).executeTakeFirst();
  return row && toDevbox(row);
}

export async function selectToolLists(sql: Sql, accountId: AccountId): Promise<StoredToolList[]> {
  const rows = await sql
    .selectFrom('toolLists')
    .selectAll()
    .where('accountId', '=', accountId)
    .orderBy('key')
    .execute();
  return rows.map(({ key, tools, fetchedAtMs }) => ({
    key,
    // The driver gives a bare Uint8Array; this views the same memory.
    tools: Buffer.from(tools.buffer, tools.byteOffset, tools.byteLength),
    fetchedAtMs,
  }));
}

export async function upsertToolList(sql: Sql, accountId: AccountId, list: StoredToolList): Promise<void> {
  const row = { ...list, accountId };
  await sql
    .insertInto('toolLists')
    .values(row)
    .onConflict((conflict) => conflict.columns(['accountId', 'key']).doUpdateSet(row))
    .execute();
}

export async function deleteOldToolLists(sql: Sql, accountId: AccountId, olderThanMs: number): Promise<void> {
  await sql.deleteFrom('toolLists').where('accountId', '=', accountId).where('fetchedAtMs', '<', olderThanMs).execute();
}

/** Stores `value` under `name` if nothing is there; gives what is there then. */
export async function pinValue(sql: Sql, name: string, value: string): Promise<string> {
  await sql
    .insertInto('pins')
    .values({ name, value })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  const pin = await sql.selectFrom('pins').select('value').where('name', '=', name).executeTakeFirstOrThrow();
  return pin.value;
}
