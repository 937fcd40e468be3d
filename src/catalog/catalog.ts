// What one principal may use, as an immutable snapshot. The lists and the routes come out of one pass, so something is
// listed if and only if it can be called (design §3.2).

import type { AccountId } from '../domain/mcp-config.ts';
import type { NameStyle } from '../domain/principal.ts';
import type { Era } from '../protocol/era.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import { splice } from '../protocol/splice.ts';
import type { UpstreamFailure } from '../upstream/failure.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { admitResource, type GrantTrouble, type ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import { ListArray } from './list-array.ts';
import { NamedRoutes } from './named-routes.ts';
import {
  type Collision,
  collectRoutes,
  forgetDeparted,
  type ListedRoute,
  ownerKey,
  type Route,
  type RouteSources,
  toRoute,
} from './route.ts';
import { findServed, type Served } from './served.ts';
import { findTemplate } from './uri-template.ts';

/** An upstream of this catalog that is not as it should be; shown in the `_meta` of a list. */
export interface UpstreamState {
  readonly service: string;
  readonly mcp_config: string;
  readonly state: 'unavailable' | 'starting' | GrantTrouble;
  readonly reason?: string;
  readonly since?: string;
}

export interface CatalogInput {
  readonly accountId: AccountId;
  readonly epoch: number;
  readonly grants: readonly ResolvedGrant[];
  readonly listOf: (upstream: Upstream) => Inventory | undefined;
  /** Which grant, by index, has served something since the configuration changed; added to by the build (design §3.6). */
  readonly owners: Map<string, number>;
  /** The name of the config that is all there is to see, if it is seen by itself. */
  readonly view?: string | undefined;
}

export class Catalog {
  readonly epoch: number;
  readonly view: string | undefined;
  readonly grants: readonly ResolvedGrant[];
  /** Of tools; in the order of grants, then of the upstream's own list. */
  readonly routes: readonly Route[];
  readonly collisions: readonly Collision[];
  /** The lists this catalog was built from, to see when it is stale. */
  readonly lists: readonly (Inventory | undefined)[];
  /** The one service of all grants, if there is one: then bare names are understood. */
  readonly onlyService: string | undefined;
  readonly serves: Served;
  readonly #sources: RouteSources;
  readonly #listed: Readonly<Record<ListKind, ReadonlyMap<string, ListedRoute>>>;
  readonly #tools: NamedRoutes;
  readonly #prompts: NamedRoutes;
  readonly #arrays = new Map<string, ListArray>();

  constructor(input: CatalogInput) {
    const { accountId, epoch, grants, owners, view } = input;
    this.epoch = epoch;
    this.view = view;
    this.grants = grants;
    this.lists = grants.map(({ upstream }) => (upstream === undefined ? undefined : input.listOf(upstream)));
    const services = new Set(grants.map((grant) => grant.config.service));
    this.onlyService = services.size === 1 ? [...services][0] : undefined;
    const collisions: Collision[] = [];
    const sources: RouteSources = { accountId, epoch, grants, lists: this.lists, owners, collisions };
    this.#sources = sources;
    this.#listed = {
      tools: collectRoutes('tools', sources),
      prompts: collectRoutes('prompts', sources),
      resources: collectRoutes('resources', sources),
      templates: collectRoutes('templates', sources),
    };
    forgetDeparted(owners, this.#listed);
    const naming = { onlyService: this.onlyService, isBare: view !== undefined };
    this.#tools = new NamedRoutes(this.routesOf('tools'), naming);
    this.#prompts = new NamedRoutes(this.routesOf('prompts'), naming);
    this.routes = this.#tools.routes;
    this.collisions = collisions;
    this.serves = findServed(this);
  }

  /** The route of a tool as a client spells it, or `undefined` for hidden, forbidden and missing alike. */
  route(name: string, style: NameStyle): Route | undefined {
    return this.#tools.find(name, style);
  }

  /** The same of a prompt. */
  prompt(name: string, style: NameStyle): Route | undefined {
    return this.#prompts.find(name, style);
  }

