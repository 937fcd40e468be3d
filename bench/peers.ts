// Other gateways that npm can install, in the versions that bench/peers pins, before the same upstream.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Era } from '../src/protocol/era.ts';
import { freePort } from './byte-proxies.ts';
import { type Child, ROOT, startChild } from './children.ts';

/** Not beside their package.json: whoever copies `bench` need not copy a hundred megabytes. */
export const PEERS_FOLDER = join(ROOT, 'node_modules/.cache/bench-peers');
const MODULES = join(PEERS_FOLDER, 'node_modules');
const INSTALL_LIMIT_MS = 120_000;

const WANTED = join(import.meta.dirname, 'peers/package-lock.json');
/** Written when all is there, and of which versions; npm removes it with the rest before it begins. */
const INSTALLED = join(MODULES, 'installed-lock.json');

let problem: string | undefined;

/** Installs them where these versions are not; returns why they are not there. */
export function installPeers(): string | undefined {
  if (problem !== undefined || isInstalled()) return problem;
  try {
    mkdirSync(PEERS_FOLDER, { recursive: true });
    cpSync(join(import.meta.dirname, 'peers'), PEERS_FOLDER, { recursive: true });
    const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    execFileSync('npm', flags, { cwd: PEERS_FOLDER, stdio: 'ignore', timeout: INSTALL_LIMIT_MS });
    cpSync(WANTED, INSTALLED);
  } catch {
    problem = 'npm could not install it';
  }
  return problem;
}

function isInstalled(): boolean {
  return existsSync(INSTALLED) && readFileSync(INSTALLED).equals(readFileSync(WANTED));
}

/** In sessions, or with a server of its own for every request. */
export async function startMcpProxy(upstreamUrl: string, era: Era, isStateless: boolean): Promise<Child> {
  const port = await freePort();
  const options = ['--modules', MODULES, '--upstream', upstreamUrl, '--era', era, '--port', String(port)];
  const args = ['bench/peers/mcp-proxy.ts', ...options, ...(isStateless ? ['--stateless'] : [])];
  return startChild({ args, port, isProbed: true });
}

/** One turns HTTP into stdio, another in front of it turns that into HTTP again: it passes nothing from HTTP to HTTP. */
export async function startSupergateway(upstreamUrl: string): Promise<Child> {
  const port = await freePort();
  const program = join(MODULES, 'supergateway/dist/index.js');
  const quiet = ['--logLevel', 'none'];
  const behind = [process.execPath, program, '--streamableHttp', upstreamUrl, ...quiet].join(' ');
  const flags = ['--outputTransport', 'streamableHttp', '--stateful', '--port', String(port), ...quiet];
  return startChild({ args: [program, '--stdio', behind, ...flags], port });
}
