// The Store over PostgreSQL, for any number of gateways: writers of one account take turns, two accounts do not wait
// for each other, and readers wait for nobody.

import { sql, type Transaction } from 'kysely';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { ChangeFeed } from './change-feed.ts';
import { type PostgresAddress, parsePostgresUrl } from './postgres-address.ts';
import { explained, isTransient } from './postgres-errors.ts';
import { EPOCH_CHANNEL, EpochFeed } from './postgres-feed.ts';
import { createPool, type PostgresPoolHandle } from './postgres-pool.ts';
import { migratePostgres } from './postgres-schema.ts';
import { raiseEpoch } from './queries.ts';
import { SqlStore, type Work } from './sql-store.ts';
import { SqlWriter } from './sql-writer.ts';
import type { AccountConfiguration, Store, Writer } from './store.ts';
import type { Tables } from './tables.ts';
import { Turns } from './turns.ts';

export interface PostgresStoreOptions {
  /** As `postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full`. */
  readonly url: string;
  /** How often other gateways' commits are looked for when no notification tells of one; 250 unless told. */
  readonly pollMs?: number;
}

/** Connections of one gateway; one more follows the epochs. */
const READERS = 8;
const WRITERS = 4;
/** How often a write is done that the database undoes because of another one. */
const ATTEMPTS = 4;

/**
 * Opens the store in a database that is there, its tables made or brought to the newest schema. Throws
 * `invalid_argument` for a URL that is none, and `store_unavailable`, saying what to do, for a database that cannot be
 * used, or that holds a newer schema.
 */
export async function openPostgresStore({ url, pollMs = 250 }: PostgresStoreOptions): Promise<Store> {
  const address = parsePostgresUrl(url);
  await explained(address.label, migratePostgres(address));
  const readers = createPool(address.config, READERS);
  try {
    const epochs = await selectEpochs(readers);
    return new PostgresStore(address, readers, epochs, pollMs);
  } catch (error) {
    await readers.close();
    throw error;
  }
}

class PostgresStore extends SqlStore implements Store {
  readonly #readers: PostgresPoolHandle;
  readonly #writers: PostgresPoolHandle;
  readonly #changes: ChangeFeed;
  readonly #feed: EpochFeed;
  /** Writers of an account that waited in the database would hold a connection each, and nobody else could write. */
  readonly #turns = new Turns();
  readonly #underWay = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  constructor(
    { config }: PostgresAddress,
    readers: PostgresPoolHandle,
    epochs: ReadonlyMap<AccountId, number>,
    pollMs: number,
  ) {
    super();
    this.#readers = readers;
    this.#writers = createPool(config, WRITERS);
    this.#changes = new ChangeFeed(epochs);
    this.#feed = new EpochFeed({ config, pollMs, onEpochs: (found) => this.#changes.announce(found) });
  }

  epochs(): Promise<ReadonlyMap<AccountId, number>> {
    return this.#track(() => selectEpochs(this.#readers));
  }

  onChange(listener: (accountId: AccountId) => void): () => void {
    return this.#changes.subscribe(listener);
  }

  async write<T>(account: AccountId, work: (writer: Writer) => Promise<T>): Promise<T> {
    const { result, epoch, left } = await this.#track(() =>
      this.#turns.take(account, () => this.#transactAlone((transaction) => writeTo(transaction, account, work))),
    );
    if (left !== undefined) this.left.set(account, left);
    if (epoch !== undefined) this.#changes.announce(new Map([[account, epoch]]));
    return result;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await Promise.all([this.#feed.close(), this.#readers.close(), this.#writers.close()]);
  }

  /** All of one moment, without a lock: what is committed meanwhile is seen by the next read. */
  protected read<T>(work: Work<T>): Promise<T> {
    return this.#track(() =>
      this.#readers.sql.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(work),
    );
  }

  protected transact<T>(work: Work<T>): Promise<T> {
    return this.#track(() => this.#transactAlone(work));
  }

  async #transactAlone<T>(work: Work<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        // Not repeatable read: a write begins by waiting for its account, and has to see what it waited for.
        return await this.#writers.sql
          .transaction()
          .setIsolationLevel('read committed')
          .setAccessMode('read write')
          .execute(work);
      } catch (error) {
        if (attempt === ATTEMPTS || !isTransient(error)) throw error;
      }
    }
  }

  #track<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) {
      return Promise.reject(new GatewayError('store_unavailable', 'The store is closed.'));
    }
    const running = work();
    this.#underWay.add(running);
    const done = () => this.#underWay.delete(running);
    running.then(done, done);
    return running;
  }
}

interface Written<T> {
  readonly result: T;
  /** The account's, if it rose. */
  readonly epoch: number | undefined;
  /** What the account is then configured with, where that is known without reading it. */
  readonly left: AccountConfiguration | undefined;
}

async function writeTo<T>(
  transaction: Transaction<Tables>,
  account: AccountId,
  work: (writer: Writer) => Promise<T>,
): Promise<Written<T>> {
  await lockAccount(transaction, account);
  const writer = new SqlWriter(transaction, account);
  const result = await work(writer);
  if (!writer.hasChanged) return { result, epoch: undefined, left: undefined };
  const epoch = await raiseEpoch(transaction, account);
  // Sent with the commit, and dropped with a rollback.
  await sql`SELECT pg_notify(${EPOCH_CHANNEL}, ${account})`.execute(transaction);
  return { result, epoch, left: writer.leavesAt(epoch) };
}

async function lockAccount(transaction: Transaction<Tables>, account: AccountId): Promise<void> {
  const row = await transaction
    .selectFrom('accounts')
    .select('epoch')
    .where('accountId', '=', account)
    // Not FOR UPDATE, which tool lists would wait for: their foreign key looks at this row, too.
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new GatewayError('not_found', `There is no account ${account} in the store.`);
}

async function selectEpochs(pool: PostgresPoolHandle): Promise<ReadonlyMap<AccountId, number>> {
  const rows = await pool.sql.selectFrom('accounts').select(['accountId', 'epoch']).execute();
  return new Map(rows.map(({ accountId, epoch }) => [accountId as AccountId, epoch]));
}
