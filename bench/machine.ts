// What a run ran on and with, for whoever compares numbers.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './byte-proxies.ts';
import { ROOT } from './children.ts';
import { PEERS_FOLDER } from './peers.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly isVirtual: boolean;
}

/** By name; what is not there is absent. */
export type Versions = Readonly<Record<string, string>>;

const GIBIBYTE = 2 ** 30;

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round((totalmem() / GIBIBYTE) * 10) / 10,
    kernel: `${type()} ${release()}`,
    isVirtual: isVirtual(),
  };
}

function isVirtual(): boolean {
  try {
    return / hypervisor\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}

export function describeVersions(): Versions {
  const packages = [
    'undici',
    '@modelcontextprotocol/sdk',
    '@modelcontextprotocol/server',
    '@modelcontextprotocol/client',
  ];
  const found: readonly (readonly [string, string | undefined])[] = [
    ['node', process.versions.node],
    ...packages.map((name) => [name, packageVersion(ROOT, name)] as const),
    ...['mcp-proxy', 'supergateway'].map((name) => [name, packageVersion(PEERS_FOLDER, name)] as const),
    ['wrk', printedVersion('wrk', '-v', /wrk (?:debian\/)?(\S+)/)],
    ['nginx', printedVersion('nginx', '-v', /nginx\/(\S+)/)],
    ['haproxy', printedVersion('haproxy', '-v', /version (\S+)/)],
  ];
  return Object.fromEntries(found.flatMap(([name, version]) => (version === undefined ? [] : [[name, version]])));
}

function packageVersion(folder: string, name: string): string | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

/** Servers print it to stderr, and wrk ends with 1 when it does. */
function printedVersion(name: string, flag: string, pattern: RegExp): string | undefined {
  const program = findProgram(name);
  if (program === undefined) return undefined;
  try {
    return pattern.exec(execFileSync('sh', ['-c', '"$0" "$1" 2>&1 || true', program, flag], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined;
  }
}

export function describeCommit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    // What a run writes itself does not make the commit another.
    const changed = git('status', '--porcelain', '--', '.', ':!bench/results', ':!bench/REPORT.md', ':!bench/charts');
    return `${git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : ' with uncommitted changes'}`;
  } catch {
    return 'none';
  }
}
