// The changes of one transaction, over any SQL database, and what they leave behind.

import type { AccountId, McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../domain/principal.ts';
import type { Devbox } from '../domain/revision.ts';
import { toConflict } from './conflict.ts';
import { type Aged, byAge, readRow, type Sql, selectConfiguration, selectDevbox, selectRevisions } from './queries.ts';
import type { Account, AccountConfiguration, StoredReply, StoredRevision, Writer } from './store.ts';
import {
  type ApiKeyRow,
  type Tables,
  toDevboxRow,
  toMcpConfig,
  toMcpConfigRow,
  toSecret,
  toSecretRow,
  toToken,
  toTokenRow,
  withoutAccount,
} from './tables.ts';

/** What is in a configuration. */
type Configured = 'mcpConfigs' | 'secrets' | 'tokens' | 'apiKeys';

/** The changes of one transaction; `hasChanged` says whether the epoch is due to rise. */
export class SqlWriter implements Writer {
  readonly #sql: Sql;
  readonly #accountId: AccountId;
  /** As it was read before the first change. */
  #before: AccountConfiguration | undefined;
  /** By id; `undefined` is deleted. */
  readonly #changes: Readonly<Record<Configured, Map<string, Aged | undefined>>> = {
    mcpConfigs: new Map(),
    secrets: new Map(),
    tokens: new Map(),
    apiKeys: new Map(),
  };
  #hasChanged = false;

  constructor(sql: Sql, accountId: AccountId) {
    this.#sql = sql;
    this.#accountId = accountId;
  }

  get hasChanged(): boolean {
    return this.#hasChanged;
  }

  /**
   * The configuration that the transaction leaves behind at this epoch, as it would be read; `undefined` where that can
   * only be known by reading it.
   */
  leavesAt(epoch: number): AccountConfiguration | undefined {
    const before = this.#before;
    if (before === undefined || before.epoch + 1 !== epoch) return undefined;
    const left = <T extends Aged>(all: readonly T[], changes: ReadonlyMap<string, Aged | undefined>): readonly T[] => {
      if (changes.size === 0) return all;
      const written = [...changes.values()].filter((object) => object !== undefined) as unknown as T[];
      return [...all.filter(({ id }) => !changes.has(id)), ...written].sort(byAge);
    };
    const { mcpConfigs, secrets, tokens, apiKeys } = this.#changes;
    return {
      accountId: this.#accountId,
      epoch,
      mcpConfigs: left(before.mcpConfigs, mcpConfigs),
      secrets: left(before.secrets, secrets),
      tokens: left(before.tokens, tokens),
      apiKeys: left(before.apiKeys, apiKeys),
    };
  }

  async readConfiguration(known?: AccountConfiguration): Promise<AccountConfiguration> {
    if (this.#hasChanged) return selectConfiguration(this.#sql, this.#accountId);
    this.#before = await selectConfiguration(this.#sql, this.#accountId, known);
    return this.#before;
  }

  #note(table: Configured, id: string, object: Aged | undefined): void {
    this.#hasChanged = true;
    this.#changes[table].set(id, object);
  }

  async #put<T extends Configured | 'devboxes'>(table: T, row: Tables[T]): Promise<void> {
    // Each row is of its own table, which the query builder cannot follow over several.
    const sameRow = row as never;
    await this.#sql
      .insertInto(table as Configured)
      .values(sameRow)
      .onConflict((conflict) => conflict.columns(['accountId', 'id']).doUpdateSet(sameRow))
      .execute();
  }

  async putMcpConfig(config: McpConfig): Promise<void> {
    const row = toMcpConfigRow(this.#accountId, config);
    await this.#put('mcpConfigs', row);
    this.#note('mcpConfigs', row.id, readRow(row, toMcpConfig));
  }

  async putSecret(secret: StoredSecret): Promise<void> {
    const row = toSecretRow(this.#accountId, secret);
    await this.#put('secrets', row);
    this.#note('secrets', row.id, readRow(row, toSecret));
  }

  async putToken(token: StoredToken): Promise<void> {
    const row = toTokenRow(this.#accountId, token);
    await this.#requireUnusedHash(token);
    await this.#put('tokens', row);
    this.#note('tokens', row.id, readRow(row, toToken));
  }

  /** The schema keeps current values apart; one that a rotated token still answers to must be no other's either. */
  async #requireUnusedHash({ id, hash }: StoredToken): Promise<void> {
    const others = this.#sql.selectFrom('tokens').select('id').where('previousHash', '=', hash).where('id', '!=', id);
    if ((await others.executeTakeFirst()) !== undefined) throw toConflict('tokens', undefined);
  }

  async putApiKey(key: StoredApiKey): Promise<void> {
    const row = { ...key, accountId: this.#accountId };
    await this.#put('apiKeys', row);
    this.#note('apiKeys', row.id, readRow(row, withoutAccount<ApiKeyRow>));
  }

  async putDevbox(devbox: Devbox): Promise<void> {
    const row = toDevboxRow(this.#accountId, devbox);
    await this.#put('devboxes', row);
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

  async lastRevisionOf(objectId: string): Promise<number> {
    const ofObject = this.#sql.selectFrom('revisions').where('accountId', '=', this.#accountId);
    const { last } = await ofObject
      .where('objectId', '=', objectId)
      .select(({ fn }) => fn.max('objectRevision').as('last'))
      .executeTakeFirstOrThrow();
    return Number(last ?? 0);
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
    if (numDeletedRows > 0n) this.#note(table, id, undefined);
  }
}
