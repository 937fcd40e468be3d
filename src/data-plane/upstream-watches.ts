// Which upstreams are watched for whom, and of which of their resources each client wants updates.

import { performance } from 'node:perf_hooks';
import type { Catalog } from '../catalog/catalog.ts';
import type { Route } from '../catalog/route.ts';
import { TimeSlice } from '../domain/time-slice.ts';
import type { ChangedList } from '../protocol/list-kind.ts';
import { toUpdate } from '../upstream/resource-update.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Watch } from '../upstream/watch-sink.ts';
import { ChangeDebounce, type Pace } from './change-debounce.ts';

/** A client that is told of changes. */
export interface Follower {
  /** A resource under `subscribed`, or itself, has been updated; `params` are those of the notification. */
  onUpdated(subscribed: string, uri: string, params: Buffer): void;
  /** Everything there is to tell now has been told. */
  wake(): void;
}

export interface UpstreamWatchesOptions {
  readonly onListChanged: (upstream: Upstream, list: ChangedList) => void;
  /** A defect of our own: some followers were not told. */
  readonly onFault: (error: unknown) => void;
}

/** What one follower wants: the upstreams that it hears of, and of each the URIs, which may be none. */
export type Interest = ReadonlyMap<Upstream, ReadonlySet<string>>;

const LISTS: readonly ChangedList[] = ['tools', 'prompts', 'resources'];
/** So many parents of an updated URI are looked up; no server nests deeper, and one that pretends to must not cost more. */
const MAX_PARENTS = 64;
/** So many resources below subscribed ones are told of one by one; of more, or of a longer URI, only the subscribed one is. */
const MAX_CHILDREN = 100;
const MAX_CHILD_CHARACTERS = 8 * 1024;
/** A resource that is updated all the time is told of ten times a second. */
const UPDATE_PACE: Pace = { quietMs: 10, longestWaitMs: 50, minIntervalMs: 100 };

interface Watched {
  readonly watch: Watch;
  readonly followers: Set<Follower>;
  readonly byUri: Map<string, Set<Follower>>;
  /** The last update of each resource, to be told soon: params by URI. */
  updates: Map<string, Buffer>;
}

const NOTHING: Interest = new Map();
const NO_URIS: ReadonlySet<string> = new Set();

