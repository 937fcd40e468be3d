// Who wants to know that an account's configuration changed. An epoch is announced once, whichever way it was learnt.

import type { AccountId } from '../domain/mcp-config.ts';

type Listener = (accountId: AccountId) => void;

export class ChangeFeed {
  readonly #listeners = new Set<Listener>();
  readonly #epochs: Map<AccountId, number>;

  /** `epochs` is what the listeners to come are taken to know already. */
  constructor(epochs: ReadonlyMap<AccountId, number>) {
    this.#epochs = new Map(epochs);
  }

  /** Returns the unsubscribe function. */
  subscribe(listener: Listener): () => void {
    const own: Listener = (accountId) => listener(accountId);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Tells the listeners of every account whose epoch is news, after the caller's own turn has ended. */
  announce(epochs: ReadonlyMap<AccountId, number>): void {
    for (const [accountId, epoch] of epochs) {
      // Not `!==`: a poll that read before our own commit and reports after it brings an older epoch.
      if (epoch <= (this.#epochs.get(accountId) ?? -1)) continue;
      this.#epochs.set(accountId, epoch);
      for (const listener of this.#listeners) {
        queueMicrotask(() => this.#listeners.has(listener) && listener(accountId));
      }
    }
  }
}
