// The gateway's side of the supervisor: starts it with the first stdio upstream, and orders it to start and to signal
// processes. There is one per gateway.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../../telemetry/logger.ts';
import { cannotStart, StdioFault } from './fault.ts';
import type { Order, Report } from './supervisor.ts';

/** What is to be run. `env` is the whole environment of the process. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | null;
}

/** How a process ended; both are `null` when nobody was left to see it. */
export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Its streams are paused. */
export interface Launched {
  readonly pid: number;
  readonly stdin: net.Socket;
  readonly stdout: net.Socket;
  readonly stderr: net.Socket;
  readonly ended: Promise<Ending>;
  /** Signals its whole group. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void;
}

/** The supervisor has this long to start a process. */
const LAUNCH_MS = 10_000;
/** The supervisor gives the groups that are left two seconds to end; it has one more for itself. */
const STOP_MS = 3_000;
/** Of the random name by which a stream is known when it connects. */
const NAME_BYTES = 16;
const UNSEEN: Ending = { code: null, signal: null };
const LOST = 'the supervisor of its process was ended';
const NEEDS = 'the gateway needs a directory for temporary files, TMPDIR, that it can write to';

interface Starting {
  readonly started: PromiseWithResolvers<number>;
  readonly ended: PromiseWithResolvers<Ending>;
  pid: number | undefined;
}

type Program = ChildProcessByStdio<Writable, Readable, null>;

export class Launcher {
  readonly #log: Logger;
  readonly #processes = new Map<number, Starting>();
  /** Streams that are to connect, by the name that they will say. */
  readonly #awaited = new Map<string, (socket: net.Socket) => void>();
  #program: Promise<Program> | undefined;
  #count = 0;
  readonly #launchMs: number;

  constructor(log: Logger, { launchMs = LAUNCH_MS }: { readonly launchMs?: number } = {}) {
    this.#log = log;
    this.#launchMs = launchMs;
  }

  /** Starts a process. Throws `StdioFault`. */
  async launch({ command, args, env, cwd }: Launch): Promise<Launched> {
    const program = await this.#supervisor();
    const id = ++this.#count;
    const starting: Starting = {
      started: Promise.withResolvers(),
      ended: Promise.withResolvers(),
      pid: undefined,
    };
    this.#processes.set(id, starting);
    const names = [0, 1, 2].map(() => randomBytes(NAME_BYTES).toString('hex'));
    const streams = names.map((name) => this.#await(name));
    const signal = (which: 'SIGTERM' | 'SIGKILL'): void =>
      tell(program, { order: 'signal', process: id, signal: which });
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new StdioFault('timeout', 'its process was not started in time')),
      this.#launchMs,
    );
    try {
      tell(program, { order: 'start', process: id, command, args, env, cwd, streams: names });
      const pid = await Promise.race([starting.started.promise, late.promise]);
      const connected = await Promise.race([Promise.all(streams), late.promise]);
      const [stdin, stdout, stderr] = connected as [net.Socket, net.Socket, net.Socket];
      return { pid, stdin, stdout, stderr, ended: starting.ended.promise, signal };
    } catch (error) {
      signal('SIGKILL');
      this.#processes.delete(id);
      for (const stream of streams) void stream.then((socket) => socket.destroy());
      throw error instanceof Failed ? cannotStart(command, error.code) : error;
    } finally {
      clearTimeout(timer);
      for (const name of names) this.#awaited.delete(name);
    }
  }

