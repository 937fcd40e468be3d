// From a store URL to the adapter that serves it.

import { GatewayError } from '../domain/errors.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

/** The adapter of each URL scheme. */
const ADAPTERS: ReadonlyMap<string, (url: string) => Promise<Store>> = new Map([
  ['sqlite', (url) => openSqliteStore({ file: toSqliteFile(url) })],
  ['postgres', openPostgres],
  ['postgresql', openPostgres],
]);

/**
 * Opens the store at `url`: `sqlite:PATH`, the path relative to the working directory, or
 * `postgres://USER:PASSWORD@HOST:5432/DATABASE`, also as `postgresql://…`. Throws `invalid_argument` for a URL this build has no adapter for, `store_unavailable`
 * when the store cannot be opened.
 */
export async function openStore(url: string): Promise<Store> {
  const scheme = /^([a-z]+):/.exec(url)?.[1] ?? '';
  const open = ADAPTERS.get(scheme);
  if (open !== undefined) return open(url);
  // The URL itself stays out of the message: a misspelled postgres URL holds a password.
  throw new GatewayError(
    'invalid_argument',
    `store.url: a store is in SQLite or in PostgreSQL${scheme === '' ? '' : `, not in "${scheme}:"`}. ` +
      'Write sqlite:PATH, for example sqlite:.switchboard/switchboard.db, or postgres://USER:PASSWORD@HOST:5432/DATABASE.',
  );
}

async function openPostgres(url: string): Promise<Store> {
  // Read when it is needed: with its driver it takes as long as the rest of a command on SQLite.
  const { openPostgresStore } = await import('./postgres.ts');
  return openPostgresStore({ url });
}

function toSqliteFile(url: string): string {
  const path = url.slice('sqlite:'.length);
  // SQLite reads '' and ':memory:' as databases that are gone with the process; '//' is relative to some tools, absolute to others.
  if (path !== '' && path !== ':memory:' && !path.startsWith('//')) return path;
  throw new GatewayError(
    'invalid_argument',
    'store.url: write sqlite:PATH with the path of a file, such as sqlite:.switchboard/switchboard.db or sqlite:/var/lib/switchboard.db.',
  );
}
