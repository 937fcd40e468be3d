// What one principal may use, as an immutable snapshot. The list and the routes come out of one pass, so a tool is
// listed if and only if it can be called (design §3.2).

import type { AccountId } from '../domain/mcp-config.ts';
import type { NameStyle } from '../domain/principal.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import type { Era } from '../protocol/era.ts';
import { splice } from '../protocol/splice.ts';
import type { UpstreamFailure } from '../upstream/failure.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type Admission, admit, type GrantTrouble, type ResolvedGrant } from './grant.ts';
import type { ListedTool } from './listed-tool.ts';
import { spellNames } from './naming.ts';
import type { ToolList } from './read-tools.ts';
import { ToolArray } from './tool-array.ts';

/** Where a call of one tool goes, and by whose decision. */
export interface Route {
  readonly accountId: AccountId;
  /** Of the configuration it was decided under. */
  readonly epoch: number;
  readonly canonicalName: string;
  readonly service: string;
  readonly upstreamName: string;
  readonly upstream: Upstream;
  readonly grant: ResolvedGrant;
  readonly admission: Admission;
  readonly tool: ListedTool;
}

/** One name that two grants of a service would serve: the first has it, the second is reported. */
export interface Collision {
  readonly canonicalName: string;
  readonly servedBy: string;
  readonly alsoIn: string;
}

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
  readonly listOf: (upstream: Upstream) => ToolList | undefined;
  /** Which grant, by index, has served a name since the configuration changed; added to by the build (design §3.6). */
  readonly owners: Map<string, number>;
}

export class Catalog {
  readonly epoch: number;
  readonly grants: readonly ResolvedGrant[];
  /** In the order of grants, then of the upstream's own list. */
  readonly routes: readonly Route[];
  readonly collisions: readonly Collision[];
  /** The lists this catalog was built from, to see when it is stale. */
  readonly lists: readonly (ToolList | undefined)[];
  /** The one service of all grants, if there is one: then bare names are understood. */
  readonly onlyService: string | undefined;
  readonly #byCanonicalName: ReadonlyMap<string, Route>;
  readonly #byName = new Map<NameStyle, ReadonlyMap<string, Route>>();
  readonly #spellings = new Map<NameStyle, readonly string[]>();
  readonly #toolArrays = new Map<string, ToolArray>();

  constructor(input: CatalogInput) {
    this.epoch = input.epoch;
    this.grants = input.grants;
    this.lists = input.grants.map(({ upstream }) => (upstream === undefined ? undefined : input.listOf(upstream)));
    const services = new Set(input.grants.map((grant) => grant.config.service));
    this.onlyService = services.size === 1 ? [...services][0] : undefined;
    const collisions: Collision[] = [];
    this.#byCanonicalName = buildRoutes(input, this.lists, collisions);
    this.routes = [...this.#byCanonicalName.values()];
    this.collisions = collisions;
  }

  /** The route of a name as a client spells it, or `undefined` for hidden, forbidden and missing alike. */
  route(name: string, style: NameStyle): Route | undefined {
    return this.#namesIn(style).get(name);
  }

  /** The spelling of each route, in the order of `routes`. */
  spellings(style: NameStyle): readonly string[] {
    let spellings = this.#spellings.get(style);
    if (spellings === undefined) {
      // Of several services, a hidden `github.x` must not reach another upstream's `x`: there no name is bare.
      const isBareOfMany = style === 'bare' && this.onlyService === undefined;
      spellings = spellNames(this.routes, isBareOfMany ? 'dot' : style);
      this.#spellings.set(style, spellings);
    }
    return spellings;
  }

  /** What `tools/list` shows of the tools, made when first asked for. */
  toolArray(era: Era, style: NameStyle): ToolArray {
    const key = `${era} ${style}`;
    let array = this.#toolArrays.get(key);
    if (array === undefined) {
      array = serializeTools(this.routes, this.spellings(style), era);
      this.#toolArrays.set(key, array);
    }
    return array;
  }

  #namesIn(style: NameStyle): ReadonlyMap<string, Route> {
    let names = this.#byName.get(style);
    if (names === undefined) {
      names = this.#collectNames(style);
      this.#byName.set(style, names);
    }
    return names;
  }

  /** Every name a call may use. A canonical name is never displaced by another tool's spelling or bare name. */
  #collectNames(style: NameStyle): ReadonlyMap<string, Route> {
    const names = new Map(this.#byCanonicalName);
    this.spellings(style).forEach((spelling, index) => {
      const route = this.routes[index];
      if (route !== undefined && !names.has(spelling)) names.set(spelling, route);
    });
    if (this.onlyService !== undefined) {
      // `github.x` as a bare name would read as the canonical name of the tool `x`, which may be hidden.
      const prefix = `${this.onlyService}.`;
      for (const route of this.routes) {
        if (!route.upstreamName.startsWith(prefix) && !names.has(route.upstreamName)) {
          names.set(route.upstreamName, route);
        }
      }
    }
    return names;
  }
}

function buildRoutes(
  input: CatalogInput,
  lists: readonly (ToolList | undefined)[],
  collisions: Collision[],
): Map<string, Route> {
  const routes = new Map<string, Route>();
  input.grants.forEach((grant, index) => {
    const { upstream } = grant;
    if (upstream === undefined) return;
    for (const tool of lists[index]?.tools.values() ?? []) {
      const admission = admit(grant, tool.name);
      if (admission === undefined) continue;
      const { service, config } = grant.config;
      const canonicalName = toCanonicalName(service, tool.name);
      const owner = input.owners.get(canonicalName);
      if (owner !== undefined && owner !== index) {
        const servedBy = input.grants[owner]?.config.config.name ?? '';
        collisions.push({ canonicalName, servedBy, alsoIn: config.name });
        continue;
      }
      input.owners.set(canonicalName, index);
      routes.set(canonicalName, {
        accountId: input.accountId,
        epoch: input.epoch,
        canonicalName,
        service,
        upstreamName: tool.name,
        upstream,
        grant,
        admission,
        tool,
      });
    }
  });
  return routes;
}

/** The tools, each with its name replaced by its spelling; all else is the upstream's bytes, mended where it must be. */
function serializeTools(routes: readonly Route[], spellings: readonly string[], era: Era): ToolArray {
  const tools = routes.map(({ tool }, index) => {
    const edits = [
      ...(era === 'legacy' ? tool.legacyEdits : tool.repairs),
      { ...tool.nameAt, text: `"${spellings[index]}"` },
    ];
    return splice(
      tool.bytes,
      edits.sort((a, b) => a.start - b.start),
    );
  });
  return new ToolArray(tools);
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
