// The official conformance suite: installed once, pinned, outside of what is committed, and run as a child process whose
// results are read from the files it leaves.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Check } from './verdicts.ts';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'node_modules/.cache');
const PACKAGE = '@modelcontextprotocol/conformance';
/** The requirement sets are frozen per revision, but not how an alpha names scenarios and checks. */
const VERSION = '0.2.0-alpha.12';
const INSTALL_LIMIT_MS = 120_000;
/** A run takes 3 to 10 s; requests that nobody answers give up after 60. */
const RUN_LIMIT_MS = 120_000;

export interface Suite {
  /** Runs `conformance ARGUMENTS -o FOLDER`. An exit code says only that something failed: the checks say what. */
  run(args: readonly string[]): Promise<Check[]>;
}

/** Installs the suite unless an earlier run has. `folder` receives what its runs leave behind. */
export async function openSuite(folder: string): Promise<Suite> {
  const home = join(CACHE, `conformance-${VERSION}`);
  if (!existsSync(home)) await install(home);
  const entry = join(home, 'node_modules', PACKAGE, 'dist/index.js');
  let runs = 0;
  return {
    run: async (args) => {
      const output = join(folder, String(++runs));
      const printed = await runToEnd(process.execPath, [entry, ...args, '-o', output], RUN_LIMIT_MS);
      const checks = existsSync(output) ? await readChecks(output) : [];
      if (checks.length === 0) throw new Error(`The suite left no results: ${printed.slice(-1000)}`);
      return checks;
    },
  };
}

/** In a folder of its own that is then given its name, so that a broken install is never found. */
async function install(home: string): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const begun = await mkdtemp(`${home}.`);
  try {
    await writeFile(join(begun, 'package.json'), '{ "private": true }\n');
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--prefix', begun];
    const printed = await runToEnd('npm', ['install', ...flags, `${PACKAGE}@${VERSION}`], INSTALL_LIMIT_MS);
    if (!existsSync(join(begun, 'node_modules', PACKAGE))) throw new Error(`npm installed no suite: ${printed}`);
    await rename(begun, home).catch((error: unknown) => {
      // Somebody else was faster.
      if (!existsSync(home)) throw error;
    });
  } finally {
    await rm(begun, { recursive: true, force: true });
  }
}

/** Resolves with both outputs, whatever the exit code; after `limitMs` it ends the program and all it has started. */
async function runToEnd(command: string, args: readonly string[], limitMs: number): Promise<string> {
  // A process group of its own: the suite starts a shell, and that the client.
  const child = spawn(command, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  const limit = setTimeout(end, limitMs);
  process.once('exit', end);
  try {
    const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
    return (await Promise.race([Promise.all([text(child.stdout), text(child.stderr)]), failed])).join('\n');
  } finally {
    clearTimeout(limit);
    process.off('exit', end);
  }
}

/** One folder per scenario, named after it and the moment it began: `[server-]SCENARIO-2026-01-31T00-00-00-000Z`. */
const SCENARIO_FOLDER = /^(?:server-)?(.+)-(\d{4}-\d\d-\d\dT[\d-]+Z)$/;

async function readChecks(output: string): Promise<Check[]> {
  const folders = (await readdir(output)).flatMap((folder) => {
    const [, scenario = '', begun = ''] = SCENARIO_FOLDER.exec(folder) ?? [];
    return scenario === '' ? [] : [{ folder, scenario, begun }];
  });
  const inOrder = folders.sort((one, other) => one.begun.localeCompare(other.begun));
  const checks = inOrder.map(async ({ folder, scenario }) => {
    const file = join(output, folder, 'checks.json');
    // A scenario that breaks leaves an empty folder.
    if (!existsSync(file)) return [];
    const found = JSON.parse(await readFile(file, 'utf8')) as (Check & { errorMessage?: string })[];
    return found.map(({ id, name, status, errorMessage }) => ({ scenario, id, name, status, message: errorMessage }));
  });
  return (await Promise.all(checks)).flat();
}
