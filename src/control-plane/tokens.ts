// Use cases of tokens: made, listed and revoked. A token's value leaves this file once, when it is made.

import { GatewayError } from '../domain/errors.ts';
import { type AccountId, serviceOf } from '../domain/mcp-config.ts';
import { type Grant, type NameStyle, type StoredToken, TOKEN_NAME } from '../domain/principal.ts';
import { hashToken, mintToken } from '../identity/tokens.ts';
import type { AccountConfiguration, Store } from '../store/store.ts';

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
}

export interface TokenDeps {
  readonly store: Store;
  readonly pepper: Buffer;
  readonly now: () => number;
}

/** Makes a token; `value` is not kept and cannot be had again. Throws `invalid_argument`, `not_found`, `conflict`. */
export async function createToken(
  deps: TokenDeps,
  account: AccountId,
  input: TokenInput,
): Promise<{ token: StoredToken; value: string }> {
  requireName(input.name, 'a token');
  const minted = mintToken('agt');
  const token = await deps.store.write(account, async (writer) => {
    const configuration = await writer.readConfiguration();
    const taken = configuration.tokens.find((each) => each.name === input.name && each.revokedAtMs === null);
    if (taken !== undefined) {
      throw new GatewayError(
        'conflict',
        `name: the token '${input.name}' (${taken.id}) exists; revoke it, or choose another name.`,
      );
    }
    const grants = input.grants.map((grant) => resolveGrant(configuration, grant));
    if (input.nameStyle === 'bare') requireOneService(configuration, grants);
    const created: StoredToken = {
      id: minted.id,
      name: input.name,
      hash: hashToken(deps.pepper, minted.text),
      nameStyle: input.nameStyle,
      grants,
      managedBy: 'api',
      createTimeMs: deps.now(),
      expiresAtMs: input.expiresAtMs,
      revokedAtMs: null,
    };
    await writer.putToken(created);
    return created;
  });
  return { token, value: minted.text };
}

/** Revokes a token by name or id; from the next epoch on it opens nothing. Throws `not_found`. */
export async function revokeToken(deps: TokenDeps, account: AccountId, nameOrId: string): Promise<StoredToken> {
  return deps.store.write(account, async (writer) => {
    const { tokens } = await writer.readConfiguration();
    const token = findLive(tokens, nameOrId, 'token');
    const revoked: StoredToken = { ...token, revokedAtMs: deps.now() };
    await writer.putToken(revoked);
    return revoked;
  });
}

/** Throws `invalid_argument` for a name that no token and no API key may have; `what` is `a token` or `an API key`. */
export function requireName(name: string, what: string): void {
  if (TOKEN_NAME.test(name)) return;
  throw new GatewayError(
    'invalid_argument',
    `name: '${name.slice(0, 64)}' is not a name for ${what}; use 1 to 128 of A-Z a-z 0-9 _ . -, starting with a letter or digit.`,
  );
}

/** Bare names of two services could be each other's. */
function requireOneService({ mcpConfigs }: AccountConfiguration, grants: readonly Grant[]): void {
  const granted = new Set(grants.map((grant) => grant.mcpConfigId));
  const services = new Set(mcpConfigs.filter(({ id }) => granted.has(id)).map(({ name }) => serviceOf(name)));
  if (services.size < 2) return;
  throw new GatewayError(
    'invalid_argument',
    `names: bare needs a token of one service; this one has ${[...services].join(', ')}. Choose dot or underscore, or make a token for each.`,
  );
}

/** The one object that is not revoked and has this id or name. */
export function findLive<T extends { id: string; name: string; revokedAtMs: number | null }>(
  all: readonly T[],
  nameOrId: string,
  kind: string,
): T {
  const found =
    all.find((each) => each.id === nameOrId) ?? all.find((each) => each.name === nameOrId && each.revokedAtMs === null);
  if (found === undefined) throw new GatewayError('not_found', `There is no ${kind} '${nameOrId.slice(0, 64)}'.`);
  if (found.revokedAtMs !== null)
    throw new GatewayError('conflict', `The ${kind} '${found.name}' (${found.id}) is revoked already.`);
  return found;
}

function resolveGrant(configuration: AccountConfiguration, input: GrantInput): Grant {
  const config = pick(configuration.mcpConfigs, input.mcpConfig, 'McpConfig');
  const secret = input.secret === null ? null : pick(configuration.secrets, input.secret, 'secret');
  return {
    mcpConfigId: config.id,
    secretId: secret?.id ?? null,
    allowedTools: input.allowedTools,
    // Who makes the grant says that this secret may go to where the config points now (design §3.13).
    secretOrigin: secret === null ? null : new URL(config.endpoint).origin,
  };
}

function pick<T extends { id: string; name: string }>(all: readonly T[], nameOrId: string, kind: string): T {
  const found = all.find((each) => each.id === nameOrId || each.name === nameOrId);
  if (found !== undefined) return found;
  const names =
    all
      .map((each) => each.name)
      .slice(0, 10)
      .join(', ') || 'none';
  throw new GatewayError('not_found', `There is no ${kind} '${nameOrId.slice(0, 64)}'; there are: ${names}.`);
}
