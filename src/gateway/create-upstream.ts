// How an upstream is made of an McpConfig, an opened credential and the settings.

import type { UpstreamRequest } from '../catalog/account-snapshot.ts';
import type { DeclaredCommands } from '../control-plane/declared-commands.ts';
import { GatewayError } from '../domain/errors.ts';
import type { ConfigLimits, McpConfig } from '../domain/mcp-config.ts';
import { IMPLEMENTATION } from '../domain/version.ts';
import type { Settings } from '../settings/settings.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { type AddressPolicy, judgeEndpoint } from '../upstream/address-guard.ts';
import type { EgressProxy } from '../upstream/egress-proxy.ts';
import type { UpstreamPools } from '../upstream/pool.ts';
import { createStdioPools } from '../upstream/stdio/bridge.ts';
import type { Launcher } from '../upstream/stdio/launcher.ts';
import { Upstream } from '../upstream/upstream.ts';
import { shareOf } from './worker-place.ts';

/** What upstreams are made of, beside their configs. */
export interface UpstreamParts {
  readonly settings: Settings;
  /** How many share what a config allows. */
  readonly processes: number;
  readonly telemetry: Telemetry;
  readonly now: () => number;
  readonly log: Logger;
  readonly launcher: Launcher;
  readonly commands: DeclaredCommands;
  /** What every command finds in its environment. */
  readonly inherited: Readonly<Record<string, string>>;
}

/** The upstream of one request; to `try` it is to serve nobody. Throws `GatewayError` when it may not be connected to. */
export function createUpstream(request: UpstreamRequest, purpose: 'serve' | 'try', parts: UpstreamParts): Upstream {
  const { settings, telemetry, now, log } = parts;
  const { key, config, credentialHeaders, clientKey } = request;
  const { endpoint, tls } = config.config;
  const own = ownLimits(config.config, parts);
  const url = new URL(endpoint);
  const policy = policyOf(url, config.config, settings);
  const pools = createCommandPools(request, parts);
  const problem = pools === undefined ? judgeEndpoint(url, policy) : undefined;
  if (problem !== undefined) throw new GatewayError('invalid_argument', `endpoint: ${problem}.`);
  const { limits } = settings;
  return new Upstream({
    key,
    service: config.service,
    endpoint: url,
    policy,
    credentialHeaders,
    tls: tls === null ? undefined : { config: tls, clientKey },
    proxy: toEgressProxy(request, settings),
    pools,
    limits: {
      connections: own.connections ?? limits.connectionsPerCredential,
      connectTimeoutMs: own.connectTimeoutMs ?? limits.connectTimeoutMs,
      headersTimeoutMs: own.headerTimeoutMs ?? limits.headerTimeoutMs,
      idleTimeoutMs: own.idleTimeoutMs ?? limits.idleTimeoutMs,
      sessionIdleMs: limits.sessionIdleMs,
    },
    callLimits: own,
    clientInfo: IMPLEMENTATION,
    now,
    onFailure: (failure) => {
      // A preview may be of any service, and nobody is served by it.
      if (purpose === 'serve') telemetry.upstreamFailures.labels(config.service, failure.reason).add();
    },
    onWatchLost: (message) =>
      log.warn('changes are not heard of for now', { service: config.service, reason: message }),
  });
}

/** Of an upstream that is a command; nothing is started yet. */
function createCommandPools(
  { config: { config }, variables }: UpstreamRequest,
  parts: UpstreamParts,
): UpstreamPools | undefined {
  const { settings, now, log, launcher, commands, inherited } = parts;
  const { limits } = settings;
  const { stdio, name } = config;
  const own = ownLimits(config, parts);
  if (stdio === null) return undefined;
  if (!commands.has(config)) {
    throw new GatewayError('invalid_argument', 'stdio: the config file of this gateway declares no such command.');
  }
  const revealed = variables.map((each) => [
    each.name,
    typeof each.value === 'string' ? each.value : each.value.reveal(),
  ]);
  const secrets = variables.flatMap(({ value }) => (typeof value === 'string' ? [] : value.reveal()));
  const { command, args, cwd, process } = stdio;
  return createStdioPools({
    name,
    launch: { command, args, cwd, env: { ...inherited, ...Object.fromEntries(revealed) } },
    process,
    secrets,
    launcher,
    maxProcesses: own.connections ?? limits.connectionsPerCredential,
    startTimeoutMs: own.headerTimeoutMs ?? limits.headerTimeoutMs,
    clientInfo: IMPLEMENTATION,
    log,
    now,
  });
}

function ownLimits({ limits }: McpConfig, { processes }: UpstreamParts): ConfigLimits {
  const { connections, calls, ...rest } = limits;
  return {
    ...rest,
    ...(connections === undefined ? {} : { connections: shareOf(connections, processes) }),
    ...(calls === undefined ? {} : { calls: shareOf(calls, processes) }),
  };
}

/** What the operator's own file names, the operator has admitted (design §3, Endpoints). */
function policyOf(url: URL, { managedBy }: McpConfig, { upstreams }: Settings): AddressPolicy {
  return { ...upstreams, ...(managedBy === 'file' ? { admitted: url.origin } : {}) };
}

function toEgressProxy(
  { config: { config }, proxyAuthorization }: UpstreamRequest,
  settings: Settings,
): EgressProxy | undefined {
  if (config.proxy === null) return undefined;
  const url = new URL(config.proxy.url);
  // A proxy is spoken to in plain HTTP; whether the upstream may be is a question about the endpoint.
  const policy = { ...policyOf(url, config, settings), allowHttp: true };
  const problem = judgeEndpoint(url, policy);
  if (problem !== undefined) throw new GatewayError('invalid_argument', `proxy: ${problem}.`);
  return { url, authorization: proxyAuthorization, policy };
}
