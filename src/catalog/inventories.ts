// What every upstream was last known to list, raw. An inventory is fetched once for many waiters, survives its upstream's
// death and, through the store, our restart; an older answer never overwrites a newer one.

import type { AccountId } from '../domain/mcp-config.ts';
import { TimeSlice } from '../domain/time-slice.ts';
import { LIST_KINDS, LISTS, type ListKind } from '../protocol/list-kind.ts';
import type { Store } from '../store/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import { UpstreamError } from '../upstream/failure.ts';
import type { UpstreamLists } from '../upstream/inventory.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { FetchSchedule, MIN_INTERVAL_MS } from './fetch-schedule.ts';
import { type Inventory, type JoinedLists, joinLists, locateLists, readInventoryInTurns } from './inventory.ts';
import { NEEDS_TASK } from './listed-tool.ts';
import { type ToolChange, ToolChanges } from './tool-changes.ts';
import { Turnstile } from './turnstile.ts';

export interface InventoriesOptions {
  readonly store: Pick<Store, 'readToolLists' | 'putToolList' | 'deleteToolLists'>;
  /** Age from which a list is fetched again when it is next asked for, unless its upstream says a shorter one. */
  readonly ttlMs: number;
  readonly now: () => number;
  readonly log: Logger;
  /** Told when a list, or an upstream's health, is no longer what a catalog was built from. */
  readonly onChange: () => void;
}

/** Last known tools older than this are forgotten (design §3.10). */
const KEPT_MS = 24 * 60 * 60 * 1000;
/** An unchanged list is stored again at this age, so that a restart does not take it for an old one. */
const STORED_AGAIN_MS = KEPT_MS / 24;
/** A failed upstream is asked again after the first pause, and after pauses that double up to the longest. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** Of one inventory; an upstream that breaks a thousand tools at a time must not fill the log. */
const MAX_LOGGED = 20;

interface Entry {
  list: Inventory | undefined;
  joined: JoinedLists | undefined;
  storedAtMs: number;
  /** Whether it waits to be stored. */
  isQueued: boolean;
  /** When the upstream was first asked. */
  askedAtMs: number | undefined;
  /** When the upstream last confirmed the list, or last failed to. */
  checkedAtMs: number;
  /** Age from which the upstream is asked again. */
  ttlMs: number;
  /** Until when the list is what the upstream wants it to be taken for: for ever, if it does not say. */
  freshUntilMs: number;
  /** In a row. */
  failures: number;
  /** Set when the upstream is first asked. */
  schedule: FetchSchedule | undefined;
  changes: ToolChanges;
}

export class Inventories {
  readonly #options: InventoriesOptions;
  readonly #entries = new Map<string, Entry>();
  /** Of all that is read here. */
  readonly #slice = new TimeSlice();
  readonly #turnstile = new Turnstile();
  /** The writes to the store, one behind the other. */
  #keeping: Promise<void> = Promise.resolve();

  constructor(options: InventoriesOptions) {
    this.#options = options;
  }

