// Connections to PostgreSQL for Kysely: a few for reads, a few for writes, each with what keeps an acknowledged write.

import { CamelCasePlugin, Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import { type ClientBase, type ClientConfig, Pool, type QueryResult } from 'pg';
import { isSilence, toStoreError } from './postgres-errors.ts';
import { toStoredText } from './postgres-text.ts';
import type { Tables } from './tables.ts';

export interface PostgresPoolHandle {
  readonly sql: Kysely<Tables>;
  /** Waits for the connections in use. */
  close(): Promise<void>;
}

/** Opens connections when they are needed, `max` at most, and closes those that idle. */
export function createPool(config: ClientConfig, max: number): PostgresPoolHandle {
  const pool = new Pool({ ...config, max, allowExitOnIdle: true, onConnect: keepWhatIsAcknowledged });
  // A connection that is lost fails the query on it, if any; as an event without a listener it would end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const dialect = new PostgresDialect({ pool: new QueryPool(pool) });
  const plugins = [new CamelCasePlugin({ maintainNestedObjectKeys: true })];
  return { sql: new Kysely<Tables>({ dialect, plugins }), close: () => pool.end() };
}

/** A server may be set to acknowledge commits that are not on disk. What is stricter than `on` stays. */
async function keepWhatIsAcknowledged(client: ClientBase): Promise<void> {
  await client.query(
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')",
  );
}

/** The pool as Kysely takes it. Failures are translated here, where they cannot be taken for those of a caller's own work. */
class QueryPool implements PostgresPool {
  readonly options = {};
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async connect(): Promise<PostgresPoolClient> {
    const client = await translated(this.#pool.connect());
    let isReleased = false;
    const release = (destroy?: boolean) => {
      if (!isReleased) client.release(destroy);
      isReleased = true;
    };
    const query = async (
      sql: string,
      parameters: readonly unknown[],
    ): Promise<Pick<QueryResult, 'command' | 'rows'>> => {
      try {
        return await translated(client.query(sql, parameters.map(toStoredText)), sql);
      } catch (error) {
        // An answer that comes after all would be taken for that to the next query.
        if (error instanceof Error && isSilence(error.cause)) release(true);
        if (sql !== 'rollback') throw error;
        // The server undoes what a lost connection leaves, and the error that led here says more than this one.
        release(true);
        return { command: 'ROLLBACK', rows: [] };
      }
    };
    // The other signature of `query` is for cursors, which nobody here uses.
    return { query: query as unknown as PostgresPoolClient['query'], release };
  }

  end(): Promise<void> {
    return this.#pool.end();
  }
}

async function translated<T>(work: Promise<T>, sql?: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toStoreError(error, sql);
  }
}
