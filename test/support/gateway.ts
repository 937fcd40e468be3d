// A real gateway in this process, on port 0, from a real config file in a folder of its own.

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createApiKey } from '../../src/control-plane/api-keys.ts';
import { COMMAND, change } from '../../src/control-plane/change.ts';
import { openVaulted } from '../../src/gateway/vaulted.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { readEnvironment } from '../../src/settings/environment.ts';
import { formatProblem } from '../../src/settings/file-problem.ts';
import { loadSettings } from '../../src/settings/load-settings.ts';
import type { Settings } from '../../src/settings/settings.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import { createLogger, type Logger } from '../../src/telemetry/logger.ts';
import { SCRATCH } from './scratch.ts';

export interface ConfigOption {
  readonly name: string;
  /** Absent of a command, which `more` declares. */
  readonly url?: string;
  /** `["*"]` unless told. */
  readonly allowedTools?: readonly string[];
  /** The credential that grants of this config carry. */
  readonly credential?: string;
  /** Further keys of the config, in the words of the config file. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export interface TokenOption {
  readonly name: string;
  /** Names of configs, in order; one may narrow its config with `allowedTools`. Every config unless told. */
  readonly grants?: readonly (string | { readonly config: string; readonly allowedTools: readonly string[] })[];
  readonly names?: 'dot' | 'underscore' | 'bare';
  readonly expiresAt?: string;
}

export interface ConfigFileOptions {
  readonly configs: readonly ConfigOption[];
  /** One token, `agent`, for every config unless told. */
  readonly tokens?: readonly TokenOption[];
  /** `limits` of the config file, in its own words. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Values by name, beside the credentials of the configs. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Further top-level settings of the config file. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface GatewayOptions extends ConfigFileOptions {
  /** Holds the config file, the store and its key, and is left behind; otherwise a temporary one that is removed. */
  readonly folder?: string;
  /** A store in PostgreSQL needs one; beside a SQLite file one is made. */
  readonly masterKey?: string;
  /** Milliseconds since 1970; the system's clock unless told. */
  readonly now?: () => number;
  /** Silent unless told. */
  readonly log?: Logger;
}

export interface TestGateway {
  readonly url: string;
  /** Where operators connect: the same, unless the settings say otherwise. */
  readonly adminUrl: string;
  readonly mcpUrl: string;
  readonly apiKey: string;
  readonly gateway: Gateway;
  /** The value of a token by its name. */
  token(name?: string): string;
  /** Writes the config file anew and makes it the configuration in force. Throws when it has problems. */
  reload(options: ConfigFileOptions): Promise<void>;
  close(): Promise<void>;
}

/** In the environment of a test file that is to hold of the gateway as the benchmark measures it. */
export const AS_MEASURED = 'SWITCHBOARD_TEST_AS_MEASURED';
const isMeasured = process.env[AS_MEASURED] !== undefined;
const SILENT = createLogger({ level: 'silent' });

