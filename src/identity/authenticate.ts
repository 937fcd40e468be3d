// From an Authorization header to who is calling. Nothing else of a request says who that is.

import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Role, StoredApiKey, StoredToken } from '../domain/principal.ts';
import type { AccountConfiguration } from '../store/store.ts';
import { type Denied, deny, explainHeader, explainUnknown, parseBearer } from './denied.ts';
import { hashToken } from './tokens.ts';

/** An agent. The same object for every call until the configuration changes. */
export interface TokenPrincipal {
  readonly kind: 'token';
  readonly accountId: AccountId;
  readonly token: StoredToken;
  /** When the value that was presented ends; earlier than the token if it is the one before the last rotation. */
  readonly endsAtMs: number | null;
}

/** A person or a program that runs the gateway. */
export interface Operator {
  readonly kind: 'operator';
  readonly accountId: AccountId;
  readonly keyId: string;
  readonly name: string;
  readonly role: Role;
}

interface KnownKey {
  readonly operator: Operator;
  readonly key: StoredApiKey;
}

/** Everything there is to know at one moment; replaced whole, so that no answer mixes two configurations. */
interface Snapshot {
  readonly tokens: ReadonlyMap<string, TokenPrincipal>;
  readonly keys: ReadonlyMap<string, KnownKey>;
  /** By hash of the header: the values themselves are not kept. Only matches enter, or guesses would drive them out. */
  readonly recent: LRUCache<string, TokenPrincipal>;
}

interface Presented {
  readonly authorization: string;
  readonly principal: TokenPrincipal;
  /** Of the snapshot, which itself would be kept for as long as the connection. */
  readonly generation: number;
}

const MAX_RECENT = 10_000;

export interface AuthenticatorOptions {
  readonly pepper: Buffer;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class Authenticator {
  readonly #pepper: Buffer;
  readonly #now: () => number;
  #snapshot: Snapshot = toSnapshot([]);
  #generation = 0;
  /** What was last presented, and accepted, on a connection that is still open: comparing costs a tenth of hashing. */
  readonly #lastOn = new WeakMap<object, Presented>();

  constructor(options: AuthenticatorOptions) {
    this.#pepper = options.pepper;
    this.#now = options.now;
  }

  /** From here on these accounts' tokens and keys are known, and no others. */
  replace(accounts: readonly AccountConfiguration[]): void {
    this.#snapshot = toSnapshot(accounts);
    this.#generation++;
  }

  /**
   * Who holds the token, or what is wrong with it and what to do. Expiry is looked at on every call. `connection` is
   * what a client sends one header on again and again, such as its socket; it decides nothing.
   */
  authenticateToken(authorization: string | undefined, connection?: object): TokenPrincipal | Denied {
    if (connection === undefined) return this.#authenticate(authorization);
    const generation = this.#generation;
    const last = this.#lastOn.get(connection);
    if (last !== undefined && last.generation === generation && last.authorization === authorization) {
      return this.#refuseToken(last.principal) ?? last.principal;
    }
    const principal = this.#authenticate(authorization);
    if (principal.kind === 'token' && authorization !== undefined) {
      this.#lastOn.set(connection, { authorization, principal, generation });
    }
    return principal;
  }

  #authenticate(authorization: string | undefined): TokenPrincipal | Denied {
    const { recent } = this.#snapshot;
    if (authorization !== undefined) {
      const principal = recent.get(hash('sha256', authorization, 'base64url'));
      if (principal !== undefined) return this.#refuseToken(principal) ?? principal;
    }
    return this.#lookUpToken(authorization);
  }

  /** Whose API key it is, or what is wrong with it and what to do. */
  authenticateApiKey(authorization: string | undefined): Operator | Denied {
    const value = parseBearer(authorization);
    if (value === undefined) return explainHeader(authorization, 'key');
    const digest = hashToken(this.#pepper, value);
    const known = this.#snapshot.keys.get(digest);
    if (known === undefined) return explainUnknown(value, 'key', this.#snapshot.tokens.has(digest));
    const { key, operator } = known;
    if (key.revokedAtMs === null) return operator;
    return deny(
      `The API key "${key.name}" (${key.id}) was revoked on ${toDate(key.revokedAtMs)}. Use another API key.`,
    );
  }

  #lookUpToken(authorization: string | undefined): TokenPrincipal | Denied {
    const value = parseBearer(authorization);
    if (authorization === undefined || value === undefined) return explainHeader(authorization, 'agt');
    // The time a Map takes may tell something about the digest, and who does not have the pepper cannot choose that.
    const digest = hashToken(this.#pepper, value);
    const { tokens, keys, recent } = this.#snapshot;
    const principal = tokens.get(digest);
    if (principal === undefined) return explainUnknown(value, 'agt', keys.has(digest));
    const refusal = this.#refuseToken(principal);
    if (refusal === undefined) recent.set(hash('sha256', authorization, 'base64url'), principal);
    return refusal ?? principal;
  }

  /** The value has matched: whoever sent it may be told which token it is. */
  #refuseToken({ token, endsAtMs }: TokenPrincipal): Denied | undefined {
    if (token.revokedAtMs !== null) {
      return deny(
        `The token "${token.name}" (${token.id}) was revoked on ${toDate(token.revokedAtMs)}. Ask the operator for a new one.`,
      );
    }
    if (endsAtMs === null || this.#now() < endsAtMs) return undefined;
    const what = endsAtMs === token.expiresAtMs ? 'expired' : 'was given another value, and this one ended';
    return deny(
      `The token "${token.name}" (${token.id}) ${what} on ${toDate(endsAtMs)}. Ask the operator for a new one.`,
    );
  }
}

function toSnapshot(accounts: readonly AccountConfiguration[]): Snapshot {
  const tokens = new Map<string, TokenPrincipal>();
  const keys = new Map<string, KnownKey>();
  for (const { accountId, tokens: storedTokens, apiKeys } of accounts) {
    for (const token of storedTokens) {
      const { previousHash, previousExpiresAtMs, expiresAtMs } = token;
      if (previousHash !== null && previousExpiresAtMs !== null) {
        const endsAtMs = Math.min(previousExpiresAtMs, expiresAtMs ?? Infinity);
        tokens.set(previousHash, { kind: 'token', accountId, token, endsAtMs });
      }
      tokens.set(token.hash, { kind: 'token', accountId, token, endsAtMs: expiresAtMs });
    }
    for (const key of apiKeys) {
      keys.set(key.hash, {
        key,
        operator: { kind: 'operator', accountId, keyId: key.id, name: key.name, role: key.role },
      });
    }
  }
  return { tokens, keys, recent: new LRUCache({ maxSize: MAX_RECENT, sizeCalculation: () => 1 }) };
}

/** `2026-11-20T12:00:00Z`. */
function toDate(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}
