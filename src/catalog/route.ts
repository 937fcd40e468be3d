// Where calls, prompts and reads go, and by whose decision.

import type { AccountId } from '../domain/mcp-config.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Admission, ResolvedGrant } from './grant.ts';
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

/** What a route is made of but for the configuration it is decided under: the same for all who share the grant. */
export interface Offered extends Omit<Route, 'accountId' | 'epoch'> {
  /** As its upstream lists it; `undefined` for a URI that only a template stands for. */
  readonly item: ListedItem | undefined;
}

interface Admitted {
  readonly feature: Feature;
  readonly grant: ResolvedGrant;
  readonly upstream: Upstream;
  /** Or URI. */
  readonly name: string;
  readonly admission: Admission;
  readonly item?: ListedItem | ListedTool | undefined;
}

export function toOffered({ feature, grant, upstream, name, admission, item }: Admitted): Offered {
  const { service } = grant.config;
  return {
    feature,
    canonicalName: canonicalNameOf(feature, service, name),
    service,
    upstreamName: name,
    upstream,
    grant,
    admission,
    tool: item !== undefined && 'paramHeaders' in item ? item : undefined,
    label: labelOf(feature, name, admission),
    item,
  };
}

export function toRoute(
  { accountId, epoch }: Pick<Route, 'accountId' | 'epoch'>,
  { feature, canonicalName, service, upstreamName, upstream, grant, admission, tool, label }: Offered,
): Route {
  return {
    feature,
    accountId,
    epoch,
    canonicalName,
    service,
    upstreamName,
    upstream,
    grant,
    admission,
    tool,
    label,
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
