// What a token sees, told to operators: each tool with who decides it, and what it costs an agent to have it listed.

import type { NameStyle } from '../domain/principal.ts';
import { type Catalog, troubledUpstreams, type UpstreamState } from './catalog.ts';
import type { ListArray } from './list-array.ts';
import type { Route } from './route.ts';

export interface CatalogTool {
  /** As the token spells it. */
  readonly name: string;
  readonly canonical_name: string;
  readonly service: string;
  readonly mcp_config: { readonly id: string; readonly name: string; readonly revision: number };
  /** Of the config's allow-list. */
  readonly pattern: string;
  /** Of the grant's own, if it narrows. */
  readonly narrowing_pattern: string | null;
  readonly description: string | null;
  readonly read_only: boolean | null;
  readonly destructive: boolean | null;
  readonly context_tokens: number;
  readonly upstream: {
    readonly state: 'ok' | 'unavailable';
    readonly reason: string | null;
    readonly since: string | null;
  };
}

export interface CatalogView {
  readonly epoch: number;
  readonly tools: CatalogTool[];
  readonly has_more: boolean;
  readonly total_count: number;
  readonly totals: { readonly tools: number; readonly context_tokens: number };
  /** Upstreams of the token that are not as they should be. */
  readonly upstreams: UpstreamState[];
}

export interface CatalogQuery {
  /** In upper or lower case, in a name or the description. */
  readonly search?: string | undefined;
  readonly limit: number;
  /** A canonical name; `undefined` begins with the first tool. */
  readonly after?: string | undefined;
}

const MAX_DESCRIPTION = 200;
/** Of English and JSON, in the tokenizers that there are, roughly. */
const BYTES_PER_CONTEXT_TOKEN = 4;

/** In the order of the list. `undefined` when there is no tool `query.after`. */
export function viewCatalog(catalog: Catalog, style: NameStyle, query: CatalogQuery): CatalogView | undefined {
  // The same bytes that clients of the current revision are sent.
  const listed = catalog.list('tools', 'modern', style);
  const spellings = catalog.spellings(style);
  const last = catalog.routes.findIndex(({ canonicalName }) => canonicalName === query.after);
  if (query.after !== undefined && last < 0) return undefined;
  const wanted = query.search?.toLowerCase();
  const found = catalog.routes.flatMap((route, index) =>
    isFound(route, spellings[index] ?? '', listed, index, wanted) ? [index] : [],
  );
  const rest = found.filter((index) => index > last);
  const page = rest.slice(0, query.limit);
  const sizes = catalog.routes.map((_, index) => toContextTokens(listed.sizeAt(index)));
  return {
    epoch: catalog.epoch,
    tools: page.flatMap((index) => {
      const route = catalog.routes[index];
      return route === undefined ? [] : describe(route, spellings[index] ?? '', listed, index);
    }),
    has_more: rest.length > page.length,
    total_count: found.length,
    totals: { tools: catalog.routes.length, context_tokens: sizes.reduce((sum, size) => sum + size, 0) },
    upstreams: troubledUpstreams(catalog),
  };
}

function isFound(
  route: Route,
  spelling: string,
  listed: ListArray,
  index: number,
  wanted: string | undefined,
): boolean {
  if (wanted === undefined) return true;
  const isIn = (text: string): boolean => text.toLowerCase().includes(wanted);
  return isIn(route.canonicalName) || isIn(spelling) || isIn(read(listed, index).description ?? '');
}

function describe(route: Route, name: string, listed: ListArray, index: number): CatalogTool {
  const { config } = route.grant.config;
  const { description, annotations } = read(listed, index);
  const { failure } = route.upstream;
  return {
    name,
    canonical_name: route.canonicalName,
    service: route.service,
    mcp_config: { id: config.id, name: config.name, revision: config.revision },
    pattern: route.admission.pattern,
    narrowing_pattern: route.admission.narrowingPattern ?? null,
    description:
      description === undefined
        ? null
        : Array.from(description.slice(0, 2 * MAX_DESCRIPTION))
            .slice(0, MAX_DESCRIPTION)
            .join(''),
    read_only: annotations?.readOnlyHint ?? null,
    destructive: annotations?.destructiveHint ?? null,
    context_tokens: toContextTokens(listed.sizeAt(index)),
    upstream: {
      state: failure === undefined ? 'ok' : 'unavailable',
      reason: failure?.reason ?? null,
      since: failure === undefined ? null : new Date(failure.sinceMs).toISOString(),
    },
  };
}

interface Shown {
  readonly description?: string;
  readonly annotations?: { readonly readOnlyHint?: boolean; readonly destructiveHint?: boolean };
}

/** Members of other types were taken out of the list when it was read. */
function read(listed: ListArray, index: number): Shown {
  const [tool = {}] = JSON.parse(Buffer.concat(listed.slice(index, index + 1)).toString('utf8')) as Shown[];
  return tool;
}

function toContextTokens(bytes: number): number {
  return Math.round(bytes / BYTES_PER_CONTEXT_TOKEN);
}
