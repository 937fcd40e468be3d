// What an account has, written as the config file that would declare it. Values and keys are not in it: `value_from` says
// under which variable each is to be given.

import { setImmediate } from 'node:timers/promises';
import { Document, isMap } from 'yaml';
import type { McpConfig, StoredSecret } from '../domain/mcp-config.ts';
import { type Grant, isSuspended, type StoredToken } from '../domain/principal.ts';
import type { AccountConfiguration } from '../store/store.ts';

/** A certificate that an exported config names, as it is to be written beside the file. */
export interface ExportedCertificate {
  /** Relative to the file, such as `certificates/payroll-ca.pem`. */
  readonly path: string;
  readonly pem: string;
}

const ITEMS_AT_ONCE = 10;
const SUSPENDED = ' Suspended: the endpoint has moved to another origin since the secret was granted.';

/** No API tells what runs on the gateway's machine; without it the file is refused at this place. */
const STDIO_LEFT_OUT =
  ' Its upstream is a process: copy `stdio` from the config file of the gateway, which alone says how it is started.';

const HEADER = `# Exported from Switchboard: the McpConfigs, secrets and tokens of one account. Values are not in it: each value_from
# names a variable that has to hold one. Tokens that were revoked or made for a devbox are left out.`;

/**
 * YAML that the config file's reader takes, once its variables are set and the certificates it names are there
 * (`certificatesOf`). A grant whose endpoint has moved is marked: to declare it is to confirm it.
 */
export async function toYaml(configuration: AccountConfiguration): Promise<string> {
  const { mcpConfigs, secrets } = configuration;
  const variables = new Variables();
  const known: Known = {
    names: new Map([...mcpConfigs, ...secrets].map(({ id, name }) => [id, name])),
    configs: new Map(mcpConfigs.map((config) => [config.id, config])),
  };
  const lists = [
    await toList('secrets', inOrder(secrets), (secret) => toSecret(secret, variables)),
    await toList('mcp_configs', inOrder(mcpConfigs), (config) => toConfig(config, known)),
    await toList('tokens', declarableTokens(configuration.tokens), (token) => toToken(token, known, variables)),
  ];
  return `${HEADER}\n\n${lists.join('')}`;
}

/** In parts, for the whole list of a large account would hold up everybody's calls. */
async function toList<T>(key: string, all: readonly T[], toItem: (each: T) => object): Promise<string> {
  if (all.length === 0) return `${key}: []\n`;
  const parts: string[] = [`${key}:\n`];
  for (let from = 0; from < all.length; from += ITEMS_AT_ONCE) {
    const part = new Document({ [key]: all.slice(from, from + ITEMS_AT_ONCE).map(toItem) });
    const text = part.toString({ lineWidth: 0 });
    parts.push(text.slice(text.indexOf('\n') + 1));
    await setImmediate();
  }
  return parts.join('');
}

/** The certificates that `toYaml` names. */
export function certificatesOf({ mcpConfigs }: AccountConfiguration): ExportedCertificate[] {
  return inOrder(mcpConfigs).flatMap(({ name, tls }) => [
    ...(tls?.ca ? [{ path: toPath(name, 'ca'), pem: tls.ca }] : []),
    ...(tls?.clientCertificate ? [{ path: toPath(name, 'client'), pem: tls.clientCertificate }] : []),
  ]);
}

function toSecret({ name }: StoredSecret, variables: Variables): object {
  return { name, value_from: { env: variables.take(name) } };
}

/** What is referred to, by id. */
interface Known {
  readonly names: ReadonlyMap<string, string>;
  readonly configs: ReadonlyMap<string, McpConfig>;
}

function toConfig(config: McpConfig, known: Known): object {
  const fields = toConfigFields(config, known);
  return config.stdio === null ? fields : commented(STDIO_LEFT_OUT, fields);
}

