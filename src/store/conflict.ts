// What to tell the caller who broke a rule of uniqueness, whichever database noticed.

import { GatewayError } from '../domain/errors.ts';

const CONFLICTS: ReadonlyMap<string, string> = new Map([
  ['mcp_configs', 'Another McpConfig of this account has this name. Choose another name, or update that McpConfig.'],
  ['secrets', 'Another secret of this account has this name. Choose another name, or update that secret.'],
  ['tokens', 'Another token has this value. Give every token a value of its own.'],
  ['api_keys', 'Another API key has this value. Give every API key a value of its own.'],
]);

/** `table` is the one whose constraint was broken. */
export function toConflict(table: string, cause: unknown): GatewayError {
  return new GatewayError('conflict', CONFLICTS.get(table) ?? 'An object like this exists already.', { cause });
}
