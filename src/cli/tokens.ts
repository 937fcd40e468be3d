// `switchboard tokens`: works on the store itself; a running gateway follows within half a second.

import { createToken, type GrantInput, revokeToken } from '../control-plane/tokens.ts';
import type { NameStyle, StoredToken } from '../domain/principal.ts';
import { DEFAULT_ACCOUNT } from '../store/store.ts';
import { type OutputFormat, printCreated, printTable } from './output.ts';
import { withStore } from './with-store.ts';

interface StoreOptions {
  readonly config?: string;
}

interface CreateOptions extends StoreOptions {
  readonly grant: readonly GrantInput[];
  /** Milliseconds since 1970. */
  readonly expires?: number;
  readonly names: NameStyle;
  readonly output: OutputFormat;
}

export function createTokenCommand(name: string, options: CreateOptions): Promise<void> {
  return withStore(options.config, async ({ pepper, write }) => {
    const input = {
      name,
      grants: options.grant,
      nameStyle: options.names,
      expiresAtMs: options.expires ?? null,
    };
    const { stored, value } = await write((change) => createToken(pepper, change, input));
    await printCreated(options.output, { id: stored.id, name, token: value }, 'token');
  });
}

export function listTokens(options: StoreOptions & { output: OutputFormat }): Promise<void> {
  return withStore(options.config, async ({ store }) => {
    const { tokens, mcpConfigs } = await store.readConfiguration(DEFAULT_ACCOUNT);
    const configNames = new Map(mcpConfigs.map((config) => [config.id, config.name]));
    const rows = tokens.map((token) => ({
      id: token.id,
      name: token.name,
      grants: token.grants.map((grant) => configNames.get(grant.mcpConfigId) ?? '(deleted)').join(','),
      expires: token.expiresAtMs === null ? 'never' : new Date(token.expiresAtMs).toISOString(),
      managed_by: token.managedBy,
      state: stateOf(token, Date.now()),
    }));
    await printTable(options.output, rows);
  });
}

export function revokeTokenCommand(nameOrId: string, options: StoreOptions): Promise<void> {
  return withStore(options.config, async ({ write }) => {
    const { id } = await write((change) => revokeToken(change, change.find('token', nameOrId)));
    process.stdout.write(`${id}\n`);
  });
}

function stateOf(token: StoredToken, nowMs: number): string {
  if (token.revokedAtMs !== null) return 'revoked';
  return token.expiresAtMs !== null && token.expiresAtMs <= nowMs ? 'expired' : 'live';
}
