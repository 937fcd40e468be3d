// Installs the command-line clients, versions pinned, into a scratch folder. Nothing of them runs during the
// install: Claude Code's native binary comes as an optional package that its wrapper finds without a postinstall.

import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runChild } from './child.ts';

export const CLIENT_VERSIONS = {
  '@modelcontextprotocol/inspector': '2.12.0',
  '@anthropic-ai/claude-code': '2.1.329',
} as const;

/** Resolves with the folder of the commands `claude` and `npx`-able packages: put it on PATH, use `folder` as cwd. */
export async function installClients(folder: string): Promise<{ bin: string }> {
  const packages = Object.entries(CLIENT_VERSIONS).map(([name, version]) => `${name}@${version}`);
  const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder];
  await runChild('npm', ['install', ...flags, ...packages], { cwd: folder, env: process.env, timeoutMs: 300_000 });
  // `bin/claude.exe` is a placeholder until its postinstall has run; a command named `claude` runs the printed line as it is.
  const bin = join(folder, 'commands');
  const wrapper = join(folder, 'node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs');
  await mkdir(bin);
  await writeFile(join(bin, 'claude'), `#!/bin/sh\nexec '${process.execPath}' '${wrapper}' "$@"\n`);
  await chmod(join(bin, 'claude'), 0o755);
  return { bin };
}
