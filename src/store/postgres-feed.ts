// Follows the epochs in PostgreSQL on a connection of its own: they are read at every tick, and at once when a
// notification tells of a write. A lost notification costs a tick, a lost connection the time to the next one.

import { Client, type ClientConfig } from 'pg';
import type { AccountId } from '../domain/mcp-config.ts';

/** Told of every account that was written to, in the transaction that wrote. */
export const EPOCH_CHANNEL = 'switchboard_epochs';

const FIRST_BACK_OFF_MS = 50;
const LONGEST_BACK_OFF_MS = 1_000;
/** Reading the epochs takes a millisecond; a connection that has not answered by then is given up for a new one. */
const ANSWER_TIMEOUT_MS = 2_000;

export interface EpochFeedOptions {
  readonly config: ClientConfig;
  readonly pollMs: number;
  readonly onEpochs: (epochs: ReadonlyMap<AccountId, number>) => void;
}

export class EpochFeed {
  readonly #options: EpochFeedOptions;
  readonly #ended: Promise<void>;
  #isClosed = false;
  #isTold = false;
  #wake: () => void = () => {};

  constructor(options: EpochFeedOptions) {
    this.#options = options;
    this.#ended = this.#follow();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake();
    await this.#ended;
  }

  async #follow(): Promise<void> {
    let backOffMs = FIRST_BACK_OFF_MS;
    while (!this.#isClosed) {
      try {
        await this.#followOnce(() => {
          backOffMs = FIRST_BACK_OFF_MS;
        });
      } catch {
        // The next connection reads all that was missed. Until then everybody keeps what they have, and their own calls say what is wrong.
      }
      // Replicas that lost the server together come back one after the other.
      if (!this.#isClosed) await this.#pause(backOffMs * (0.5 + Math.random() / 2));
      backOffMs = Math.min(backOffMs * 2, LONGEST_BACK_OFF_MS);
    }
  }

  /** Returns when the feed is closed; throws when the connection is lost. */
  async #followOnce(onRead: () => void): Promise<void> {
    const { config, pollMs, onEpochs } = this.#options;
    const client = new Client({ ...config, query_timeout: ANSWER_TIMEOUT_MS });
    const tell = () => {
      this.#isTold = true;
      this.#wake();
    };
    client.on('notification', tell);
    // The query that follows fails, and says so.
    client.on('error', tell);
    try {
      await client.connect();
      await client.query(`LISTEN ${EPOCH_CHANNEL}`);
      while (!this.#isClosed) {
        // Before the query: what is told while it runs is looked for by the next one.
        this.#isTold = false;
        onEpochs(toEpochs((await client.query('SELECT account_id, epoch FROM accounts')).rows));
        onRead();
        if (!this.#isTold) await this.#pause(pollMs);
      }
    } finally {
      await client.end();
    }
  }

  /** Until the time is over, or something is told, or the feed is closed. */
  async #pause(ms: number): Promise<void> {
    if (this.#isClosed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, ms).unref();
    await promise;
    clearTimeout(timer);
  }
}

function toEpochs(
  rows: readonly { readonly account_id: string; readonly epoch: number }[],
): ReadonlyMap<AccountId, number> {
  return new Map(rows.map(({ account_id, epoch }) => [account_id as AccountId, epoch]));
}
