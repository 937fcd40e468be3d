// The queries of the Store port, over any SQL database Kysely speaks to. Every one filters on the account, but for pins
// and the values of tokens, which belong to the deployment.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Transaction } from 'kysely';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId, McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../domain/principal.ts';
import type { Devbox } from '../domain/revision.ts';
import { toConflict } from './conflict.ts';
import type {
  Account,
  AccountConfiguration,
  DevboxFilter,
  DevboxQuery,
  RevisionQuery,
  StoredReply,
  StoredRevision,
  StoredToolList,
  Writer,
} from './store.ts';
import {
  type ApiKeyRow,
  type Tables,
  toDevbox,
  toDevboxRow,
  toMcpConfig,
  toMcpConfigRow,
  toSecret,
  toSecretRow,
  toToken,
  toTokenRow,
  withoutAccount,
} from './tables.ts';

type Sql = Transaction<Tables>;

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
const PAGE = 1_000;

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
      const object = was !== undefined && isSameRow(row, rows.get(was)) ? was : read(row);
      rows.set(object, row);
      all.push(object);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    after = last.id;
    await nextTurn();
  }
  return all.sort((a, b) => a.createTimeMs - b.createTimeMs || (a.id < b.id ? -1 : 1));
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

/** The changes of one transaction; `hasChanged` says whether the epoch is due to rise. */
export class SqlWriter implements Writer {
  readonly #sql: Sql;
  readonly #accountId: AccountId;
  #hasChanged = false;

  constructor(sql: Sql, accountId: AccountId) {
    this.#sql = sql;
    this.#accountId = accountId;
  }

  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  readConfiguration(known?: AccountConfiguration): Promise<AccountConfiguration> {
    return selectConfiguration(this.#sql, this.#accountId, this.#hasChanged ? undefined : known);
  }

  async putMcpConfig(config: McpConfig): Promise<void> {
    const row = toMcpConfigRow(this.#accountId, config);
    await this.#sql
      .insertInto('mcpConfigs')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
    this.#hasChanged = true;
  }

  async putSecret(secret: StoredSecret): Promise<void> {
    const row = toSecretRow(this.#accountId, secret);
    await this.#sql
      .insertInto('secrets')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
    this.#hasChanged = true;
  }

  async putToken(token: StoredToken): Promise<void> {
    const row = toTokenRow(this.#accountId, token);
    await this.#requireUnusedHash(token);
    await this.#sql
      .insertInto('tokens')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
    this.#hasChanged = true;
  }

  /** The schema keeps current values apart; one that a rotated token still answers to must be no other's either. */
  async #requireUnusedHash({ id, hash }: StoredToken): Promise<void> {
    const others = this.#sql.selectFrom('tokens').select('id').where('previousHash', '=', hash).where('id', '!=', id);
    if ((await others.executeTakeFirst()) !== undefined) throw toConflict('tokens', undefined);
  }

  async putApiKey(key: StoredApiKey): Promise<void> {
    const row = { ...key, accountId: this.#accountId };
    await this.#sql
      .insertInto('apiKeys')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
    this.#hasChanged = true;
  }

  async putDevbox(devbox: Devbox): Promise<void> {
    const row = toDevboxRow(this.#accountId, devbox);
    await this.#sql
      .insertInto('devboxes')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
  }

  findDevbox(id: string): Promise<Devbox | undefined> {
    return selectDevbox(this.#sql, this.#accountId, id);
  }

  async createAccount({ id, name }: Account, firstKey: StoredApiKey): Promise<void> {
    await this.#sql.insertInto('accounts').values({ accountId: id, name, epoch: 1 }).execute();
    await this.#sql
      .insertInto('apiKeys')
      .values({ ...firstKey, accountId: id })
      .execute();
  }

  async lastRevision(): Promise<StoredRevision | undefined> {
    const [last] = await selectRevisions(this.#sql, this.#accountId, { limit: 1 });
    return last;
  }

  async appendRevision(revision: StoredRevision): Promise<void> {
    await this.#sql
      .insertInto('revisions')
      .values({ ...revision, accountId: this.#accountId })
      .execute();
  }

  async findReply(key: string): Promise<StoredReply | undefined> {
    const replies = this.#sql.selectFrom('replies').selectAll().where('accountId', '=', this.#accountId);
    const row = await replies.where('key', '=', key).executeTakeFirst();
    return row && withoutAccount(row);
  }

  async putReply(reply: StoredReply, nowMs: number): Promise<void> {
    const ofAccount = this.#sql.deleteFrom('replies').where('accountId', '=', this.#accountId);
    await ofAccount.where('expiresAtMs', '<=', nowMs).execute();
    await this.#sql
      .insertInto('replies')
      .values({ ...reply, accountId: this.#accountId })
      .execute();
  }

  async takeReply(key: string): Promise<StoredReply | undefined> {
    const ofAccount = this.#sql.deleteFrom('replies').where('accountId', '=', this.#accountId);
    const row = await ofAccount.where('key', '=', key).returningAll().executeTakeFirst();
    return row && withoutAccount(row);
  }

  deleteMcpConfig(id: string): Promise<void> {
    return this.#delete('mcpConfigs', id);
  }

  deleteSecret(id: string): Promise<void> {
    return this.#delete('secrets', id);
  }

  deleteToken(id: string): Promise<void> {
    return this.#delete('tokens', id);
  }

  async #delete(table: 'mcpConfigs' | 'secrets' | 'tokens', id: string): Promise<void> {
    const { numDeletedRows } = await this.#sql
      .deleteFrom(table)
      .where('accountId', '=', this.#accountId)
      .where('id', '=', id)
      .executeTakeFirst();
    if (numDeletedRows > 0n) this.#hasChanged = true;
  }
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
