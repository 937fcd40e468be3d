// The edit that would let a hidden name through, tried out before it is suggested.

import type { AccountId } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import { type AllowList, compileAllowList } from './allow-list.ts';
import { Catalog } from './catalog.ts';
import { type Field, POLICIES } from './feature-policy.ts';
import { compileConfig, type ResolvedGrant } from './grant.ts';
import { Ownership } from './ownership.ts';
import type { Feature, Route } from './route.ts';
import { toUriPattern } from './uri-allow-list.ts';

export interface WouldAdmit {
  /** Id of the McpConfig. */
  readonly mcp_config: string;
  readonly field: Field;
  readonly pattern: string;
  readonly in_config: boolean;
  readonly in_grant: boolean;
}

/** What a client asks for; of a resource the name is its URI. */
export interface Wanted {
  readonly feature: Feature;
  readonly name: string;
}

/** What a client of a token asks for. */
export interface Question extends Wanted {
  readonly catalog: Catalog;
  readonly accountId: AccountId;
  readonly token: StoredToken;
}

/** Where what is asked for goes: the look-up that serves. */
export function findRoute({ catalog, token, feature, name }: Omit<Question, 'accountId'>): Route | undefined {
  if (feature === 'tool') return catalog.route(name, token.nameStyle);
  if (feature === 'prompt') return catalog.prompt(name, token.nameStyle);
  return catalog.resource(name) ?? catalog.template(name);
}

/**
 * The pattern that would let the name through by one grant, whose upstream has what `upstreamName` names: tried out, for a
 * name may be another's spelling.
 */
export function findAdmission(question: Question, index: number, upstreamName: string): WouldAdmit | undefined {
  const { catalog, accountId, feature } = question;
  const grant = catalog.grants[index];
  if (grant === undefined) return undefined;
  const { config } = grant.config;
  const { field, admit, allowListOf, widen } = POLICIES[feature];
  const pattern = findPattern(feature, grant, upstreamName);
  if (pattern === undefined || admit(grant, upstreamName) !== undefined) return undefined;
  const in_config = allowListOf(grant.config).match(upstreamName) === undefined;
  const narrowing = feature === 'tool' ? grant.narrowing : undefined;
  const in_grant = narrowing !== undefined && narrowing.match(upstreamName) === undefined;
  const edited = in_config ? compileConfig(widen(config, pattern)) : grant.config;
  const widened = catalog.grants.map((each): ResolvedGrant => {
    if (each.config !== grant.config) return each;
    const more = in_grant ? compileAllowList([pattern], grant.config.service) : undefined;
    return { ...each, config: edited, narrowing: more ? union(each.narrowing, more) : each.narrowing };
  });
  const listOf = new Map(catalog.grants.map(({ upstream }, at) => [upstream, catalog.lists[at]]));
  const after = new Catalog({
    accountId,
    epoch: catalog.epoch,
    grants: widened,
    listOf: (upstream) => listOf.get(upstream),
    ownership: new Ownership(),
  });
  const route = findRoute({ ...question, catalog: after });
  if (route?.upstreamName !== upstreamName || route.service !== grant.config.service) return undefined;
  return { mcp_config: config.id, field, pattern, in_config, in_grant };
}

/** The name itself, if a pattern can say it. */
function findPattern(feature: Feature, { config }: ResolvedGrant, upstreamName: string): string | undefined {
  const { findProblem, allowListOf, widen } = POLICIES[feature];
  // A long one can be longer than a pattern may be; one with a dot means the canonical name.
  const candidates =
    feature === 'resource'
      ? [toUriPattern(upstreamName)]
      : [toCanonicalName(config.service, upstreamName), upstreamName];
  const admits = (pattern: string): boolean => {
    const alone = { ...config.config, allowedTools: [], allowedPrompts: [], allowedResources: [] };
    return allowListOf(compileConfig(widen(alone, pattern))).match(upstreamName) !== undefined;
  };
  return candidates.find((pattern) => findProblem(pattern) === undefined && admits(pattern));
}

function union(narrowing: AllowList | undefined, more: AllowList): AllowList | undefined {
  return narrowing && { match: (name) => narrowing.match(name) ?? more.match(name), size: Infinity, warnings: [] };
}

/** As a sentence. */
export function describeAdmission(
  { grants }: Catalog,
  { mcp_config, field, pattern, in_config, in_grant }: WouldAdmit,
): string {
  const config = grants.find((grant) => grant.config.config.id === mcp_config)?.config.config.name;
  const places = [
    ...(in_config ? [`${field} of McpConfig '${config}'`] : []),
    ...(in_grant ? [`${field} of the token's grants of McpConfig '${config}'`] : []),
  ];
  return `add '${pattern}' to ${places.join(' and to ')}`;
}
