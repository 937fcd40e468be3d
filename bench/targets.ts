// What is measured: the same call against the upstream itself, against proxies that only pass bytes, and against gateways.
// Each target is a process of its own on 127.0.0.1; adding one is adding a row to TARGETS.

import type { ChildProcess } from 'node:child_process';
import { openSession } from '../src/load/open-session.ts';
import type { Era } from '../src/protocol/era.ts';
import { findProgram, startHaproxy, startNginx } from './byte-proxies.ts';
import { type CallOptions, type Endpoint, toCall } from './calls.ts';
import { type Child, startChild } from './children.ts';
import { benchToken, type GatewayFile, type GatewayOptions, writeGatewayFile } from './gateway-config.ts';
import type { Call } from './load.ts';
import { installPeers, startMcpProxy, startSupergateway } from './peers.ts';

export { stopChild } from './children.ts';
export type { Era };
export const ERAS = ['legacy', 'modern'] as const;

/** Of V8; the gateway and the mock upstream set it themselves. */
export const GATEWAY_FLAG = '--external-memory-accounted-in-global-limit';

export const TARGET_NAMES = [
  'direct',
  'pipe',
  'pipe-flag',
  'nginx',
  'haproxy',
  'gateway',
  'sdk-proxy',
  'sdk-proxy-stateless',
  'mcp-proxy',
  'mcp-proxy-stateless',
  'supergateway',
] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

export interface RunningTarget {
  readonly name: TargetName;
  readonly child: ChildProcess;
  readonly pid: number;
  /** Whether its calls come to the upstream that it was started before. */
  readonly usesUpstream: boolean;
  readonly endpoint: Endpoint;
  readonly call: Call;
}

export interface Upstream {
  readonly child: ChildProcess;
  readonly url: string;
}

/** One that may be served by this process itself. */
export type UpstreamUrl = Pick<Upstream, 'url'>;

export interface TargetOptions {
  readonly call?: CallOptions;
  readonly gateway?: GatewayOptions;
  /** For targets that serve legacy clients without one, too. */
  readonly inSession?: boolean;
  /** In place of the one upstream, for the gateway. */
  readonly upstreamUrls?: readonly string[];
}

interface Start {
  readonly era: Era;
  readonly upstream: UpstreamUrl;
  readonly directory: string;
  readonly options: TargetOptions;
}

interface TargetRow {
  start(start: Start): Promise<Child>;
  readonly tool?: string;
  /** Where it cannot serve both. */
  readonly era?: Era;
  /** Why it cannot be measured here. */
  readonly unavailable?: () => string | undefined;
  /** Serves legacy clients in sessions only. */
  readonly needsSession?: boolean;
}

const TARGETS: Readonly<Record<TargetName, TargetRow>> = {
  direct: { start: ({ upstream }) => Promise.resolve(toChild(upstream)) },
  pipe: { start: ({ upstream }) => startPipe(upstream, []) },
  'pipe-flag': { start: ({ upstream }) => startPipe(upstream, [GATEWAY_FLAG]) },
  nginx: {
    start: ({ upstream, directory }) => startNginx(upstream.url, directory),
    unavailable: () => (findProgram('nginx') === undefined ? 'nginx is not installed' : undefined),
  },
  haproxy: {
    start: ({ upstream, directory }) => startHaproxy(upstream.url, directory),
    unavailable: () => (findProgram('haproxy') === undefined ? 'haproxy is not installed' : undefined),
  },
  gateway: { start: startGateway, tool: 'bench.echo' },
  'sdk-proxy': { start: (start) => startSdkProxy(start, []), needsSession: true },
  'sdk-proxy-stateless': { start: (start) => startSdkProxy(start, ['--stateless']), era: 'legacy' },
  'mcp-proxy': {
    start: ({ upstream, era }) => startMcpProxy(upstream.url, era, false),
    unavailable: installPeers,
    needsSession: true,
  },
  'mcp-proxy-stateless': {
    start: ({ upstream, era }) => startMcpProxy(upstream.url, era, true),
    era: 'legacy',
    unavailable: installPeers,
  },
  supergateway: {
    start: ({ upstream }) => startSupergateway(upstream.url),
    era: 'legacy',
    unavailable: installPeers,
    needsSession: true,
  },
};

function toChild(upstream: UpstreamUrl | Upstream): Child {
  if (!('child' in upstream)) throw new Error('an upstream of this process is no target');
  const { child, url } = upstream;
  return { child, url, pid: child.pid ?? 0 };
}

function startPipe({ url }: UpstreamUrl, flags: readonly string[]): Promise<Child> {
  return startChild({ args: [...flags, 'bench/pipe.ts', '--upstream', url], isProbed: true });
}

function startSdkProxy({ upstream, era }: Start, more: readonly string[]): Promise<Child> {
  const args = ['bench/sdk-proxy.ts', '--era', era, '--upstream', upstream.url, ...more];
  return startChild({ args, isProbed: true });
}

function startGateway({ upstream, directory, options }: Start): Promise<Child> {
  const { gateway = {}, upstreamUrls = [upstream.url] } = options;
  return serveGateway(writeGatewayFile(upstreamUrls, directory, gateway), gateway);
}

/** As users run it, with the probe in it. */
export function serveGateway(
  { path, env }: GatewayFile,
  { flags = [], args = [] }: Pick<GatewayOptions, 'flags' | 'args'> = {},
): Promise<Child> {
  return startChild({
    args: [...flags, 'src/switchboard.cjs', 'serve', '--config', path, ...args],
    env,
    isProbed: true,
  });
}

/** Starts the mock upstream of one era; `more` are further options of `switchboard mock-upstream`. */
export async function startUpstream(era: Era, resultBytes: number, more: readonly string[] = []): Promise<Upstream> {
  const sizes = ['--era', era, '--result-bytes', String(resultBytes)];
  return startChild({
    args: ['src/switchboard.cjs', 'mock-upstream', '--port', '0', ...sizes, ...more],
    isProbed: true,
  });
}

/** Why a target cannot be measured here; `undefined` when it can. */
export function whyNot(name: TargetName, era: Era): string | undefined {
  const row = TARGETS[name];
  if (row.era !== undefined && row.era !== era) return `${name} is measured with ${row.era} clients only`;
  return row.unavailable?.();
}

/** Starts a target before `upstream`, with the call it is measured with. `directory` is its own, for files. */
export async function startTarget(
  name: TargetName,
  era: Era,
  upstream: UpstreamUrl,
  directory: string,
  options: TargetOptions = {},
): Promise<RunningTarget> {
  const row = TARGETS[name];
  const { child, pid, url } = await row.start({ era, upstream, directory, options });
  const token = benchToken(0);
  const needsSession = row.needsSession === true || options.inSession === true;
  const sessionId = needsSession && era === 'legacy' ? await openSession(new URL(url), token) : undefined;
  const endpoint = { url, era, tool: row.tool ?? 'echo', token, sessionId };
  return { name, child, pid, usesUpstream: true, endpoint, call: toCall(endpoint, options.call) };
}
