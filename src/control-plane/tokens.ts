// Tokens in a change: made, rotated and revoked. A token's value leaves this file once, when it is made.

import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '../domain/errors.ts';
import { originOf, serviceOf } from '../domain/mcp-config.ts';
import { type Grant, type NameStyle, type StoredToken, TOKEN_NAME } from '../domain/principal.ts';
import { hashToken, mintToken } from '../identity/tokens.ts';
import type { AccountConfiguration } from '../store/store.ts';
import type { Change } from './change.ts';
import { bindSecrets, type Sending, sendingsOf } from './secret-binding.ts';
import { refer, requireFreeName } from './use-case.ts';

export interface GrantInput {
  /** Name or id. */
  readonly mcpConfig: string;
  /** Name or id; `null` when the upstream needs no credential. */
  readonly secret: string | null;
  readonly allowedTools: readonly string[] | null;
}

export interface TokenInput {
  readonly name: string;
  readonly grants: readonly GrantInput[];
  readonly nameStyle: NameStyle;
  readonly expiresAtMs: number | null;
  readonly devboxId?: string;
  /** Of the operator's own; one is made if it is left out. */
  readonly value?: string | undefined;
}

/** What is `undefined` stays as it is. */
export interface TokenUpdate {
  readonly name: string | undefined;
  readonly grants: readonly GrantInput[] | undefined;
  readonly nameStyle: NameStyle | undefined;
  readonly expiresAtMs: number | undefined;
}

/** What is stored, and the value, which is not kept and cannot be had again. */
export interface Minted<T> {
  readonly stored: T;
  readonly value: string;
}

/** Throws `invalid_argument`, `conflict`. */
export async function createToken(pepper: Buffer, change: Change, input: TokenInput): Promise<Minted<StoredToken>> {
  const { before, nowMs } = change;
  requireName(input.name, 'a token');
  requireFreeName(before.tokens, input.name, 'token');
  const grants = await resolveGrants(change, input.grants, []);
  if (input.nameStyle === 'bare') requireOneService(before, grants);
  const minted = mintToken('agt');
  const value = input.value ?? minted.text;
  const token: StoredToken = {
    id: minted.id,
    name: input.name,
    hash: hashToken(pepper, value),
    previousHash: null,
    previousExpiresAtMs: null,
    nameStyle: input.nameStyle,
    grants,
    devboxId: input.devboxId ?? null,
    revision: 1,
    managedBy: 'api',
    createTimeMs: nowMs,
    expiresAtMs: input.expiresAtMs,
    revokedAtMs: null,
  };
  await change.put('token', token, 'create');
  return { stored: token, value };
}

/** Throws `not_found`, `invalid_argument`, `conflict`. */
export async function updateToken(change: Change, nameOrId: string, update: TokenUpdate): Promise<StoredToken> {
  const { before } = change;
  const token = requireLive(change.findEditable('token', nameOrId), 'token');
  const next: StoredToken = {
    ...token,
    name: update.name ?? token.name,
    grants: update.grants === undefined ? token.grants : await resolveGrants(change, update.grants, token.grants),
    nameStyle: update.nameStyle ?? token.nameStyle,
    expiresAtMs: update.expiresAtMs ?? token.expiresAtMs,
  };
  if (isDeepStrictEqual(next, token)) return token;
  requireName(next.name, 'a token');
  requireFreeName(before.tokens, next.name, 'token', token.id);
  if (next.nameStyle === 'bare') requireOneService(before, next.grants);
  const updated = { ...next, revision: token.revision + 1 };
  await change.put('token', updated, 'update');
  return updated;
}

/**
 * Gives a token another value; the one before is good for `overlapMs` more, and the one before that ends now. Throws
 * `not_found`, `conflict`.
 */
export async function rotateToken(
  pepper: Buffer,
  change: Change,
  nameOrId: string,
  { overlapMs, value = mintToken('agt').text }: { readonly overlapMs: number; readonly value?: string | undefined },
): Promise<Minted<StoredToken>> {
  const token = requireLive(change.findEditable('token', nameOrId), 'token');
  const rotated: StoredToken = {
    ...token,
    hash: hashToken(pepper, value),
    previousHash: overlapMs === 0 ? null : token.hash,
    previousExpiresAtMs: overlapMs === 0 ? null : change.nowMs + overlapMs,
    revision: token.revision + 1,
  };
  await change.put('token', rotated, 'rotate');
  return { stored: rotated, value };
}

