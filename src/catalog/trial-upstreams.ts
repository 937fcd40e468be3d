// Upstreams that would come into use by an edit, asked for their tools once and let go of: they never serve a call, and
// what they list is kept no longer than the question.

import { setTimeout as delay } from 'node:timers/promises';
import { UpstreamError } from '../upstream/failure.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { UpstreamRequest } from './account-snapshot.ts';
import type { Catalogs } from './catalogs.ts';
import { type Inventory, joinLists, readInventoryInTurns } from './inventory.ts';

interface Trial {
  readonly upstream: Upstream;
  readonly request: UpstreamRequest;
  list: Inventory | undefined;
  problem: string | undefined;
}

/** One edit does not make the gateway connect more often, however many secrets are granted with the config. */
const MAX_ASKED = 8;
/** For the goodbye to the session in which an upstream was asked. */
const CLOSE_GRACE_MS = 1_000;

export class TrialUpstreams {
  readonly #catalogs: Catalogs;
  readonly #now: () => number;
  readonly #trials = new Map<string, Trial>();

  constructor(catalogs: Catalogs, now: () => number) {
    this.#catalogs = catalogs;
    this.#now = now;
  }

  /** The upstream of this request, made on first use and not connected. Throws `GatewayError` for a refused address. */
  upstreamFor(request: UpstreamRequest): Upstream {
    let trial = this.#trials.get(request.key);
    if (trial === undefined) {
      trial = { upstream: this.#catalogs.tryOut(request), request, list: undefined, problem: undefined };
      this.#trials.set(request.key, trial);
    }
    return trial.upstream;
  }

  /** Asks those of one config, the first eight, for their tools, and waits at most `waitMs`; `onlyUnknown` those that would begin with no list. */
  async ask(configId: string, waitMs: number, { onlyUnknown }: { readonly onlyUnknown: boolean }): Promise<void> {
    const wanted = [...this.#trials.values()]
      .filter(({ request }) => request.config.config.id === configId)
      .filter(({ upstream }) => !onlyUnknown || this.listOf(upstream) === undefined)
      .slice(0, MAX_ASKED);
    const timeout = new AbortController();
    const ended = delay(waitMs, undefined, { signal: timeout.signal }).catch(() => undefined);
    await Promise.all(wanted.map((trial) => Promise.race([this.#ask(trial), ended])));
    timeout.abort();
    for (const trial of wanted) {
      if (trial.list === undefined) trial.problem ??= `it did not answer within ${waitMs} ms`;
    }
  }

  /** What it listed when it was asked, or else what it would begin with. Of one that serves, what it serves by. */
  listOf(upstream: Upstream): Inventory | undefined {
    const { lists } = this.#catalogs;
    const heir = this.heirOf(upstream);
    return this.#trials.get(upstream.key)?.list ?? lists.get(upstream) ?? (heir && lists.get(heir));
  }

  /** The upstream in use whose place it would take. */
  heirOf(upstream: Upstream): Upstream | undefined {
    const trial = this.#trials.get(upstream.key);
    return trial && this.#catalogs.heir(trial.request.lineage);
  }

  /** Whether it was asked and has answered. */
  hasAnswered(upstream: Upstream): boolean {
    return this.#trials.get(upstream.key)?.list !== undefined;
  }

  /** Why it has not answered, in words for operators. */
  problemOf(upstream: Upstream): string | undefined {
    return this.#trials.get(upstream.key)?.problem;
  }

  close(): void {
    for (const { upstream } of this.#trials.values()) void upstream.close(CLOSE_GRACE_MS);
  }

  async #ask(trial: Trial): Promise<void> {
    try {
      const joined = joinLists(await trial.upstream.listAll());
      trial.list = await readInventoryInTurns(joined, this.#now());
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      trial.problem = `${error.message} (${error.reason})`;
    }
  }
}
