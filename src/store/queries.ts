// The queries of the Store port, over any SQL database Kysely speaks to. Every one filters on the account, but for pins,
// which belong to the deployment.

import type { Transaction } from 'kysely';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId, McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../domain/principal.ts';
import type { AccountConfiguration, StoredToolList, Writer } from './store.ts';
import { type Tables, toMcpConfig, toMcpConfigRow, toToken, toTokenRow, withoutAccount } from './tables.ts';

type Sql = Transaction<Tables>;

/** One account's configuration, oldest object first. Throws `not_found` for an account the store does not have. */
export async function selectConfiguration(sql: Sql, accountId: AccountId): Promise<AccountConfiguration> {
  const account = await sql
    .selectFrom('accounts')
    .select('epoch')
    .where('accountId', '=', accountId)
    .executeTakeFirst();
  if (account === undefined) throw new GatewayError('not_found', `There is no account ${accountId} in the store.`);
  const mcpConfigs = sql.selectFrom('mcpConfigs').selectAll().where('accountId', '=', accountId);
  const secrets = sql.selectFrom('secrets').selectAll().where('accountId', '=', accountId);
  const tokens = sql.selectFrom('tokens').selectAll().where('accountId', '=', accountId);
  const apiKeys = sql.selectFrom('apiKeys').selectAll().where('accountId', '=', accountId);
  return {
    accountId,
    epoch: account.epoch,
    mcpConfigs: (await mcpConfigs.orderBy('createTimeMs').orderBy('id').execute()).map(toMcpConfig),
    secrets: (await secrets.orderBy('createTimeMs').orderBy('id').execute()).map(withoutAccount),
    tokens: (await tokens.orderBy('createTimeMs').orderBy('id').execute()).map(toToken),
    apiKeys: (await apiKeys.orderBy('createTimeMs').orderBy('id').execute()).map(withoutAccount),
  };
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

  readConfiguration(): Promise<AccountConfiguration> {
    return selectConfiguration(this.#sql, this.#accountId);
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
    const row = { ...secret, accountId: this.#accountId };
    await this.#sql
      .insertInto('secrets')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
    this.#hasChanged = true;
  }

  async putToken(token: StoredToken): Promise<void> {
    const row = toTokenRow(this.#accountId, token);
    await this.#sql
      .insertInto('tokens')
      .values(row)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(row))
      .execute();
    this.#hasChanged = true;
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
