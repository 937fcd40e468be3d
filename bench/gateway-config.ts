// The config file of a measured gateway: as many configs, grants and tokens as a scenario wants, on the upstreams it has.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface GatewayOptions {
  /** Whether every call is recorded, as it is by default. */
  readonly audit?: boolean;
  /** McpConfigs, spread evenly over the upstreams; one for each upstream where it is absent. */
  readonly configs?: number;
  /** Grants of each token, on the first so many configs; one on each where it is absent. */
  readonly grants?: number;
  readonly tokens?: number;
  readonly allowedTools?: readonly string[];
  readonly limits?: Readonly<Record<string, number>>;
  /** Of Node. */
  readonly flags?: readonly string[];
  /** More of the command line. */
  readonly args?: readonly string[];
}

export interface GatewayFile {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** 32 to 256 visible characters, as tokens that operators choose have. The first is number 0. */
export function benchToken(index: number): string {
  return `bench-token-${String(index).padStart(6, '0')}-abcdefghijklmnopq`;
}

/** Agents see the tools of config number 0 as `bench.NAME`, those of number 1 as `bench1.NAME`. */
export function configName(index: number): string {
  return index === 0 ? 'bench' : `bench${index}`;
}

/** Writes it into `directory`, where the gateway also keeps its data. */
export function writeGatewayFile(
  upstreamUrls: readonly string[],
  directory: string,
  options: GatewayOptions = {},
): GatewayFile {
  const {
    audit = true,
    configs = upstreamUrls.length,
    grants = configs,
    tokens = 1,
    allowedTools = ['*'],
    limits,
  } = options;
  const variable = (index: number) => `BENCH_TOKEN_${index}`;
  const indexes = Array.from({ length: tokens }, (_, index) => index);
  const file = {
    listen: { host: '127.0.0.1', port: 0 },
    store: { url: `sqlite:${join(directory, 'bench.db')}` },
    audit: { calls: audit },
    // What is made over REST while it runs is on this machine, too.
    upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] },
    ...(limits === undefined ? {} : { limits }),
    mcp_configs: Array.from({ length: configs }, (_, index) => ({
      name: configName(index),
      endpoint: upstreamUrls[index % upstreamUrls.length],
      allowed_tools: allowedTools,
    })),
    tokens: indexes.map((index) => ({
      name: `bench-${index}`,
      value_from: { env: variable(index) },
      grants: Array.from({ length: grants }, (_, grant) => ({ mcp_config: configName(grant) })),
    })),
  };
  const path = join(directory, 'switchboard.json');
  writeFileSync(path, JSON.stringify(file));
  return { path, env: Object.fromEntries(indexes.map((index) => [variable(index), benchToken(index)])) };
}
