// The configuration in force: keeps tokens and catalogs at the store's epoch, and at the last good one when the store is
// down.

import type { AccountId } from '../domain/mcp-config.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import { isRestoredSince } from '../store/epoch.ts';
import type { AccountConfiguration, Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Catalogs } from './catalogs.ts';

export interface ConfigurationInForceDeps {
  readonly store: Store;
  readonly authenticator: Authenticator;
  readonly catalogs: Catalogs;
  readonly log: Logger;
  /** Told when a configuration has come into force, and whether by a backup that was restored. */
  readonly onReplaced: (isRestored: boolean) => void;
}

const RETRY_MS = 250;

export class ConfigurationInForce {
  readonly #deps: ConfigurationInForceDeps;
  readonly #unsubscribe: () => void;
  #configurations: readonly AccountConfiguration[] = [];
  #reading: Promise<void> | undefined;
  /** How often a refresh was asked for, and up to which of them one has been done. */
  #asked = 0;
  #served = 0;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(deps: ConfigurationInForceDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.store.onChange(() => this.#refreshUntilRead());
  }

  epochs(): Record<string, number> {
    return Object.fromEntries(this.#configurations.map(({ accountId, epoch }) => [accountId, epoch]));
  }

  /** Reads the configuration again; resolves when one at least as new as the call is in force. */
  async refresh(): Promise<void> {
    this.#asked++;
    const wanted = this.#asked;
    // A read under way may have begun before the change; the next one serves all who ask until it begins.
    while (this.#served < wanted) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
  }

  /** What is in force for an account; another process may have written since. */
  of(account: AccountId): AccountConfiguration | undefined {
    return this.#configurations.find(({ accountId }) => accountId === account);
  }

  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    clearTimeout(this.#retry);
  }

  /** The feed tells of a change once: what could not be read is tried again until it can. */
  #refreshUntilRead(): void {
    this.refresh().catch((error: unknown) => {
      // The store is closed then, too: it would be tried for ever.
      if (this.#isClosed) return;
      this.#deps.log.warn('configuration not read', { error });
      this.#retry = setTimeout(() => this.#refreshUntilRead(), RETRY_MS).unref();
    });
  }

  async #read(): Promise<void> {
    const asked = this.#asked;
    const { store, authenticator, catalogs, log, onReplaced } = this.#deps;
    const epochs = await store.epochs();
    // The feed and the writer itself both ask after each edit.
    if (this.#isAt(epochs)) {
      this.#served = asked;
      return;
    }
    const known = new Map(this.#configurations.map((each) => [each.accountId, each]));
    const configurations = await Promise.all(
      [...epochs].map(([id, epoch]) => {
        const before = known.get(id);
        return before?.epoch === epoch ? before : store.readConfiguration(id, before);
      }),
    );
    // Both in one turn of the event loop: no request sees a token of one epoch and a catalog of another.
    authenticator.replace(configurations);
    catalogs.replace(configurations);
    this.#configurations = configurations;
    this.#served = asked;
    onReplaced(
      configurations.some(({ accountId, epoch }) => isRestoredSince(known.get(accountId)?.epoch ?? epoch, epoch)),
    );
    log.info('configuration in force', { epoch: Math.max(...configurations.map(({ epoch }) => epoch)) });
  }

  #isAt(epochs: ReadonlyMap<AccountId, number>): boolean {
    return (
      epochs.size === this.#configurations.length &&
      this.#configurations.every(({ accountId, epoch }) => epochs.get(accountId) === epoch)
    );
  }
}