function toConfigFields(config: McpConfig, { names }: Known): Record<string, unknown> {
  const { name, description, endpoint, authMechanism, customHeaders, tls, proxy, limits, stdio } = config;
  const headers = customHeaders.map((header) =>
    'value' in header ? header : { name: header.name, secret: names.get(header.secretId) },
  );
  return withoutAbsent({
    name,
    description,
    endpoint: stdio === null ? endpoint : null,
    allowed_tools: [...config.allowedTools],
    allowed_prompts: orAbsent(config.allowedPrompts),
    allowed_resources: orAbsent(config.allowedResources),
    auth_mechanism: stdio === null ? { ...authMechanism } : null,
    custom_headers: orAbsent(headers),
    tls:
      tls &&
      withoutAbsent({
        ca_file: tls.ca && toPath(name, 'ca'),
        client_certificate_file: tls.clientCertificate && toPath(name, 'client'),
        client_key: tls.clientKeySecretId && names.get(tls.clientKeySecretId),
        server_name: tls.serverName,
      }),
    proxy: proxy?.url,
    proxy_secret: proxy?.secretId && names.get(proxy.secretId),
    limits: Object.keys(limits).length === 0 ? null : toSnakeCase(limits),
  });
}

function toToken(token: StoredToken, known: Known, variables: Variables): object {
  return withoutAbsent({
    name: token.name,
    value_from: { env: variables.take(/token$/i.test(token.name) ? token.name : `${token.name}_TOKEN`) },
    names: token.nameStyle === 'dot' ? null : token.nameStyle,
    expires_at: token.expiresAtMs === null ? null : new Date(token.expiresAtMs).toISOString(),
    grants: token.grants.flatMap((grant) => toGrant(grant, known)),
  });
}

/** None for a config that is gone, as it may be under a token that has expired. */
function toGrant(grant: Grant, { names, configs }: Known): object[] {
  const config = configs.get(grant.mcpConfigId);
  if (config === undefined) return [];
  const fields = withoutAbsent({
    mcp_config: config.name,
    secret: grant.secretId && names.get(grant.secretId),
    allowed_tools: grant.allowedTools && [...grant.allowedTools],
  });
  return [isSuspended(grant, config) ? commented(SUSPENDED, fields) : fields];
}

function commented(comment: string, fields: Readonly<Record<string, unknown>>): object {
  const { contents } = new Document(fields);
  if (isMap(contents)) contents.commentBefore = comment;
  return contents ?? fields;
}

function orAbsent<T>(list: readonly T[]): T[] | null {
  return list.length === 0 ? null : [...list];
}

/** One of a name: what the file declares stays declared, and of the others those that are in force. */
function declarableTokens(tokens: readonly StoredToken[]): StoredToken[] {
  const inForce = tokens.filter(({ revokedAtMs, devboxId }) => revokedAtMs === null && devboxId === null);
  const taken = new Set(inForce.map(({ name }) => name));
  const declared = tokens.filter((token) => token.managedBy === 'file' && !taken.has(token.name));
  return inOrder([...inForce, ...declared]);
}

/** As they were made, so that an export changes where the account did. */
function inOrder<T extends { readonly name: string; readonly createTimeMs: number }>(all: readonly T[]): T[] {
  return [...all].sort((a, b) => a.createTimeMs - b.createTimeMs || (a.name < b.name ? -1 : 1));
}

function toPath(config: string, what: 'ca' | 'client'): string {
  return `certificates/${config}-${what}.pem`;
}

function withoutAbsent(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

function toSnakeCase(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

/** Names of environment variables, each given once. */
class Variables {
  readonly #taken = new Set<string>();

  take(name: string): string {
    const bare = name.replaceAll(/[^A-Za-z0-9]/g, '_').toUpperCase();
    // A portable name begins with no digit (POSIX.1-2024, Base Definitions 8.1).
    const base = /^\d/.test(bare) ? `_${bare}` : bare;
    let variable = base;
    for (let count = 2; this.#taken.has(variable); count++) variable = `${base}_${count}`;
    this.#taken.add(variable);
    return variable;
  }
}
