// `switchboard keys`: works on the store itself, so that a fresh server can be given its first key.

import { createApiKey, revokeApiKey } from '../control-plane/api-keys.ts';
import type { Role } from '../domain/principal.ts';
import { DEFAULT_ACCOUNT } from '../store/store.ts';
import { type OutputFormat, printCreated, printTable } from './output.ts';
import { withStore } from './with-store.ts';

interface StoreOptions {
  readonly config?: string;
}

export function createKey(name: string, options: StoreOptions & { role: Role; output: OutputFormat }): Promise<void> {
  return withStore(options.config, async ({ pepper, write }) => {
    const { stored, value } = await write((change) => createApiKey(pepper, change, { name, role: options.role }));
    await printCreated(options.output, { id: stored.id, name, role: stored.role, api_key: value }, 'api_key');
  });
}

export function listKeys(options: StoreOptions & { output: OutputFormat }): Promise<void> {
  return withStore(options.config, async ({ store }) => {
    const { apiKeys } = await store.readConfiguration(DEFAULT_ACCOUNT);
    const rows = apiKeys.map((key) => ({
      id: key.id,
      name: key.name,
      role: key.role,
      created: new Date(key.createTimeMs).toISOString(),
      state: key.revokedAtMs === null ? 'live' : 'revoked',
    }));
    await printTable(options.output, rows);
  });
}

export function revokeKey(nameOrId: string, options: StoreOptions): Promise<void> {
  return withStore(options.config, async ({ write }) => {
    const { id } = await write((change) => revokeApiKey(change, change.find('api_key', nameOrId)));
    process.stdout.write(`${id}\n`);
  });
}
