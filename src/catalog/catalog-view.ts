// What a token sees, told to operators: each tool, prompt or resource with who decides it, and what it costs an agent to
// have the tools listed.

import type { NameStyle } from '../domain/principal.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import { type Catalog, troubledUpstreams, type UpstreamState } from './catalog.ts';
import { FEATURE_OF, POLICIES } from './feature-policy.ts';
import type { Route } from './route.ts';

export const CATALOG_KINDS = ['tools', 'prompts', 'resources'] as const;
/** URI templates are shown among resources. */
export type CatalogKind = (typeof CATALOG_KINDS)[number];

interface Decided {
  readonly service: string;
  readonly mcp_config: { readonly id: string; readonly name: string; readonly revision: number };
  /** Of the config's allow-list. */
  readonly pattern: string;
  readonly description: string | null;
  readonly upstream: {
    readonly state: 'ok' | 'unavailable';
    readonly reason: string | null;
    readonly since: string | null;
  };
}

export interface CatalogPrompt extends Decided {
  /** As the token spells it. */
  readonly name: string;
  readonly canonical_name: string;
}

export interface CatalogTool extends CatalogPrompt {
  /** Of the grant's own, if it narrows. */
  readonly narrowing_pattern: string | null;
  readonly read_only: boolean | null;
  readonly destructive: boolean | null;
  readonly context_tokens: number;
}

export interface CatalogResource extends Decided {
  /** Or the text of the template. */
  readonly uri: string;
  /** As its upstream calls it. */
  readonly name: string;
  readonly is_template: boolean;
}

export interface CatalogView {
  readonly epoch: number;
  readonly tools: CatalogTool[];
  readonly prompts?: CatalogPrompt[];
  readonly resources?: CatalogResource[];
  readonly has_more: boolean;
  readonly total_count: number;
  readonly totals: Readonly<Record<CatalogKind, number>> & { readonly context_tokens: number };
  /** Upstreams of the token that are not as they should be. */
  readonly upstreams: UpstreamState[];
}

export interface CatalogQuery {
  readonly kind: CatalogKind;
  /** In upper or lower case, in a name or the description. */
  readonly search?: string | undefined;
  readonly limit: number;
  /** A canonical name, or a URI; `undefined` begins with the first. */
  readonly after?: string | undefined;
}

/** In characters. */
const MAX_TEXT = 200;
/** Of English and JSON, in the tokenizers that there are, roughly. */
const BYTES_PER_CONTEXT_TOKEN = 4;

/** One object of a list. */
interface Listed {
  readonly route: Route;
  readonly list: ListKind;
  readonly index: number;
}

/** In the order of the list. `undefined` when there is nothing of this kind that is `query.after`. */
export function viewCatalog(catalog: Catalog, style: NameStyle, query: CatalogQuery): CatalogView | undefined {
  const { kind } = query;
  const all = listedOf(catalog, kind);
  const last = all.findIndex(({ route }) => route.canonicalName === query.after);
  if (query.after !== undefined && last < 0) return undefined;
  const wanted = query.search?.toLowerCase();
  const read = (each: Listed): Shown => readListed(catalog, style, each);
  const found = all.map((each) => wanted === undefined || isFound(each, read, wanted));
  const rest = all.filter((_, index) => index > last && found[index] === true);
  const page = rest.slice(0, query.limit);
  const sizeOf = (each: Listed): number => contextTokensOf(catalog, style, each);
  return {
    epoch: catalog.epoch,
    tools: kind === 'tools' ? page.map((each) => describeTool(each, read(each), sizeOf(each))) : [],
    ...(kind === 'prompts' ? { prompts: page.map((each) => describePrompt(each, read(each))) } : {}),
    ...(kind === 'resources' ? { resources: page.map((each) => describeResource(each, read(each))) } : {}),
    has_more: rest.length > page.length,
    total_count: found.filter(Boolean).length,
    totals: {
      tools: listedOf(catalog, 'tools').length,
      prompts: listedOf(catalog, 'prompts').length,
      resources: listedOf(catalog, 'resources').length,
      context_tokens: listedOf(catalog, 'tools').reduce((sum, each) => sum + sizeOf(each), 0),
    },
    upstreams: troubledUpstreams(catalog),
  };
}

function listedOf(catalog: Catalog, kind: CatalogKind): Listed[] {
  const all = POLICIES[FEATURE_OF[kind]].shownIn.flatMap((list) =>
    catalog.routesOf(list).map((route, index): Listed => ({ route, list, index })),
  );
  // A template without variables may be spelled like a URI that is listed: of a page that ends there, nobody knew which.
  const seen = new Set<string>();
  return all.filter(({ route: { canonicalName } }) => !seen.has(canonicalName) && seen.add(canonicalName));
}

function isFound(listed: Listed, read: (listed: Listed) => Shown, wanted: string): boolean {
  const isIn = (text: string): boolean => text.toLowerCase().includes(wanted);
  if (isIn(listed.route.canonicalName)) return true;
  const { name, description = '' } = read(listed);
  return isIn(name) || isIn(description);
}

function describeTool(listed: Listed, shown: Shown, contextTokens: number): CatalogTool {
  return {
    ...describePrompt(listed, shown),
    narrowing_pattern: listed.route.admission.narrowingPattern ?? null,
    read_only: shown.annotations?.readOnlyHint ?? null,
    destructive: shown.annotations?.destructiveHint ?? null,
    context_tokens: contextTokens,
  };
}

function describePrompt({ route }: Listed, shown: Shown): CatalogPrompt {
  return { name: shown.name, canonical_name: route.canonicalName, ...describeDecision(route, shown) };
}

function describeResource({ route, list }: Listed, shown: Shown): CatalogResource {
  const is_template = list === 'templates';
  return { uri: route.canonicalName, name: cut(shown.name), is_template, ...describeDecision(route, shown) };
}

function describeDecision(route: Route, { description }: Shown): Decided {
  const { config } = route.grant.config;
  const { failure } = route.upstream;
  return {
    service: route.service,
    mcp_config: { id: config.id, name: config.name, revision: config.revision },
    pattern: route.admission.pattern,
    description: description === undefined ? null : cut(description),
    upstream: {
      state: failure === undefined ? 'ok' : 'unavailable',
      reason: failure?.reason ?? null,
      since: failure === undefined ? null : new Date(failure.sinceMs).toISOString(),
    },
  };
}

function cut(text: string): string {
  return Array.from(text.slice(0, 2 * MAX_TEXT))
    .slice(0, MAX_TEXT)
    .join('');
}

interface Shown {
  /** As the token spells it; of a resource, what its upstream calls it. */
  readonly name: string;
  readonly description?: string;
  readonly annotations?: { readonly readOnlyHint?: boolean; readonly destructiveHint?: boolean };
}

/** The same bytes that clients of the current revision are sent; members of other types were taken out when they were read. */
function readListed(catalog: Catalog, style: NameStyle, { list, index }: Listed): Shown {
  const bytes = catalog.list(list, 'modern', style).slice(index, index + 1);
  const [shown = { name: '' }] = JSON.parse(Buffer.concat(bytes).toString('utf8')) as Shown[];
  return shown;
}

function contextTokensOf(catalog: Catalog, style: NameStyle, { list, index }: Listed): number {
  return Math.round(catalog.list(list, 'modern', style).sizeAt(index) / BYTES_PER_CONTEXT_TOKEN);
}
