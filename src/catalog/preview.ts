// What an edit of an McpConfig would do, computed by what serves: the account's configuration is supposed with the edit in
// it, and catalogs are built of it and compared with those in force. Nothing of it comes into use.

import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../domain/errors.ts';
import { type AccountId, type McpConfig, serviceOf } from '../domain/mcp-config.ts';
import { isSuspended, type StoredToken } from '../domain/principal.ts';
import type { AccountConfiguration } from '../store/store.ts';
import type { AccountSnapshot } from './account-snapshot.ts';
import { Catalog } from './catalog.ts';
import { type Catalogs, isLive } from './catalogs.ts';
import type { ResolvedGrant } from './grant.ts';
import { Ownership } from './ownership.ts';
import { namesIn } from './pattern-findings.ts';
import { findWarnings, type PreviewWarning } from './preview-warnings.ts';
import type { Route } from './route.ts';
import { compareCatalogs, resourcesOf, type TokenEffect } from './token-effect.ts';
import { TrialUpstreams } from './trial-upstreams.ts';
import { NO_LIST, nameOf, resolveWith, secretsToTake, takeList, type UsedList } from './used-list.ts';

export interface PreviewRequest {
  readonly accountId: AccountId;
  /** The config as it is, `undefined` for one that is not saved. */
  readonly before: McpConfig | undefined;
  readonly after: McpConfig;
  /** A secret to take the config with; whoever names it says that it may go to the endpoint. */
  readonly secretId: string | undefined;
  /** Whether who asks could save it, and so may have the config's own secrets sent where nothing was sent yet. */
  readonly isTrusted: boolean;
  /** The longest that upstreams are waited for, in ms. */
  readonly waitMs: number;
  readonly now: () => number;
}

export interface Admitted {
  /** Canonical, or a URI. */
  readonly name: string;
  /** The pattern that admits it, or did. */
  readonly pattern: string;
}

/** What the config would allow, whoever is granted it, against what it allows; the first thousand of each. */
export interface AdmissionChanges {
  readonly appear: Admitted[];
  readonly disappear: Admitted[];
  readonly appear_count: number;
  readonly disappear_count: number;
  readonly unchanged_count: number;
}

export interface Preview extends AdmissionChanges {
  readonly epoch: number;
  readonly mcp_config: { readonly id: string | null; readonly name: string; readonly service: string };
  readonly list: UsedList;
  readonly prompts: AdmissionChanges;
  /** Templates among them. */
  readonly resources: AdmissionChanges;
  /** Live tokens that grant it, the first two hundred. */
  readonly tokens: TokenEffect[];
  readonly token_count: number;
  /** Grants that would be suspended until an owner confirms the endpoint. */
  readonly suspends: { readonly token: string; readonly secret: string | null }[];
  readonly warnings: PreviewWarning[];
}

const MAX_NAMES = 1_000;
const MAX_TOKENS = 200;

/**
 * Says what `after` would change. Throws `conflict` when somebody else changes the config meanwhile, and
 * `store_unavailable` while the account's configuration has not been read.
 */
export async function previewConfig(catalogs: Catalogs, request: PreviewRequest): Promise<Preview> {
  const trials = new TrialUpstreams(catalogs, request.now);
  try {
    const supposed = suppose(catalogs, trials, request);
    const { granted, after, accountId } = { ...supposed, ...request };
    const looked = granted.slice(0, MAX_TOKENS);
    for (const token of looked) supposed.snapshot.resolve(token);
    for (const secretId of secretsToTake(request, after, granted)) resolveWith(supposed.snapshot, after, secretId);
    const serving = looked.flatMap((token) => supposed.inForce.resolve(token));
    const isKnown = request.before !== undefined && isSameDestination(request.before, after);
    await Promise.all([
      catalogs.awaitLists(accountId, serving, request.waitMs),
      trials.ask(after.id, request.waitMs, { onlyUnknown: isKnown }),
    ]);
    return compare(catalogs, trials, request);
  } finally {
    trials.close();
  }
}

interface Supposed {
  /** What serves, and the same with the edit. */
  readonly inForce: AccountSnapshot;
  readonly snapshot: AccountSnapshot;
  /** Live tokens that grant the config, in the order in which they were made. */
  readonly granted: readonly StoredToken[];
}

