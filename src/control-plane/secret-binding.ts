// Secrets are bound to origins (design §3.13): once a secret has been granted somewhere, only an owner may have it sent
// anywhere else. Otherwise whoever may edit configs could have any secret of the account sent to a server of their own.

import { GatewayError } from '../domain/errors.ts';
import { type McpConfig, originOf, type StoredSecret, secretIdsOf } from '../domain/mcp-config.ts';
import type { Change } from './change.ts';

/** That a secret is to be sent to an origin, and the field that says so. */
export interface Sending {
  readonly secretId: string;
  readonly origin: string;
  readonly path: string;
}

/** Throws `forbidden` at its path when the secret is bound, and not to the origin. One that never was may go there. */
export function requireBound(secrets: readonly StoredSecret[], { secretId, origin, path }: Sending): void {
  const secret = secrets.find(({ id }) => id === secretId);
  if (secret === undefined || secret.origins.length === 0 || secret.origins.includes(origin)) return;
  const message = `the secret '${secret.name}' is bound to ${secret.origins.join(', ')}, where it was granted, and this would send it elsewhere: an owner must do it, over REST or the command line, or use another secret`;
  throw new GatewayError('forbidden', `${path}: ${message}.`, { problems: [{ path, message }] });
}

/** Binds secrets to where they are to be sent. Throws `forbidden` for one that is bound elsewhere, unless an owner asks. */
export async function bindSecrets(change: Change, sendings: readonly Sending[]): Promise<void> {
  const bound = new Map<string, StoredSecret>();
  const secrets = change.before.secrets;
  for (const sending of sendings) {
    const secret = bound.get(sending.secretId) ?? secrets.find(({ id }) => id === sending.secretId);
    if (secret === undefined || secret.origins.includes(sending.origin)) continue;
    if (!change.isOwner) requireBound([secret], sending);
    bound.set(secret.id, { ...secret, origins: [...secret.origins, sending.origin] });
  }
  for (const secret of bound.values()) await change.put('secret', secret, 'confirm');
}

/** What an edit has a config send that it did not send before. */
export function addedSendings(before: McpConfig | undefined, after: McpConfig): Sending[] {
  const known = before === undefined ? [] : secretIdsOf(before);
  const origin = originOf(after.endpoint);
  const added = secretIdsOf(after).filter((id) => !known.includes(id));
  return added.map((secretId) => ({ secretId, origin, path: 'custom_headers' }));
}

/** What a config sends with a secret that it is granted with. */
export function sendingsOf(config: McpConfig, grantedId: string | null, path: string): Sending[] {
  const origin = originOf(config.endpoint);
  const ids = [...(grantedId === null ? [] : [grantedId]), ...secretIdsOf(config)];
  return ids.map((secretId) => ({ secretId, origin, path }));
}
