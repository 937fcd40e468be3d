// The tools, or the prompts, of a catalog by the names that clients may use for them.

import type { NameStyle } from '../domain/principal.ts';
import { spellNames } from './naming.ts';
import type { Route } from './route.ts';

export class NamedRoutes {
  /** In the order in which they are listed. */
  readonly routes: readonly Route[];
  readonly #byCanonicalName: ReadonlyMap<string, Route>;
  /** The one service of all, if there is one: then bare names are understood. */
  readonly #onlyService: string | undefined;
  /** Whether they are called what their upstream calls them, and nothing else. */
  readonly #isBare: boolean;
  readonly #byName = new Map<NameStyle, ReadonlyMap<string, Route>>();
  readonly #spellings = new Map<NameStyle, readonly string[]>();

  constructor(
    routes: readonly Route[],
    { onlyService, isBare }: { readonly onlyService: string | undefined; readonly isBare: boolean },
  ) {
    this.routes = routes;
    this.#byCanonicalName = new Map(routes.map((route) => [route.canonicalName, route]));
    this.#onlyService = onlyService;
    this.#isBare = isBare;
  }

  /** The route of a name as a client spells it. */
  find(name: string, style: NameStyle): Route | undefined {
    let names = this.#byName.get(style);
    if (names === undefined) {
      names = this.#isBare ? new Map(this.routes.map((route) => [route.upstreamName, route])) : this.#collect(style);
      this.#byName.set(style, names);
    }
    return names.get(name);
  }

  /** The spelling of each route, in the order of `routes`. */
  spellings(style: NameStyle): readonly string[] {
    let spellings = this.#spellings.get(style);
    if (spellings === undefined) {
      // Of several services, a hidden `github.x` must not reach another upstream's `x`: there no name is bare.
      const isBareOfMany = style === 'bare' && this.#onlyService === undefined;
      spellings = this.#isBare
        ? this.routes.map(({ upstreamName }) => upstreamName)
        : spellNames(this.routes, isBareOfMany ? 'dot' : style);
      this.#spellings.set(style, spellings);
    }
    return spellings;
  }

  /** Every name that may be used. A canonical name is never displaced by another's spelling or bare name. */
  #collect(style: NameStyle): ReadonlyMap<string, Route> {
    const names = new Map(this.#byCanonicalName);
    this.spellings(style).forEach((spelling, index) => {
      const route = this.routes[index];
      if (route !== undefined && !names.has(spelling)) names.set(spelling, route);
    });
    if (this.#onlyService !== undefined) {
      // `github.x` as a bare name would read as the canonical name of the tool `x`, which may be hidden.
      const prefix = `${this.#onlyService}.`;
      for (const route of this.routes) {
        if (!route.upstreamName.startsWith(prefix) && !names.has(route.upstreamName)) {
          names.set(route.upstreamName, route);
        }
      }
    }
    return names;
  }
}
