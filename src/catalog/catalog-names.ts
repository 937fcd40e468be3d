// The tools, or the prompts, of a catalog by their names: which service a name can be of is read off the name, so that a
// catalog is put together of services that were spelled before, for another token or in another epoch.

import type { NameStyle } from '../domain/principal.ts';
import { headOf, headsIn } from './naming.ts';
import type { Offered } from './route.ts';
import type { Share } from './share.ts';
import { type Naming, SpelledNames, styleIn } from './spelled-names.ts';

/** What is shared out among grants that could serve the same. */
export interface SharedOut {
  readonly share: Share;
  /** By index in the catalog, in the order of the share's parts. */
  readonly grants: readonly number[];
}

/** Where what a grant serves is spelled. */
export interface Place {
  readonly names: SpelledNames;
  readonly part: number;
}

/** Services whose spellings could meet; `head` is what all of them begin with. */
interface Group {
  readonly head: string;
  readonly members: SharedOut[];
  names: SpelledNames | undefined;
}

export class CatalogNames {
  readonly #services: ReadonlyMap<string, SharedOut>;
  readonly #naming: Naming;
  readonly #groups = new Map<NameStyle, ReadonlyMap<string, Group>>();
  readonly #places = new Map<NameStyle, ReadonlyMap<number, { readonly group: Group; readonly part: number }>>();

  /** By service. */
  constructor(services: ReadonlyMap<string, SharedOut>, naming: Naming) {
    this.#services = services;
    this.#naming = naming;
  }

  /** Of one service; `undefined` when no grant of it can serve anything of the kind. */
  of(service: string): SharedOut | undefined {
    return this.#services.get(service);
  }

  /** A canonical name is never displaced by another's spelling or bare name. */
  find(name: string, style: NameStyle): Offered | undefined {
    const dot = this.#naming === 'view' ? -1 : name.indexOf('.');
    const canonical = dot < 0 ? undefined : this.#services.get(name.slice(0, dot))?.share.find(name);
    if (canonical !== undefined) return canonical;
    const known = styleIn(this.#naming, style);
    const groups = this.#groupsOf(known);
    for (const head of this.#naming === 'one of many' ? headsIn(name, known) : groups.keys()) {
      const group = groups.get(head);
      if (group !== undefined) return this.#namesOf(group).find(name, known);
    }
    return undefined;
  }

  /** Where what a grant serves is spelled; `undefined` for a grant that can serve nothing of the kind. */
  placeOf(grant: number, style: NameStyle): Place | undefined {
    let places = this.#places.get(style);
    if (places === undefined) {
      places = this.#placeAll(style);
      this.#places.set(style, places);
    }
    const place = places.get(grant);
    return place && { names: this.#namesOf(place.group), part: place.part };
  }

  #placeAll(style: NameStyle): Map<number, { group: Group; part: number }> {
    const places = new Map<number, { group: Group; part: number }>();
    for (const group of this.#groupsOf(styleIn(this.#naming, style)).values()) {
      let part = 0;
      for (const { grants } of group.members) for (const grant of grants) places.set(grant, { group, part: part++ });
    }
    return places;
  }

  /** Of services that are sorted by their heads, those that could meet stand together. */
  #groupsOf(style: NameStyle): ReadonlyMap<string, Group> {
    const known = this.#groups.get(style);
    if (known !== undefined) return known;
    const groups = new Map<string, Group>();
    const heads = [...this.#services].map(([service, share]) => ({ head: headOf(service, style), share }));
    let group: Group | undefined;
    for (const { head, share } of heads.sort((a, b) => (a.head < b.head ? -1 : 1))) {
      if (group === undefined || !head.startsWith(group.head)) {
        group = { head, members: [], names: undefined };
        groups.set(head, group);
      }
      group.members.push(share);
    }
    this.#groups.set(style, groups);
    return groups;
  }

  #namesOf(group: Group): SpelledNames {
    const [first, ...others] = group.members;
    if (first === undefined || others.length > 0 || this.#naming === 'view') {
      const parts = group.members.flatMap(({ share }) => share.parts);
      group.names ??= new SpelledNames(parts, this.#naming);
      return group.names;
    }
    return this.#naming === 'only' ? first.share.onlyNames : first.share.names;
  }
}
