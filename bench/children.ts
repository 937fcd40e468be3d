// Starts the processes that are measured, each on 127.0.0.1 and a free port, and ends them.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const ROOT = join(import.meta.dirname, '..');

export interface ChildOptions {
  /** `node` where it is absent. */
  readonly program?: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Told by the process itself in its output where it is absent; for programs that are told their port. */
  readonly port?: number;
  /** Loads `probe.ts` into it, which answers `readProbe`. */
  readonly isProbed?: boolean;
}

export interface Child {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly url: string;
}

const READY = /"port":(\d+)|http:\/\/127\.0\.0\.1:(\d+)\/mcp/;
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 5_000;
const KEPT_LINES = 20;

/** The benchmark may be ended at any point; nothing that it started may outlive it. */
const RUNNING = new Set<ChildProcess>();
process.once('exit', () => RUNNING.forEach((child) => void child.kill()));

/** Resolves when it has printed its port or its URL, or when its port is listened on. Rejects with its last lines. */
export async function startChild(options: ChildOptions): Promise<Child> {
  const { program = process.execPath, args, env = {}, cwd = ROOT, port, isProbed = false } = options;
  const probe = isProbed ? ['--import', join(import.meta.dirname, 'probe.ts')] : [];
  const child = spawn(program, [...probe, ...args], {
    cwd,
    env: { ...process.env, ...env, BENCH_PARENT: String(process.pid) },
    stdio: ['ignore', 'pipe', 'pipe', ...(isProbed ? (['ipc'] as const) : [])],
  });
  RUNNING.add(child);
  child.once('exit', () => RUNNING.delete(child));
  const found = await portOf(child, args, port);
  if (child.pid === undefined) throw new Error(`${args[0]} has no process id`);
  return { child, pid: child.pid, url: `http://127.0.0.1:${found}/mcp` };
}

async function portOf(child: ChildProcess, args: readonly string[], known: number | undefined): Promise<number> {
  const lastLines: string[] = [];
  const stop = new AbortController();
  const printed = new Promise<number>((resolve, reject) => {
    const read = (line: string) => {
      if (lastLines.push(line) > KEPT_LINES) lastLines.shift();
      const [, first, second] = READY.exec(line) ?? [];
      const port = first ?? second;
      if (known === undefined && port !== undefined) resolve(Number(port));
    };
    for (const stream of [child.stdout, child.stderr]) if (stream !== null) createInterface(stream).on('line', read);
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`it ended with ${code} before it served`)));
    const timer = setTimeout(() => reject(new Error('it does not serve')), START_LIMIT_MS);
    stop.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  try {
    return await (known === undefined ? printed : Promise.race([printed, isListening(known, stop.signal)]));
  } catch (error) {
    child.kill();
    throw new Error(`${args.join(' ')}: ${(error as Error).message}; its output:\n${lastLines.join('\n')}`);
  } finally {
    stop.abort();
  }
}

async function isListening(port: number, signal: AbortSignal): Promise<number> {
  while (!signal.aborted) {
    try {
      await (await fetch(`http://127.0.0.1:${port}/`)).text();
      return port;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  return port;
}

/** Asks the process to end, and makes it end after five seconds. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  child.kill();
  await ended;
  clearTimeout(timer);
}
