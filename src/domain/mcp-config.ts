// The McpConfig and its secrets as the store keeps them and every other room reads them.

declare const accountIdBrand: unique symbol;
/** The tenant. A type of its own, so that a query cannot forget its account and still compile. */
export type AccountId = string & { readonly [accountIdBrand]: true };

/** Who may change an object: the API, or the config file that declares it. */
export type ManagedBy = 'api' | 'file';

/** How the credential is attached: `Authorization: Bearer`, `Authorization: Basic` (secret is `user:password`), or the header `key`. */
export type AuthMechanism =
  | { readonly type: 'bearer' }
  | { readonly type: 'basic' }
  | { readonly type: 'header'; readonly key: string };

/** A header sent with every upstream request: a literal value, or the value of a secret. */
export type CustomHeader =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly secretId: string };

/** TLS towards the upstream: what the gateway trusts beside the public authorities, and who it is. Certificates are PEM. */
export interface ConfigTls {
  readonly ca: string | null;
  readonly clientCertificate: string | null;
  /** The secret that holds the private key of `clientCertificate`. */
  readonly clientKeySecretId: string | null;
  /** The name its certificate is for, where that is not the endpoint's. */
  readonly serverName: string | null;
}

/** An HTTP proxy that opens the connections to the upstream; the secret is `user:password`. */
export interface ConfigProxy {
  readonly url: string;
  readonly secretId: string | null;
}

/** Limits of one config, in the place of the gateway's own. */
export interface ConfigLimits {
  readonly callTimeoutMs?: number;
  readonly headerTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
  /** Most connections with one credential. */
  readonly connections?: number;
  /** Most calls in flight with one credential. */
  readonly calls?: number;
}

/** A variable of a stdio upstream's environment: a literal, a secret, or the secret of the grant. */
export type StdioVariable =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly secretId: string }
  | { readonly name: string; readonly fromGrant: true };

/** A process that is the upstream, declared in the operator's file only; the config's endpoint is then `stdio:NAME`, of its own name. */
export interface StdioCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly StdioVariable[];
  readonly cwd: string | null;
  /** One process for each credential, or one for each session. */
  readonly process: 'credential' | 'session';
}

/** The stored description of one upstream. What no pattern of its three lists admits is neither listed nor callable; empty is none. */
export interface McpConfig {
  readonly id: string;
  readonly name: string;
  readonly endpoint: string;
  readonly allowedTools: readonly string[];
  /** Globs over the names of prompts, as of tools. */
  readonly allowedPrompts: readonly string[];
  /** Globs over the URIs of resources. */
  readonly allowedResources: readonly string[];
  readonly authMechanism: AuthMechanism;
  readonly customHeaders: readonly CustomHeader[];
  readonly tls: ConfigTls | null;
  readonly proxy: ConfigProxy | null;
  readonly limits: ConfigLimits;
  readonly stdio: StdioCommand | null;
  readonly description: string | null;
  /** Counts the writes to this config, from 1. */
  readonly revision: number;
  readonly managedBy: ManagedBy;
  readonly createTimeMs: number;
}

const CONFIG_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;

export function isConfigName(name: string): boolean {
  return CONFIG_NAME.test(name);
}

/** The service is the first segment of the config's name: `github-readonly` → `github`. */
export function serviceOf(configName: string): string {
  const dash = configName.indexOf('-');
  return dash < 0 ? configName : configName.slice(0, dash);
}

/** Allows neither a tool nor anything else, which is probably not meant. */
export function allowsNothing({ allowedTools, allowedPrompts, allowedResources }: McpConfig): boolean {
  return allowedTools.length + allowedPrompts.length + allowedResources.length === 0;
}

const STDIO = 'stdio:';

/** The endpoint of a config that is a command. */
export function stdioEndpoint(configName: string): string {
  return STDIO + configName;
}

export function isStdioEndpoint(endpoint: string): boolean {
  return endpoint.startsWith(STDIO);
}

/** Where the secrets of a config go (design §3.13): of a URL its origin; a process of the operator's is one by itself. */
export function originOf(endpoint: string): string {
  return isStdioEndpoint(endpoint) ? endpoint : new URL(endpoint).origin;
}

/** The secrets that a config itself sends or shows, whoever is granted it. */
export function secretIdsOf({ customHeaders, tls, proxy, stdio }: McpConfig): string[] {
  const ofHeaders = customHeaders.map((header) => ('secretId' in header ? header.secretId : null));
  const ofVariables = stdio?.env.map((variable) => ('secretId' in variable ? variable.secretId : null)) ?? [];
  const ids = [...ofHeaders, ...ofVariables, tls?.clientKeySecretId ?? null, proxy?.secretId ?? null];
  return ids.filter((id) => id !== null);
}

const SECRET_NAME = /^[A-Za-z0-9_-]{1,128}$/;

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** A secret as the store sees it. `sealed` is opaque outside `vault/`; `version` counts the values written, from 1. */
export interface StoredSecret {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly sealed: string;
  /** Where it may be sent (design §3.13): the origins of the configs that it was granted with, or put into the headers of. */
  readonly origins: readonly string[];
  readonly managedBy: ManagedBy;
  readonly createTimeMs: number;
  readonly updateTimeMs: number;
}
