// What one principal may use, as an immutable snapshot. The lists and the routes come out of the same shares of the same
// offers, so something is listed if and only if it can be called (design §3.2).

import type { AccountId } from '../domain/mcp-config.ts';
import type { NameStyle } from '../domain/principal.ts';
import type { Era } from '../protocol/era.ts';
import { LIST_KINDS, type ListKind } from '../protocol/list-kind.ts';
import type { UpstreamFailure } from '../upstream/failure.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { CatalogNames, type SharedOut } from './catalog-names.ts';
import { FEATURE_OF, POLICIES } from './feature-policy.ts';
import { admitResource, type GrantTrouble, type ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import { ListArray, ListPart } from './list-array.ts';
import { type Offer, offerOf } from './offer.ts';
import type { Contestant, Ownership } from './ownership.ts';
import { type Collision, type Offered, type Route, toOffered, toRoute } from './route.ts';
import { findServed, type Served } from './served.ts';
import { Share } from './share.ts';
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
  /** Of the upstream of a grant. */
  readonly listOf: (upstream: Upstream, grant: ResolvedGrant) => Inventory | undefined;
  /** Which grant has served what since the configuration changed; added to by the build. */
  readonly ownership: Ownership;
  /** The name of the config that is all there is to see, if it is seen by itself. */
  readonly view?: string | undefined;
}

/** Grants, by index, that could serve the same of one kind. */
interface Contest {
  readonly kind: ListKind;
  readonly name: string;
  readonly grants: readonly number[];
  readonly contestants: readonly Contestant[];
}

export class Catalog {
  readonly accountId: AccountId;
  readonly epoch: number;
  readonly view: string | undefined;
  readonly grants: readonly ResolvedGrant[];
  /** The lists this catalog was built from, to see when it is stale. */
  readonly lists: readonly (Inventory | undefined)[];
  /** The one service of all grants, if there is one: then bare names are understood. */
  readonly onlyService: string | undefined;
  readonly serves: Served;
  readonly #ownership: Ownership;
  readonly #contests: Contest[] = [];
  readonly #named: Readonly<Record<'tools' | 'prompts', CatalogNames>>;
  readonly #unnamed: Readonly<Record<'resources' | 'templates', SharedOut>>;
  /** One object for each that was asked for: what is kept of a route is kept by it. */
  readonly #routes = new Map<Offered, Route>();
  /** By spelling, then by name. */
  readonly #found = new Map<string, Map<string, Route>>();
  readonly #arrays = new Map<string, ListArray>();
  #isDecided = false;

  constructor({ accountId, epoch, grants, listOf, ownership, view }: CatalogInput) {
    this.accountId = accountId;
    this.epoch = epoch;
    this.view = view;
    this.grants = grants;
    this.lists = grants.map((grant) => grant.upstream && listOf(grant.upstream, grant));
    const services = new Set(grants.map((grant) => grant.config.service));
    this.onlyService = services.size === 1 ? [...services][0] : undefined;
    this.#ownership = ownership;
    const naming = view !== undefined ? 'view' : this.onlyService !== undefined ? 'only' : 'one of many';
    this.#named = {
      tools: new CatalogNames(this.#byService('tools'), naming),
      prompts: new CatalogNames(this.#byService('prompts'), naming),
    };
    this.#unnamed = {
      resources: this.#shareOut('resources', 'resources', this.#allowing('resources')),
      templates: this.#shareOut('templates', 'templates', this.#allowing('templates')),
    };
    this.serves = findServed(this);
  }

  /** The route of a tool as a client spells it, or `undefined` for hidden, forbidden and missing alike. */
  route(name: string, style: NameStyle): Route | undefined {
    return this.#find('tools', name, style);
  }

  /** The same of a prompt. */
  prompt(name: string, style: NameStyle): Route | undefined {
    return this.#find('prompts', name, style);
  }

