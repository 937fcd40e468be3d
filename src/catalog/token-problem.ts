// Why a token opens nothing, in words that follow its name.

import type { StoredToken } from '../domain/principal.ts';

export function findTokenProblem(token: StoredToken, nowMs: number): string | undefined {
  if (token.revokedAtMs !== null) return `was revoked on ${new Date(token.revokedAtMs).toISOString()}`;
  if (token.expiresAtMs !== null && token.expiresAtMs <= nowMs) {
    return `expired on ${new Date(token.expiresAtMs).toISOString()}`;
  }
  return undefined;
}
