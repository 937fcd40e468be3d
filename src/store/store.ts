// The Store port: what the gateway keeps, whatever database keeps it. Adapters pass test/contract/store.ts.

import type { AccountId, McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../domain/principal.ts';
import type { Action, Devbox, ObjectKind } from '../domain/revision.ts';

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

/** What an upstream was last seen to list, kept so that what a dead upstream has stays listed after a restart. */
export interface StoredToolList {
  /** Opaque to the store: names config, endpoint and credential. */
  readonly key: string;
  /** Opaque to the store: JSON in which all that is listed stands byte for byte as the upstream sent it. */
  readonly tools: Buffer;
  readonly fetchedAtMs: number;
}

/** A revision as it is kept: what it is looked for by, and its text, which the MAC is over. */
export interface StoredRevision {
  /** Counts from 1, without gaps, in each account. */
  readonly sequence: number;
  readonly timeMs: number;
  /** Id of the API key; `null` for the config file and for commands. */
  readonly actorId: string | null;
  readonly action: Action;
  readonly objectKind: ObjectKind;
  readonly objectId: string;
  /** Of the object, after the write. */
  readonly objectRevision: number;
  /** JSON of a `Revision`, byte for byte as the MAC is over it. */
  readonly content: string;
  /** Over the MAC before it and `content`: a chain that shows what was edited, left out or moved. */
  readonly mac: string;
}

export interface RevisionQuery {
  /** Exclusive; from the newest unless told. */
  readonly before?: number | undefined;
  readonly limit: number;
  readonly objectKind?: ObjectKind | undefined;
  readonly objectId?: string | undefined;
  readonly objectRevision?: number | undefined;
  /** Exclusive. */
  readonly beforeObjectRevision?: number | undefined;
  readonly actorId?: string | undefined;
  readonly action?: Action | undefined;
  /** Inclusive. */
  readonly sinceMs?: number | undefined;
  /** Exclusive. */
  readonly untilMs?: number | undefined;
}

export interface DevboxFilter {
  readonly hasEnded?: boolean | undefined;
}

export interface DevboxQuery extends DevboxFilter {
  /** Exclusive: only older ones than this. */
  readonly after?: Pick<Devbox, 'createTimeMs' | 'id'> | undefined;
  readonly limit: number;
}

/** The answer to a write, kept so that the same request sent again is answered and not done again. */
export interface StoredReply {
  /** Opaque to the store: names method, path and request id. */
  readonly key: string;
  readonly sealed: string;
  readonly expiresAtMs: number;
}

/** The changes of one transaction. An object is written whole; writing an id again replaces it. */
export interface Writer {
  /**
   * The configuration as this transaction sees it, its own writes included. Before the first of these, `known` is given
   * back when nothing has been written since.
   */
  readConfiguration(known?: AccountConfiguration): Promise<AccountConfiguration>;
  putMcpConfig(config: McpConfig): Promise<void>;
  deleteMcpConfig(id: string): Promise<void>;
  putSecret(secret: StoredSecret): Promise<void>;
  deleteSecret(id: string): Promise<void>;
  putToken(token: StoredToken): Promise<void>;
  deleteToken(id: string): Promise<void>;
  putApiKey(key: StoredApiKey): Promise<void>;
  putDevbox(devbox: Devbox): Promise<void>;
  findDevbox(id: string): Promise<Devbox | undefined>;
  /** Makes another account; throws `conflict` when there is one of this id. */
  createAccount(account: Account, firstKey: StoredApiKey): Promise<void>;
  lastRevision(): Promise<StoredRevision | undefined>;
  /** The highest number recorded of an object, whether that is there or not; 0 where nothing is recorded of it. */
  lastRevisionOf(objectId: string): Promise<number>;
  appendRevision(revision: StoredRevision): Promise<void>;
  findReply(key: string): Promise<StoredReply | undefined>;
  /** Keeps the reply, and lets go of all that have expired at `nowMs`. */
  putReply(reply: StoredReply, nowMs: number): Promise<void>;
  /** Finds the reply and removes it: of any number who take it at once, one gets it. */
  takeReply(key: string): Promise<StoredReply | undefined>;
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

  /** `known` is one that was read before: what was not written since is the same object in it. */
  readConfiguration(account: AccountId, known?: AccountConfiguration): Promise<AccountConfiguration>;
  /** Runs `work` in one transaction, and again if the database broke off the first: all of it is committed, with the epoch raised by one if anything of the configuration was put or deleted, or none of it is. */
  write<T>(account: AccountId, work: (writer: Writer) => Promise<T>): Promise<T>;

  /** Newest first. */
  readRevisions(account: AccountId, query: RevisionQuery): Promise<readonly StoredRevision[]>;
  /** Newest first. */
  readDevboxes(account: AccountId, query: DevboxQuery): Promise<readonly Devbox[]>;
  countDevboxes(account: AccountId, filter: DevboxFilter): Promise<number>;
  findDevbox(account: AccountId, id: string): Promise<Devbox | undefined>;

  readToolLists(account: AccountId): Promise<readonly StoredToolList[]>;
  putToolList(account: AccountId, list: StoredToolList): Promise<void>;
  deleteToolLists(account: AccountId, olderThanMs: number): Promise<void>;

  close(): Promise<void>;
}

/** The account that the config file and the embedded default write to; every store has it. */
export const DEFAULT_ACCOUNT = 'acct_default' as AccountId;
