// The Store over one SQLite file, for a gateway of one machine: any number of processes may open the same file.

import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { ChangeFeed } from './change-feed.ts';
import { migrate } from './migrations.ts';
import { raiseEpoch } from './queries.ts';
import { SqlStore, type Work } from './sql-store.ts';
import { SqlWriter } from './sql-writer.ts';
import { type Connection, createDatabaseFile, openReader, openWriter, toConnection } from './sqlite-connection.ts';
import { toOpenError, toStoreError } from './sqlite-errors.ts';
import { DEFAULT_ACCOUNT, type Store, type Writer } from './store.ts';
import { Turns } from './turns.ts';

export interface SqliteStoreOptions {
  readonly file: string;
  /** How often other processes' commits are looked for; 250 unless told. */
  readonly pollMs?: number;
}

/**
 * Opens the store in `file`, created with its directory where absent, brought to the newest schema, and holding the
 * default account. Throws `store_unavailable`, saying what to do, for a file that is damaged, unreadable, no database,
 * or of a newer schema.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const { file, pollMs = 250 } = options;
  try {
    createDatabaseFile(file);
    const writer = openWriter(file);
    try {
      prepare(writer, file);
      return new SqliteStore(file, toConnection(writer, true), toConnection(openReader(file), false), pollMs);
    } catch (error) {
      writer.close();
      throw error;
    }
  } catch (error) {
    throw toOpenError(file, error);
  }
}

function prepare(database: DatabaseSync, file: string): void {
  const damage = database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
  if (damage !== 'ok') {
    throw new GatewayError(
      'store_unavailable',
      `The store ${file} is damaged: ${damage}. Restore a backup, or move it away to start with an empty store.`,
    );
  }
  database.exec('BEGIN IMMEDIATE');
  try {
    migrate(database, file);
    database
      .prepare('INSERT INTO accounts (account_id, name, epoch) VALUES (?, ?, 0) ON CONFLICT DO NOTHING')
      .run(DEFAULT_ACCOUNT, 'default');
    database.exec('COMMIT');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

class SqliteStore extends SqlStore implements Store {
  readonly #file: string;
  readonly #identity: string | undefined;
  readonly #writer: Connection;
  readonly #reader: Connection;
  readonly #turns = new Turns();
  readonly #feed: ChangeFeed;
  readonly #poll: NodeJS.Timeout;
  /** Changes when another connection commits; cheaper to ask for than the epochs (sqlite.org/pragma.html#pragma_data_version). */
  #dataVersion: unknown;

  constructor(file: string, writer: Connection, reader: Connection, pollMs: number) {
    super();
    this.#file = file;
    this.#identity = identityOf(file);
    this.#writer = writer;
    this.#reader = reader;
    this.#dataVersion = this.#readDataVersion();
    this.#feed = new ChangeFeed(this.#readEpochs());
    this.#poll = setInterval(() => this.#lookForChanges(), pollMs).unref();
  }

  epochs(): Promise<ReadonlyMap<AccountId, number>> {
    return this.read(async () => this.#readEpochs());
  }

  onChange(listener: (accountId: AccountId) => void): () => void {
    return this.#feed.subscribe(listener);
  }

  async write<T>(account: AccountId, work: (writer: Writer) => Promise<T>): Promise<T> {
    const { result, epoch, left } = await this.transact(async (sql) => {
      const writer = new SqlWriter(sql, account);
      const result = await work(writer);
      const epoch = writer.hasChanged ? await raiseEpoch(sql, account) : undefined;
      return { result, epoch, left: epoch === undefined ? undefined : writer.leavesAt(epoch) };
    });
    if (left !== undefined) this.left.set(account, left);
    if (epoch !== undefined) this.#feed.announce(new Map([[account, epoch]]));
    return result;
  }

  async close(): Promise<void> {
    clearInterval(this.#poll);
    // The reader first: only the last connection to close, if it may write, folds the WAL back into the file.
    for (const { sql, database } of [this.#reader, this.#writer]) {
      // Taking the connection waits for the transactions under way.
      await sql.connection().execute(async () => {
        if (database.isOpen) database.close();
      });
    }
  }

  protected async read<T>(work: Work<T>): Promise<T> {
    try {
      return await this.#reader.sql.transaction().execute(work);
    } catch (error) {
      throw toStoreError(error);
    }
  }

  /** In the order asked: Kysely wakes all who wait for its connection, and gives it to any of them. */
  protected transact<T>(work: Work<T>): Promise<T> {
    return this.#turns.take('', () => this.#transactNow(work));
  }

  async #transactNow<T>(work: Work<T>): Promise<T> {
    try {
      return await this.#writer.sql.transaction().execute(async (sql) => {
        const result = await work(sql);
        this.#requireFile();
        return result;
      });
    } catch (error) {
      throw toStoreError(error);
    }
  }

  /** Looked at last, just before the commit: a deleted file takes writes as before, and they are gone with this process. */
  #requireFile(): void {
    if (identityOf(this.#file) === this.#identity) return;
    throw new GatewayError(
      'store_unavailable',
      `The store ${this.#file} was deleted or replaced while it was in use, so a write to it would be lost. ` +
        'Nothing was changed. Put the file back, or restart to use what is there now.',
    );
  }

  #lookForChanges(): void {
    try {
      const version = this.#readDataVersion();
      if (version === this.#dataVersion) return;
      this.#feed.announce(this.#readEpochs());
      this.#dataVersion = version;
    } catch {
      // The next tick asks again. Until then everybody keeps the configuration they have, and their own calls say what is wrong.
    }
  }

  #readDataVersion(): unknown {
    return this.#reader.database.prepare('PRAGMA data_version').get()?.data_version;
  }

  #readEpochs(): ReadonlyMap<AccountId, number> {
    const rows = this.#reader.database.prepare('SELECT account_id, epoch FROM accounts').all();
    return new Map(rows.map(({ account_id, epoch }) => [account_id as AccountId, Number(epoch)]));
  }
}

/** Which file a path names now; `undefined` when it names none. */
function identityOf(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}