  /** Reads what an earlier run of the gateway knew. */
  async restore(account: AccountId): Promise<void> {
    const { store, now } = this.#options;
    const oldestMs = now() - KEPT_MS;
    await store.deleteToolLists(account, oldestMs);
    for (const stored of await store.readToolLists(account)) {
      const joined = locateLists(stored.tools);
      if (joined === undefined) continue;
      const entry = this.#entry(stored.key);
      entry.list ??= await readInventoryInTurns(joined, stored.fetchedAtMs, this.#slice);
      entry.joined ??= joined;
      entry.storedAtMs = stored.fetchedAtMs;
    }
  }

  get(upstream: Upstream): Inventory | undefined {
    return this.#entries.get(upstream.key)?.list;
  }

  /** Whether the upstream has neither answered nor failed yet, so that waiting for it may help. */
  isPending(upstream: Upstream): boolean {
    const entry = this.#entries.get(upstream.key);
    return entry === undefined || (entry.list === undefined && entry.failures === 0);
  }

  /** Whether the list, if there is one, is only handed down: from an earlier run, or from an earlier credential. */
  isUnconfirmed(upstream: Upstream): boolean {
    return (this.#entries.get(upstream.key)?.checkedAtMs ?? Number.NEGATIVE_INFINITY) === Number.NEGATIVE_INFINITY;
  }

  /** Lets an upstream begin with the list of the one it replaces, so that its tools stay callable until it has answered. */
  inherit(key: string, fromKey: string): void {
    const from = this.#entries.get(fromKey);
    const entry = this.#entry(key);
    entry.list ??= from?.list;
    entry.joined ??= from?.joined;
    entry.changes = from?.changes ?? entry.changes;
  }

  /** Tools that are not what they were when this process, or the one that stored their list, first saw them. */
  changesOf(upstream: Upstream): readonly ToolChange[] {
    return this.#entries.get(upstream.key)?.changes.all() ?? [];
  }

  /** How long a pending upstream has been asked for its list by now. */
  pendingMs(upstream: Upstream): number {
    const { now } = this.#options;
    // The clock may have been set back since.
    return Math.max(now() - (this.#entries.get(upstream.key)?.askedAtMs ?? now()), 0);
  }

  /** How long a client may keep the list by the upstream's own word, in ms: `Infinity` without one, 0 for one it has not confirmed. */
  freshMs(upstream: Upstream): number {
    const { freshUntilMs = Number.NEGATIVE_INFINITY } = this.#entries.get(upstream.key) ?? {};
    return Math.max(freshUntilMs - this.#options.now(), 0);
  }

  /** Fetches the list if it is missing or stale. Never rejects: a failure is the upstream's state. */
  refresh(account: AccountId, upstream: Upstream): Promise<void> {
    const { now } = this.#options;
    const entry = this.#entry(upstream.key);
    entry.schedule ??= new FetchSchedule(() => this.#fetch(account, upstream, entry), now);
    if (entry.schedule.running !== undefined) return entry.schedule.running;
    const ageMs = now() - entry.checkedAtMs;
    // Checked later than now: the clock was set back, and nobody knows how old the list is.
    if (ageMs >= 0 && ageMs < entry.ttlMs) return Promise.resolve();
    entry.askedAtMs ??= now();
    return entry.schedule.run();
  }

  /** The upstream says that one of its lists has changed. What is known stays in use until all of it has come anew. */
  noteChange(upstream: Upstream, kind: ListKind): void {
    const entry = this.#entries.get(upstream.key);
    if (entry?.schedule === undefined) return;
    this.#options.log.debug('an upstream says that a list has changed', {
      service: upstream.service,
      method: LISTS[kind].method,
    });
    entry.freshUntilMs = Number.NEGATIVE_INFINITY;
    entry.schedule.demand();
  }

  /** What a grant admits of a list has been found out. */
  noteDecided(): void {
    this.#options.onChange();
  }

  /** Forgets lists of upstreams that no longer exist. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const [key, { schedule }] of this.#entries) {
      if (keys.has(key)) continue;
      schedule?.stop();
      this.#entries.delete(key);
    }
  }

  /** Asks no upstream again, and stores nothing more: a store that is away must not hold up the end. */
  close(): void {
    this.keepOnly(new Set());
  }

  async #fetch(account: AccountId, upstream: Upstream, entry: Entry): Promise<void> {
    const { now, onChange } = this.#options;
    try {
      const lists = await this.#turnstile.pass(() => upstream.listAll());
      this.#reportMissing(upstream, lists);
      const joined = joinLists(lists, entry.joined);
      const same = entry.joined?.bytes.equals(joined.bytes) ? entry.list : undefined;
      const list = same ?? (await readInventoryInTurns(joined, now(), this.#slice));
      if (same === undefined && entry.list !== undefined) await entry.changes.note(entry.list, list, now());
      const isChange = same === undefined || entry.failures > 0;
      entry.joined = joined;
      entry.list = list;
      this.#confirm(entry, lists.ttlMs);
      if (isChange) onChange();
      if (same === undefined) this.#report(upstream, list);
      const isOld = entry.checkedAtMs - entry.storedAtMs >= STORED_AGAIN_MS;
      if (same === undefined || isOld) this.#keepSoon(account, upstream, entry);
    } catch (error) {
      this.#fail(upstream, entry, error);
    }
  }

  /** `ttlMs` is the upstream's own. */
  #confirm(entry: Entry, ttlMs: number | undefined): void {
    const own = this.#options.ttlMs;
    entry.checkedAtMs = this.#options.now();
    entry.failures = 0;
    entry.ttlMs = ttlMs === undefined ? own : Math.min(own, Math.max(ttlMs, MIN_INTERVAL_MS));
    // What changed while it was fetched may not be in it.
    const isFresh = entry.schedule?.isDemanded === false;
    entry.freshUntilMs = isFresh ? entry.checkedAtMs + (ttlMs ?? Infinity) : Number.NEGATIVE_INFINITY;
  }

  /** Nobody need list again for a recovered upstream to be noticed: agents that know its tools only call. */
  #fail(upstream: Upstream, entry: Entry, error: unknown): void {
    if (error instanceof UpstreamError && error.reason === 'breaker_open') {
      entry.schedule?.runLater(upstream.retryAfterMs);
      return;
    }
    entry.checkedAtMs = this.#options.now();
    // Its own word is for a list it gives; the pauses after failures are ours.
    entry.ttlMs = this.#options.ttlMs;
    entry.failures++;
    const { service, failure } = upstream;
    this.#options.log.warn('lists not fetched', { service, reason: failure?.reason, error });
    entry.schedule?.runLater(Math.min(FIRST_RETRY_MS * 2 ** (entry.failures - 1), LONGEST_RETRY_MS));
    if (entry.failures === 1) this.#options.onChange();
  }

  /** They keep their last known list, and are asked for again with the next fetch of all. */
  #reportMissing({ service }: Upstream, lists: UpstreamLists): void {
    for (const kind of LIST_KINDS) {
      const error = lists[kind];
      if (!(error instanceof UpstreamError)) continue;
      this.#options.log.warn('list not fetched', { service, method: LISTS[kind].method, reason: error.reason, error });
    }
  }

  #report({ service }: Upstream, list: Inventory): void {
    const { log } = this.#options;
    const { leftOut } = list;
    for (const { kind, name, reason } of leftOut.slice(0, MAX_LOGGED)) {
      // A URI may hold a credential, and is told to those who ask for issues.
      const named = kind === 'tools' ? { tool: name } : kind === 'prompts' ? { prompt: name } : {};
      // Nothing is broken, and there is nothing that an operator would mend.
      const level = reason === NEEDS_TASK ? 'info' : 'warn';
      log[level]('left out of the catalog', { service, method: LISTS[kind].method, ...named, reason });
    }
    const withheld = [...list.tools.values()].filter((tool) => tool.withholdsOutput);
    for (const { name } of withheld.slice(0, MAX_LOGGED)) {
      log.warn('output schema withheld from legacy clients, which might not compile it', { service, tool: name });
    }
    const unsaid = Math.max(leftOut.length - MAX_LOGGED, 0) + Math.max(withheld.length - MAX_LOGGED, 0);
    if (unsaid > 0) log.warn('and more with such problems', { service, count: unsaid });
  }

  /** Nobody waits for the store, so each list is in the queue once, and what is written is what is known by then. */
  #keepSoon(account: AccountId, upstream: Upstream, entry: Entry): void {
    if (entry.isQueued) return;
    entry.isQueued = true;
    this.#keeping = this.#keeping.then(() => this.#keep(account, upstream, entry));
  }

  /** A store that is down costs the memory of the list across a restart, and nothing else. */
  async #keep(account: AccountId, upstream: Upstream, entry: Entry): Promise<void> {
    while (this.#slice.isOver) await this.#slice.rest();
    entry.isQueued = false;
    const { joined, checkedAtMs } = entry;
    if (joined === undefined || this.#entries.get(upstream.key) !== entry) return;
    try {
      await this.#options.store.putToolList(account, {
        key: upstream.key,
        tools: joined.bytes,
        fetchedAtMs: checkedAtMs,
      });
      entry.storedAtMs = checkedAtMs;
    } catch (error) {
      this.#options.log.warn('tool list not stored', { service: upstream.service, error });
    }
  }

  #entry(key: string): Entry {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        list: undefined,
        joined: undefined,
        storedAtMs: Number.NEGATIVE_INFINITY,
        askedAtMs: undefined,
        checkedAtMs: Number.NEGATIVE_INFINITY,
        ttlMs: this.#options.ttlMs,
        freshUntilMs: Number.NEGATIVE_INFINITY,
        failures: 0,
        isQueued: false,
        schedule: undefined,
        changes: new ToolChanges(),
      };
      this.#entries.set(key, entry);
    }
    return entry;
  }
}
