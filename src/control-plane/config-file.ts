// The file door: makes the store hold what the operator's config file declares, and nothing it no longer declares.

import { hash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { GatewayError, type Problem } from '../domain/errors.ts';
import {
  type AccountId,
  type ConfigTls,
  type CustomHeader,
  type ManagedBy,
  type McpConfig,
  originOf,
  type StdioCommand,
  type StdioVariable,
  type StoredSecret,
} from '../domain/mcp-config.ts';
import type { Grant, StoredToken } from '../domain/principal.ts';
import type { Actor } from '../domain/revision.ts';
import type { Secret } from '../domain/secret.ts';
import type { AccountConfiguration } from '../store/store.ts';
import type { SecretRef } from '../vault/vault.ts';
import { type Change, type ChangeDeps, change } from './change.ts';
import { findRemovalWarnings } from './config-warnings.ts';
import type {
  Declared,
  DeclaredGrant,
  DeclaredMcpConfig,
  DeclaredSecret,
  DeclaredStdio,
  DeclaredToken,
} from './declared.ts';

export interface ApplyDependencies extends ChangeDeps {
  readonly sealSecret: (ref: SecretRef, plaintext: string) => string;
  readonly openSecret: (ref: SecretRef, sealed: string) => Secret;
  readonly hashToken: (text: string) => string;
}

const CONFIG_FILE: Actor = { kind: 'file', id: null, name: 'config file' };

export interface Applied {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
  readonly unchanged: number;
  /** What was done, and probably not meant. */
  readonly warnings: readonly string[];
}

/** What to do with one kind of object: `next` is everything declared, in the file's order. */
interface Plan<T> {
  readonly next: readonly T[];
  readonly created: readonly T[];
  readonly updated: readonly T[];
  readonly deleted: readonly T[];
  readonly conflicts: readonly Problem[];
}

interface Named {
  readonly id: string;
  readonly name: string;
  readonly managedBy: ManagedBy;
  readonly createTimeMs: number;
  readonly revokedAtMs?: number | null;
}

/** What a declared object is known by: as it was, or where there is none, as it will be. */
interface Identity {
  readonly id: string;
  readonly revision: number;
  readonly createTimeMs: number;
}

async function planKind<D extends { readonly name: string }, T extends Named>(
  list: 'secrets' | 'mcp_configs' | 'tokens',
  declared: readonly D[],
  stored: readonly T[],
  identify: (name: string, current: T | undefined) => Promise<Identity>,
  toNext: (declared: D, current: T | undefined, identity: Identity) => T,
): Promise<Plan<T>> {
  const ours = new Map(stored.filter(({ managedBy }) => managedBy === 'file').map((each) => [each.name, each]));
  // A revoked token is only remembered, and gives its name up.
  const inUse = stored.filter(({ managedBy, revokedAtMs = null }) => managedBy === 'api' && revokedAtMs === null);
  const theirs = new Map(inUse.map((each) => [each.name, each]));
  const conflicts = declared.flatMap(({ name }, index): Problem[] => {
    const owner = ours.has(name) ? undefined : theirs.get(name);
    const message = `'${name}' already belongs to ${owner?.id}, which was made through the API: rename one, or delete that one`;
    return owner === undefined ? [] : [{ path: `${list}[${index}].name`, message }];
  });
  const next: T[] = [];
  for (const each of declared) {
    const current = ours.get(each.name);
    next.push(toNext(each, current, await identify(each.name, current)));
  }
  const names = new Set(next.map(({ name }) => name));
  return {
    next,
    conflicts,
    created: next.filter(({ name }) => !ours.has(name)),
    updated: next.filter((each) => ours.has(each.name) && !isDeepStrictEqual(each, ours.get(each.name))),
    deleted: [...ours.values()].filter(({ name }) => !names.has(name)),
  };
}

function byName<T extends Named>(plan: Plan<T>): (name: string) => T {
  const index = new Map(plan.next.map((each) => [each.name, each]));
  return (name) => {
    const found = index.get(name);
    if (found === undefined) throw new GatewayError('invalid_argument', `The config file declares no '${name}'.`);
    return found;
  };
}

async function planAll({ before, writer }: Change, declared: Declared, deps: ApplyDependencies) {
  const nowMs = deps.now();
  const identifyAs =
    <T extends Named>(prefix: IdPrefix, revisionOf: (current: T) => number) =>
    async (name: string, current: T | undefined): Promise<Identity> => {
      if (current !== undefined)
        return { id: current.id, revision: revisionOf(current), createTimeMs: current.createTimeMs };
      const id = idOf(prefix, before.accountId, name);
      // What comes back goes on counting: histories, ETags and connections in use tell its states apart by the number.
      return { id, revision: (await writer.lastRevisionOf(id)) + 1, createTimeMs: nowMs };
    };

  const secrets = await planKind<DeclaredSecret, StoredSecret>(
    'secrets',
    declared.secrets,
    before.secrets,
    identifyAs('sec', ({ version }) => version),
    (each, current, { id, revision, createTimeMs }) => {
      const ref = { accountId: before.accountId, secretId: id, name: each.name };
      const value = each.value.reveal();
      const origins = [...new Set([...(current?.origins ?? []), ...originsOf(declared, each.name)])];
      // Sealing is randomised, so only the opened value tells whether anything changed.
      if (current && deps.openSecret({ ...ref, version: current.version }, current.sealed).reveal() === value) {
        return origins.length === current.origins.length ? current : { ...current, origins };
      }
      const version = current === undefined ? revision : revision + 1;
      return {
        id,
        name: each.name,
        version,
        sealed: deps.sealSecret({ ...ref, version }, value),
        origins,
        managedBy: 'file',
        createTimeMs,
        updateTimeMs: nowMs,
      };
    },
  );
  const secretNamed = byName(secrets);

  const mcpConfigs = await planKind<DeclaredMcpConfig, McpConfig>(
    'mcp_configs',
    declared.mcpConfigs,
    before.mcpConfigs,
    identifyAs('mcp', ({ revision }) => revision),
    (each, current, { id, revision, createTimeMs }) => {
      const customHeaders = each.customHeaders.map(
        (header): CustomHeader =>
          'secret' in header ? { name: header.name, secretId: secretNamed(header.secret).id } : header,
      );
      const next: McpConfig = {
        ...each,
        customHeaders,
        tls: each.tls && toTls(each.tls, secretNamed),
        stdio: each.stdio && toStdio(each.stdio, secretNamed),
        proxy: each.proxy && { url: each.proxy.url, secretId: secretIdOf(each.proxy.secret, secretNamed) },
        id,
        revision,
        managedBy: 'file',
        createTimeMs,
      };
      return asNextRevision(next, current);
    },
  );
  const configNamed = byName(mcpConfigs);

  const tokens = await planKind<DeclaredToken, StoredToken>(
    'tokens',
    declared.tokens,
    before.tokens,
    identifyAs('tok', ({ revision }) => revision),
    (each, current, { id, revision, createTimeMs }) => {
      const hash = deps.hashToken(each.value.reveal());
      const next: StoredToken = {
        id,
        name: each.name,
        hash,
        // The file holds one value: whoever rotates it there decides when each gateway reads the new one.
        previousHash: null,
        previousExpiresAtMs: null,
        nameStyle: each.nameStyle,
        grants: each.grants.map((grant) => toGrant(grant, configNamed(grant.mcpConfig), secretNamed)),
        devboxId: null,
        revision,
        managedBy: 'file',
        createTimeMs,
        expiresAtMs: each.expiresAtMs,
        // A revoked value stays revoked, whatever the file says; a new value under the same name is a rotation.
        revokedAtMs: current?.hash === hash ? current.revokedAtMs : null,
      };
      return asNextRevision(next, current);
    },
  );
  return { secrets, mcpConfigs, tokens };
}

/** The file names secrets and endpoints together, so its owner has said where each may go (design §3.13). */
function originsOf({ mcpConfigs, tokens }: Declared, secret: string): string[] {
  const grants = tokens.flatMap((token) => token.grants).filter((grant) => grant.secret === secret);
  const granted = new Set(grants.map(({ mcpConfig }) => mcpConfig));
  const sends = ({ customHeaders, tls, proxy, stdio }: DeclaredMcpConfig) =>
    customHeaders.some((header) => 'secret' in header && header.secret === secret) ||
    tls?.clientKey === secret ||
    proxy?.secret === secret ||
    stdio?.env.some((variable) => 'secret' in variable && variable.secret === secret);
  return mcpConfigs
    .filter((config) => granted.has(config.name) || sends(config))
    .map(({ endpoint }) => originOf(endpoint));
}

/** The same for the same name for ever: what is taken out of the file and put back is granted as it was before. */
type IdPrefix = 'mcp' | 'sec' | 'tok';

function idOf(prefix: IdPrefix, account: AccountId, name: string): string {
  return `${prefix}_${hash('sha256', JSON.stringify(['file', account, prefix, name])).slice(0, 32)}`;
}

function asNextRevision<T extends { readonly revision: number }>(next: T, current: T | undefined): T {
  return current === undefined || isDeepStrictEqual(next, current) ? next : { ...next, revision: next.revision + 1 };
}

type SecretNamed = (name: string) => StoredSecret;

function secretIdOf(secret: string | null, secretNamed: SecretNamed): string | null {
  return secret === null ? null : secretNamed(secret).id;
}

function toTls({ clientKey, ...rest }: NonNullable<DeclaredMcpConfig['tls']>, secretNamed: SecretNamed): ConfigTls {
  return { ...rest, clientKeySecretId: secretIdOf(clientKey, secretNamed) };
}

function toStdio({ env, ...rest }: DeclaredStdio, secretNamed: SecretNamed): StdioCommand {
  const variables = env.map(
    (variable): StdioVariable =>
      'secret' in variable ? { name: variable.name, secretId: secretNamed(variable.secret).id } : variable,
  );
  return { ...rest, env: variables };
}

function toGrant(grant: DeclaredGrant, config: McpConfig, secretNamed: SecretNamed): Grant {
  return {
    mcpConfigId: config.id,
    secretId: secretIdOf(grant.secret, secretNamed),
    allowedTools: grant.allowedTools,
    // The file names secret and endpoint together, so its owner has said where the secret may go (design §3.13).
    secretOrigin: originOf(config.endpoint),
  };
}

/** A value that is somebody else's already would make two principals of one token. */
function findTakenTokens(tokens: Plan<StoredToken>, before: AccountConfiguration): Problem[] {
  const taken = new Map(
    before.tokens.filter(({ managedBy }) => managedBy === 'api').map(({ hash, name }) => [hash, name]),
  );
  return tokens.next.flatMap(({ hash }, index): Problem[] => {
    const owner = taken.get(hash);
    const message = `has the value of the token '${owner}', which was made through the API: use another value`;
    return owner === undefined ? [] : [{ path: `tokens[${index}].value_from`, message }];
  });
}

async function write(
  change: Change,
  { secrets, mcpConfigs, tokens }: Awaited<ReturnType<typeof planAll>>,
): Promise<void> {
  // Updated tokens give up their values first: two that swap theirs would meet at the store's unique hash.
  await change.freeHashes(tokens.updated);
  for (const token of tokens.deleted) await change.delete('token', token);
  for (const config of mcpConfigs.deleted) await change.delete('mcp_config', config);
  for (const secret of secrets.deleted) await change.delete('secret', secret);
  for (const secret of secrets.created) await change.put('secret', secret, 'create');
  for (const secret of secrets.updated) await change.put('secret', secret, 'update');
  for (const config of mcpConfigs.created) await change.put('mcp_config', config, 'create');
  for (const config of mcpConfigs.updated) await change.put('mcp_config', config, 'update');
  for (const token of tokens.created) await change.put('token', token, 'create');
  for (const token of tokens.updated) await change.put('token', token, 'update');
}

/**
 * Makes the file-managed objects of `account` equal to `declared`, in one transaction. An object keeps its id as long as
 * it keeps its name; what is equal is not written, so applying a file twice raises no epoch.
 * @throws GatewayError conflict when the name of a declared object, or the value of a token, belongs to one made through the API
 */
export async function applyDeclared(account: AccountId, declared: Declared, deps: ApplyDependencies): Promise<Applied> {
  return change(deps, account, { actor: CONFIG_FILE }, async (each) => {
    const plan = await planAll(each, declared, deps);
    const kinds = [plan.secrets, plan.mcpConfigs, plan.tokens];
    const problems = [...kinds.flatMap(({ conflicts }) => conflicts), ...findTakenTokens(plan.tokens, each.before)];
    if (problems.length > 0) {
      const lines = problems.map(({ path, message }) => `${path} ${message}`);
      throw new GatewayError('conflict', `The config file cannot be applied: ${lines.join('; ')}.`, { problems });
    }
    await write(each, plan);
    const count = (of: 'next' | 'created' | 'updated' | 'deleted') =>
      kinds.reduce((sum, kind) => sum + kind[of].length, 0);
    const [created, updated] = [count('created'), count('updated')];
    const warnings = findRemovalWarnings(plan.mcpConfigs.deleted, each.before, each.nowMs);
    return { created, updated, deleted: count('deleted'), unchanged: count('next') - created - updated, warnings };
  });
}
