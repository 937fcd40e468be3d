// What every use case of the control plane works with, and the few rules that they share.

import { GatewayError } from '../domain/errors.ts';
import type { AccountId, ManagedBy } from '../domain/mcp-config.ts';
import type { Store, Writer } from '../store/store.ts';
import type { SecretRef } from '../vault/vault.ts';

export interface UseCaseDeps {
  readonly store: Store;
  /** Key of the hashes of tokens and API keys. */
  readonly pepper: Buffer;
  readonly sealSecret: (ref: SecretRef, plaintext: string) => string;
  /** Why this gateway would not connect to an endpoint, if it would not. */
  readonly findAddressProblem: (endpoint: string) => string | undefined;
  /** Brings what was written into force in this process; other processes follow by themselves. */
  readonly refresh: () => Promise<void>;
  readonly now: () => number;
  readonly newId: (prefix: 'mcp' | 'sec') => string;
}

/** One write: committed, and in force here, when it resolves. */
export async function change<T>(
  deps: UseCaseDeps,
  account: AccountId,
  work: (writer: Writer) => Promise<T>,
): Promise<T> {
  const result = await deps.store.write(account, work);
  await deps.refresh();
  return result;
}

/** Throws `not_found` when no object has this id or name. */
export function find<T extends { readonly id: string; readonly name: string }>(
  all: readonly T[],
  idOrName: string,
  kind: string,
): T {
  const found = all.find(({ id }) => id === idOrName) ?? all.find(({ name }) => name === idOrName);
  if (found !== undefined) return found;
  throw new GatewayError('not_found', `There is no ${kind} '${idOrName.slice(0, 64)}' in this account.`);
}

/** Throws `conflict` when another object has the name. */
export function requireFreeName(
  all: readonly { readonly id: string; readonly name: string }[],
  name: string,
  kind: string,
  ownId?: string,
): void {
  const taken = all.find((each) => each.name === name && each.id !== ownId);
  if (taken === undefined) return;
  const message = `name: the ${kind} '${name}' exists already (${taken.id}): choose another name, or change that one.`;
  throw new GatewayError('conflict', message, { problems: [{ path: 'name', message }] });
}

/** Throws `conflict` for an object that the config file owns: what is written there would come back. */
export function requireApiManaged(
  object: { readonly name: string; readonly managedBy: ManagedBy },
  kind: string,
): void {
  if (object.managedBy === 'api') return;
  throw new GatewayError(
    'conflict',
    `The ${kind} '${object.name}' is declared in the config file of the gateway: change it there.`,
  );
}
