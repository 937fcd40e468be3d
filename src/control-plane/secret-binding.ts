// Secrets are bound to origins (design §3.13): once a secret has been granted somewhere, only an owner may have it sent
// anywhere else. Otherwise whoever may edit configs could have any secret of the account sent to a server of their own.

import { GatewayError } from '../domain/errors.ts';
import { type McpConfig, secretIdsOf } from '../domain/mcp-config.ts';
import type { AccountConfiguration } from '../store/store.ts';

/** Throws `forbidden` at `path` when one of the secrets is bound, and not to `origin`. One that never was may go there. */
export function requireBound(
  configuration: AccountConfiguration,
  secretIds: readonly string[],
  origin: string,
  path: string,
): void {
  for (const id of secretIds) {
    const origins = originsOf(configuration, id);
    if (origins.size === 0 || origins.has(origin)) continue;
    const name = configuration.secrets.find((secret) => secret.id === id)?.name ?? id;
    const message = `the secret '${name}' is bound to ${[...origins].join(', ')}, where it was granted, and this would send it elsewhere: an owner must do it, or use another secret`;
    throw new GatewayError('forbidden', `${path}: ${message}.`, { problems: [{ path, message }] });
  }
}

/** The secrets that an edit has a config send and that it did not send before. */
export function addedSecrets(before: McpConfig | undefined, after: McpConfig): string[] {
  const known = before === undefined ? [] : secretIdsOf(before);
  return secretIdsOf(after).filter((id) => !known.includes(id));
}

/** Revoked tokens count as well: who may revoke one must not set its secret free by that. */
function originsOf({ mcpConfigs, tokens }: AccountConfiguration, secretId: string): Set<string> {
  const senders = new Set(mcpConfigs.filter((config) => secretIdsOf(config).includes(secretId)).map(({ id }) => id));
  const grants = tokens.flatMap((token) => token.grants);
  return new Set(
    grants
      .filter((grant) => grant.secretId === secretId || senders.has(grant.mcpConfigId))
      .flatMap(({ secretOrigin }) => secretOrigin ?? []),
  );
}
