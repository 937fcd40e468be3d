// The configuration in force: keeps tokens and catalogs at the store's epoch, and at the last good one when the store is
// down.

import type { AccountId } from '../domain/mcp-config.ts';
import type { Authenticator } from '../identity/authenticate.ts';
import type { AccountConfiguration, Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Catalogs } from './catalogs.ts';

export interface ConfigurationInForceDeps {
  readonly store: Store;
  readonly authenticator: Authenticator;
  readonly catalogs: Catalogs;
  readonly log: Logger;
  /** Told when a configuration has come into force. */
  readonly onReplaced: () => void;
}

const RETRY_MS = 250;

export class ConfigurationInForce {
  readonly #deps: ConfigurationInForceDeps;
  readonly #unsubscribe: () => void;
  #configurations: readonly AccountConfiguration[] = [];
  #reading: Promise<void> | undefined;
  #isStale = false;
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
    this.#isStale = true;
    while (this.#isStale || this.#reading !== undefined) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
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
    this.#isStale = false;
    const { store, authenticator, catalogs, log, onReplaced } = this.#deps;
    const epochs = await store.epochs();
    // The feed and the writer itself both ask after each edit.
    if (this.#isAt(epochs)) return;
    const configurations = await Promise.all([...epochs.keys()].map((id) => store.readConfiguration(id)));
    // Both in one turn of the event loop: no request sees a token of one epoch and a catalog of another.
    authenticator.replace(configurations);
    catalogs.replace(configurations);
    this.#configurations = configurations;
    onReplaced();
    log.info('configuration in force', { epoch: Math.max(...configurations.map(({ epoch }) => epoch)) });
  }

  #isAt(epochs: ReadonlyMap<AccountId, number>): boolean {
    return (
      epochs.size === this.#configurations.length &&
      this.#configurations.every(({ accountId, epoch }) => epochs.get(accountId) === epoch)
    );
  }
}
