// `switchboard tokens`: works on the store itself; a running gateway follows within half a second.

import { createToken, type GrantInput, revokeToken } from '../control-plane/tokens.ts';
import { GatewayError } from '../domain/errors.ts';
import type { NameStyle, StoredToken } from '../domain/principal.ts';
import { DEFAULT_ACCOUNT } from '../store/store.ts';
import { type OutputFormat, printCreated, printTable } from './output.ts';
import { withStore } from './with-store.ts';

interface StoreOptions {
  readonly config?: string;
}

interface CreateOptions extends StoreOptions {
  readonly grant: readonly string[];
  readonly expires?: string;
  readonly names: NameStyle;
  readonly output: OutputFormat;
}

export function createTokenCommand(name: string, options: CreateOptions): Promise<void> {
  return withStore(options.config, async (deps) => {
    const input = {
      name,
      grants: options.grant.map(parseGrant),
      nameStyle: options.names,
      expiresAtMs: options.expires === undefined ? null : parseDate(options.expires, deps.now()),
    };
    const { token, value } = await createToken(deps, DEFAULT_ACCOUNT, input);
    printCreated(options.output, { id: token.id, name, token: value }, 'token');
  });
}

export function listTokens(options: StoreOptions & { output: OutputFormat }): Promise<void> {
  return withStore(options.config, async ({ store, now }) => {
    const { tokens, mcpConfigs } = await store.readConfiguration(DEFAULT_ACCOUNT);
    const configNames = new Map(mcpConfigs.map((config) => [config.id, config.name]));
    const rows = tokens.map((token) => ({
      id: token.id,
      name: token.name,
      grants: token.grants.map((grant) => configNames.get(grant.mcpConfigId) ?? '(deleted)').join(','),
      expires: token.expiresAtMs === null ? 'never' : new Date(token.expiresAtMs).toISOString(),
      managed_by: token.managedBy,
      state: stateOf(token, now()),
    }));
    printTable(options.output, rows);
  });
}

export function revokeTokenCommand(nameOrId: string, options: StoreOptions): Promise<void> {
  return withStore(options.config, async (deps) => {
    const { id } = await revokeToken(deps, DEFAULT_ACCOUNT, nameOrId);
    process.stdout.write(`${id}\n`);
  });
}

function stateOf(token: StoredToken, nowMs: number): string {
  if (token.revokedAtMs !== null) return 'revoked';
  return token.expiresAtMs !== null && token.expiresAtMs <= nowMs ? 'expired' : 'live';
}

/** `github-readonly=GITHUB_TOKEN`, or a config alone. */
function parseGrant(text: string): GrantInput {
  const [mcpConfig = '', secret, ...rest] = text.split('=');
  if (mcpConfig === '' || secret === '' || rest.length > 0) {
    throw new GatewayError('invalid_argument', `--grant: '${text.slice(0, 64)}' is not CONFIG or CONFIG=SECRET.`);
  }
  return { mcpConfig, secret: secret ?? null, allowedTools: null };
}

function parseDate(text: string, nowMs: number): number {
  const timeMs = Date.parse(text);
  if (timeMs > nowMs) return timeMs;
  throw new GatewayError(
    'invalid_argument',
    `--expires: '${text.slice(0, 64)}' is no date in the future; write one as 2027-01-31T00:00:00Z.`,
  );
}
