// The catalogs of all principals: built when first asked for, rebuilt when the configuration or a list they were made
// from has changed, and never in between. What is handed out is immutable.

import type { AccountId } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import { fitsInTurn, inSlices, TimeSlice } from '../domain/time-slice.ts';
import type { AccountConfiguration } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { AccountSnapshot, type SnapshotDeps, type UpstreamRequest } from './account-snapshot.ts';
import { Catalog } from './catalog.ts';
import { DecidedLists } from './decided-lists.ts';
import type { ResolvedGrant } from './grant.ts';
import type { Inventories } from './inventories.ts';
import { Ownership } from './ownership.ts';

export interface CatalogsOptions {
  readonly openSecret: SnapshotDeps['openSecret'];
  /** Throws `GatewayError` for an address that is refused. One that is only tried out serves nobody, and its failures are nobody's. */
  readonly createUpstream: (request: UpstreamRequest, purpose: 'serve' | 'try') => Upstream;
  readonly createLists: (onChange: () => void) => Inventories;
  /** The longest that a client may keep a list. */
  readonly ttlMs: number;
  readonly now: () => number;
}

interface Entry {
  readonly grants: readonly ResolvedGrant[];
  readonly ownership: Ownership;
  catalog: Catalog;
  generation: number;
}

/** An upstream that is granted no more lives on this long, for calls that were routed to it and are still opening a session. */
const RETIREMENT_MS = 10_000;

/** When the process ends nobody waits for an answer any more; this is for the goodbyes to upstreams' sessions. */
const CLOSE_GRACE_MS = 1_000;

/** What is to be done with a catalog before it is used, step by step. */
export type CatalogWork = (catalog: Catalog) => Iterable<unknown>;

const decide: CatalogWork = (catalog) => catalog.decide();

/** So often work on a catalog is begun anew when the catalog has changed meanwhile. */
const MAX_ROUNDS = 5;

/** An upstream in use, and whose secret it is asked with. */
export interface Serving {
  readonly upstream: Upstream;
  readonly accountId: AccountId;
  readonly configId: string;
  readonly secretId: string | null;
}

interface Account {
  readonly snapshot: AccountSnapshot;
  /** By token. */
  readonly entries: Map<string, Entry>;
  /** Of one config by itself: by token, then by the config's name. */
  readonly views: Map<string, Map<string, Entry>>;
}

export class Catalogs {
  readonly lists: Inventories;
  readonly #decided: DecidedLists;
  readonly #options: CatalogsOptions;
  readonly #serving = new Map<string, Serving>();
  /** The key of the upstream in use of each lineage. */
  readonly #heirs = new Map<string, string>();
  /** Let go of, but not closed yet. */
  readonly #retired = new Map<Upstream, NodeJS.Timeout>();
  #accounts: ReadonlyMap<AccountId, Account> = new Map();
  /** Counts everything that can make a catalog stale. */
  #generation = 0;

  constructor(options: CatalogsOptions) {
    this.#options = options;
    this.lists = options.createLists(() => {
      this.#generation++;
    });
    this.#decided = new DecidedLists(this.lists);
  }