  /**
   * Where a URI is read: at the grant that lists it, or else at the first that admits it and lists a template for it. Seen
   * by itself, a config need only admit it: MCP Apps link to resources that no list has.
   */
  resource(uri: string): Route | undefined {
    const listed = this.#listed.resources.get(uri);
    if (listed !== undefined) return listed.route;
    const owner = this.#sources.owners.get(ownerKey('resources', uri));
    for (const [index, grant] of this.grants.entries()) {
      const { upstream } = grant;
      if (upstream === undefined || (owner !== undefined && owner !== index)) continue;
      const admission = admitResource(grant, uri);
      if (admission === undefined || !this.#isOffered(index, uri)) continue;
      return toRoute(this.#sources, { feature: 'resource', grant, upstream, name: uri, admission });
    }
    return undefined;
  }

  /** The route of a listed resource template, by its text. */
  template(uriTemplate: string): Route | undefined {
    return this.#listed.templates.get(uriTemplate)?.route;
  }

  /** Where everything that a list shows is asked for, in its order. */
  routesOf(kind: ListKind): readonly Route[] {
    return [...this.#listed[kind].values()].map(({ route }) => route);
  }

  /** The spelling of each tool, in the order of `routes`. */
  spellings(style: NameStyle): readonly string[] {
    return this.#tools.spellings(style);
  }

  /** What a list shows, made when first asked for. */
  list(kind: ListKind, era: Era, style: NameStyle): ListArray {
    const key = this.#arrayKey(kind, era, style);
    let array = this.#arrays.get(key);
    if (array === undefined) {
      array = this.#serialize(kind, era, style);
      this.#arrays.set(key, array);
    }
    return array;
  }

  /** One for all lists of the same bytes: only tools differ by era, and only names by spelling. */
  #arrayKey(kind: ListKind, era: Era, style: NameStyle): string {
    const isSpelled = (kind === 'tools' || kind === 'prompts') && this.view === undefined;
    return `${kind} ${kind === 'tools' ? era : ''} ${isSpelled ? style : ''}`;
  }

  #isOffered(index: number, uri: string): boolean {
    if (this.view !== undefined) return true;
    const templates = this.lists[index]?.templates.values() ?? [];
    return findTemplate(templates, uri, ({ name }) => !this.#isOfAnother(index, name, uri)) !== undefined;
  }

  /** Whether what a template stands for is read at a grant that has served the template longer. */
  #isOfAnother(index: number, uriTemplate: string, uri: string): boolean {
    const owner = this.#sources.owners.get(ownerKey('templates', uriTemplate)) ?? index;
    const grant = this.grants[owner];
    return owner !== index && grant !== undefined && admitResource(grant, uri) !== undefined;
  }

  /** Names are replaced by their spellings; all else is the upstream's bytes, mended where it must be. */
  #serialize(kind: ListKind, era: Era, style: NameStyle): ListArray {
    const named = kind === 'tools' ? this.#tools : kind === 'prompts' ? this.#prompts : undefined;
    const spellings = named?.spellings(style);
    const items = [...this.#listed[kind].values()].map(({ route: { tool }, item }, index) => {
      const edits = [...(tool !== undefined && era === 'legacy' ? tool.legacyEdits : item.repairs)];
      if (spellings !== undefined) edits.push({ ...item.nameAt, text: `"${spellings[index]}"` });
      return splice(
        item.bytes,
        edits.sort((a, b) => a.start - b.start),
      );
    });
    return new ListArray(items);
  }
}

/** The upstreams of a catalog that are in trouble. */
export function troubledUpstreams(catalog: Catalog): UpstreamState[] {
  const states: UpstreamState[] = [];
  catalog.grants.forEach((grant, index) => {
    const { service, config } = grant.config;
    const name = { service, mcp_config: config.name };
    const failure: UpstreamFailure | undefined = grant.upstream?.failure;
    if (grant.trouble !== undefined) states.push({ ...name, state: grant.trouble });
    else if (failure !== undefined) {
      const since = new Date(failure.sinceMs).toISOString();
      states.push({ ...name, state: 'unavailable', reason: failure.reason, since });
    } else if (catalog.lists[index] === undefined) states.push({ ...name, state: 'starting' });
  });
  return states;
}
