// Which grant serves a name that several could: the first that lists it, and that one until the configuration changes,
// whatever upstreams list meanwhile (design §3.6).

import { hash } from 'node:crypto';
import type { ListKind } from '../protocol/list-kind.ts';
import type { ResolvedGrant } from './grant.ts';
import type { Offer } from './offer.ts';
import type { Collision, Offered } from './route.ts';
import { Share } from './share.ts';

/** A grant that could serve the same as others. */
export interface Contestant {
  readonly grant: ResolvedGrant;
  /** `undefined` while its upstream's lists were never seen. */
  readonly offer: Offer | undefined;
}

/** Who has what, by the position of a contestant. */
interface Held {
  readonly offers: readonly (Offer | undefined)[];
  readonly share: Share;
  /** By canonical name. */
  readonly owners: ReadonlyMap<string, number>;
  /** Names that are listed no more, by `rememberedKey`. */
  readonly departed: ReadonlyMap<string, number>;
}

/** What the grants of one token have served since the configuration changed. */
export class Ownership {
  readonly #held: Map<string, Held>;

  constructor(before?: Ownership) {
    this.#held = new Map(before === undefined ? [] : before.#held);
  }

  /** Names that are remembered, of what is listed no more. */
  get departed(): readonly string[] {
    return [...this.#held.values()].flatMap(({ departed }) => [...departed.keys()]);
  }

  /** Gives every name that is offered now to one of the contestants. `contest` says what they contend for. */
  share(kind: ListKind, contest: string, contestants: readonly Contestant[]): Share {
    const before = this.#held.get(contest);
    const offers = contestants.map(({ offer }) => offer);
    if (before !== undefined && isSame(before.offers, offers)) return before.share;
    const held = before === undefined ? shareAnew(kind, offers) : shareOut(kind, offers, before);
    this.#held.set(contest, held);
    return held.share;
  }

  /** The contestant that has served this name, by position; `undefined` when none has. */
  ownerOf(contest: string, name: string): number | undefined {
    const held = this.#held.get(contest);
    return held && ownerIn(held, name);
  }

  /** Names that a contestant lists and another serves. */
  *collisions(kind: ListKind, contest: string, contestants: readonly Contestant[]): Iterable<Collision> {
    const held = this.#held.get(contest);
    if (held === undefined) return;
    const nameOf = (position: number): string => contestants[position]?.grant.config.config.name ?? '';
    for (const [position, { offer }] of contestants.entries()) {
      for (const { canonicalName } of offer?.alone(kind).parts[0] ?? []) {
        const owner = ownerIn(held, canonicalName);
        if (owner === undefined || owner === position) continue;
        yield { kind, canonicalName, servedBy: nameOf(owner), alsoIn: nameOf(position) };
      }
    }
  }
}

/** By the first offer: tokens of the same grants share it, and an edit of another config leaves it as it is. */
const anew = new WeakMap<Offer, Map<ListKind, Held>>();

/** Where nobody has served anything yet. */
function shareAnew(kind: ListKind, offers: readonly (Offer | undefined)[]): Held {
  const first = offers.find((offer) => offer !== undefined);
  const known = first && anew.get(first);
  const last = known?.get(kind);
  if (last !== undefined && isSame(last.offers, offers)) return last;
  const held = shareOut(kind, offers, undefined);
  if (first !== undefined) anew.set(first, (known ?? new Map<ListKind, Held>()).set(kind, held));
  return held;
}

function shareOut(kind: ListKind, offers: readonly (Offer | undefined)[], before: Held | undefined): Held {
  const owners = new Map<string, number>();
  const parts = offers.map((offer, position) => {
    const part: Offered[] = [];
    for (const offered of offer?.alone(kind).parts[0] ?? []) {
      const { canonicalName } = offered;
      const owner = (before && ownerIn(before, canonicalName)) ?? owners.get(canonicalName) ?? position;
      if (owner !== position) continue;
      owners.set(canonicalName, position);
      part.push(offered);
    }
    return part;
  });
  return { offers, share: new Share(parts), owners, departed: before ? departedSince(before, owners) : NOBODY };
}

function departedSince({ owners, departed }: Held, present: ReadonlyMap<string, number>): Map<string, number> {
  const gone = new Map(departed);
  for (const [name, owner] of owners) if (!present.has(name)) gone.set(rememberedKey(name), owner);
  if (gone.size > 0) for (const name of present.keys()) gone.delete(rememberedKey(name));
  return forgetOldest(gone);
}

/** As many as one list may have: one that comes empty for once loses nothing. */
const MAX_DEPARTED = 10_000;

/** An upstream may list others each second. Nobody's names are forgotten for those of another, which could then take them. */
function forgetOldest(departed: Map<string, number>): Map<string, number> {
  if (departed.size <= MAX_DEPARTED) return departed;
  for (const ofOne of Map.groupBy(departed, ([, owner]) => owner).values()) {
    for (const [name] of ofOne.slice(0, Math.max(ofOne.length - MAX_DEPARTED, 0))) departed.delete(name);
  }
  return departed;
}

function ownerIn({ owners, departed }: Held, name: string): number | undefined {
  return owners.get(name) ?? (departed.size === 0 ? undefined : departed.get(rememberedKey(name)));
}

const MAX_REMEMBERED_LENGTH = 128;

/** A URI may be long, and every token remembers what it was served. Nothing that is listed holds a line feed. */
function rememberedKey(name: string): string {
  return name.length <= MAX_REMEMBERED_LENGTH ? name : `\n${hash('sha256', name, 'base64url')}`;
}

const NOBODY: ReadonlyMap<string, number> = new Map();

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((each, index) => each === other[index]);
}
