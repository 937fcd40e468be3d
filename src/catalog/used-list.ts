// Whose list of tools a preview is made from: which secret the config is looked at with, and whose word that is.

import { type McpConfig, originOf, secretIdsOf } from '../domain/mcp-config.ts';
import { isSuspended, type StoredToken } from '../domain/principal.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { AccountSnapshot } from './account-snapshot.ts';
import type { Catalogs } from './catalogs.ts';
import type { ResolvedGrant } from './grant.ts';
import type { Inventory } from './inventory.ts';
import type { TrialUpstreams } from './trial-upstreams.ts';

/** Which list the tools were taken from. */
export interface UsedList {
  /** Name of the secret with which it was listed. */
  readonly secret: string | null;
  readonly source: 'live' | 'last_known' | 'none';
  /** ISO 8601. */
  readonly fetched_at: string | null;
  /** Why there is none, or none newer. */
  readonly problem: string | null;
}

/**
 * The secrets to look at the config with, the best first. Where no grant says that one may be sent to the endpoint, and
 * who asks does not either, there is none (design §3.13).
 */
export function secretsToTake(
  { secretId, isTrusted }: { readonly secretId: string | undefined; readonly isTrusted: boolean },
  config: McpConfig,
  granted: readonly StoredToken[],
): (string | null)[] {
  if (secretId !== undefined) return [secretId];
  const grants = granted.flatMap((token) => token.grants.filter(({ mcpConfigId }) => mcpConfigId === config.id));
  if (grants.length === 0) return isTrusted || secretIdsOf(config).length === 0 ? [null] : [];
  return [...new Set(grants.filter((grant) => !isSuspended(grant, config)).map((each) => each.secretId))];
}

/** The config alone, as a grant with this secret would have it. */
export function resolveWith(
  snapshot: AccountSnapshot,
  { id, endpoint }: McpConfig,
  secretId: string | null,
): ResolvedGrant[] {
  const grant = { mcpConfigId: id, secretId, allowedTools: null, secretOrigin: originOf(endpoint) };
  return snapshot.resolve({ grants: [grant] });
}

export const NO_LIST: UsedList = {
  secret: null,
  source: 'none',
  fetched_at: null,
  problem: 'no grant says which secret may be sent to its endpoint; a preview that names one asks it with that',
};

interface TakenList {
  readonly secretId: string | null;
  readonly grants: readonly ResolvedGrant[];
  readonly tools: Inventory | undefined;
  readonly list: UsedList;
}

/** The best list there is: of the secrets, the first whose upstream answers. */
export function takeList(
  { catalogs, trials, isSame }: { catalogs: Catalogs; trials: TrialUpstreams; isSame: boolean },
  snapshot: AccountSnapshot,
  config: McpConfig,
  secrets: readonly (string | null)[],
): TakenList | undefined {
  const all = secrets.map((secretId): TakenList => {
    const grants = resolveWith(snapshot, config, secretId);
    const [grant] = grants;
    const upstream = grant?.upstream;
    const tools = upstream && trials.listOf(upstream);
    // Under another name of the config the same upstream is another object.
    const source = upstream && ((isSame ? trials.heirOf(upstream) : undefined) ?? upstream);
    const isLiveList = source !== undefined && (trials.hasAnswered(source) || isConfirmed(catalogs, source));
    const failure = upstream?.failure && `${upstream.failure.message} (${upstream.failure.reason})`;
    const problem = grant?.trouble ?? (upstream && (trials.problemOf(upstream) ?? failure));
    const list: UsedList = {
      secret: nameOf(snapshot, secretId),
      source: tools === undefined ? 'none' : isLiveList ? 'live' : 'last_known',
      fetched_at: tools === undefined ? null : new Date(tools.fetchedAtMs).toISOString(),
      problem: problem ?? null,
    };
    return { secretId, grants, tools, list };
  });
  const sources = ['live', 'last_known', 'none'] as const;
  return sources.map((source) => all.find(({ list }) => list.source === source)).find((each) => each !== undefined);
}

function isConfirmed({ lists }: Catalogs, upstream: Upstream): boolean {
  return !lists.isUnconfirmed(upstream) && upstream.failure === undefined;
}

export function nameOf({ configuration }: AccountSnapshot, secretId: string | null): string | null {
  return configuration.secrets.find(({ id }) => id === secretId)?.name ?? null;
}
