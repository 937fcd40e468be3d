// Bringing a PostgreSQL database to the newest schema, and what has the schema to itself meanwhile.

import { Client } from 'pg';
import { GatewayError } from '../domain/errors.ts';
import { MIGRATIONS, SCHEMA_VERSION_TABLE, stepsAfter, toPostgres } from './migrations.ts';
import type { PostgresAddress } from './postgres-address.ts';
import { explained } from './postgres-errors.ts';
import { DEFAULT_ACCOUNT } from './store.ts';

/** Names the lock of this program among the advisory locks of a database; any number will do that others do not take. */
const SCHEMA_LOCK = 7_465_204_118;
/** Longer than a migration of a large table, or than the wait for another process that does it. */
const SCHEMA_TIMEOUT_MS = 120_000;
export const SCHEMA_TIMEOUTS = {
  statement_timeout: SCHEMA_TIMEOUT_MS,
  lock_timeout: SCHEMA_TIMEOUT_MS,
  query_timeout: SCHEMA_TIMEOUT_MS,
  idle_in_transaction_session_timeout: SCHEMA_TIMEOUT_MS,
} as const;

/**
 * Runs `work` in one transaction that no other process migrates or restores beside. Throws `store_unavailable` when it
 * cannot begin or be committed, and what `work` throws.
 */
export async function withSchemaLock<T>(
  { config, label }: PostgresAddress,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({ ...config, ...SCHEMA_TIMEOUTS });
  // Its loss fails the query under way as well; as an event without a listener it would end the process.
  client.on('error', () => {});
  try {
    await explained(label, begin(client));
    const result = await work(client);
    await explained(label, client.query('COMMIT'));
    return result;
  } finally {
    // Without a commit, this undoes the transaction.
    await client.end();
  }
}

async function begin(client: Client): Promise<void> {
  await client.connect();
  await client.query("BEGIN; SET LOCAL synchronous_commit = 'on'");
  await client.query('SELECT pg_advisory_xact_lock($1)', [SCHEMA_LOCK]);
}

/** Makes or updates the tables, and the default account. Throws `store_unavailable` for a newer schema, and the driver's errors. */
export function migratePostgres(address: PostgresAddress): Promise<void> {
  return withSchemaLock(address, async (client) => {
    await requireUnicode(client);
    const steps = stepsAfter(await readVersion(client), `in PostgreSQL at ${address.label}`);
    for (const step of steps) await client.query(toPostgres(step));
    if (steps.length > 0) await writeVersion(client, MIGRATIONS.length);
    await client.query('INSERT INTO accounts (account_id, name, epoch) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING', [
      DEFAULT_ACCOUNT,
      'default',
    ]);
  });
}

/** Names and descriptions are of any language: another encoding would refuse some of them, one write at a time. */
async function requireUnicode(client: Client): Promise<void> {
  const { rows } = await client.query('SHOW server_encoding');
  const encoding = rows[0]?.server_encoding;
  if (encoding === 'UTF8') return;
  throw new GatewayError(
    'store_unavailable',
    `The database is encoded in ${encoding}, and text of any language must fit in: make one with createdb --encoding=UTF8 --template=template0 NAME`,
  );
}

/** 0 for a database without a store. */
export async function readVersion(client: Client): Promise<number> {
  const { rows: found } = await client.query("SELECT to_regclass('schema_version') AS name");
  if (found[0]?.name === null) return 0;
  const { rows } = await client.query('SELECT version FROM schema_version');
  return rows[0]?.version ?? 0;
}

async function writeVersion(client: Client, version: number): Promise<void> {
  await client.query(toPostgres(SCHEMA_VERSION_TABLE));
  await client.query('DELETE FROM schema_version');
  await client.query('INSERT INTO schema_version (version) VALUES ($1)', [version]);
}