export class UpstreamWatches {
  readonly #options: UpstreamWatchesOptions;
  readonly #watched = new Map<Upstream, Watched>();
  readonly #interests = new Map<Follower, Interest>();
  readonly #debounce = new ChangeDebounce(
    () => this.#tell().catch(this.#options.onFault),
    performance.now.bind(performance),
    UPDATE_PACE,
  );

  constructor(options: UpstreamWatchesOptions) {
    this.#options = options;
  }

  /** Sets what a follower is interested in, in place of what it was before. */
  follow(follower: Follower, interest: Interest): void {
    const before = this.#interests.get(follower) ?? NOTHING;
    if (interest.size > 0) this.#interests.set(follower, interest);
    else this.#interests.delete(follower);
    for (const [upstream, uris] of interest) {
      const known = before.get(upstream);
      const watched = this.#add(follower, upstream, uris, known ?? NO_URIS);
      if (known === undefined) this.#noteMoved(watched, uris, before);
    }
    for (const [upstream, uris] of before) this.#remove(follower, upstream, uris, interest.get(upstream));
  }

  unfollow(follower: Follower): void {
    this.follow(follower, NOTHING);
  }

  /**
   * Resolves when what a follower wants is subscribed to upstream, or is known not to be, and in any case after `waitMs`.
   * What comes later than that is told as updated, because an update before it would have been missed.
   */
  async ready(follower: Follower, waitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let isLate = false;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isLate = true;
        resolve();
      }, waitMs);
    });
    const all = [...(this.#interests.get(follower) ?? NOTHING)].map(async ([upstream, uris]) => {
      const watched = this.#watched.get(upstream);
      await watched?.watch.ready;
      if (isLate && watched !== undefined) this.#noteMissed(watched, uris);
    });
    await Promise.race([Promise.all(all), late]);
    clearTimeout(timer);
  }

  /** Whether the upstream will not tell of a resource. */
  isRefused({ upstream, upstreamName }: Route): boolean {
    return this.#watched.get(upstream)?.watch.isRefused(upstreamName) ?? false;
  }

  close(): void {
    this.#debounce.stop();
    for (const follower of [...this.#interests.keys()]) this.unfollow(follower);
  }

  #add(follower: Follower, upstream: Upstream, uris: ReadonlySet<string>, before: ReadonlySet<string>): Watched {
    const watched = this.#watched.get(upstream) ?? this.#open(upstream);
    watched.followers.add(follower);
    for (const uri of uris) {
      if (before.has(uri)) continue;
      const known = watched.byUri.get(uri);
      if (known !== undefined) known.add(follower);
      else {
        watched.byUri.set(uri, new Set([follower]));
        watched.watch.subscribe(uri);
      }
    }
    return watched;
  }

  /** A URI that moved here from another upstream may have been updated before this one was subscribed to. */
  #noteMoved(watched: Watched, uris: ReadonlySet<string>, before: Interest): void {
    const moved = [...before.values()].flatMap((known) => [...known].filter((uri) => uris.has(uri)));
    if (moved.length > 0) void watched.watch.ready.then(() => this.#noteMissed(watched, moved));
  }

  #remove(
    follower: Follower,
    upstream: Upstream,
    uris: ReadonlySet<string>,
    kept: ReadonlySet<string> | undefined,
  ): void {
    const watched = this.#watched.get(upstream);
    if (watched === undefined) return;
    for (const uri of uris) {
      const followers = watched.byUri.get(uri);
      if (kept?.has(uri) || !followers?.delete(follower) || followers.size > 0) continue;
      watched.byUri.delete(uri);
      watched.watch.unsubscribe(uri);
    }
    if (kept !== undefined) return;
    watched.followers.delete(follower);
    if (watched.followers.size > 0) return;
    this.#watched.delete(upstream);
    watched.watch.close();
  }

  #open(upstream: Upstream): Watched {
    const { onListChanged } = this.#options;
    const watch = upstream.watch({
      onListChanged: (list) => onListChanged(upstream, list),
      onResourceUpdated: (uri, params) => this.#noteUpdate(watched, uri, params),
      onGap: () => {
        for (const list of LISTS) onListChanged(upstream, list);
        this.#noteMissed(watched, watched.byUri.keys());
      },
    });
    const watched: Watched = { watch, followers: new Set(), byUri: new Map(), updates: new Map() };
    this.#watched.set(upstream, watched);
    return watched;
  }

  #noteUpdate(watched: Watched, uri: string, params: Buffer): void {
    const { byUri, updates } = watched;
    const isChild = !byUri.has(uri);
    const isTooMuch = !updates.has(uri) && updates.size >= byUri.size + MAX_CHILDREN;
    if (isChild && (isTooMuch || uri.length > MAX_CHILD_CHARACTERS))
      this.#noteMissed(watched, subscribedTo(byUri, uri));
    else {
      updates.set(uri, params);
      this.#debounce.note();
    }
  }

  /** Updates of these may have been missed: they are told as updated. */
  #noteMissed({ byUri, updates }: Watched, uris: Iterable<string>): void {
    for (const uri of uris) if (byUri.has(uri)) updates.set(uri, toUpdate(uri));
    this.#debounce.note();
  }

  async #tell(): Promise<void> {
    const slice = new TimeSlice();
    const told = new Set<Follower>();
    for (const watched of this.#watched.values()) {
      const { byUri, updates } = watched;
      watched.updates = new Map();
      for (const [uri, params] of updates) {
        for (const subscribed of subscribedTo(byUri, uri)) {
          for (const follower of byUri.get(subscribed) ?? []) {
            follower.onUpdated(subscribed, uri, params);
            told.add(follower);
            if (slice.isOver) await slice.rest();
          }
        }
      }
    }
    for (const follower of told) {
      follower.wake();
      if (slice.isOver) await slice.rest();
    }
  }
}

/** The URI and its parents, if subscribed to: an update may be of a sub-resource (2026-07-28 server/resources#subscriptions). */
function subscribedTo(byUri: ReadonlyMap<string, unknown>, uri: string): string[] {
  const found = byUri.has(uri) ? [uri] : [];
  let count = 0;
  for (let at = uri.length - 1; at > 0 && count < MAX_PARENTS; at--) {
    if (!ENDS_PARENT.has(uri[at] ?? '')) continue;
    count++;
    for (const parent of [uri.slice(0, at), uri.slice(0, at + 1)]) {
      if (parent !== uri && byUri.has(parent)) found.push(parent);
    }
  }
  return found;
}

const ENDS_PARENT: ReadonlySet<string> = new Set(['/', '?', '#']);

/** The upstreams that these URIs are read from; with `watchesLists` all upstreams of the catalog. */
export function toInterest(catalog: Catalog, uris: Iterable<string>, watchesLists: boolean): Interest {
  const interest = new Map<Upstream, Set<string>>();
  if (watchesLists) {
    for (const { upstream } of catalog.grants) if (upstream !== undefined) interest.set(upstream, new Set());
  }
  for (const uri of uris) {
    const route = catalog.resource(uri);
    if (route === undefined) continue;
    const wanted = interest.get(route.upstream);
    if (wanted === undefined) interest.set(route.upstream, new Set([uri]));
    else wanted.add(uri);
  }
  return interest;
}