export async function startGateway(options: GatewayOptions): Promise<TestGateway> {
  const folder = options.folder ?? (await makeFolder());
  const file = join(folder, 'switchboard.json');
  const load = async (next: ConfigFileOptions): Promise<Settings> => {
    // The log of calls has tests of its own; its thread would take longer to start than the rest of a gateway.
    const settings = { audit: { calls: isMeasured }, ...next.settings };
    // Clients and upstreams are in this process, too, and what they keep busy with would be taken for overload.
    const limits = { ...(isMeasured ? {} : { delay_ms: 0 }), ...next.limits };
    await writeFile(file, configFile({ ...next, settings, limits }));
    const outcome = await loadSettings(file, readEnvironment(variablesOf(next)));
    if (!outcome.ok) throw new Error(outcome.problems.map(formatProblem).join('\n'));
    return outcome.settings;
  };
  const settings = await load(options);
  const masterKey = options.masterKey === undefined ? {} : { value: options.masterKey };
  const apiKey = await makeApiKey(settings, masterKey);
  if (isMeasured) return serveAsMeasured(options, file, apiKey, folder);
  const clock = options.now === undefined ? {} : { now: options.now };
  const gateway = await createGateway({ settings, masterKey, log: options.log ?? SILENT, ...clock });
  const { url, adminUrl } = await gateway.listen();
  return {
    url,
    adminUrl,
    mcpUrl: `${url}/mcp`,
    apiKey,
    gateway,
    token: (name = 'agent') => tokenValue(name),
    reload: async (next) => {
      await gateway.apply((await load(next)).declared);
    },
    close: async () => {
      await gateway.close();
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A process of its own, started as bench/targets.ts starts it. Tests that look into the process cannot have it. */
async function serveAsMeasured(
  options: GatewayOptions,
  path: string,
  apiKey: string,
  folder: string,
): Promise<TestGateway> {
  const absent = new Error('the gateway is not in this process');
  if (options.now !== undefined || options.log !== undefined) throw absent;
  // Not for every test: few need what a benchmark brings along.
  const { serveGateway, stopChild } = await import('../../bench/targets.ts');
  const { child, url: mcpUrl } = await serveGateway({ path, env: variablesOf(options) });
  const url = mcpUrl.slice(0, -'/mcp'.length);
  return {
    url,
    adminUrl: url,
    mcpUrl,
    apiKey,
    get gateway(): never {
      throw absent;
    },
    token: (name = 'agent') => tokenValue(name),
    reload: () => Promise.reject(absent),
    close: async () => {
      await stopChild(child);
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

export function makeFolder(): Promise<string> {
  return mkdtemp(join(SCRATCH, 'switchboard-test-'));
}

/** The value of the token of that name in every file made here. */
export function tokenValue(name: string): string {
  return `test-token-${name}-${'0123456789abcdef'.repeat(2)}`;
}

/** A config file as JSON, which is YAML as well. Its store is beside it and its port is free. */
export function configFile(options: ConfigFileOptions): string {
  const { configs, tokens = [{ name: 'agent' }], limits = {}, settings = {}, secrets = {} } = options;
  const document = {
    listen: { host: '127.0.0.1', port: 0 },
    store: { url: 'sqlite:store/switchboard.db' },
    limits,
    ...settings,
    secrets: [
      ...Object.keys(secrets),
      ...configs.flatMap((config) => (config.credential === undefined ? [] : secretName(config))),
    ].map((name) => ({ name, value_from: { env: name } })),
    mcp_configs: configs.map(({ name, url, allowedTools = ['*'], more }) => ({
      name,
      endpoint: url,
      allowed_tools: allowedTools,
      ...more,
    })),
    tokens: tokens.map((token) => ({
      name: token.name,
      value_from: { env: variableName(token) },
      grants: grantsOf(token, configs),
      ...(token.names === undefined ? {} : { names: token.names }),
      ...(token.expiresAt === undefined ? {} : { expires_at: token.expiresAt }),
    })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** The environment that `configFile` refers to. */
export function variablesOf(options: ConfigFileOptions): Record<string, string> {
  const { configs, tokens = [{ name: 'agent' }], secrets = {} } = options;
  return Object.fromEntries([
    ...Object.entries(secrets),
    ...tokens.map((token) => [variableName(token), tokenValue(token.name)]),
    ...configs.map((config) => [secretName(config), config.credential ?? '']),
  ]);
}

function grantsOf({ grants }: TokenOption, configs: readonly ConfigOption[]): object[] {
  return (grants ?? configs.map(({ name }) => name)).map((grant) => {
    const { config: name, ...narrowed } = typeof grant === 'string' ? { config: grant } : grant;
    const config = configs.find((each) => each.name === name);
    return {
      mcp_config: name,
      ...(config?.credential === undefined ? {} : { secret: secretName(config) }),
      ...('allowedTools' in narrowed ? { allowed_tools: narrowed.allowedTools } : {}),
    };
  });
}

function secretName({ name }: ConfigOption): string {
  return `SECRET_${toVariable(name)}`;
}

function variableName({ name }: TokenOption): string {
  return `TOKEN_${toVariable(name)}`;
}

function toVariable(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]/g, '_').toUpperCase();
}

/** On the store itself and before the gateway opens it, as an operator of a fresh server does. */
async function makeApiKey(settings: Settings, masterKey: { readonly value?: string }): Promise<string> {
  const { store, keys } = await openVaulted(settings, masterKey);
  try {
    const deps = { store, auditKey: keys.audit, now: Date.now };
    const name = `test-${randomBytes(4).toString('hex')}`;
    const minted = await change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) =>
      createApiKey(keys.tokenPepper, each, { name, role: 'owner' }),
    );
    return minted.value;
  } finally {
    await store.close();
  }
}
