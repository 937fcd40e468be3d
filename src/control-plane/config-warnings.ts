// What is said beside an McpConfig that is saved: what was probably not meant, and whom an edit breaks.

import { type AllowList, compileAllowList } from '../catalog/allow-list.ts';
import { isLive } from '../catalog/catalogs.ts';
import { named } from '../catalog/named.ts';
import { compileUriAllowList } from '../catalog/uri-allow-list.ts';
import type { Problem } from '../domain/errors.ts';
import { allowsNothing, type McpConfig, serviceOf } from '../domain/mcp-config.ts';
import { isSuspended } from '../domain/principal.ts';
import type { AccountConfiguration } from '../store/store.ts';

const MAX_WARNINGS = 20;

/** Patterns that can admit nothing (design §3.4): stored as they are, for an upstream may yet change. */
export function findWarnings(config: McpConfig): Problem[] {
  const { allowedTools, allowedPrompts, allowedResources } = config;
  if (allowsNothing(config)) {
    return [{ path: 'allowed_tools', message: 'is empty, so that no tool is listed and none can be called' }];
  }
  const service = serviceOf(config.name);
  return [
    ...warningsOf('allowed_tools', allowedTools, compileAllowList(allowedTools, service)),
    ...warningsOf('allowed_prompts', allowedPrompts, compileAllowList(allowedPrompts, service, 'prompt')),
    ...warningsOf('allowed_resources', allowedResources, compileUriAllowList(allowedResources)),
  ].slice(0, MAX_WARNINGS);
}

function warningsOf(field: string, patterns: readonly string[], { warnings }: AllowList): Problem[] {
  // One for each pattern, though each of its alternatives may have one.
  const messages = new Map(warnings.map(({ pattern, message }) => [pattern, message]));
  return patterns.flatMap((pattern, index) => {
    const message = messages.get(pattern);
    return message === undefined ? [] : [{ path: `${field}[${index}]`, message: `'${pattern}': ${message}` }];
  });
}

/** What an edit breaks for agents that hold a token of the config. A preview says it before, and tool by tool. */
export function findMoveWarnings(was: McpConfig, is: McpConfig, { tokens }: AccountConfiguration): Problem[] {
  const live = tokens.filter(({ revokedAtMs }) => revokedAtMs === null);
  const holders = live.filter(({ grants }) => grants.some(({ mcpConfigId }) => mcpConfigId === is.id));
  const suspended = holders.filter(({ grants }) =>
    grants.some((grant) => grant.mcpConfigId === is.id && isSuspended(grant, is) && !isSuspended(grant, was)),
  );
  const tokensOf = (all: typeof holders) => named(all.map(({ name }) => `token ${name}`));
  const [from, to] = [serviceOf(was.name), serviceOf(is.name)];
  const warnings: Problem[] = [];
  if (from !== to) {
    const whom =
      holders.length === 0 ? 'no live token is granted it' : `agents of ${tokensOf(holders)} must use the new names`;
    const message = `changes the service from '${from}' to '${to}': its tools are '${to}.…' now, and ${whom}`;
    warnings.push({ path: 'name', message });
  }
  if (suspended.length > 0) {
    const message = `moves to another origin: the grants of ${tokensOf(suspended)} are suspended until an owner confirms it with POST /v1/mcp-configs/${is.id}/confirm_endpoint`;
    warnings.push({ path: 'endpoint', message });
  }
  return warnings;
}

/** What the config file takes away from under tokens of the API, which name a config by its id. */
export function findRemovalWarnings(
  removed: readonly McpConfig[],
  { tokens }: AccountConfiguration,
  nowMs: number,
): string[] {
  const holders = tokens.filter((token) => token.managedBy === 'api' && isLive(token, nowMs));
  return removed.flatMap(({ id, name }) => {
    const losing = holders.filter(({ grants }) => grants.some(({ mcpConfigId }) => mcpConfigId === id));
    if (losing.length === 0) return [];
    const whom = named(losing.map((token) => `token ${token.name}`));
    return [
      `the McpConfig '${name}' is gone from the file, and with it what the grants of ${whom} gave: one by another name is another config`,
    ];
  });
}
