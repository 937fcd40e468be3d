// Which tools a write gives and takes, for the record of it: from the lists in memory alone, for it is asked inside a
// transaction. What an upstream has beyond what was ever listed, nobody can say there.

import type { AccountId, McpConfig } from '../domain/mcp-config.ts';
import { serviceOf } from '../domain/mcp-config.ts';
import { isSuspended, type StoredToken } from '../domain/principal.ts';
import { NO_EFFECT, type ObjectKind, type Objects, type ToolEffect } from '../domain/revision.ts';
import { toCanonicalName } from '../domain/tool-name.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { compileAllowList } from './allow-list.ts';
import type { Catalogs } from './catalogs.ts';

const MAX_NAMES = 1_000;

/** The effect of writing one object: `was` before, `is` after, `undefined` where there is none; `before` is the configuration it is written to. */
export function effectOfWrite<K extends ObjectKind>(
  catalogs: Catalogs,
  before: AccountConfiguration,
  kind: K,
  was: Objects[K] | undefined,
  is: Objects[K] | undefined,
): ToolEffect {
  if (kind === 'mcp_config') {
    return effectOf(catalogs, before.accountId, was as McpConfig | undefined, is as McpConfig | undefined);
  }
  if (kind !== 'token') return NO_EFFECT;
  return effectOfToken(catalogs, before, was as StoredToken | undefined, is as StoredToken | undefined);
}

/** What the config admits of all tools that its upstreams are known to have, whatever credential they were seen with. */
export function effectOf(
  catalogs: Catalogs,
  account: AccountId,
  was: McpConfig | undefined,
  is: McpConfig | undefined,
): ToolEffect {
  const id = (is ?? was)?.id;
  if (id === undefined) return NO_EFFECT;
  const tools = knownTools(catalogs, account, id);
  // What is known of the endpoint before says nothing about the one after.
  const hasMoved = was !== undefined && is !== undefined && was.endpoint !== is.endpoint;
  return compare(
    was === undefined ? [] : admitted(was, tools),
    is === undefined || hasMoved ? [] : admitted(is, tools),
  );
}

/** What the token's grants admit of the tools that their upstreams are known to have. */
export function effectOfToken(
  catalogs: Catalogs,
  configuration: AccountConfiguration,
  was: StoredToken | undefined,
  is: StoredToken | undefined,
): ToolEffect {
  const names = (token: StoredToken | undefined): Iterable<string> =>
    token === undefined ? [] : namesOf(catalogs, configuration, token);
  return compare(names(was), names(is));
}

function* namesOf(catalogs: Catalogs, configuration: AccountConfiguration, token: StoredToken): Iterable<string> {
  if (token.revokedAtMs !== null) return;
  const configs = new Map(configuration.mcpConfigs.map((config) => [config.id, config]));
  /** What its grants leave of each config, together; `null` is all of it. */
  const narrowings = new Map<McpConfig, Set<string> | null>();
  for (const grant of token.grants) {
    const config = configs.get(grant.mcpConfigId);
    if (config === undefined || isSuspended(grant, config)) continue;
    const patterns = narrowings.get(config) ?? new Set();
    if (narrowings.get(config) === null) continue;
    for (const pattern of grant.allowedTools ?? []) patterns.add(pattern);
    narrowings.set(config, grant.allowedTools && patterns);
  }
  for (const [config, patterns] of narrowings) {
    const tools = knownTools(catalogs, configuration.accountId, config.id);
    const narrowed = patterns && admitted(config, tools, [...patterns]);
    for (const name of admitted(config, tools)) if (narrowed?.has(name) !== false) yield name;
  }
}

function knownTools(catalogs: Catalogs, account: AccountId, configId: string): Set<string> {
  const tools = new Set<string>();
  for (const serving of catalogs.serving(account)) {
    if (serving.configId !== configId) continue;
    for (const name of catalogs.lists.get(serving.upstream)?.tools.keys() ?? []) tools.add(name);
  }
  return tools;
}

function admitted({ name, allowedTools }: McpConfig, tools: Iterable<string>, patterns = allowedTools): Set<string> {
  const service = serviceOf(name);
  const allowList = compileAllowList(patterns, service);
  const names = [...tools].filter((tool) => allowList.match(tool) !== undefined);
  return new Set(names.map((tool) => toCanonicalName(service, tool)));
}

function compare(was: Iterable<string>, is: Iterable<string>): ToolEffect {
  const [before, after] = [new Set(was), new Set(is)];
  const added = [...after].filter((name) => !before.has(name));
  const removed = [...before].filter((name) => !after.has(name));
  return {
    added: added.slice(0, MAX_NAMES),
    removed: removed.slice(0, MAX_NAMES),
    addedCount: added.length,
    removedCount: removed.length,
  };
}
