// What every use case of the control plane works with, and the few rules that they share.

import { GatewayError } from '../domain/errors.ts';
import type { SecretRef } from '../vault/vault.ts';
import { type ChangeDeps, shown } from './change.ts';

export interface UseCaseDeps extends ChangeDeps {
  /** Key of the hashes of tokens and API keys. */
  readonly pepper: Buffer;
  readonly sealSecret: (ref: SecretRef, plaintext: string) => string;
  /** Why this gateway would not connect to an endpoint, if it would not. */
  readonly findAddressProblem: (endpoint: string) => string | undefined;
  readonly newId: (prefix: 'mcp' | 'sec' | 'dbx' | 'acct') => string;
  /** Where agents connect, such as `https://mcp.example.com/mcp`. */
  readonly mcpUrl: () => string;
}

/** Throws `conflict` when another object has the name. */
export function requireFreeName(
  all: readonly { readonly id: string; readonly name: string; readonly revokedAtMs?: number | null }[],
  name: string,
  kind: string,
  ownId?: string,
): void {
  const taken = all.find((each) => each.name === name && each.id !== ownId && (each.revokedAtMs ?? null) === null);
  if (taken === undefined) return;
  const remedy = taken.revokedAtMs === undefined ? 'change' : 'revoke';
  const message = `name: the ${kind} '${name}' exists already (${taken.id}): choose another name, or ${remedy} that one.`;
  throw new GatewayError('conflict', message, { problems: [{ path: 'name', message }] });
}

/** What a field refers to, by id or name. Throws `invalid_argument` at `path`, naming what there is. */
export function refer<T extends { readonly id: string; readonly name: string }>(
  all: readonly T[],
  idOrName: string,
  kind: string,
  path: string,
): T {
  const found = all.find(({ id }) => id === idOrName) ?? all.find(({ name }) => name === idOrName);
  if (found !== undefined) return found;
  const names = all.slice(0, 10).map(({ name }) => name);
  // In the place of a secret's name people put its value.
  const asked = kind === 'secret' ? 'of this name or id' : shown(idOrName);
  const message = `there is no ${kind} ${asked}; there are: ${names.join(', ') || 'none'}`;
  throw new GatewayError('invalid_argument', `${path}: ${message}.`, { problems: [{ path, message }] });
}
