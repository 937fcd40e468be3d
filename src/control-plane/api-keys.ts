// API keys in a change: made and revoked. A key's value leaves this file once, when it is made.

import type { Role, StoredApiKey } from '../domain/principal.ts';
import { hashToken, mintToken } from '../identity/tokens.ts';
import type { Change } from './change.ts';
import { type Minted, requireLive, requireName } from './tokens.ts';
import { requireFreeName } from './use-case.ts';

export interface ApiKeyInput {
  readonly name: string;
  readonly role: Role;
}

/** Throws `invalid_argument`, `conflict`. */
export async function createApiKey(pepper: Buffer, change: Change, input: ApiKeyInput): Promise<Minted<StoredApiKey>> {
  requireFreeName(change.before.apiKeys, input.name, 'API key');
  const minted = mintApiKey(pepper, input, change.nowMs);
  await change.put('api_key', minted.stored, 'create');
  return minted;
}

/** A key that is not stored yet. Throws `invalid_argument`. */
export function mintApiKey(pepper: Buffer, { name, role }: ApiKeyInput, nowMs: number): Minted<StoredApiKey> {
  requireName(name, 'an API key');
  const { id, text } = mintToken('key');
  const hash = hashToken(pepper, text);
  return { stored: { id, name, hash, role, createTimeMs: nowMs, revokedAtMs: null }, value: text };
}

/** Throws `conflict` when it is revoked already. */
export async function revokeApiKey(change: Change, key: StoredApiKey): Promise<StoredApiKey> {
  requireLive(key, 'API key');
  const revoked: StoredApiKey = { ...key, revokedAtMs: change.nowMs };
  await change.put('api_key', revoked, 'revoke');
  return revoked;
}
