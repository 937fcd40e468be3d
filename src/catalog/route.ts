// Where calls, prompts and reads go, and by whose decision: one pass over the grants in their order, for each thing that
// their upstreams list.

import { hash } from 'node:crypto';
import type { AccountId } from '../domain/mcp-config.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import { LIST_KINDS, type ListKind } from '../protocol/list-kind.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { AllowList } from './allow-list.ts';
import { type Admission, admit, admitPrompt, admitResource, type CompiledConfig, type ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import type { ListedItem } from './listed-item.ts';
import type { ListedTool } from './listed-tool.ts';

export type Feature = 'tool' | 'prompt' | 'resource';

export interface Route {
  readonly feature: Feature;
  readonly accountId: AccountId;
  /** Of the configuration it was decided under. */
  readonly epoch: number;
  /** `service.name`; of a resource its URI, of a template its text. */
  readonly canonicalName: string;
  readonly service: string;
  /** The name or URI as the upstream knows it. */
  readonly upstreamName: string;
  readonly upstream: Upstream;
  readonly grant: ResolvedGrant;
  readonly admission: Admission;
  readonly tool: ListedTool | undefined;
  /** What metrics call it; there are no more of them than names in lists and patterns in configs. */
  readonly label: string;
}

/** One name that two grants would serve: the first has it, the second is reported. */
export interface Collision {
  readonly kind: ListKind;
  readonly canonicalName: string;
  readonly servedBy: string;
  readonly alsoIn: string;
}

/** Something that is listed, and where asking for it goes. */
export interface ListedRoute {
  readonly route: Route;
  readonly item: ListedItem;
}

export interface RouteSources {
  readonly accountId: AccountId;
  readonly epoch: number;
  readonly grants: readonly ResolvedGrant[];
  /** Of each grant's upstream; `undefined` for one that was never seen. */
  readonly lists: readonly (Inventory | undefined)[];
  /** Which grant, by index, has served what since the configuration changed, by `ownerKey`; added to (design §3.6). */
  readonly owners: Map<string, number>;
  /** Added to. */
  readonly collisions: Collision[];
}

const FEATURES: Readonly<Record<ListKind, Feature>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
  templates: 'resource',
};
const ADMIT: Readonly<
  Record<Feature, (grant: ResolvedGrant, name: string, pattern?: string) => Admission | undefined>
> = { tool: admit, prompt: admitPrompt, resource: admitResource };
const LISTS_OF: Readonly<Record<Feature, (config: CompiledConfig) => AllowList>> = {
  tool: ({ allowList }) => allowList,
  prompt: ({ promptList }) => promptList,
  resource: ({ resourceList }) => resourceList,
};

type Items = ReadonlyMap<string, ListedItem | ListedTool>;

/** What an allow-list admits of a list, and the pattern that does. */
const decided = new WeakMap<Items, WeakMap<AllowList, ReadonlyMap<string, string>>>();

/** Decided once for all tokens: a thousand patterns take seconds for ten thousand URIs. */
export function admittedOf(items: Items, allowList: AllowList): ReadonlyMap<string, string> {
  const known = decided.get(items) ?? new WeakMap<AllowList, ReadonlyMap<string, string>>();
  decided.set(items, known);
  let patterns = known.get(allowList);
  if (patterns === undefined) {
    const all = [...items.keys()].map((name) => [name, allowList.match(name)] as const);
    patterns = new Map(all.filter((each): each is [string, string] => each[1] !== undefined));
    known.set(allowList, patterns);
  }
  return patterns;
}

/** What the grants admit of one list, by canonical name, in the order of grants, then of the upstream's own list. */
export function collectRoutes(kind: ListKind, sources: RouteSources): Map<string, ListedRoute> {
  const { grants, lists, owners, collisions } = sources;
  const feature = FEATURES[kind];
  const routes = new Map<string, ListedRoute>();
  grants.forEach((grant, index) => {
    const { upstream } = grant;
    if (upstream === undefined) return;
    const items: Items = lists[index]?.[kind] ?? new Map();
    for (const [name, pattern] of admittedOf(items, LISTS_OF[feature](grant.config))) {
      const [admission, item] = [ADMIT[feature](grant, name, pattern), items.get(name)];
      if (admission === undefined || item === undefined) continue;
      const route = toRoute(sources, { feature, grant, upstream, name: item.name, admission, item });
      const { canonicalName } = route;
      const key = ownerKey(kind, canonicalName);
      const owner = owners.get(key);
      if (owner !== undefined && owner !== index) {
        const servedBy = grants[owner]?.config.config.name ?? '';
        collisions.push({ kind, canonicalName, servedBy, alsoIn: grant.config.config.name });
        continue;
      }
      owners.set(key, index);
      routes.set(canonicalName, { route, item });
    }
  });
  return routes;
}

/** No canonical name of a tool holds a space or a `#`. A URI may be long, and every token remembers what it was served. */
export function ownerKey(kind: ListKind, canonicalName: string): string {
  if (kind === 'tools') return canonicalName;
  if (canonicalName.length <= MAX_REMEMBERED_LENGTH) return `${kind} ${canonicalName}`;
  return `${kind}#${hash('sha256', canonicalName, 'base64url')}`;
}

const MAX_REMEMBERED_LENGTH = 128;

/** As many as one list may have: one that comes empty for once loses nothing. */
const MAX_DEPARTED = 10_000;

/**
 * Of each grant, forgets the oldest names that are listed no more where there are too many: an upstream may list others
 * each second. Nobody's names are forgotten for those of another, which could then take them.
 */
export function forgetDeparted(owners: Map<string, number>, listed: Readonly<Record<ListKind, Listed>>): void {
  if (owners.size <= MAX_DEPARTED) return;
  const keys = LIST_KINDS.flatMap((kind) => [...listed[kind].keys()].map((name) => ownerKey(kind, name)));
  const present = new Set(keys);
  const departed = [...owners].filter(([key]) => !present.has(key));
  for (const ofGrant of Map.groupBy(departed, ([, owner]) => owner).values()) {
    for (const [key] of ofGrant.slice(0, Math.max(ofGrant.length - MAX_DEPARTED, 0))) owners.delete(key);
  }
}

type Listed = ReadonlyMap<string, ListedRoute>;

interface Routed {
  readonly feature: Feature;
  readonly grant: ResolvedGrant;
  readonly upstream: Upstream;
  /** Or URI. */
  readonly name: string;
  readonly admission: Admission;
  readonly item?: ListedItem | ListedTool;
}

export function toRoute({ accountId, epoch }: Pick<RouteSources, 'accountId' | 'epoch'>, routed: Routed): Route {
  const { feature, grant, upstream, name, admission, item } = routed;
  const { service } = grant.config;
  return {
    feature,
    accountId,
    epoch,
    canonicalName: canonicalNameOf(feature, service, name),
    service,
    upstreamName: name,
    upstream,
    grant,
    admission,
    tool: item !== undefined && 'paramHeaders' in item ? item : undefined,
    label: labelOf(feature, name, admission),
  };
}

/** A URI is the same whichever service has it. */
export function canonicalNameOf(feature: Feature, service: string, upstreamName: string): string {
  return feature === 'resource' ? upstreamName : toCanonicalName(service, upstreamName);
}

/** URIs are the client's to choose; the pattern that admits one is the operator's. No tool's name holds a colon. */
function labelOf(feature: Feature, name: string, { pattern }: Admission): string {
  if (feature === 'tool') return name;
  return feature === 'prompt' ? `prompt:${name}` : `resource:${pattern}`;
}
