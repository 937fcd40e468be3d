// A token's grant, resolved against one epoch of the configuration: which upstream, and which of its tools.

import type { McpConfig } from '../domain/mcp-config.ts';
import { serviceOf } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type AllowList, compileAllowList } from './allow-list.ts';
import { compileUriAllowList } from './uri-allow-list.ts';

/** An McpConfig with its allow-lists compiled, once per revision. */
export interface CompiledConfig {
  readonly config: McpConfig;
  readonly service: string;
  readonly allowList: AllowList;
  readonly promptList: AllowList;
  /** Matches URIs, and the texts of URI templates. */
  readonly resourceList: AllowList;
}

/**
 * Why a grant cannot be used at all; its tools are neither listed nor callable. An unusable secret was opened, but cannot
 * be what it is used for: a private key is no header, and a proxy is told user and password.
 */
export type GrantTrouble = 'suspended' | 'secret_unreadable' | 'secret_missing' | 'secret_unusable' | 'address_refused';

export interface ResolvedGrant {
  readonly config: CompiledConfig;
  /** The grant's own allow-list, `undefined` when it does not narrow. */
  readonly narrowing: AllowList | undefined;
  readonly upstream: Upstream | undefined;
  readonly trouble: GrantTrouble | undefined;
}

/** Ids of McpConfigs that a token is granted and that are not there: the config file may take one away from under a token. */
export function findMissing({ grants }: Pick<StoredToken, 'grants'>, resolved: readonly ResolvedGrant[]): string[] {
  const there = new Set(resolved.map(({ config }) => config.config.id));
  return [...new Set(grants.map(({ mcpConfigId }) => mcpConfigId))].filter((id) => !there.has(id));
}

/** Which pattern of the config, and which of the grant, let something through. A grant narrows tools only. */
export interface Admission {
  readonly pattern: string;
  readonly narrowingPattern: string | undefined;
}

export function compileConfig(config: McpConfig): CompiledConfig {
  const service = serviceOf(config.name);
  return {
    config,
    service,
    allowList: compileAllowList(config.allowedTools, service),
    promptList: compileAllowList(config.allowedPrompts, service, 'prompt'),
    resourceList: compileUriAllowList(config.allowedResources),
  };
}

/**
 * The one decision of the product: does this grant admit this tool? `undefined` is no (design §3.1, §3.2). `pattern` is the
 * one of the config, where that is known.
 */
export function admit(
  grant: ResolvedGrant,
  upstreamName: string,
  pattern = grant.config.allowList.match(upstreamName),
): Admission | undefined {
  if (pattern === undefined) return undefined;
  if (grant.narrowing === undefined) return { pattern, narrowingPattern: undefined };
  const narrowingPattern = grant.narrowing.match(upstreamName);
  return narrowingPattern === undefined ? undefined : { pattern, narrowingPattern };
}

/** Does this grant admit this prompt, by its upstream name? */
export function admitPrompt(
  { config }: ResolvedGrant,
  upstreamName: string,
  pattern = config.promptList.match(upstreamName),
): Admission | undefined {
  return toAdmission(pattern);
}

/** Does this grant admit this resource, by its URI, or this template, by its text? Whether there is one is the catalog's question. */
export function admitResource(
  { config }: ResolvedGrant,
  uri: string,
  pattern = config.resourceList.match(uri),
): Admission | undefined {
  return toAdmission(pattern);
}

function toAdmission(pattern: string | undefined): Admission | undefined {
  return pattern === undefined ? undefined : { pattern, narrowingPattern: undefined };
}
