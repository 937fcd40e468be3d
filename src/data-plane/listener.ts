// A client that is told of changes: a legacy session, or a modern listen. It is told that a list has changed only when
// the list that it would get has, and of a resource only while it may read it.

import type { Catalog } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import { admitResource } from '../catalog/grant.ts';
import type { NameStyle } from '../domain/principal.ts';
import { inSlices } from '../domain/time-slice.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import type { Era } from '../protocol/era.ts';
import type { ChangedList, ListKind } from '../protocol/list-kind.ts';
import { toUpdate } from '../upstream/resource-update.ts';
import type { Exchange } from './exchange.ts';
import type { OpenStreams } from './open-streams.ts';
import type { Outbox } from './outbox.ts';
import { readNameStyle } from './request-head.ts';
import { type Follower, toInterest, type UpstreamWatches } from './upstream-watches.ts';

/** Resources that one listener may subscribe to. */
export const MAX_SUBSCRIPTIONS = 1_000;
/** The longest that a client waits for what it wants to be subscribed to upstream. */
export const SUBSCRIBE_WAIT_MS = 2_000;

export interface ListeningDeps {
  readonly catalogs: Catalogs;
  readonly streams: OpenStreams;
  readonly watches: UpstreamWatches;
}

/** Sends the client what a listener owes it. */
export interface ListenerOwner {
  readonly era: Era;
  readonly outbox: Outbox;
  /** There is something in the outbox. */
  readonly wake: () => void;
}

/** The notification for each list. There is none for templates: clients read them with the resources. */
const LIST_OF: Readonly<Record<ListKind, ChangedList>> = {
  tools: 'tools',
  prompts: 'prompts',
  resources: 'resources',
  templates: 'resources',
};

export class Listener implements Follower {
  /** As of its last stream: a token may have been given another value since. */
  principal: TokenPrincipal;
  /** The config that is all it may see, if there is one. */
  readonly view: string | undefined;
  /** The spelling its URL asks for, before the token's own. */
  asked: NameStyle | undefined;
  /** What it is to be told: of a list by its name, of a resource by `toKey`. */
  readonly outbox: Outbox;
  readonly uris = new Set<string>();
  readonly wake: () => void;
  readonly #era: Era;
  readonly #deps: ListeningDeps;
  /** Of each list that it is told of, the digest of what it was last given, or told of. */
  readonly #digests = new Map<ListKind, string | undefined>();
  /** What is watched for it was worked out from this catalog; `undefined` when nothing is. */
  #followed: Catalog | undefined;
  /** Of the last such catalog, also when nothing is watched any more. */
  #epoch: number | undefined;

  constructor({ principal, view, request }: Exchange, owner: ListenerOwner, deps: ListeningDeps) {
    this.principal = principal;
    this.view = view;
    this.asked = readNameStyle(request.url);
    this.outbox = owner.outbox;
    this.wake = owner.wake;
    this.#era = owner.era;
    this.#deps = deps;
  }

  /** As of now; `undefined` when its token or its view is gone. */
  get catalog(): Catalog | undefined {
    const { accountId, token } = this.principal;
    return this.#deps.catalogs.current(accountId, token.id, this.view);
  }

  /** It has been given a list, or is taken to know it: from now on it is told when there is another. */
  noteGiven(kind: ListKind, catalog: Catalog, style = this.style): void {
    this.#digests.set(kind, catalog.list(kind, this.#era, style).digest);
    // The change that waits to be told is no news any more. But `resources` may still wait for the templates' sake.
    if (kind === 'tools' || kind === 'prompts') this.outbox.delete(kind);
  }

  knows(kind: ListKind): boolean {
    return this.#digests.has(kind);
  }

  /**
   * Puts into the outbox which lists have changed, and watches what it wants under the catalog of now. Resolves when that is
   * done, where lists are too long to be made in one go.
   */
  look(): Promise<void> | void {
    const { catalog } = this;
    if (catalog === undefined) return;
    const rest = inSlices(this.serialize(catalog));
    if (rest !== undefined) return this.#lookAfter(rest);
    this.compare(catalog);
    if (catalog !== this.#followed) this.follow(catalog);
    this.wake();
  }

  async #lookAfter(rest: Promise<void>): Promise<void> {
    const { accountId, token } = this.principal;
    await rest;
    await this.#deps.catalogs.prepared(accountId, token.id, this.view, (catalog) => this.serialize(catalog));
    await this.look();
  }

