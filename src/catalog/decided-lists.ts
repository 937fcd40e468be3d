// The lists of upstreams as catalogs may use them. Where patterns and names are many, what a grant admits is found out in
// turns with other work, and until then its lists are as if they were never seen: neither listed nor to be called.

import { inSlices } from '../domain/time-slice.ts';
import { decideAll, isDecided } from './admitted.ts';
import type { ResolvedGrant } from './grant.ts';
import type { Inventories } from './inventories.ts';
import type { Inventory } from './inventory.ts';

interface Deciding {
  readonly list: Inventory;
  readonly done: Promise<void>;
}

export class DecidedLists {
  readonly #lists: Inventories;
  /** Of grants with much to find out, what was last begun. */
  readonly #deciding = new WeakMap<ResolvedGrant, Deciding>();

  constructor(lists: Inventories) {
    this.#lists = lists;
  }

  /** The last known list of the grant's upstream, if it is known what of it is admitted. */
  of(grant: ResolvedGrant): Inventory | undefined {
    const list = this.#known(grant);
    return list !== undefined && isDecided(grant, list) ? list : undefined;
  }

  isUndecided(grant: ResolvedGrant): boolean {
    const list = this.#known(grant);
    return list !== undefined && !isDecided(grant, list);
  }

  /** Finds it out, once for all who wait; then what is listed and can be called is another. */
  decide(grant: ResolvedGrant): Promise<void> {
    const list = this.#known(grant);
    if (list === undefined) return Promise.resolve();
    const known = this.#deciding.get(grant);
    if (known?.list === list) return known.done;
    const done = Promise.resolve(inSlices(decideAll(grant, list))).then(() => this.#lists.noteDecided());
    this.#deciding.set(grant, { list, done });
    return done;
  }

  #known({ upstream }: ResolvedGrant): Inventory | undefined {
    return upstream && this.#lists.get(upstream);
  }
}
