// Settings as the program works with them, and the one place where the words of the file become them.

import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import type { AuditSettings } from '../audit-log/audit-log.ts';
import type { Declared, DeclaredMcpConfig, DeclaredToken } from '../control-plane/declared.ts';
import type { TokenInput } from '../control-plane/schemas.ts';
import { GatewayError } from '../domain/errors.ts';
import { type ConfigLimits, stdioEndpoint } from '../domain/mcp-config.ts';
import type { ObjectKind } from '../domain/revision.ts';
import type { Secret } from '../domain/secret.ts';
import type { LogLevel } from '../telemetry/log-levels.ts';
import type { ConfigFile } from './config-file.ts';
import type { Address, Environment } from './environment.ts';
import type { SettingsDocument } from './schema.ts';
import type { FileConfigInput } from './stdio-schema.ts';
import type { TlsFiles } from './tls-pair.ts';
import type { Workers } from './workers.ts';

export interface Limits {
  readonly bodyBytes: number;
  readonly callTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly headerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly listWaitMs: number;
  readonly listTtlMs: number;
  /** 0 for all. */
  readonly listPageTools: number;
  readonly sessionIdleMs: number;
  readonly connectionsPerCredential: number;
  /** Calls in flight: of one token, to one upstream, and of the process. */
  readonly callsPerToken: number;
  readonly callsPerUpstream: number;
  readonly calls: number;
  /** Open at once, of one token's legacy sessions. */
  readonly streamsPerToken: number;
  /** Request bodies held for calls in flight. */
  readonly bytesInFlight: number;
  readonly heapPercent: number;
  /** From which wait of all calls on the process is overloaded; 0 for never. */
  readonly delayMs: number;
  /** Of one API key. */
  readonly apiRequestsPerMinute: number;
  readonly drainMs: number;
}

/** Where a listener is, and with which certificate. Paths are absolute where they come from a file. */
export interface ListenSettings extends Address {
  readonly tls?: TlsFiles;
}

/** Everything that is settled when the gateway starts. */
export interface Settings {
  readonly listen: ListenSettings;
  readonly admin: { readonly listen: ListenSettings } | undefined;
  readonly workers: Workers;
  readonly publicUrl: string | undefined;
  /** Addresses and ranges (CIDR). */
  readonly trustedProxies: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  /** A `sqlite:` path from a file is absolute here. A `postgres:` URL may hold a password: never print it. */
  readonly store: { readonly url: string };
  readonly upstreams: { readonly allowHttp: boolean; readonly allowCidrs: readonly string[] };
  readonly limits: Limits;
  readonly log: { readonly level: LogLevel };
  /** Paths from a file are absolute here. */
  readonly audit: AuditSettings;
  /** What the file declares, to be applied to the store. */
  readonly declared: Declared;
}

type CertificateTexts = ReadonlyMap<string, string>;

function toDeclaredTls(input: FileConfigInput['tls'], certificates: CertificateTexts): DeclaredMcpConfig['tls'] {
  if (input === undefined) return null;
  return {
    ca: openedCertificate(certificates, input.ca_file),
    clientCertificate: openedCertificate(certificates, input.client_certificate_file),
    clientKey: input.client_key ?? null,
    serverName: input.server_name ?? null,
  };
}

function openedCertificate(certificates: CertificateTexts, file: string | undefined): string | null {
  if (file === undefined) return null;
  const pem = certificates.get(file);
  if (pem === undefined) throw new GatewayError('internal', `The certificates in '${file}' were not read.`);
  return pem;
}

function toConfigLimits(limits: FileConfigInput['limits']): ConfigLimits {
  const all = {
    callTimeoutMs: limits.call_timeout_ms,
    connectTimeoutMs: limits.connect_timeout_ms,
    headerTimeoutMs: limits.header_timeout_ms,
    idleTimeoutMs: limits.idle_timeout_ms,
    connections: limits.connections,
    calls: limits.calls,
  };
  // What is not set must not be there: the store forgets it, and a config would be new at every start.
  return Object.fromEntries(Object.entries(all).filter(([, limit]) => limit !== undefined));
}

function toDeclaredCommand(input: FileConfigInput['stdio'], directory: string): DeclaredMcpConfig['stdio'] {
  if (input === undefined) return null;
  const { command, args, env, cwd, process } = input;
  return {
    command,
    args,
    env: Object.entries(env).map(([name, value]) => {
      if (typeof value === 'string') return { name, value };
      return 'secret' in value ? { name, secret: value.secret } : { name, fromGrant: true };
    }),
    cwd: cwd === undefined ? null : resolve(directory, cwd),
    process,
  };
}

function toDeclaredConfig(
  input: FileConfigInput,
  certificates: CertificateTexts,
  directory: string,
): DeclaredMcpConfig {
  const { auth_mechanism: auth } = input;
  return {
    name: input.name,
    endpoint: input.endpoint ?? stdioEndpoint(input.name),
    allowedTools: input.allowed_tools,
    allowedPrompts: input.allowed_prompts,
    allowedResources: input.allowed_resources,
    authMechanism: auth.type === 'header' ? { type: 'header', key: auth.key } : { type: auth.type },
    customHeaders: input.custom_headers.map(({ name, value, secret }) =>
      secret === undefined ? { name, value: value ?? '' } : { name, secret },
    ),
    tls: toDeclaredTls(input.tls, certificates),
    stdio: toDeclaredCommand(input.stdio, directory),
    proxy: input.proxy === undefined ? null : { url: input.proxy, secret: input.proxy_secret ?? null },
    limits: toConfigLimits(input.limits),
    description: input.description ?? null,
  };
}

