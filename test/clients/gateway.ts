// Starts `npm start` as a newcomer would, on a copy of the checkout, so that its data stays out of the checkout.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, symlink } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = new URL('../../', import.meta.url);
const START_LIMIT_MS = 30_000;
/** The line `npm start` prints for Claude Code names both the URL and the token. */
const CLAUDE_LINE =
  /^\s*(claude mcp add \S+ --transport http "?([^\s"]+)"? --header "Authorization: Bearer ([^"]+)")\s*$/m;

export interface Endpoint {
  readonly url: string;
  readonly token: string;
}

export interface RunningGateway extends Endpoint {
  /** As printed. */
  readonly claudeLine: string;
  close(): Promise<void>;
}

/** Copies the sources into `folder`, runs `npm start` there on a free port and waits for the printed lines. */
export async function startGateway(folder: string): Promise<RunningGateway> {
  for (const name of ['package.json', 'src', 'config']) {
    await cp(new URL(name, ROOT), join(folder, name), { recursive: true });
  }
  await symlink(new URL('node_modules', ROOT), join(folder, 'node_modules'));
  const env = { ...process.env, SWITCHBOARD_LISTEN: '127.0.0.1:0' };
  // A process group of its own: npm and its shell do not pass every signal on.
  const child = spawn('npm', ['start'], { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  let output = '';
  const close = async (): Promise<void> => {
    const signal = (name: NodeJS.Signals): boolean => child.exitCode === null && process.kill(-(child.pid ?? 0), name);
    if (child.pid === undefined || !signal('SIGTERM')) return;
    const kill = setTimeout(() => signal('SIGKILL'), 10_000);
    await ended.finally(() => clearTimeout(kill));
  };
  const printed = new Promise<RunningGateway>((resolve, reject) => {
    const onText = (text: string): void => {
      output += text;
      const [, claudeLine, url, token] = CLAUDE_LINE.exec(output) ?? [];
      if (claudeLine && url && token) resolve({ claudeLine, url, token, close });
    };
    child.stdout.setEncoding('utf8').on('data', onText);
    child.stderr.setEncoding('utf8').on('data', onText);
    const fail = (why: string) => reject(new Error(`npm start ${why}: ${output.slice(-1000)}`));
    ended.then(([code]) => fail(`ended with ${code}`), reject);
    setTimeout(() => fail(`printed no URL and token within ${START_LIMIT_MS} ms`), START_LIMIT_MS).unref();
  });
  return printed.catch(async (error: unknown) => {
    await close();
    throw error;
  });
}
