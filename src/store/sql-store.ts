// The part of the Store port that is the same for every SQL database: which query answers which call. How a query is run
// (connections, isolation, turns, errors) is the adapter's.

import type { Transaction } from 'kysely';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Devbox } from '../domain/revision.ts';
import {
  countDevboxes,
  deleteOldToolLists,
  pinValue,
  selectAccounts,
  selectConfiguration,
  selectDevbox,
  selectDevboxes,
  selectRevisions,
  selectToolLists,
  upsertToolList,
} from './queries.ts';
import type {
  Account,
  AccountConfiguration,
  DevboxFilter,
  DevboxQuery,
  RevisionQuery,
  StoredRevision,
  StoredToolList,
} from './store.ts';
import type { Tables } from './tables.ts';

export type Work<T> = (sql: Transaction<Tables>) => Promise<T>;

export abstract class SqlStore {
  /** What the last write of this process left behind in each account, for whoever reads it next. */
  protected readonly left = new Map<AccountId, AccountConfiguration>();

  /** Runs `work` on one moment of the database. */
  protected abstract read<T>(work: Work<T>): Promise<T>;
  /** Runs `work` in a transaction of its own: all of it is committed, or none. */
  protected abstract transact<T>(work: Work<T>): Promise<T>;

  accounts(): Promise<readonly Account[]> {
    return this.read(selectAccounts);
  }

  pin(name: string, value: string): Promise<string> {
    return this.transact((sql) => pinValue(sql, name, value));
  }

  readConfiguration(account: AccountId, known?: AccountConfiguration): Promise<AccountConfiguration> {
    // Taken once: what is read again is read from the database.
    const left = this.left.get(account);
    this.left.delete(account);
    return this.read((sql) => selectConfiguration(sql, account, left ?? known));
  }

  readRevisions(account: AccountId, query: RevisionQuery): Promise<readonly StoredRevision[]> {
    return this.read((sql) => selectRevisions(sql, account, query));
  }

  readDevboxes(account: AccountId, query: DevboxQuery): Promise<readonly Devbox[]> {
    return this.read((sql) => selectDevboxes(sql, account, query));
  }

  countDevboxes(account: AccountId, filter: DevboxFilter): Promise<number> {
    return this.read((sql) => countDevboxes(sql, account, filter));
  }

  findDevbox(account: AccountId, id: string): Promise<Devbox | undefined> {
    return this.read((sql) => selectDevbox(sql, account, id));
  }

  readToolLists(account: AccountId): Promise<readonly StoredToolList[]> {
    return this.read((sql) => selectToolLists(sql, account));
  }

  putToolList(account: AccountId, list: StoredToolList): Promise<void> {
    return this.transact((sql) => upsertToolList(sql, account, list));
  }

  deleteToolLists(account: AccountId, olderThanMs: number): Promise<void> {
    return this.transact((sql) => deleteOldToolLists(sql, account, olderThanMs));
  }
}
