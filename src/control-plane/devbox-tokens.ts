// Tokens of devboxes: made with one McpConfig each, counted, and taken away some time after their end.

import { randomBytes } from 'node:crypto';
import { GatewayError } from '../domain/errors.ts';
import type { McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import type { StoredToken } from '../domain/principal.ts';
import type { Devbox } from '../domain/revision.ts';
import type { Change } from './change.ts';
import { createToken } from './tokens.ts';

/** A devbox does not outlive a day without being asked for again, so neither does what it was given. */
const LIFETIME_MS = 24 * 60 * 60 * 1000;
/** A devbox of a hundred mounts that asks for each of them every three hours stays below it. */
const MAX_LIVE = 1000;
/** How long a token is shown after its end, and how many that are older go with each new one. */
const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const MAX_PRUNED = 20;

/** Gives the value of a new token. Throws `conflict` for a devbox that has as many as one may have. */
export async function createDevboxToken(
  pepper: Buffer,
  change: Change,
  { id }: Devbox,
  config: McpConfig,
  secret: StoredSecret | null,
): Promise<string> {
  requireRoom(id, change);
  await prune(change);
  const { value } = await createToken(pepper, change, {
    // Not by their count, which names that were changed by hand would run into.
    name: `${id}.${randomBytes(6).toString('hex')}`,
    grants: [{ mcpConfig: config.id, secret: secret?.id ?? null, allowedTools: null }],
    nameStyle: 'dot',
    expiresAtMs: change.nowMs + LIFETIME_MS,
    devboxId: id,
  });
  return value;
}

function requireRoom(id: string, { before, nowMs }: Change): void {
  const live = before.tokens.filter((token) => token.devboxId === id && endOf(token) > nowMs);
  if (live.length < MAX_LIVE) return;
  const message = `The devbox ${id} has ${MAX_LIVE} live tokens, which is the most: use those, or shut it down and make another.`;
  throw new GatewayError('conflict', message);
}

/** Nobody else ever takes them away, and every write reads all tokens of the account. */
async function prune(change: Change): Promise<void> {
  const latest = change.nowMs - KEPT_MS;
  const old = change.before.tokens.filter((token) => token.devboxId !== null && endOf(token) <= latest);
  for (const token of old.slice(0, MAX_PRUNED)) await change.delete('token', token);
}

function endOf({ revokedAtMs, expiresAtMs }: StoredToken): number {
  return Math.min(revokedAtMs ?? Infinity, expiresAtMs ?? Infinity);
}