function suppose(
  catalogs: Catalogs,
  trials: TrialUpstreams,
  { accountId, before, after, now }: PreviewRequest,
): Supposed {
  const inForce = catalogs.snapshot(accountId);
  if (inForce === undefined) {
    throw new GatewayError('store_unavailable', 'The configuration of this account has not been read yet: try again.');
  }
  if (before !== undefined && inForce.configs.get(before.id)?.config.revision !== before.revision) {
    const message = `The McpConfig '${before.name}' is being changed by somebody else: read it again, and preview again.`;
    throw new GatewayError('conflict', message);
  }
  const { configuration } = inForce;
  const others = configuration.mcpConfigs.filter(({ id }) => id !== after.id);
  const edited: AccountConfiguration = { ...configuration, mcpConfigs: [...others, after] };
  return {
    inForce,
    snapshot: catalogs.suppose(edited, (each) => trials.upstreamFor(each)),
    granted: configuration.tokens
      .filter((token) => isLive(token, now()) && token.grants.some(({ mcpConfigId }) => mcpConfigId === after.id))
      .sort((a, b) => a.createTimeMs - b.createTimeMs || (a.id < b.id ? -1 : 1)),
  };
}

/** Whether the gateway would speak to the same upstream, as the same. */
export function isSameDestination(before: McpConfig, after: McpConfig): boolean {
  const target = ({ endpoint, authMechanism, customHeaders, tls, proxy, stdio }: McpConfig) =>
    [endpoint, authMechanism, customHeaders, tls, proxy, stdio] as const;
  return isDeepStrictEqual(target(before), target(after));
}

function compare(catalogs: Catalogs, trials: TrialUpstreams, request: PreviewRequest): Preview {
  // Read again: others may have been written while upstreams were asked.
  const supposed = suppose(catalogs, trials, request);
  const { before, after, accountId } = request;
  const { inForce, snapshot, granted } = supposed;
  const asIs = catalogs.suppose(inForce.configuration, (each) => trials.upstreamFor(each));
  const build = (grants: readonly ResolvedGrant[]): Catalog =>
    // An edit gives every name to be owned anew.
    new Catalog({
      accountId,
      epoch: inForce.epoch,
      grants,
      listOf: (each) => trials.listOf(each),
      ownership: new Ownership(),
    });

  const look = { catalogs, trials, isSame: before !== undefined && isSameDestination(before, after) };
  const taken = takeList(look, snapshot, after, secretsToTake(request, after, granted));
  const secrets = taken === undefined && before !== undefined ? secretsToTake(request, before, granted) : [];
  const was = before && takeList(look, asIs, before, taken === undefined ? secrets : [taken.secretId]);
  const [alone, aloneAfter] = [build(was?.grants ?? []), build(taken?.grants ?? [])];

  const built = new Map<string, Catalog>();
  const tokens = granted.slice(0, MAX_TOKENS).flatMap((token) => {
    const current = catalogs.peek(accountId, token.id);
    if (current === undefined) return [];
    const key = JSON.stringify(token.grants);
    const next = built.get(key) ?? build(snapshot.resolve(token));
    built.set(key, next);
    return compareCatalogs(token, current, next);
  });
  const grants = granted.flatMap((token) => token.grants.map((grant) => ({ token, grant })));
  const suspends = grants
    .filter(({ grant }) => grant.mcpConfigId === after.id && isSuspended(grant, after))
    .filter(({ grant }) => before === undefined || !isSuspended(grant, before))
    .map(({ token, grant }) => ({ token: token.name, secret: nameOf(inForce, grant.secretId) }));
  const list = taken?.list ?? NO_LIST;
  return {
    epoch: inForce.epoch,
    mcp_config: { id: before?.id ?? null, name: after.name, service: serviceOf(after.name) },
    list,
    ...compareAdmitted(alone.routes, aloneAfter.routes),
    prompts: compareAdmitted(alone.routesOf('prompts'), aloneAfter.routesOf('prompts')),
    resources: compareAdmitted(resourcesOf(alone), resourcesOf(aloneAfter)),
    tokens,
    token_count: granted.length,
    suspends: suspends.slice(0, MAX_TOKENS),
    warnings: findWarnings({
      before,
      after,
      known: namesIn(taken?.tools === undefined ? [] : [taken.tools]),
      list,
      tokens,
      suspends,
    }),
  };
}

function compareAdmitted(before: readonly Route[], after: readonly Route[]): AdmissionChanges {
  const byName = (routes: readonly Route[]) =>
    new Map(routes.map(({ canonicalName: name, admission: { pattern } }) => [name, { name, pattern }]));
  const [was, is] = [byName(before), byName(after)];
  const appear = [...is.values()].filter(({ name }) => !was.has(name));
  const disappear = [...was.values()].filter(({ name }) => !is.has(name));
  return {
    appear: appear.slice(0, MAX_NAMES),
    disappear: disappear.slice(0, MAX_NAMES),
    appear_count: appear.length,
    disappear_count: disappear.length,
    unchanged_count: is.size - appear.length,
  };
}