  /** Ends what still runs, and the supervisor. */
  async close(): Promise<void> {
    const program = await this.#program?.catch(() => undefined);
    if (program === undefined || program.exitCode !== null || program.signalCode !== null) return;
    const ended = once(program, 'exit');
    program.stdin.end();
    const timer = setTimeout(() => program.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  #supervisor(): Promise<Program> {
    this.#program ??= this.#start().catch((cause: unknown) => {
      this.#program = undefined;
      const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
      throw new StdioFault('unreachable', `the supervisor of its process could not be started${code}; ${NEEDS}`, {
        cause,
      });
    });
    return this.#program;
  }

  async #start(): Promise<Program> {
    // Its mode is 0700: nobody else's processes can pose as a stream.
    const folder = await mkdtemp(join(tmpdir(), 'switchboard-'));
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#welcome(socket));
    // Once it listens, an error is one connection that could not be accepted, such as for want of descriptors.
    server.on('error', () => undefined);
    const cleanUp = (): void => {
      server.close();
      void rm(folder, { recursive: true, force: true });
    };
    try {
      const path = join(folder, 'streams');
      server.listen(path);
      await once(server, 'listening');
      server.unref();
      return await this.#run(path, cleanUp);
    } catch (error) {
      cleanUp();
      throw error;
    }
  }

  async #run(path: string, cleanUp: () => void): Promise<Program> {
    // `.ts` in a checkout, `.js` when built.
    const script = fileURLToPath(new URL(`./supervisor${extname(import.meta.url)}`, import.meta.url));
    // A session of its own: what a terminal sends to the gateway's group does not reach it.
    const program = spawn(process.execPath, [script, path], {
      env: {},
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    program.stdin.on('error', () => undefined);
    createInterface({ input: program.stdout }).on('line', (line) => this.#onReport(program, JSON.parse(line)));
    program.once('exit', (code, signal) => {
      cleanUp();
      this.#program = undefined;
      this.#abandonAll(code, signal);
    });
    await once(program, 'spawn');
    // Neither they nor the supervisor keep a gateway running that has nothing else to do.
    program.unref();
    for (const pipe of [program.stdin, program.stdout]) (pipe as unknown as net.Socket).unref();
    return program;
  }

  #await(name: string): Promise<net.Socket> {
    return new Promise((resolve) => this.#awaited.set(name, resolve));
  }

  /** The first line of a connection says which stream it is. */
  #welcome(socket: net.Socket): void {
    let text = '';
    const timer = setTimeout(() => socket.destroy(), LAUNCH_MS).unref();
    socket.unref();
    socket.on('error', () => undefined);
    const onData = (chunk: Buffer): void => {
      const end = chunk.indexOf(0x0a);
      text += chunk.toString('latin1', 0, end < 0 ? chunk.length : end);
      if (end < 0 && text.length <= 2 * NAME_BYTES) return;
      clearTimeout(timer);
      socket.pause().off('data', onData);
      if (end + 1 < chunk.length) socket.unshift(chunk.subarray(end + 1));
      const take = this.#awaited.get(text);
      if (take === undefined) socket.destroy();
      else take(socket);
    };
    socket.on('data', onData).resume();
  }

  #onReport(program: Program, report: Report): void {
    const starting = this.#processes.get(report.process);
    if (report.report === 'started') {
      // Nobody waits for one that took too long.
      if (starting === undefined) tell(program, { order: 'signal', process: report.process, signal: 'SIGKILL' });
      else starting.pid = report.pid;
      starting?.started.resolve(report.pid);
      return;
    }
    this.#processes.delete(report.process);
    if (report.report === 'failed') starting?.started.reject(new Failed(report.code));
    else starting?.ended.resolve({ code: report.code, signal: report.signal });
  }

  /** Without a supervisor nobody would see these processes end, or end them: they are killed, to be started under the next. */
  #abandonAll(code: number | null, signal: string | null): void {
    if (this.#processes.size > 0) this.#log.error('stdio supervisor ended', { code: code ?? undefined, signal });
    for (const { started, ended, pid } of this.#processes.values()) {
      started.reject(new StdioFault('unreachable', LOST));
      if (pid !== undefined) killGroup(pid);
      ended.resolve(UNSEEN);
    }
    this.#processes.clear();
  }
}

class Failed extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

function tell(program: Program, order: Order): void {
  program.stdin.write(`${JSON.stringify(order)}\n`);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It was gone before.
  }
}