/** From the next epoch on neither value of it opens anything. Throws `conflict` when it is revoked already. */
export async function revokeToken(change: Change, token: StoredToken): Promise<StoredToken> {
  requireLive(token, 'token');
  const revoked: StoredToken = { ...token, revokedAtMs: change.nowMs, revision: token.revision + 1 };
  await change.put('token', revoked, 'revoke');
  return revoked;
}

/** Throws `invalid_argument` for a name that no token and no API key may have; `what` is `a token` or `an API key`. */
export function requireName(name: string, what: string): void {
  if (TOKEN_NAME.test(name)) return;
  const message = `'${name.slice(0, 64)}' is not a name for ${what}; use 1 to 128 of A-Z a-z 0-9 _ . -, starting with a letter or digit`;
  throw new GatewayError('invalid_argument', `name: ${message}.`, { problems: [{ path: 'name', message }] });
}

/** Throws `conflict` for a token or an API key that is revoked. */
export function requireLive<
  T extends { readonly id: string; readonly name: string; readonly revokedAtMs: number | null },
>(each: T, kind: string): T {
  if (each.revokedAtMs === null) return each;
  throw new GatewayError('conflict', `The ${kind} '${each.name}' (${each.id}) is revoked already.`);
}

/** Bare names of two services could be each other's. */
function requireOneService({ mcpConfigs }: AccountConfiguration, grants: readonly Grant[]): void {
  const granted = new Set(grants.map((grant) => grant.mcpConfigId));
  const services = new Set(mcpConfigs.filter(({ id }) => granted.has(id)).map(({ name }) => serviceOf(name)));
  if (services.size < 2) return;
  const message = `bare needs a token of one service; this one has ${[...services].join(', ')}. Choose dot or underscore, or make a token for each`;
  throw new GatewayError('invalid_argument', `names: ${message}.`, { problems: [{ path: 'names', message }] });
}

/** New grants bind their secrets. */
async function resolveGrants(
  change: Change,
  inputs: readonly GrantInput[],
  current: readonly Grant[],
): Promise<Grant[]> {
  const resolved = inputs.map((grant, index) => resolveGrant(change.before, grant, current, `grants[${index}]`));
  requireDistinct(resolved.map(({ grant }) => grant));
  await bindSecrets(
    change,
    resolved.flatMap(({ sendings }) => sendings),
  );
  return resolved.map(({ grant }) => grant);
}

/** Of two grants of one McpConfig with one secret the second would never be looked at. */
function requireDistinct(grants: readonly Grant[]): void {
  const places = new Map<string, number>();
  grants.forEach(({ mcpConfigId, secretId }, index) => {
    const key = `${mcpConfigId} ${secretId}`;
    const first = places.get(key);
    if (first !== undefined) {
      const path = `grants[${index}]`;
      const message = `is the same as grants[${first}], of one McpConfig and secret: make them one`;
      throw new GatewayError('invalid_argument', `${path} ${message}.`, { problems: [{ path, message }] });
    }
    places.set(key, index);
  });
}

function resolveGrant(
  before: AccountConfiguration,
  input: GrantInput,
  current: readonly Grant[],
  path: string,
): { readonly grant: Grant; readonly sendings: readonly Sending[] } {
  const config = refer(before.mcpConfigs, input.mcpConfig, 'McpConfig', `${path}.mcp_config`);
  const secret = input.secret === null ? null : refer(before.secrets, input.secret, 'secret', `${path}.secret`);
  const secretId = secret?.id ?? null;
  const granted = { mcpConfigId: config.id, secretId, allowedTools: input.allowedTools };
  // Written again it is the same grant: one that is suspended stays so.
  const same = current.find((grant) => grant.mcpConfigId === config.id && grant.secretId === secretId);
  if (same !== undefined) return { grant: { ...granted, secretOrigin: same.secretOrigin }, sendings: [] };
  // Who makes the grant says that secrets may go to where the config points now (design §3.13).
  const grant = { ...granted, secretOrigin: originOf(config.endpoint) };
  return { grant, sendings: sendingsOf(config, secretId, path) };
}
