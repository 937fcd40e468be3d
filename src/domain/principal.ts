// Tokens, keys and grants: who may call, and what they may use.

import { type ManagedBy, type McpConfig, originOf, secretIdsOf } from './mcp-config.ts';

/** Spelling of tool names on the wire; a property of the token, overridden by `?names=`. */
export const NAME_STYLES = ['dot', 'underscore', 'bare'] as const;
export type NameStyle = (typeof NAME_STYLES)[number];

/** The name of a token or an API key. */
export const TOKEN_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** One McpConfig plus at most one secret that a token may use. */
export interface Grant {
  readonly mcpConfigId: string;
  readonly secretId: string | null;
  /** Narrows the config's allow-list further; `null` means it does not. */
  readonly allowedTools: readonly string[] | null;
  /** Where the config's secrets may be sent; a config that moves to another origin suspends the grant (design §3.13). */
  readonly secretOrigin: string | null;
}

/** Whether the config has moved to where nobody has said that its secrets may go (design §3.13). */
export function isSuspended({ secretId, secretOrigin }: Grant, config: McpConfig): boolean {
  const hasSecrets = secretId !== null || secretIdsOf(config).length > 0;
  return hasSecrets && secretOrigin !== null && secretOrigin !== originOf(config.endpoint);
}

/** A data-plane token as stored: its HMAC, never its value. The id is the principal, stable across rotation. */
export interface StoredToken {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  /** The HMAC of the value before the last rotation, which is good until `previousExpiresAtMs`. */
  readonly previousHash: string | null;
  readonly previousExpiresAtMs: number | null;
  readonly nameStyle: NameStyle;
  /** Ordered: of two grants that admit one tool, the first wins. */
  readonly grants: readonly Grant[];
  /** The devbox it was made for, which ends it. */
  readonly devboxId: string | null;
  /** Counts the writes to this token, from 1. */
  readonly revision: number;
  readonly managedBy: ManagedBy;
  readonly createTimeMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export const ROLES = ['owner', 'editor', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

/** A control-plane key as stored. */
export interface StoredApiKey {
  readonly id: string;
  readonly name: string;
  readonly hash: string;
  readonly role: Role;
  readonly createTimeMs: number;
  readonly revokedAtMs: number | null;
}
