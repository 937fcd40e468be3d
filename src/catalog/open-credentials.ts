// Opens every secret that one upstream needs: what is sent to it or stands in its environment, what is sent to the proxy
// in front of it, and the key that proves to it who the gateway is.

import { GatewayError } from '../domain/errors.ts';
import {
  type CustomHeader,
  type McpConfig,
  type StdioCommand,
  type StoredSecret,
  secretIdsOf,
} from '../domain/mcp-config.ts';
import { holdsPrivateKey } from '../domain/private-key.ts';
import { Secret } from '../domain/secret.ts';
import { toBasicCredential, toCredentialHeaders } from '../upstream/credential.ts';
import type { GrantTrouble } from './grant.ts';

/** A variable of a command's environment whose secret, if it has one, has been opened. */
export interface OpenedVariable {
  readonly name: string;
  readonly value: Secret | string;
}

export interface OpenedCredentials {
  /** Flat [name, value, …] array. */
  readonly credentialHeaders: readonly string[];
  /** Private key of the client certificate, in PEM. */
  readonly clientKey: Secret | undefined;
  /** Value of `Proxy-Authorization`. */
  readonly proxyAuthorization: Secret | undefined;
  /** Of a command. */
  readonly variables: readonly OpenedVariable[];
  /** Of every secret that was opened, in the order of their use. */
  readonly versions: readonly number[];
}

export interface SecretSource {
  readonly stored: ReadonlyMap<string, StoredSecret>;
  /** Throws `GatewayError` when it cannot. */
  readonly open: (secret: StoredSecret) => Secret;
}

/** Opens what `config` and the granted secret need, or says what is wrong with one of them. */
export function openCredentials(
  config: McpConfig,
  grantedId: string | null,
  source: SecretSource,
): OpenedCredentials | GrantTrouble {
  const ids = [...(grantedId === null ? [] : [grantedId]), ...secretIdsOf(config)];
  const stored = ids.flatMap((id) => source.stored.get(id) ?? []);
  const takesGrant = config.stdio?.env.some((variable) => 'fromGrant' in variable) === true;
  if (stored.length < ids.length || (takesGrant && grantedId === null)) return 'secret_missing';
  let opened: ReadonlyMap<string, Secret>;
  try {
    opened = new Map(stored.map((secret) => [secret.id, source.open(secret)]));
  } catch (error) {
    return troubleOf(error, 'secret_unreadable');
  }
  try {
    return { ...toCredentials(config, grantedId, opened), versions: stored.map(({ version }) => version) };
  } catch (error) {
    return troubleOf(error, 'secret_unusable');
  }
}

function toCredentials(
  { authMechanism, customHeaders, tls, proxy, stdio }: McpConfig,
  grantedId: string | null,
  opened: ReadonlyMap<string, Secret>,
): Omit<OpenedCredentials, 'versions'> {
  const secretOf = (id: string | null | undefined) => opened.get(id ?? '');
  const headers = customHeaders.map((header) => ({ name: header.name, value: headerValue(header, opened) }));
  const clientKey = secretOf(tls?.clientKeySecretId);
  if (clientKey !== undefined && !holdsPrivateKey(clientKey.reveal())) {
    throw new GatewayError('invalid_argument', 'tls.client_key is not a private key in PEM.');
  }
  const proxyCredential = secretOf(proxy?.secretId)?.reveal();
  return {
    // A command is sent no headers.
    credentialHeaders: stdio === null ? toCredentialHeaders(authMechanism, secretOf(grantedId), headers) : [],
    variables: stdio === null ? [] : toVariables(stdio, grantedId, opened),
    clientKey,
    proxyAuthorization:
      proxyCredential === undefined ? undefined : new Secret(toBasicCredential(proxyCredential, 'proxy_secret')),
  };
}

function toVariables(
  { env }: StdioCommand,
  grantedId: string | null,
  opened: ReadonlyMap<string, Secret>,
): OpenedVariable[] {
  return env.map((variable) => {
    const { name } = variable;
    if ('value' in variable) return { name, value: variable.value };
    const value = opened.get('secretId' in variable ? variable.secretId : (grantedId ?? ''));
    if (value === undefined) throw new GatewayError('internal', `The variable '${name}' has no value.`);
    // The environment of a process is a list of strings that end in one.
    if (value.reveal().includes('\0')) throw new GatewayError('invalid_argument', `stdio.env.${name} holds a NUL.`);
    return { name, value };
  });
}

function headerValue(header: CustomHeader, opened: ReadonlyMap<string, Secret>): Secret | string {
  if ('value' in header) return header.value;
  const secret = opened.get(header.secretId);
  if (secret === undefined) throw new GatewayError('internal', `The header '${header.name}' has no value.`);
  return secret;
}

function troubleOf(error: unknown, trouble: GrantTrouble): GrantTrouble {
  if (!(error instanceof GatewayError)) throw error;
  return trouble;
}
