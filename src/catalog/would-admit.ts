// The edit that would make a hidden name callable, tried out before it is suggested.

import type { AccountId } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import { type AllowList, compileAllowList, findPatternProblem } from './allow-list.ts';
import { Catalog } from './catalog.ts';
import { admit, compileConfig, type ResolvedGrant } from './grant.ts';

export interface WouldAdmit {
  /** Id of the McpConfig. */
  readonly mcp_config: string;
  readonly pattern: string;
  readonly in_config: boolean;
  readonly in_grant: boolean;
}

/** What a client of a token asks for. */
export interface Question {
  readonly catalog: Catalog;
  readonly accountId: AccountId;
  readonly token: StoredToken;
  readonly name: string;
}

/** The pattern that would make the name callable through one grant: tried out, for a name may be another tool's spelling. */
export function findAdmission(question: Question, index: number, upstreamName: string): WouldAdmit | undefined {
  const { catalog, accountId, token, name } = question;
  const grant = catalog.grants[index];
  if (grant === undefined || !catalog.lists[index]?.tools.has(upstreamName)) return undefined;
  const { config, service } = grant.config;
  const canonicalName = toCanonicalName(service, upstreamName);
  // A long one can be longer than a pattern may be; one with a dot means the canonical name.
  const pattern = [canonicalName, upstreamName].find(
    (each) => findPatternProblem(each) === undefined && compileAllowList([each], service).match(upstreamName),
  );
  if (pattern === undefined || admit(grant, upstreamName) !== undefined) return undefined;
  const in_config = grant.config.allowList.match(upstreamName) === undefined;
  const { narrowing } = grant;
  const in_grant = narrowing !== undefined && narrowing.match(upstreamName) === undefined;
  const more = compileAllowList([pattern], service);
  const edited = in_config
    ? compileConfig({ ...config, allowedTools: [...config.allowedTools, pattern] })
    : grant.config;
  const widened = catalog.grants.map((each): ResolvedGrant => {
    if (each.config !== grant.config) return each;
    return { ...each, config: edited, narrowing: in_grant ? widen(each.narrowing, more) : each.narrowing };
  });
  const listOf = new Map(catalog.grants.map(({ upstream }, at) => [upstream, catalog.lists[at]]));
  const after = new Catalog({
    accountId,
    epoch: catalog.epoch,
    grants: widened,
    listOf: (upstream) => listOf.get(upstream),
    owners: new Map(),
  });
  if (after.route(name, token.nameStyle)?.canonicalName !== canonicalName) return undefined;
  return { mcp_config: config.id, pattern, in_config, in_grant };
}

function widen(narrowing: AllowList | undefined, more: AllowList): AllowList | undefined {
  return narrowing && { match: (name) => narrowing.match(name) ?? more.match(name), warnings: [] };
}

/** As a sentence. */
export function describeAdmission(
  { grants }: Catalog,
  { mcp_config, pattern, in_config, in_grant }: WouldAdmit,
): string {
  const config = grants.find((grant) => grant.config.config.id === mcp_config)?.config.config.name;
  const places = [
    ...(in_config ? [`allowed_tools of McpConfig '${config}'`] : []),
    ...(in_grant ? [`allowed_tools of the token's grants of McpConfig '${config}'`] : []),
  ];
  return `add '${pattern}' to ${places.join(' and to ')}`;
}
