// One account's configuration at one epoch, ready to serve: allow-lists compiled, credentials opened, upstreams shared
// with the epoch before where nothing about them has changed.

import { hash } from 'node:crypto';
import { GatewayError } from '../domain/errors.ts';
import type { AccountId, CustomHeader, StoredSecret } from '../domain/mcp-config.ts';
import type { Grant, StoredToken } from '../domain/principal.ts';
import type { Secret } from '../domain/secret.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { toCredentialHeaders } from '../upstream/credential.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { compileAllowList } from './allow-list.ts';
import { type CompiledConfig, compileConfig, type GrantTrouble, type ResolvedGrant } from './grant.ts';

export interface UpstreamRequest {
  readonly key: string;
  /** The same for every version of the credential: what such upstreams list is taken to be the same. */
  readonly lineage: string;
  readonly config: CompiledConfig;
  readonly credentialHeaders: readonly string[];
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
  readonly tokens: ReadonlyMap<string, StoredToken>;
  readonly configs: ReadonlyMap<string, CompiledConfig>;
  readonly #secrets: ReadonlyMap<string, StoredSecret>;
  readonly #deps: SnapshotDeps;
  /** One resolution per (config, secret): tokens that share both share the upstream. */
  readonly #upstreams = new Map<string, { upstream: Upstream | undefined; trouble: GrantTrouble | undefined }>();

  constructor(configuration: AccountConfiguration, deps: SnapshotDeps, before?: AccountSnapshot) {
    this.accountId = configuration.accountId;
    this.epoch = configuration.epoch;
    this.#deps = deps;
    this.tokens = new Map(configuration.tokens.map((token) => [token.id, token]));
    this.#secrets = new Map(configuration.secrets.map((secret) => [secret.id, secret]));
    this.configs = new Map(
      configuration.mcpConfigs.map((config) => {
        const known = before?.configs.get(config.id);
        return [config.id, known?.config.revision === config.revision ? known : compileConfig(config)];
      }),
    );
  }

  /** The grants of a token in its order; a grant of a config that is gone is left out. */
  resolve(token: StoredToken): ResolvedGrant[] {
    const grants: ResolvedGrant[] = [];
    for (const grant of token.grants) {
      const config = this.configs.get(grant.mcpConfigId);
      if (config === undefined) continue;
      const narrowing = grant.allowedTools === null ? undefined : compileAllowList(grant.allowedTools, config.service);
      grants.push({ config, narrowing, ...this.#connect(config, grant) });
    }
    return grants;
  }

  #connect(config: CompiledConfig, grant: Grant) {
    if (grant.secretOrigin !== null && grant.secretOrigin !== new URL(config.config.endpoint).origin) {
      return { upstream: undefined, trouble: 'suspended' as const };
    }
    const key = `${config.config.id}\n${grant.secretId ?? ''}`;
    let made = this.#upstreams.get(key);
    if (made === undefined) {
      made = this.#make(config, grant.secretId);
      this.#upstreams.set(key, made);
    }
    return made;
  }

  #make(
    config: CompiledConfig,
    secretId: string | null,
  ): { upstream: Upstream | undefined; trouble: GrantTrouble | undefined } {
    const secret = secretId === null ? undefined : this.#secrets.get(secretId);
    if (secretId !== null && secret === undefined) return { upstream: undefined, trouble: 'secret_missing' };
    let credentialHeaders: readonly string[];
    try {
      credentialHeaders = this.#openCredential(config, secret);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return { upstream: undefined, trouble: 'secret_unreadable' };
    }
    const key = this.#upstreamKey(config, secret);
    try {
      const upstream = this.#deps.upstreamFor({
        key,
        lineage: this.#lineage(config, secret),
        config,
        credentialHeaders,
      });
      return { upstream, trouble: undefined };
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return { upstream: undefined, trouble: 'address_refused' };
    }
  }

  #openCredential(config: CompiledConfig, secret: StoredSecret | undefined): readonly string[] {
    const { authMechanism, customHeaders } = config.config;
    const credential = secret === undefined ? undefined : this.#deps.openSecret(this.accountId, secret);
    const headers = customHeaders.map((header) => ({ name: header.name, value: this.#valueOf(header) }));
    return toCredentialHeaders(authMechanism, credential, headers);
  }

  #valueOf(header: CustomHeader): Secret | string {
    if ('value' in header) return header.value;
    const secret = this.#secrets.get(header.secretId);
    if (secret === undefined) {
      throw new GatewayError('invalid_argument', `The secret of the custom header '${header.name}' does not exist.`);
    }
    return this.#deps.openSecret(this.accountId, secret);
  }

  /** Changes with everything that decides where requests go and as whom, and with nothing else: an edited allow-list keeps its connections. */
  #upstreamKey(config: CompiledConfig, secret: StoredSecret | undefined): string {
    const { id, endpoint, authMechanism, customHeaders, managedBy } = config.config;
    const headerVersions = customHeaders.map((header) =>
      'value' in header ? null : (this.#secrets.get(header.secretId)?.version ?? null),
    );
    const parts = [
      this.accountId,
      id,
      config.service,
      endpoint,
      managedBy,
      authMechanism,
      customHeaders,
      headerVersions,
      secret?.id ?? null,
      secret?.version ?? null,
    ];
    return hash('sha256', JSON.stringify(parts), 'base64url');
  }

  #lineage({ config }: CompiledConfig, secret: StoredSecret | undefined): string {
    return JSON.stringify([this.accountId, config.id, config.endpoint, secret?.id ?? null]);
  }
}
