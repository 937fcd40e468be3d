// One account's configuration at one epoch, ready to serve: allow-lists compiled, credentials opened, upstreams shared
// with the epoch before where nothing about them has changed.

import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../domain/errors.ts';
import { type AccountId, type McpConfig, type StoredSecret, secretIdsOf } from '../domain/mcp-config.ts';
import { type Grant, isSuspended, type StoredToken } from '../domain/principal.ts';
import type { Secret } from '../domain/secret.ts';
import type { AccountConfiguration } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { type AllowList, compileAllowList } from './allow-list.ts';
import { type CompiledConfig, compileConfig, type GrantTrouble, type ResolvedGrant } from './grant.ts';
import { type OpenedCredentials, openCredentials } from './open-credentials.ts';

export interface UpstreamRequest extends OpenedCredentials {
  readonly accountId: AccountId;
  readonly key: string;
  /** The same for every version of the credential: what such upstreams list is taken to be the same. */
  readonly lineage: string;
  readonly config: CompiledConfig;
  /** Of the grant. */
  readonly secretId: string | null;
}

/** Of grants, compiled: as many as a token has grants. */
const MAX_NARROWINGS = 1000;

/** A config with a secret: tokens that share both share the upstream, and what their grants offer. */
interface Connection {
  readonly config: CompiledConfig;
  /** Those that it needs, in the order of their use. */
  readonly secrets: readonly (StoredSecret | undefined)[];
  readonly upstream: Upstream | undefined;
  readonly trouble: GrantTrouble | undefined;
  /** By what they are narrowed with. */
  readonly grants: Map<AllowList | undefined, ResolvedGrant>;
}

export interface SnapshotDeps {
  /** Opens a stored secret; throws when it cannot. */
  readonly openSecret: (account: AccountId, secret: StoredSecret) => Secret;
  /** Returns the upstream of this key, made on first use; throws `GatewayError` for an address that is refused. */
  readonly upstreamFor: (request: UpstreamRequest) => Upstream;
}

export class AccountSnapshot {
  readonly accountId: AccountId;
  readonly epoch: number;
  readonly configuration: AccountConfiguration;
  readonly tokens: ReadonlyMap<string, StoredToken>;
  readonly configs: ReadonlyMap<string, CompiledConfig>;
  readonly #secrets: ReadonlyMap<string, StoredSecret>;
  readonly #deps: SnapshotDeps;
  /** By config, then by secret. Those of the epoch before are kept where nothing about them has changed. */
  readonly #connections = new Map<string, Map<string | null, Connection>>();
  /** By service and patterns, which say all of it: kept from epoch to epoch. */
  readonly #narrowings: Map<string, AllowList>;
  /** The config that was written last, and is not in force here yet. */
  #written: CompiledConfig | undefined;

