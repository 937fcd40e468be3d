// A token's grant, resolved against one epoch of the configuration: which upstream, and which of its tools.

import type { McpConfig } from '../domain/mcp-config.ts';
import { serviceOf } from '../domain/mcp-config.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type AllowList, compileAllowList } from './allow-list.ts';

/** An McpConfig with its allow-list compiled, once per revision. */
export interface CompiledConfig {
  readonly config: McpConfig;
  readonly service: string;
  readonly allowList: AllowList;
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

/** Which pattern of the config, and which of the grant, let a tool through. */
export interface Admission {
  readonly pattern: string;
  readonly narrowingPattern: string | undefined;
}

export function compileConfig(config: McpConfig): CompiledConfig {
  const service = serviceOf(config.name);
  return { config, service, allowList: compileAllowList(config.allowedTools, service) };
}

/** The one decision of the product: does this grant admit this tool? `undefined` is no (design §3.1, §3.2). */
export function admit(grant: ResolvedGrant, upstreamName: string): Admission | undefined {
  const pattern = grant.config.allowList.match(upstreamName);
  if (pattern === undefined) return undefined;
  if (grant.narrowing === undefined) return { pattern, narrowingPattern: undefined };
  const narrowingPattern = grant.narrowing.match(upstreamName);
  return narrowingPattern === undefined ? undefined : { pattern, narrowingPattern };
}
