// From a store URL to the adapter that serves it.

import { GatewayError } from '../domain/errors.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

/** The adapter of each URL scheme. */
const ADAPTERS: ReadonlyMap<string, (url: string) => Promise<Store>> = new Map([
  ['sqlite', (url) => openSqliteStore({ file: toSqliteFile(url) })],
]);

/**
 * Opens the store at `url`: `sqlite:PATH`, the path relative to the working directory.
 * Throws `invalid_argument` for a URL this build has no adapter for, `store_unavailable` when the store cannot be opened.
 */
export async function openStore(url: string): Promise<Store> {
  const scheme = /^([a-z]+):/.exec(url)?.[1] ?? '';
  const open = ADAPTERS.get(scheme);
  if (open !== undefined) return open(url);
  // The URL itself stays out of the message: a postgres URL holds a password.
  throw new GatewayError(
    'invalid_argument',
    `store.url: this build keeps its store in SQLite only${scheme === '' ? '' : `, not in "${scheme}:"`}. ` +
      'Write sqlite:PATH, for example sqlite:.switchboard/switchboard.db.',
  );
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
