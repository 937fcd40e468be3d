// What a write gives and takes, for the record of it: from the lists in memory alone, for it is asked inside a
// transaction. What an upstream has beyond what was ever listed, nobody can say there.

import { isDeepStrictEqual } from 'node:util';
import type { AccountId, McpConfig } from '../domain/mcp-config.ts';
import { isSuspended, type StoredToken } from '../domain/principal.ts';
import {
  type Effect,
  hasEffect,
  NO_EFFECT,
  type ObjectKind,
  type Objects,
  type RecordedNames,
} from '../domain/revision.ts';
import { inSlices } from '../domain/time-slice.ts';
import type { AccountConfiguration } from '../store/store.ts';
import type { AccountSnapshot } from './account-snapshot.ts';
import { admittedOf, decideAll } from './admitted.ts';
import { compileAllowList } from './allow-list.ts';
import type { Catalogs, Serving } from './catalogs.ts';
import { POLICIES } from './feature-policy.ts';
import { type CompiledConfig, compileConfig } from './grant.ts';
import { canonicalNameOf, type Feature } from './route.ts';

const MAX_NAMES = 1_000;
/** Of the names that are kept of one list and side, in UTF-8: an upstream may list URIs of 12 KiB each. */
const MAX_BYTES = 64 * 1024;

/**
 * The effect of writing one object: `was` before, `is` after, `undefined` where there is none; `before` is the configuration
 * it is written to. Of many patterns and names it is found out in turns with other work.
 */
export async function effectOfWrite<K extends ObjectKind>(
  catalogs: Catalogs,
  before: AccountConfiguration,
  kind: K,
  was: Objects[K] | undefined,
  is: Objects[K] | undefined,
): Promise<Effect> {
  if (kind === 'mcp_config') {
    const admissions = new Admissions(catalogs, before.accountId);
    for (const config of [was, is]) if (config !== undefined) await inSlices(admissions.decide(config as McpConfig));
    return effectOf(catalogs, before.accountId, was as McpConfig | undefined, is as McpConfig | undefined);
  }
  if (!hasEffect(kind)) return NO_EFFECT;
  return effectOfToken(catalogs, before, was as StoredToken | undefined, is as StoredToken | undefined);
}

/** What the config admits of all that its upstreams are known to have, whatever credential they were seen with. */
export function effectOf(
  catalogs: Catalogs,
  account: AccountId,
  was: McpConfig | undefined,
  is: McpConfig | undefined,
): Effect {
  const admissions = new Admissions(catalogs, account);
  // What is known of the endpoint before says nothing about the one after.
  const hasMoved = was !== undefined && is !== undefined && was.endpoint !== is.endpoint;
  const admitted = (feature: Feature, config: McpConfig | undefined): string[] =>
    config === undefined ? [] : admissions.canonicalNames(feature, config);
  return toEffect(admissions, (feature) => {
    if (admitsAlike(feature, was, is)) return NO_EFFECT;
    if (!hasMoved) return compareNames(admitted(feature, was), admitted(feature, is));
    admissions.miss(feature, is);
    return compareNames(admitted(feature, was), []);
  });
}

/** What the token's grants admit of all that their upstreams are known to have. */
export function effectOfToken(
  catalogs: Catalogs,
  configuration: AccountConfiguration,
  was: StoredToken | undefined,
  is: StoredToken | undefined,
): Effect {
  // A rotation, for one: what is not known of the grants is as before.
  if (was !== undefined && is !== undefined && isDeepStrictEqual(deciding(was), deciding(is))) return NO_EFFECT;
  const admissions = new Admissions(catalogs, configuration.accountId);
  const [before, after] = [narrowingsOf(configuration, was), narrowingsOf(configuration, is)];
  const admitted = (feature: Feature, narrowings: Narrowings): string[] =>
    [...narrowings].flatMap(([config, patterns]) => admissions.canonicalNames(feature, config, patterns));
  return toEffect(admissions, (feature) => compareNames(admitted(feature, before), admitted(feature, after)));
}

function deciding({ grants, revokedAtMs }: StoredToken) {
  return [grants, revokedAtMs === null];
}

/** What the grants of a token leave of the tools of each config, together; `null` is all of them. */
type Narrowings = ReadonlyMap<McpConfig, ReadonlySet<string> | null>;

function narrowingsOf(configuration: AccountConfiguration, token: StoredToken | undefined): Narrowings {
  const narrowings = new Map<McpConfig, Set<string> | null>();
  if (token === undefined || token.revokedAtMs !== null) return narrowings;
  const configs = new Map(configuration.mcpConfigs.map((config) => [config.id, config]));
  for (const grant of token.grants) {
    const config = configs.get(grant.mcpConfigId);
    if (config === undefined || isSuspended(grant, config)) continue;
    const patterns = narrowings.get(config) ?? new Set();
    if (narrowings.get(config) === null) continue;
    for (const pattern of grant.allowedTools ?? []) patterns.add(pattern);
    narrowings.set(config, grant.allowedTools && patterns);
  }
  return narrowings;
}