  /**
   * Where a URI is read: at the grant that lists it, or else at the first that admits it and lists a template for it. Seen
   * by itself, a config need only admit it: MCP Apps link to resources that no list has.
   */
  resource(uri: string): Route | undefined {
    const listed = this.#unnamed.resources.share.find(uri);
    if (listed !== undefined) return this.#routeOf(listed);
    const owner = this.#ownerOf('resources', uri);
    for (const [index, grant] of this.grants.entries()) {
      const { upstream } = grant;
      if (upstream === undefined || (owner !== undefined && owner !== index)) continue;
      const admission = this.#isOffered(index, uri) ? admitResource(grant, uri) : undefined;
      if (admission === undefined) continue;
      return toRoute(this, toOffered({ feature: 'resource', grant, upstream, name: uri, admission }));
    }
    return undefined;
  }

  /** The route of a listed resource template, by its text. */
  template(uriTemplate: string): Route | undefined {
    const listed = this.#unnamed.templates.share.find(uriTemplate);
    return listed && this.#routeOf(listed);
  }

  /** Of tools; in the order of grants, then of the upstream's own list. */
  get routes(): readonly Route[] {
    return this.routesOf('tools');
  }

  /** Where everything that a list shows is asked for, in its order. */
  routesOf(kind: ListKind): readonly Route[] {
    return this.grants.flatMap((_, index) => this.#partOf(kind, index).map((offered) => this.#routeOf(offered)));
  }

  /** Whether a grant serves any tool. */
  hasTools(grant: number): boolean {
    return this.#partOf('tools', grant).length > 0;
  }

  /** Names that one grant lists and another serves. */
  get collisions(): readonly Collision[] {
    const all = this.#contests.map(({ kind, name, contestants }) => [
      ...this.#ownership.collisions(kind, name, contestants),
    ]);
    return all.flat();
  }

  /** The spelling of each tool, in the order of `routes`. */
  spellings(style: NameStyle): readonly string[] {
    return this.grants.flatMap((_, index) => {
      const place = this.#named.tools.placeOf(index, style);
      return place === undefined ? [] : place.names.spellings(place.part, style);
    });
  }

  /** What a list shows, made when first asked for. */
  list(kind: ListKind, era: Era, style: NameStyle): ListArray {
    for (const _ of this.serialize(kind, era, style));
    return this.#arrays.get(this.#arrayKey(kind, era, style)) ?? EMPTY;
  }

  /** Makes what `list` gives, and lets others have their turn behind each grant. */
  *serialize(kind: ListKind, era: Era, style: NameStyle): Iterable<void> {
    const key = this.#arrayKey(kind, era, style);
    if (this.#arrays.has(key)) return;
    const parts: ListPart[] = [];
    for (const index of this.grants.keys()) {
      parts.push(this.#arrayOf(kind, index, era, style));
      yield;
    }
    this.#arrays.set(key, new ListArray(parts));
  }

  /** The same of all lists. */
  *serializeAll(era: Era, style: NameStyle): Iterable<void> {
    for (const kind of LIST_KINDS) yield* this.serialize(kind, era, style);
  }

  /** One for all lists of the same bytes: only tools differ by era, and only names by spelling. */
  #arrayKey(kind: ListKind, era: Era, style: NameStyle): string {
    const isSpelled = (kind === 'tools' || kind === 'prompts') && this.view === undefined;
    return `${kind} ${kind === 'tools' ? era : ''} ${isSpelled ? style : ''}`;
  }

  /** Decides what is served of the tools, which is otherwise decided when a service is first asked for. */
  *decide(): Iterable<void> {
    if (this.#isDecided) return;
    for (const index of this.grants.keys()) yield void this.#partOf('tools', index);
    this.#isDecided = true;
  }

  #find(kind: 'tools' | 'prompts', name: string, style: NameStyle): Route | undefined {
    const key = kind + style;
    let found = this.#found.get(key);
    if (found === undefined) {
      found = new Map();
      this.#found.set(key, found);
    }
    const known = found.get(name);
    if (known !== undefined) return known;
    const offered = this.#named[kind].find(name, style);
    if (offered === undefined) return undefined;
    const route = this.#routeOf(offered);
    found.set(name, route);
    return route;
  }

  #routeOf(offered: Offered): Route {
    let route = this.#routes.get(offered);
    if (route === undefined) {
      route = toRoute(this, offered);
      this.#routes.set(offered, route);
    }
    return route;
  }

  #offerOf(index: number): Offer | undefined {
    const [grant, inventory] = [this.grants[index], this.lists[index]];
    if (grant?.upstream === undefined || inventory === undefined) return undefined;
    return offerOf(grant, grant.upstream, inventory);
  }

  #partOf(kind: ListKind, index: number): readonly Offered[] {
    const shared = this.#sharedOf(kind, index);
    return shared?.share.parts[shared.grants.indexOf(index)] ?? [];
  }

  #arrayOf(kind: ListKind, index: number, era: Era, style: NameStyle): ListPart {
    const shared = this.#sharedOf(kind, index);
    if (shared === undefined) return NOTHING_LISTED;
    if (kind === 'resources' || kind === 'templates') return shared.share.array(shared.grants.indexOf(index));
    const place = this.#named[kind].placeOf(index, style);
    return place?.names.array(place.part, era, style) ?? NOTHING_LISTED;
  }

  /** What is shared out to a grant and others that could serve the same; `undefined` when it can serve nothing of the kind. */
  #sharedOf(kind: ListKind, index: number): SharedOut | undefined {
    const service = this.grants[index]?.config.service ?? '';
    const shared = kind === 'tools' || kind === 'prompts' ? this.#named[kind].of(service) : this.#unnamed[kind];
    return shared?.grants.includes(index) ? shared : undefined;
  }

  #byService(kind: 'tools' | 'prompts'): Map<string, SharedOut> {
    const grants = Map.groupBy(this.#allowing(kind), (index) => this.grants[index]?.config.service ?? '');
    return new Map(
      [...grants].map(([service, indices]) => [service, this.#shareOut(kind, `${kind} ${service}`, indices)]),
    );
  }

  /** The grants that can have something of a list. */
  #allowing(kind: ListKind): number[] {
    const { patternsOf } = POLICIES[FEATURE_OF[kind]];
    const indices: number[] = [];
    this.grants.forEach(({ upstream, config }, index) => {
      if (upstream !== undefined && patternsOf(config.config).length > 0) indices.push(index);
    });
    return indices;
  }

  /** A grant that has no rival is only looked at when it is asked for: most services of a token have one grant. */
  #shareOut(kind: ListKind, contest: string, grants: readonly number[]): SharedOut {
    const [first, ...others] = grants;
    if (first === undefined) return { grants, share: NOTHING_SHARED };
    if (others.length === 0) return new SoleShare(kind, first, this.#offerOf(first));
    const contestants = grants.flatMap((index): Contestant[] => {
      const grant = this.grants[index];
      return grant === undefined ? [] : [{ grant, offer: this.#offerOf(index) }];
    });
    this.#contests.push({ kind, name: contest, contestants, grants });
    return { grants, share: this.#ownership.share(kind, contest, contestants) };
  }

  /** The grant that has served something, by index. */
  #ownerOf(contest: string, name: string): number | undefined {
    const position = this.#ownership.ownerOf(contest, name);
    return position === undefined ? undefined : this.#contests.find((each) => each.name === contest)?.grants[position];
  }

  #isOffered(index: number, uri: string): boolean {
    if (this.view !== undefined) return true;
    const templates = this.lists[index]?.templates.values() ?? [];
    return findTemplate(templates, uri, ({ name }) => !this.#isOfAnother(index, name, uri)) !== undefined;
  }

  /** Whether what a template stands for is read at a grant that has served the template longer. */
  #isOfAnother(index: number, uriTemplate: string, uri: string): boolean {
    const owner = this.#ownerOf('templates', uriTemplate) ?? index;
    const grant = this.grants[owner];
    return owner !== index && grant !== undefined && admitResource(grant, uri) !== undefined;
  }
}

/** What a grant serves that no other of its token could. */
class SoleShare implements SharedOut {
  readonly grants: readonly number[];
  readonly #kind: ListKind;
  readonly #offer: Offer | undefined;

  constructor(kind: ListKind, grant: number, offer: Offer | undefined) {
    this.grants = [grant];
    this.#kind = kind;
    this.#offer = offer;
  }

  get share(): Share {
    return this.#offer?.alone(this.#kind) ?? NOTHING_SHARED;
  }
}

/** One grant has it, whose lists were never seen. */
const NOTHING_SHARED = new Share([[]]);
const NOTHING_LISTED = new ListPart([]);
const EMPTY = new ListArray([]);

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
