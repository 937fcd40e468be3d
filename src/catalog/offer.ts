// What one grant offers of its upstream's lists, decided once for all tokens and epochs that share the grant.

import type { ListKind } from '../protocol/list-kind.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { admittedOf } from './admitted.ts';
import { FEATURE_OF, POLICIES } from './feature-policy.ts';
import type { ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import { type Offered, toOffered } from './route.ts';
import { Share } from './share.ts';

export class Offer {
  readonly grant: ResolvedGrant;
  readonly inventory: Inventory;
  readonly #upstream: Upstream;
  readonly #shares = new Map<ListKind, Share>();

  constructor(grant: ResolvedGrant, upstream: Upstream, inventory: Inventory) {
    this.grant = grant;
    this.inventory = inventory;
    this.#upstream = upstream;
  }

  /** All that is admitted of a list, in its order: what is served where no other grant could serve the same. */
  alone(kind: ListKind): Share {
    let share = this.#shares.get(kind);
    if (share === undefined) {
      share = new Share([this.#admitted(kind)]);
      this.#shares.set(kind, share);
    }
    return share;
  }

  #admitted(kind: ListKind): Offered[] {
    const { grant, inventory } = this;
    const feature = FEATURE_OF[kind];
    const { admit, allowListOf } = POLICIES[feature];
    const items = inventory[kind];
    const narrowed = kind === 'tools' && grant.narrowing ? admittedOf(items, grant.narrowing) : undefined;
    const offered: Offered[] = [];
    for (const [name, pattern] of admittedOf(items, allowListOf(grant.config))) {
      if (narrowed?.has(name) === false) continue;
      const [admission, item] = [admit(grant, name, pattern), items.get(name)];
      if (admission === undefined || item === undefined) continue;
      offered.push(toOffered({ feature, grant, upstream: this.#upstream, name: item.name, admission, item }));
    }
    return offered;
  }
}

/** Of each grant, with the list that its upstream had last. */
const offers = new WeakMap<ResolvedGrant, Offer>();

/** What a grant offers of these lists of its upstream; the same object for whoever asks. */
export function offerOf(grant: ResolvedGrant, upstream: Upstream, inventory: Inventory): Offer {
  let offer = offers.get(grant);
  if (offer?.inventory !== inventory) {
    offer = new Offer(grant, upstream, inventory);
    offers.set(grant, offer);
  }
  return offer;
}
