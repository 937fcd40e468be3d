// Secrets whose value is not what they are used for: known once the values are opened, and told where the use is written.

import { holdsPrivateKey } from '../domain/private-key.ts';
import type { Secret } from '../domain/secret.ts';
import type { Finding } from './file-problem.ts';
import { entriesOf } from './reference-findings.ts';

type Entry = ReturnType<typeof entriesOf>[number];

/** A private key is for `client_key` alone, where it never leaves the gateway; a proxy is told user and password. */
export function findMisusedSecrets(document: unknown, secrets: ReadonlyMap<string, Secret>): Finding[] {
  const look = ({ path, fields }: Entry, field: string, findProblem: (value: string) => string | undefined) => {
    const value = secrets.get(String(fields[field]))?.reveal();
    const message = value === undefined ? undefined : findProblem(value);
    return message === undefined ? [] : [{ path: [...path, field], part: 'value' as const, message }];
  };
  const configs = entriesOf(document, 'mcp_configs');
  const sent = [
    ...configs.flatMap(({ path, fields }) => entriesOf(fields, 'custom_headers', path)),
    ...entriesOf(document, 'tokens').flatMap(({ path, fields }) => entriesOf(fields, 'grants', path)),
  ];
  return [
    ...sent.flatMap((entry) => look(entry, 'secret', findKeySent)),
    ...configs.flatMap((entry) => look(entry, 'proxy_secret', findProxyCredentialProblem)),
  ];
}

function findKeySent(value: string): string | undefined {
  return holdsPrivateKey(value)
    ? 'names a private key, which would be sent to the upstream: it can only be the client_key of a config'
    : undefined;
}

function findProxyCredentialProblem(value: string): string | undefined {
  if (holdsPrivateKey(value)) return 'names a private key, which would be sent to the proxy';
  return value.includes(':') ? undefined : 'names a secret without a colon: a proxy needs user:password';
}