  constructor(configuration: AccountConfiguration, deps: SnapshotDeps, before?: AccountSnapshot) {
    this.#narrowings = before === undefined ? new Map() : before.#narrowings;
    this.accountId = configuration.accountId;
    this.epoch = configuration.epoch;
    this.configuration = configuration;
    this.#deps = deps;
    this.tokens = new Map(configuration.tokens.map((token) => [token.id, token]));
    this.#secrets = new Map(configuration.secrets.map((secret) => [secret.id, secret]));
    const compiled = (config: McpConfig) => (before === undefined ? undefined : before.#find(config));
    this.configs = new Map(
      configuration.mcpConfigs.map((config) => [config.id, compiled(config) ?? compileConfig(config)]),
    );
    for (const ofConfig of before === undefined ? [] : before.#connections.values()) {
      for (const [secretId, connection] of ofConfig)
        if (this.#isAsBefore(secretId, connection)) this.#keep(secretId, connection);
    }
  }

  /** Lets go of what leads to upstreams that are out of use. */
  keepOnly(used: ReadonlySet<Upstream>): void {
    for (const ofConfig of this.#connections.values()) {
      for (const [secretId, { upstream }] of ofConfig) {
        if (upstream !== undefined && !used.has(upstream)) ofConfig.delete(secretId);
      }
    }
  }

  /**
   * A config that is being written, or is in force. What it admits is decided for the record of the write, and not once more
   * when it comes into force: a thousand patterns take seconds for ten thousand URIs.
   */
  compile(config: McpConfig): CompiledConfig {
    const known = this.#find(config);
    if (known !== undefined) return known;
    this.#written = compileConfig(config);
    return this.#written;
  }

  #find(config: McpConfig): CompiledConfig | undefined {
    const known = this.configs.get(config.id);
    // The store gives the same object for what was not written.
    if (known?.config === config) return known;
    return [known, this.#written].find((each) => each !== undefined && isDeepStrictEqual(each.config, config));
  }

  /** The grants of a token in its order; a grant of a config that is gone is left out. */
  resolve(token: Pick<StoredToken, 'grants'>): ResolvedGrant[] {
    const grants: ResolvedGrant[] = [];
    for (const grant of token.grants) {
      const config = this.configs.get(grant.mcpConfigId);
      if (config !== undefined) grants.push(this.#resolveGrant(config, grant));
    }
    return grants;
  }

  #resolveGrant(config: CompiledConfig, grant: Grant): ResolvedGrant {
    const narrowing = grant.allowedTools === null ? undefined : this.#narrow(grant.allowedTools, config.service);
    if (isSuspended(grant, config.config)) return { config, narrowing, upstream: undefined, trouble: 'suspended' };
    const { upstream, trouble, grants } = this.#connect(config, grant.secretId);
    let resolved = grants.get(narrowing);
    if (resolved === undefined) {
      if (grants.size === MAX_NARROWINGS) grants.clear();
      resolved = { config, narrowing, upstream, trouble };
      grants.set(narrowing, resolved);
    }
    return resolved;
  }

  #narrow(patterns: readonly string[], service: string): AllowList {
    const key = `${service}\n${JSON.stringify(patterns)}`;
    const known = this.#narrowings.get(key);
    if (known !== undefined) return known;
    if (this.#narrowings.size === MAX_NARROWINGS) this.#narrowings.clear();
    const narrowing = compileAllowList(patterns, service);
    this.#narrowings.set(key, narrowing);
    return narrowing;
  }

  #connect(config: CompiledConfig, secretId: string | null): Connection {
    const known = this.#connections.get(config.config.id)?.get(secretId);
    if (known !== undefined) return known;
    const secrets = this.#secretsOf(config, secretId);
    return this.#keep(secretId, { config, secrets, ...this.#make(config, secretId), grants: new Map() });
  }

  #keep(secretId: string | null, connection: Connection): Connection {
    const { id } = connection.config.config;
    const ofConfig = this.#connections.get(id) ?? new Map<string | null, Connection>();
    this.#connections.set(id, ofConfig.set(secretId, connection));
    return connection;
  }

  /** What is in trouble is tried again: a command may have been declared meanwhile. */
  #isAsBefore(secretId: string | null, { config, upstream, secrets }: Connection): boolean {
    if (upstream === undefined || this.configs.get(config.config.id) !== config) return false;
    return this.#secretsOf(config, secretId).every((secret, index) => secret === secrets[index]);
  }

  #secretsOf({ config }: CompiledConfig, secretId: string | null): (StoredSecret | undefined)[] {
    const ids = [...(secretId === null ? [] : [secretId]), ...secretIdsOf(config)];
    return ids.map((id) => this.#secrets.get(id));
  }

  #make(
    config: CompiledConfig,
    secretId: string | null,
  ): { upstream: Upstream | undefined; trouble: GrantTrouble | undefined } {
    const credentials = openCredentials(config.config, secretId, {
      stored: this.#secrets,
      open: (secret) => this.#deps.openSecret(this.accountId, secret),
    });
    if (typeof credentials === 'string') return { upstream: undefined, trouble: credentials };
    const key = this.#upstreamKey(config, secretId, credentials.versions);
    try {
      const { accountId } = this;
      const lineage = this.#lineage(config, secretId);
      const upstream = this.#deps.upstreamFor({ accountId, key, lineage, config, secretId, ...credentials });
      return { upstream, trouble: undefined };
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return { upstream: undefined, trouble: 'address_refused' };
    }
  }

  /** Changes with everything that decides where requests go, how and as whom, and with nothing else: an edited allow-list keeps its connections. */
  #upstreamKey(config: CompiledConfig, secretId: string | null, versions: readonly number[]): string {
    const { id, endpoint, authMechanism, customHeaders, managedBy, tls, proxy, stdio, limits } = config.config;
    const target = [this.accountId, id, config.service, endpoint, managedBy, tls, proxy, stdio, limits];
    const parts = [...target, authMechanism, customHeaders, secretId, versions];
    return hash('sha256', JSON.stringify(parts), 'base64url');
  }

  #lineage({ config }: CompiledConfig, secretId: string | null): string {
    return JSON.stringify([this.accountId, config.id, config.endpoint, config.stdio, secretId]);
  }
}