function toDeclaredToken(input: TokenInput, value: Secret): DeclaredToken {
  return {
    name: input.name,
    value,
    grants: input.grants.map((grant) => ({
      mcpConfig: grant.mcp_config,
      secret: grant.secret ?? null,
      allowedTools: grant.allowed_tools ?? null,
    })),
    nameStyle: input.names,
    expiresAtMs: input.expires_at === undefined ? null : Date.parse(input.expires_at),
  };
}

function toStoreUrl(url: string, directory: string): string {
  const path = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined;
  return path === undefined || isAbsolute(path) ? url : `sqlite:${resolve(directory, path)}`;
}

/** What a config file contributes; without a file, the values are empty and the directory is unknown. */
export type SettingsSource = Pick<
  ConfigFile,
  'document' | 'secrets' | 'tokens' | 'certificates' | 'digest' | 'positions'
> & {
  readonly file: string | undefined;
};

function openedValue(values: ReadonlyMap<string, Secret>, name: string): Secret {
  const value = values.get(name);
  // An empty stand-in would be a token that anybody can guess.
  if (value === undefined) throw new GatewayError('internal', `The value of '${name}' was not opened.`);
  return value;
}

function toDeclared(source: SettingsSource, directory: string): Declared {
  const { document, secrets, tokens, certificates, digest, file, positions } = source;
  const placesOf = (kind: ObjectKind, list: 'secrets' | 'mcp_configs' | 'tokens') =>
    document[list].map(({ name }, index): [string, string] => {
      const { line, column } = positions.positionOf([list, index]);
      return [`${kind} ${name}`, `${basename(file ?? '')}:${line}:${column}`];
    });
  return {
    secrets: document.secrets.map(({ name }) => ({ name, value: openedValue(secrets, name) })),
    mcpConfigs: document.mcp_configs.map((input) => toDeclaredConfig(input, certificates, directory)),
    tokens: document.tokens.map((input) => toDeclaredToken(input, openedValue(tokens, input.name))),
    positions: new Map([
      ...placesOf('secret', 'secrets'),
      ...placesOf('mcp_config', 'mcp_configs'),
      ...placesOf('token', 'tokens'),
    ]),
    digest,
  };
}

function toListen({ host, port, tls }: SettingsDocument['listen'], directory: string): ListenSettings {
  if (tls === undefined) return { host, port };
  const { certificate_file: certificateFile, key_file: keyFile } = tls;
  const files = { certificateFile: resolve(directory, certificateFile), keyFile: resolve(directory, keyFile) };
  return { host, port, tls: files };
}

function toLimits(limits: SettingsDocument['limits']): Limits {
  return {
    bodyBytes: limits.body_bytes,
    callTimeoutMs: limits.call_timeout_ms,
    connectTimeoutMs: limits.connect_timeout_ms,
    headerTimeoutMs: limits.header_timeout_ms,
    idleTimeoutMs: limits.idle_timeout_ms,
    listWaitMs: limits.list_wait_ms,
    listTtlMs: limits.list_ttl_ms,
    listPageTools: limits.list_page_tools,
    sessionIdleMs: limits.session_idle_ms,
    connectionsPerCredential: limits.connections_per_credential,
    callsPerToken: limits.calls_per_token,
    streamsPerToken: limits.streams_per_token,
    callsPerUpstream: limits.calls_per_upstream,
    calls: limits.calls,
    bytesInFlight: limits.bytes_in_flight,
    heapPercent: limits.heap_percent,
    delayMs: limits.delay_ms,
    apiRequestsPerMinute: limits.api_requests_per_minute,
    drainMs: limits.drain_ms,
  };
}

function toAudit(audit: SettingsDocument['audit'], storeUrl: string, directory: string | undefined): AuditSettings {
  const place = (path: string): string => (directory === undefined ? path : resolve(directory, path));
  const store = storeUrl.startsWith('sqlite:') ? dirname(storeUrl.slice('sqlite:'.length)) : place('.switchboard');
  return {
    calls: audit.calls,
    directory: audit.directory === undefined ? join(store, 'audit') : place(audit.directory),
    checkpointFile: audit.checkpoint_file === undefined ? undefined : place(audit.checkpoint_file),
    onOverflow: audit.on_overflow,
    segmentBytes: audit.segment_bytes,
    keepDays: audit.keep_days,
    keepBytes: audit.keep_bytes,
  };
}

/** Settings of a document that was read without problems; `SWITCHBOARD_LISTEN`, `SWITCHBOARD_LOG_LEVEL` and `SWITCHBOARD_WORKERS` take precedence. */
export function toSettings(source: SettingsSource, environment: Environment): Settings {
  const { document, file } = source;
  const directory = file === undefined ? '.' : dirname(file);
  const storeUrl = file === undefined ? document.store.url : toStoreUrl(document.store.url, directory);
  return {
    listen: { ...toListen(document.listen, directory), ...environment.listen },
    admin: document.admin && { listen: toListen(document.admin.listen, directory) },
    workers: environment.workers ?? document.workers,
    publicUrl: document.public_url,
    trustedProxies: document.trusted_proxies,
    allowedHosts: document.allowed_hosts,
    allowedOrigins: document.allowed_origins,
    store: { url: storeUrl },
    upstreams: { allowHttp: document.upstreams.allow_http, allowCidrs: document.upstreams.allow_cidrs },
    limits: toLimits(document.limits),
    log: { level: environment.logLevel ?? document.log.level },
    audit: toAudit(document.audit, storeUrl, file === undefined ? undefined : directory),
    declared: toDeclared(source, directory),
  };
}
