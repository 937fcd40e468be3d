// The Store port: what the gateway keeps, whatever database keeps it. Adapters pass test/contract/store.ts.

import type { AccountId, McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../domain/principal.ts';

export interface Account {
  readonly id: AccountId;
  readonly name: string;
}

/** Everything one account has configured, read in one transaction, with the epoch it was true at. */
export interface AccountConfiguration {
  readonly accountId: AccountId;
  readonly epoch: number;
  readonly mcpConfigs: readonly McpConfig[];
  readonly secrets: readonly StoredSecret[];
  readonly tokens: readonly StoredToken[];
  readonly apiKeys: readonly StoredApiKey[];
}

/** The last tools an upstream was seen to have, kept so that a dead upstream's tools stay listed after a restart. */
export interface StoredToolList {
  /** Opaque to the store: names config, endpoint and credential. */
  readonly key: string;
  /** The JSON array of tools, byte for byte as the upstream sent it. */
  readonly tools: Buffer;
  readonly fetchedAtMs: number;
}

/** The changes of one transaction. An object is written whole; writing an id again replaces it. */
export interface Writer {
  /** The configuration as this transaction sees it, its own writes included. */
  readConfiguration(): Promise<AccountConfiguration>;
  putMcpConfig(config: McpConfig): Promise<void>;
  deleteMcpConfig(id: string): Promise<void>;
  putSecret(secret: StoredSecret): Promise<void>;
  deleteSecret(id: string): Promise<void>;
  putToken(token: StoredToken): Promise<void>;
  deleteToken(id: string): Promise<void>;
  putApiKey(key: StoredApiKey): Promise<void>;
}

export interface Store {
  /** Every account; with `epochs` and `onChange`, the only calls that belong to the deployment and not to one account. */
  accounts(): Promise<readonly Account[]>;
  /** Current epoch of every account: the truth that `onChange` only hints at. */
  epochs(): Promise<ReadonlyMap<AccountId, number>>;
  /** Tells of committed changes, other processes' included, at most 500 ms late. Returns the unsubscribe function. */
  onChange(listener: (accountId: AccountId) => void): () => void;
  /** A value kept once per deployment, such as the fingerprint of the master key: stores `value` if there is none, returns the stored one. */
  pin(name: string, value: string): Promise<string>;

  readConfiguration(account: AccountId): Promise<AccountConfiguration>;
  /** Runs `work` in one transaction: all of it is committed, with the epoch raised by one if anything was put or deleted, or none of it is. */
  write<T>(account: AccountId, work: (writer: Writer) => Promise<T>): Promise<T>;

  readToolLists(account: AccountId): Promise<readonly StoredToolList[]>;
  putToolList(account: AccountId, list: StoredToolList): Promise<void>;
  deleteToolLists(account: AccountId, olderThanMs: number): Promise<void>;

  close(): Promise<void>;
}

/** The account that the config file and the embedded default write to; every store has it. */
export const DEFAULT_ACCOUNT = 'acct_default' as AccountId;