  /** Replaces the configuration of all accounts in one assignment, then lets go of upstreams that nobody is granted any more. */
  replace(configurations: readonly AccountConfiguration[]): void {
    const accounts = new Map<AccountId, Account>();
    for (const configuration of configurations) {
      const before = this.#accounts.get(configuration.accountId);
      const isSame = before?.snapshot.epoch === configuration.epoch;
      accounts.set(configuration.accountId, isSame ? before : this.#compile(configuration, before?.snapshot));
    }
    this.#accounts = accounts;
    this.#generation++;
    this.#settle();
  }

  snapshot(account: AccountId): AccountSnapshot | undefined {
    return this.#accounts.get(account)?.snapshot;
  }

  /**
   * Whether a token is still the one that was presented: not gone, not revoked, and of the same value or of the one
   * after it. Its expiry is looked at when a request comes; what has begun by then may end.
   */
  isInForce(account: AccountId, { id, hash }: Pick<StoredToken, 'id' | 'hash'>): boolean {
    const token = this.snapshot(account)?.tokens.get(id);
    return token !== undefined && token.revokedAtMs === null && (token.hash === hash || token.previousHash === hash);
  }

  *upstreams(): Iterable<Upstream> {
    for (const { upstream } of this.#serving.values()) yield upstream;
  }

  /** The upstreams in use of one account, in the order in which they came into use. */
  *serving(account: AccountId): Iterable<Serving> {
    for (const serving of this.#serving.values()) if (serving.accountId === account) yield serving;
  }

  /**
   * The catalog of a token as of now, or `undefined` when the token is gone; with `view`, of the config of that name alone,
   * or `undefined` when it is not granted. Costs two Map look-ups, or three, when nothing has changed.
   */
  current(account: AccountId, tokenId: string, view?: string): Catalog | undefined {
    const known = this.#accounts.get(account);
    const entry = view === undefined ? known?.entries.get(tokenId) : known?.views.get(tokenId)?.get(view);
    if (entry !== undefined && entry.generation === this.#generation) return entry.catalog;
    return known === undefined ? undefined : this.#refreshEntry(known, tokenId, view, entry);
  }

  /** Like `current`, but keeps nothing: for who looks at many tokens once. */
  peek(account: AccountId, tokenId: string): Catalog | undefined {
    const known = this.#accounts.get(account);
    const entry = known?.entries.get(tokenId);
    if (known === undefined || (entry !== undefined && this.#isCurrent(entry.catalog))) return entry?.catalog;
    const token = known.snapshot.tokens.get(tokenId);
    if (token === undefined) return undefined;
    const ownership = new Ownership(entry?.ownership);
    return this.#build(known.snapshot, entry?.grants ?? known.snapshot.resolve(token), ownership);
  }

  /**
   * A configuration as it would be served: what is in use for it already is looked up, the rest is `upstreamFor`'s.
   * Nothing comes into use by it.
   */
  suppose(configuration: AccountConfiguration, upstreamFor: SnapshotDeps['upstreamFor']): AccountSnapshot {
    const deps: SnapshotDeps = {
      openSecret: this.#options.openSecret,
      upstreamFor: (request) => this.#serving.get(request.key)?.upstream ?? upstreamFor(request),
    };
    return new AccountSnapshot(configuration, deps, this.snapshot(configuration.accountId));
  }

  /** An upstream to be asked aside of those that serve; whoever has it made closes it. Throws `GatewayError`. */
  tryOut(request: UpstreamRequest): Upstream {
    return this.#options.createUpstream(request, 'try');
  }

  /** The upstream in use with whose list another of its lineage would begin. */
  heir(lineage: string): Upstream | undefined {
    return this.#serving.get(this.#heirs.get(lineage) ?? '')?.upstream;
  }

  /**
   * Like `current`, but waits for upstreams whose tools were never seen, at most `waitMs` from when they were first
   * asked (design §3.10): one that hangs would otherwise delay every list until it has timed out. See `prepared`.
   */
  async settled(
    account: AccountId,
    tokenId: string,
    waitMs: number,
    view?: string,
    work: CatalogWork = decide,
  ): Promise<Catalog | undefined> {
    const catalog = this.current(account, tokenId, view);
    if (catalog === undefined) return undefined;
    await this.awaitLists(account, catalog.grants, waitMs);
    return this.prepared(account, tokenId, view, work);
  }

  /**
   * Like `current`, with `work` done on it, in turns with other work. What has changed meanwhile is taken as it is then, and
   * the work on that is little; where changes never end, it is done in one go.
   */
  async prepared(
    account: AccountId,
    tokenId: string,
    view: string | undefined,
    work: CatalogWork,
  ): Promise<Catalog | undefined> {
    for (let rounds = 0; ; rounds++) {
      const catalog = this.current(account, tokenId, view);
      const rest = catalog && rounds < MAX_ROUNDS ? inSlices(work(catalog)) : undefined;
      if (rest === undefined) return catalog;
      await rest;
    }
  }

  /** Like `settled` where nothing has to be waited for, and without a promise; `undefined` where something has. */
  alreadySettled(account: AccountId, tokenId: string, view?: string, work: CatalogWork = decide): Catalog | undefined {
    const catalog = this.current(account, tokenId, view);
    if (catalog === undefined || this.isSettling(catalog) || !fitsInTurn(work(catalog))) return undefined;
    for (const { upstream } of catalog.grants) if (upstream !== undefined) void this.lists.refresh(account, upstream);
    return catalog;
  }

  /** Has stale lists fetched, and waits for those that were never seen, at most `waitMs` from when they were first asked for. */
  async awaitLists(account: AccountId, of: readonly ResolvedGrant[], waitMs: number): Promise<void> {
    const fetches: Promise<void>[] = [];
    let patienceMs = 0;
    const slice = new TimeSlice();
    for (const { upstream } of of) {
      if (slice.isOver) await slice.rest();
      if (upstream === undefined) continue;
      const fetch = this.lists.refresh(account, upstream);
      const leftMs = this.lists.isPending(upstream) ? waitMs - this.lists.pendingMs(upstream) : 0;
      if (leftMs <= 0) continue;
      fetches.push(fetch);
      patienceMs = Math.max(patienceMs, leftMs);
    }
    if (fetches.length > 0) await within(patienceMs, Promise.all(fetches));
    const undecided = of.filter((grant) => this.#decided.isUndecided(grant));
    if (undecided.length > 0) await within(waitMs, Promise.all(undecided.map((grant) => this.#decided.decide(grant))));
  }

  /** Whether waiting could make a missing tool appear. */
  isSettling(catalog: Catalog): boolean {
    return catalog.grants.some((grant) => {
      return grant.upstream !== undefined && (this.lists.isPending(grant.upstream) || this.#decided.isUndecided(grant));
    });
  }

  /** How long a client may keep the list of this catalog: no longer than any upstream says of its own. */
  ttlMs(catalog: Catalog): number {
    const left = catalog.grants.map(({ upstream }) =>
      upstream === undefined ? Infinity : this.lists.freshMs(upstream),
    );
    return Math.floor(Math.min(this.#options.ttlMs, ...left));
  }

  /** Ends all sessions and connections, and cuts what still runs on them after a second. */
  async close(): Promise<void> {
    for (const timer of this.#retired.values()) clearTimeout(timer);
    this.lists.close();
    const all = [...this.upstreams(), ...this.#retired.keys()];
    await Promise.all(all.map((upstream) => upstream.close(CLOSE_GRACE_MS)));
  }

  #compile(configuration: AccountConfiguration, before: AccountSnapshot | undefined): Account {
    const deps: SnapshotDeps = {
      openSecret: this.#options.openSecret,
      upstreamFor: (request) => this.#upstreamFor(request),
    };
    return { snapshot: new AccountSnapshot(configuration, deps, before), entries: new Map(), views: new Map() };
  }

  #upstreamFor(request: UpstreamRequest): Upstream {
    let upstream = this.#serving.get(request.key)?.upstream;
    if (upstream === undefined) {
      upstream = this.#options.createUpstream(request, 'serve');
      const { accountId, config, secretId } = request;
      this.#serving.set(request.key, { upstream, accountId, configId: config.config.id, secretId });
      const before = this.#heirs.get(request.lineage);
      if (before !== undefined) this.lists.inherit(request.key, before);
      this.#heirs.set(request.lineage, request.key);
    }
    return upstream;
  }

  #refreshEntry(
    account: Account,
    tokenId: string,
    view: string | undefined,
    entry: Entry | undefined,
  ): Catalog | undefined {
    const token = account.snapshot.tokens.get(tokenId);
    if (token === undefined) return undefined;
    const grants = entry?.grants ?? resolveView(account.snapshot.resolve(token), view);
    if (grants === undefined) return undefined;
    const ownership = entry?.ownership ?? new Ownership();
    const isStale = entry === undefined || !this.#isCurrent(entry.catalog);
    const catalog = isStale ? this.#build(account.snapshot, grants, ownership, view) : entry.catalog;
    const fresh = { grants, ownership, catalog, generation: this.#generation };
    if (view === undefined) account.entries.set(tokenId, fresh);
    else {
      const views = account.views.get(tokenId) ?? new Map<string, Entry>();
      account.views.set(tokenId, views.set(view, fresh));
    }
    return catalog;
  }

  #isCurrent(catalog: Catalog): boolean {
    return catalog.grants.every((grant, index) => this.#decided.of(grant) === catalog.lists[index]);
  }

  #build(
    { accountId, epoch }: AccountSnapshot,
    grants: readonly ResolvedGrant[],
    ownership: Ownership,
    view?: string,
  ): Catalog {
    return new Catalog({
      accountId,
      epoch,
      grants,
      ownership,
      view,
      listOf: (_, grant) => this.#decided.of(grant),
    });
  }

  /** Asks new upstreams for their tools ahead of the first agent, and closes those that no live token is granted. */
  #settle(): void {
    const used = new Set<Upstream>();
    const unasked: [AccountId, Upstream][] = [];
    for (const [accountId, { snapshot }] of this.#accounts) {
      for (const token of snapshot.tokens.values()) {
        if (!isLive(token, this.#options.now())) continue;
        for (const { upstream } of snapshot.resolve(token)) {
          if (upstream === undefined || used.has(upstream)) continue;
          used.add(upstream);
          if (this.lists.isUnconfirmed(upstream)) unasked.push([accountId, upstream]);
        }
      }
    }
    for (const { upstream } of this.#serving.values()) if (!used.has(upstream)) this.#retire(upstream);
    for (const { snapshot } of this.#accounts.values()) snapshot.keepOnly(used);
    for (const [lineage, key] of this.#heirs) if (!this.#serving.has(key)) this.#heirs.delete(lineage);
    this.lists.keepOnly(new Set([...used].map((upstream) => upstream.key)));
    void inSlices(this.#ask(unasked));
  }

  *#ask(unasked: Iterable<readonly [AccountId, Upstream]>): Iterable<void> {
    for (const [accountId, upstream] of unasked) {
      // By another configuration it may be out of use already.
      if (this.#serving.get(upstream.key)?.upstream === upstream) yield void this.lists.refresh(accountId, upstream);
    }
  }

  #retire(upstream: Upstream): void {
    this.#serving.delete(upstream.key);
    // Kept until it is closed: a call that hangs on it would otherwise keep the process from ending.
    const timer = setTimeout(() => {
      void upstream.close().finally(() => this.#retired.delete(upstream));
    }, RETIREMENT_MS);
    this.#retired.set(upstream, timer.unref());
  }
}

/** The grants that a view shows: all, or the one of a config, of which a token may have two with different secrets. */
function resolveView(grants: readonly ResolvedGrant[], view: string | undefined): readonly ResolvedGrant[] | undefined {
  if (view === undefined) return grants;
  const grant = grants.find(({ config }) => config.config.name === view);
  return grant && [grant];
}

/** Resolves with the work, or after so many milliseconds. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}

/** Neither revoked nor expired. */
export function isLive(token: { revokedAtMs: number | null; expiresAtMs: number | null }, nowMs: number): boolean {
  return token.revokedAtMs === null && (token.expiresAtMs === null || token.expiresAtMs > nowMs);
}