  /** Makes the lists that it knows, and may be told of. */
  *serialize(catalog: Catalog): Iterable<void> {
    for (const kind of this.#digests.keys()) yield* catalog.serialize(kind, this.#era, this.style);
  }

  /** Puts into the outbox which of the lists it knows have changed. */
  compare(catalog: Catalog): void {
    const style = this.style;
    for (const [kind, known] of this.#digests) {
      const { digest } = catalog.list(kind, this.#era, style);
      if (digest === known) continue;
      this.#digests.set(kind, digest);
      this.outbox.put(LIST_OF[kind], NO_PARAMS);
    }
  }

  /** Watches what it wants under this catalog. */
  follow(catalog: Catalog): void {
    this.#followed = catalog;
    this.#epoch = catalog.epoch;
    this.#deps.watches.follow(this, toInterest(catalog, this.uris, this.#digests.size > 0));
  }

  /** Watches nothing, and holds no catalog: of many sessions the client never comes back. */
  unfollow(): void {
    this.#followed = undefined;
    this.#deps.watches.unfollow(this);
  }

  /** Whether the configuration has been edited since what is watched for it was worked out. */
  isOutdated({ epoch }: Catalog): boolean {
    return this.#epoch !== undefined && this.#epoch !== epoch;
  }

  /** Which updates it has missed is unknown: puts one of each resource into the outbox. */
  startOver(): void {
    this.forgetUpdates();
    for (const uri of this.uris) this.outbox.put(toKey(uri), toUpdate(uri), uri);
  }

  forgetUpdates(): void {
    for (const key of [...this.outbox.keys()]) if (key.startsWith(UPDATE)) this.outbox.delete(key);
  }

  onUpdated(subscribed: string, uri: string, params: Buffer): void {
    if (!this.uris.has(subscribed)) return;
    const { outbox } = this;
    const key = toKey(uri);
    if (!outbox.isFull) outbox.put(key, params, subscribed);
    else if (uri === subscribed || outbox.has(key)) outbox.put(key, toUpdate(uri), subscribed);
    else outbox.put(toKey(subscribed), toUpdate(subscribed), subscribed);
  }

  /** Hands `visit` what is to be sent next. What it may be told is judged only now, for rights may have changed since. */
  readOn(visit: (key: string, data: Buffer, number: number) => void): void {
    const { catalog } = this;
    this.outbox.readOn((key, { data, subscribed, number }) => {
      if (subscribed === undefined || this.#mayRead(catalog, subscribed, key.slice(UPDATE.length))) {
        visit(key, data, number);
      }
    });
  }

  /** A resource below one that it may read must be readable itself. */
  #mayRead(catalog: Catalog | undefined, subscribed: string, uri: string): boolean {
    const route = this.uris.has(subscribed) ? catalog?.resource(subscribed) : undefined;
    return route !== undefined && (uri === subscribed || admitResource(route.grant, uri) !== undefined);
  }

  /** The token's own is read from the configuration in force: it may have been edited since the stream began. */
  get style(): NameStyle {
    const { accountId, token } = this.principal;
    return this.asked ?? (this.#deps.catalogs.snapshot(accountId)?.tokens.get(token.id) ?? token).nameStyle;
  }
}

const NO_PARAMS = Buffer.alloc(0);
const UPDATE = ' ';

/** What an update of a resource is called in an outbox. */
export function toKey(uri: string): string {
  return UPDATE + uri;
}

/** The method of the notification that tells of what an outbox holds under `key`. */
export function methodOf(key: string): string {
  return `notifications/${key.startsWith(UPDATE) ? 'resources/updated' : `${key}/list_changed`}`;
}

/** A notification; without params there is no such member. */
export function toNotification(method: string, params: Buffer): Buffer {
  const head = `{"jsonrpc":"2.0","method":"${method}"`;
  if (params.length === 0) return Buffer.from(`${head}}`);
  return Buffer.concat([Buffer.from(`${head},"params":`), params, CLOSE]);
}

const CLOSE = Buffer.from('}');
