// `switchboard serve` as operators run it: a process of its own, with a config file that tests edit under it.

import { open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningCli, runCli, scratchFolder, startCli } from './cli.ts';
import { type ConfigFileOptions, configFile, tokenValue, variablesOf } from './gateway.ts';

export interface ServeChild extends RunningCli {
  readonly mcpUrl: string;
  readonly storeFile: string;
  token(name?: string): string;
  /** Replaces the config file as editors do, by renaming over it; resolves when the new one is in place. */
  edit(next: ConfigFileOptions | string): Promise<void>;
  /** Writes the config file where it is, in two parts, as editors do that do not rename; waits in between for `half`. */
  overwrite(next: ConfigFileOptions, half?: () => Promise<unknown>): Promise<void>;
  /** Runs another `switchboard` process on the same config file; resolves with its stdout, rejects when it fails. */
  command(...args: readonly string[]): Promise<string>;
}

/** Starts one that lives until it is stopped, or until the test file ends; resolves once it serves. `more` is environment. */
export async function startServe(
  options: ConfigFileOptions,
  more: Readonly<Record<string, string>> = {},
): Promise<ServeChild> {
  const cwd = await scratchFolder();
  const file = join(cwd, 'switchboard.json');
  await writeFile(file, configFile(options));
  const env = { SWITCHBOARD_LOG_LEVEL: 'warn', ...variablesOf(options), ...more };
  const child = await startCli(['serve', '--config', file], { cwd, env });
  return {
    ...child,
    mcpUrl: `${child.url}/mcp`,
    storeFile: join(cwd, 'store/switchboard.db'),
    token: (name = 'agent') => tokenValue(name),
    edit: async (next) => {
      await writeFile(`${file}.new`, typeof next === 'string' ? next : configFile(next));
      await rename(`${file}.new`, file);
    },
    overwrite: async (next, half) => {
      const text = configFile(next);
      await using handle = await open(file, 'w');
      await handle.write(text.slice(0, text.length / 2));
      await half?.();
      await handle.write(text.slice(text.length / 2));
    },
    command: async (...args) => {
      const { code, stdout, stderr } = await runCli([...args, '--config', file], { cwd, env });
      if (code !== 0) throw new Error(`switchboard ${args.join(' ')} ended with ${code}: ${stderr}`);
      return stdout;
    },
  };
}
