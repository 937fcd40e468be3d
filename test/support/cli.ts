// Runs the command line as users do: as a process of its own, in a folder of its own, judged by its exit code and output.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { type JsonRpcAnswer, mcpRequest, send, toolCall } from './mcp-http.ts';
import { SCRATCH } from './scratch.ts';

const SCRIPT = join(import.meta.dirname, '../../src/switchboard.cjs');
const LIMIT_MS = 30_000;

export interface CliOptions {
  readonly cwd: string;
  /** Beside PATH and HOME, all that the child sees. Nothing of the caller's own `SWITCHBOARD_…` does. */
  readonly env?: Readonly<Record<string, string>>;
  /** 30 seconds unless told; then the child is killed and the call rejects. */
  readonly timeoutMs?: number;
  /** The signal that it is sent once this resolves. */
  readonly signalled?: Promise<NodeJS.Signals>;
  /** Its stdin, which is empty unless told. */
  readonly input?: string;
  /** The guard to run, and the Node to run it with; this checkout's and this process's unless told. */
  readonly script?: string;
  readonly node?: string;
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  /** As `http://127.0.0.1:49152`. */
  readonly url: string;
  readonly pid: number;
  /** So far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Sends the signal, SIGTERM unless told, and resolves when the process is gone. */
  stop(signal?: NodeJS.Signals): Promise<CliResult>;
}

/** At the end of the test file, for an `after` inside a `before` hook runs when that hook ends. */
const leftovers: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const remove of leftovers.toReversed()) await remove();
});

/** A folder that is removed when the test file ends. */
export async function scratchFolder(root = SCRATCH): Promise<string> {
  const folder = await mkdtemp(join(root, 'switchboard-cli-'));
  leftovers.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a command to its end, whatever its exit code. */
export function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return spawnCli(args, options).ended;
}

/** Starts a command that serves; resolves when it has printed its URL. Rejects when it ends before. */
export async function startCli(args: readonly string[], options: CliOptions): Promise<RunningCli> {
  const { child, output, ended } = spawnCli(args, { ...options, timeoutMs: 10 * LIMIT_MS });
  const stop: RunningCli['stop'] = (signal = 'SIGTERM') => {
    child.kill(signal);
    return ended;
  };
  leftovers.push(() => stop('SIGKILL'));
  const printed = new Promise<string>((resolve) => {
    child.stdout?.on('data', () => {
      const url = /(https?:\/\/\S+)\/mcp\b.*\n$/s.exec(output.stdout)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  const tooEarly = ended.then(({ code, stdout, stderr }) => {
    throw new Error(`it ended with ${code} before it served: ${stdout}${stderr}`);
  });
  const url = await Promise.race([printed, tooEarly]);
  return { url, pid: child.pid ?? 0, output, stop };
}

function spawnCli(
  args: readonly string[],
  { cwd, env = {}, timeoutMs = LIMIT_MS, signalled, input = '', script = SCRIPT, node = process.execPath }: CliOptions,
): { child: ChildProcess; output: { stdout: string; stderr: string }; ended: Promise<CliResult> } {
  // The cache of compiled modules halves the time a process takes to start.
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE = '' } = process.env;
  const child = spawn(node, [script, ...args], { cwd, env: { PATH, HOME, NODE_COMPILE_CACHE, ...env }, stdio: 'pipe' });
  // A child that ends without reading it closes the pipe.
  child.stdin.on('error', () => undefined).end(input);
  signalled?.then(
    (signal) => child.kill(signal),
    () => child.kill('SIGKILL'),
  );
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output.stderr += text;
  });
  const ended = new Promise<CliResult>((resolve, reject) => {
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`switchboard ${args.join(' ')} did not end in ${timeoutMs} ms: ${output.stderr}`));
    }, timeoutMs);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(limit);
      resolve({ code, ...output });
    });
  });
  // Awaited by whoever stops or runs the child; a rejection in between must not end the test process.
  ended.catch(() => undefined);
  return { child, output, ended };
}

/** The names that a token's list shows, in its order. */
export async function listedTools(url: string, token: string): Promise<string[]> {
  const { message } = await send(`${url}/mcp`, { token, ...mcpRequest('tools/list') });
  return message.result.tools.map((tool: { readonly name: string }) => tool.name);
}

/** One sessionless legacy call, as a devbox's script would make it. */
export async function callTool(url: string, token: string, name: string, args: object = {}): Promise<JsonRpcAnswer> {
  const params = `"arguments":${JSON.stringify(args)}`;
  return (await send(`${url}/mcp`, { token, ...toolCall(name, { params }) })).message;
}
