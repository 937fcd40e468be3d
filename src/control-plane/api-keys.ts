// Use cases of API keys: made, listed and revoked. A key's value leaves this file once, when it is made.

import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Role, StoredApiKey } from '../domain/principal.ts';
import { hashToken, mintToken } from '../identity/tokens.ts';
import { findLive, requireName, type TokenDeps } from './tokens.ts';

/** Makes an API key; `value` is not kept and cannot be had again. Throws `invalid_argument`, `conflict`. */
export async function createApiKey(
  deps: TokenDeps,
  account: AccountId,
  input: { readonly name: string; readonly role: Role },
): Promise<{ key: StoredApiKey; value: string }> {
  requireName(input.name, 'an API key');
  const minted = mintToken('key');
  const key = await deps.store.write(account, async (writer) => {
    const { apiKeys } = await writer.readConfiguration();
    const taken = apiKeys.find((each) => each.name === input.name && each.revokedAtMs === null);
    if (taken !== undefined) {
      throw new GatewayError(
        'conflict',
        `name: the API key '${input.name}' (${taken.id}) exists; revoke it, or choose another name.`,
      );
    }
    const created: StoredApiKey = {
      id: minted.id,
      name: input.name,
      hash: hashToken(deps.pepper, minted.text),
      role: input.role,
      createTimeMs: deps.now(),
      revokedAtMs: null,
    };
    await writer.putApiKey(created);
    return created;
  });
  return { key, value: minted.text };
}

/** Revokes an API key by name or id. Throws `not_found`. */
export async function revokeApiKey(deps: TokenDeps, account: AccountId, nameOrId: string): Promise<StoredApiKey> {
  return deps.store.write(account, async (writer) => {
    const { apiKeys } = await writer.readConfiguration();
    const revoked: StoredApiKey = { ...findLive(apiKeys, nameOrId, 'API key'), revokedAtMs: deps.now() };
    await writer.putApiKey(revoked);
    return revoked;
  });
}
