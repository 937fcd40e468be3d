// The tables as Kysely sees them. Columns are snake_case in the database and camelCase here (CamelCasePlugin),
// so a row is its domain object, with the lists in it as JSON text and the account beside it.

import type { McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../domain/principal.ts';
import type { Devbox } from '../domain/revision.ts';
import type { StoredReply, StoredRevision, StoredToolList } from './store.ts';

type Row<T, JsonColumn extends keyof T = never> = { readonly accountId: string } & {
  readonly [K in keyof T]: K extends JsonColumn ? string : T[K];
};

export type McpConfigRow = Row<
  McpConfig,
  | 'allowedTools'
  | 'allowedPrompts'
  | 'allowedResources'
  | 'authMechanism'
  | 'customHeaders'
  | 'tls'
  | 'proxy'
  | 'limits'
  | 'stdio'
>;
export type SecretRow = Row<StoredSecret, 'origins'>;
export type TokenRow = Row<StoredToken, 'grants'>;
export type ApiKeyRow = Row<StoredApiKey>;
export type DevboxRow = Row<Devbox, 'mounts' | 'metadata'>;

export interface Tables {
  readonly accounts: { readonly accountId: string; readonly name: string; readonly epoch: number };
  readonly mcpConfigs: McpConfigRow;
  readonly secrets: SecretRow;
  readonly tokens: TokenRow;
  readonly apiKeys: ApiKeyRow;
  readonly devboxes: DevboxRow;
  readonly revisions: Row<StoredRevision>;
  readonly replies: Row<StoredReply>;
  readonly toolLists: Row<StoredToolList>;
  readonly pins: { readonly name: string; readonly value: string };
}

export function toMcpConfigRow(accountId: string, config: McpConfig): McpConfigRow {
  return {
    ...config,
    accountId,
    allowedTools: JSON.stringify(config.allowedTools),
    allowedPrompts: JSON.stringify(config.allowedPrompts),
    allowedResources: JSON.stringify(config.allowedResources),
    authMechanism: JSON.stringify(config.authMechanism),
    customHeaders: JSON.stringify(config.customHeaders),
    tls: JSON.stringify(config.tls),
    proxy: JSON.stringify(config.proxy),
    limits: JSON.stringify(config.limits),
    stdio: JSON.stringify(config.stdio),
  };
}

export function toMcpConfig({ accountId: _, ...row }: McpConfigRow): McpConfig {
  return {
    ...row,
    allowedTools: JSON.parse(row.allowedTools),
    allowedPrompts: JSON.parse(row.allowedPrompts),
    allowedResources: JSON.parse(row.allowedResources),
    authMechanism: JSON.parse(row.authMechanism),
    customHeaders: JSON.parse(row.customHeaders),
    tls: JSON.parse(row.tls),
    proxy: JSON.parse(row.proxy),
    limits: JSON.parse(row.limits),
    stdio: JSON.parse(row.stdio),
  };
}

export function toSecretRow(accountId: string, secret: StoredSecret): SecretRow {
  return { ...secret, accountId, origins: JSON.stringify(secret.origins) };
}

export function toSecret({ accountId: _, ...row }: SecretRow): StoredSecret {
  return { ...row, origins: JSON.parse(row.origins) };
}

export function toTokenRow(accountId: string, token: StoredToken): TokenRow {
  return { ...token, accountId, grants: JSON.stringify(token.grants) };
}

export function toToken({ accountId: _, ...row }: TokenRow): StoredToken {
  return { ...row, grants: JSON.parse(row.grants) };
}

export function toDevboxRow(accountId: string, devbox: Devbox): DevboxRow {
  return { ...devbox, accountId, mounts: JSON.stringify(devbox.mounts), metadata: JSON.stringify(devbox.metadata) };
}

export function toDevbox({ accountId: _, ...row }: DevboxRow): Devbox {
  return { ...row, mounts: JSON.parse(row.mounts), metadata: JSON.parse(row.metadata) };
}

/** Takes the account off a row that is its domain object otherwise. */
export function withoutAccount<T extends { readonly accountId: string }>({
  accountId: _,
  ...rest
}: T): Omit<T, 'accountId'> {
  return rest;
}
