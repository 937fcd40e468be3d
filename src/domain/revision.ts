// What a write leaves behind: who changed which object, when and how, and what it gave and took.

import type { McpConfig, StoredSecret } from './mcp-config.ts';
import type { StoredApiKey, StoredToken } from './principal.ts';

/** A sandbox of a user's, as far as the gateway needs to know it: which McpConfigs it mounts, under which variables. */
export interface Devbox {
  readonly id: string;
  readonly name: string | null;
  readonly mounts: readonly Mount[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly createTimeMs: number;
  readonly endTimeMs: number | null;
}

export interface Mount {
  /** The environment variable that is to hold the token. */
  readonly variable: string;
  readonly mcpConfigId: string;
  readonly secretId: string | null;
}

/** The objects that are written, by kind. */
export interface Objects {
  readonly mcp_config: McpConfig;
  readonly secret: StoredSecret;
  readonly token: StoredToken;
  readonly api_key: StoredApiKey;
  readonly devbox: Devbox;
  readonly account: { readonly id: string; readonly name: string };
}
export const OBJECT_KINDS = ['mcp_config', 'secret', 'token', 'api_key', 'devbox', 'account'] as const;
export type ObjectKind = (typeof OBJECT_KINDS)[number];

export const ACTIONS = ['create', 'update', 'delete', 'revoke', 'rotate', 'revert', 'confirm', 'shutdown'] as const;
export type Action = (typeof ACTIONS)[number];

export const ACTOR_KINDS = ['api_key', 'file', 'command'] as const;

/** Who writes: an API key, the config file, or a command that works on the store itself. */
export interface Actor {
  readonly kind: (typeof ACTOR_KINDS)[number];
  /** Of the API key. */
  readonly id: string | null;
  readonly name: string;
}

/** What a write adds to one list and takes from it: canonical names, or URIs; the counts go on where these are cut. */
export interface RecordedNames {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly addedCount: number;
  readonly removedCount: number;
}

/** Of tools, and beside them of prompts and resources, each only where there are any. */
export interface Effect extends RecordedNames {
  readonly prompts?: RecordedNames;
  /** URI templates among them. */
  readonly resources?: RecordedNames;
  /** A list that decides was not known: there may be more to it than is named. */
  readonly isPartial?: true;
}

export const NO_EFFECT: Effect = { added: [], removed: [], addedCount: 0, removedCount: 0 };

/** Whether writing such an object may give or take anything by itself. */
export function hasEffect(kind: ObjectKind): kind is 'mcp_config' | 'token' {
  return kind === 'mcp_config' || kind === 'token';
}

/** Where nothing is known of any list. */
export const UNKNOWN_EFFECT: Effect = { ...NO_EFFECT, isPartial: true };

export interface Revision {
  /** Counts the writes of the account, from 1 and without gaps. */
  readonly sequence: number;
  readonly timeMs: number;
  readonly actor: Actor;
  readonly requestId: string | null;
  readonly action: Action;
  readonly objectKind: ObjectKind;
  readonly objectId: string;
  readonly objectName: string;
  /** Of the object, after the write. */
  readonly revision: number;
  readonly effect: Effect;
  /** The object without what is secret in it; `null` before it was there, and when it is gone. */
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
}