/** What configs of an account admit of what their upstreams are known to have. */
class Admissions {
  readonly #catalogs: Catalogs;
  readonly #snapshot: AccountSnapshot | undefined;
  readonly #serving: ReadonlyMap<string, readonly Serving[]>;
  readonly #compiled = new Map<McpConfig, CompiledConfig>();
  #hasMissed = false;

  constructor(catalogs: Catalogs, account: AccountId) {
    this.#catalogs = catalogs;
    this.#snapshot = catalogs.snapshot(account);
    this.#serving = Map.groupBy(catalogs.serving(account), ({ configId }) => configId);
  }

  /** Decides everything that `canonicalNames` gives of a config. */
  *decide(config: McpConfig): Iterable<void> {
    const compiled = this.#compile(config);
    for (const { upstream } of this.#serving.get(config.id) ?? []) {
      const known = this.#catalogs.lists.get(upstream);
      const grant = { config: compiled, narrowing: undefined, upstream, trouble: undefined };
      if (known !== undefined) yield* decideAll(grant, known);
    }
  }

  /** `patterns` narrow tools, and nothing else. */
  canonicalNames(feature: Feature, config: McpConfig, patterns: ReadonlySet<string> | null = null): string[] {
    const compiled = this.#compile(config);
    const { service } = compiled;
    const { allowListOf, shownIn } = POLICIES[feature];
    const narrowing = feature === 'tool' && patterns !== null ? compileAllowList([...patterns], service) : undefined;
    const known = (this.#serving.get(config.id) ?? []).flatMap(
      ({ upstream }) => this.#catalogs.lists.get(upstream) ?? [],
    );
    if (known.length === 0) this.miss(feature, config);
    const names = new Set<string>();
    for (const inventory of known) {
      const lists = shownIn.map((kind) => inventory[kind]);
      for (const list of lists) for (const name of admittedOf(list, allowListOf(compiled)).keys()) names.add(name);
    }
    const left = [...names].filter((name) => narrowing === undefined || narrowing.match(name) !== undefined);
    return left.map((name) => canonicalNameOf(feature, service, name));
  }

  /** Notes that nobody knows what the config admits; what has no pattern admits nothing. */
  miss(feature: Feature, config: McpConfig): void {
    if (POLICIES[feature].patternsOf(config).length > 0) this.#hasMissed = true;
  }

  get hasMissed(): boolean {
    return this.#hasMissed;
  }

  #compile(config: McpConfig): CompiledConfig {
    const known = this.#compiled.get(config);
    if (known !== undefined) return known;
    const compiled = this.#snapshot?.compile(config) ?? compileConfig(config);
    this.#compiled.set(config, compiled);
    return compiled;
  }
}

/** Whether an edit leaves alone everything that decides about a feature. */
function admitsAlike(feature: Feature, was: McpConfig | undefined, is: McpConfig | undefined): boolean {
  const { patternsOf } = POLICIES[feature];
  const deciding = (config: McpConfig) => [config.name, config.endpoint, patternsOf(config)];
  return was !== undefined && is !== undefined && isDeepStrictEqual(deciding(was), deciding(is));
}

function toEffect(admissions: Admissions, effectOn: (feature: Feature) => RecordedNames): Effect {
  const [tools, prompts, resources] = [effectOn('tool'), effectOn('prompt'), effectOn('resource')];
  const isAny = ({ addedCount, removedCount }: RecordedNames): boolean => addedCount + removedCount > 0;
  return {
    ...tools,
    ...(isAny(prompts) ? { prompts } : {}),
    ...(isAny(resources) ? { resources } : {}),
    ...(admissions.hasMissed ? { isPartial: true } : {}),
  };
}

/** What comes and goes, in order, the first names of each that the bounds leave. */
export function compareNames(was: readonly string[], is: readonly string[]): RecordedNames {
  const [before, after] = [new Set(was), new Set(is)];
  const added = [...after].filter((name) => !before.has(name));
  const removed = [...before].filter((name) => !after.has(name));
  return { added: cut(added), removed: cut(removed), addedCount: added.length, removedCount: removed.length };
}

function cut(names: readonly string[]): string[] {
  let bytes = 0;
  const end = names.findIndex((name) => {
    bytes += Buffer.byteLength(name);
    return bytes > MAX_BYTES;
  });
  return names.slice(0, Math.min(MAX_NAMES, end < 0 ? names.length : end));
}
