// The supervisor: a process of its own that starts the stdio upstreams, each in a process group, and ends those groups
// when the gateway is gone, however that came about. No byte of theirs passes it: their streams are the gateway's sockets.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** What the gateway and its supervisor tell each other, a JSON text per line. */
export type Order =
  | {
      readonly order: 'start';
      readonly process: number;
      readonly command: string;
      readonly args: readonly string[];
      /** All of it: nothing is inherited. */
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string | null;
      /** What its stdin, stdout and stderr say when they connect to the gateway's socket. */
      readonly streams: readonly string[];
    }
  | { readonly order: 'signal'; readonly process: number; readonly signal: 'SIGTERM' | 'SIGKILL' };

export type Report =
  | { readonly report: 'started'; readonly process: number; readonly pid: number }
  /** `code` is the system's, such as `ENOENT`, or `NOT_A_DIRECTORY` when it is the working directory that is missing. */
  | { readonly report: 'failed'; readonly process: number; readonly code: string }
  | {
      readonly report: 'ended';
      readonly process: number;
      readonly code: number | null;
      readonly signal: string | null;
    };

type StartOrder = Extract<Order, { order: 'start' }>;

/** From SIGTERM to SIGKILL. */
const GRACE_MS = 2_000;
const POLL_MS = 20;

const socketFile = process.argv[2] ?? '';
/** Leaders of the groups that may still have a member, by the gateway's number for them. */
const groups = new Map<number, number>();
let isGatewayGone = false;

function report(message: Report): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Returns whether the group had a member to be told. */
function signalGroup(pid: number, signal: 'SIGTERM' | 'SIGKILL' | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    // ESRCH: it has none. EPERM: they have all become somebody else's.
    return false;
  }
}

/** A connection to the gateway that has said which stream it is. Never read from: what comes is the child's. */
function openStream(name: string): Promise<net.Socket> {
  const opened = Promise.withResolvers<net.Socket>();
  const socket = net.connect({ path: socketFile }).pause();
  socket.once('error', opened.reject);
  socket.write(`${name}\n`, () => opened.resolve(socket));
  return opened.promise;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

async function start(order: StartOrder): Promise<void> {
  const { process: id, command, args, env, cwd } = order;
  const fail = (error: unknown): void => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
    report({ report: 'failed', process: id, code });
  };
  if (cwd !== null && !isDirectory(cwd)) {
    report({ report: 'failed', process: id, code: 'NOT_A_DIRECTORY' });
    return;
  }
  // The socket's folder was cleaned up, so no stream could ever connect: another supervisor is started with another socket.
  if (!existsSync(socketFile)) return endAll();
  let streams: net.Socket[] = [];
  try {
    streams = await Promise.all(order.streams.map(openStream));
    if (isGatewayGone) return;
    const where = cwd === null ? {} : { cwd };
    // `detached` makes it the leader of a group of its own (setsid), which its own children belong to.
    const child = spawn(command, args, { ...where, env, stdio: streams, detached: true });
    watch(child, id, fail);
  } catch (error) {
    fail(error);
  } finally {
    // The child has its own now; while another is open here, the gateway would not see the child's end.
    for (const stream of streams) stream.destroy();
  }
}

function watch(child: ChildProcess, id: number, fail: (error: unknown) => void): void {
  const { pid } = child;
  child.once('error', (error) => {
    if (pid === undefined) fail(error);
  });
  if (pid === undefined) return;
  groups.set(id, pid);
  report({ report: 'started', process: id, pid });
  child.once('exit', (code, signal) => {
    void sweep(id, pid);
    report({ report: 'ended', process: id, code, signal });
  });
}

/** Ends what is left of a group when its leader is gone. */
async function sweep(id: number, pid: number): Promise<void> {
  if (signalGroup(pid, 'SIGTERM')) await endOf([pid]);
  groups.delete(id);
}

/** Waits for groups that were told to end, and kills what has not. */
async function endOf(pids: readonly number[]): Promise<void> {
  const deadlineMs = performance.now() + GRACE_MS;
  while (pids.some((pid) => signalGroup(pid, 0)) && performance.now() < deadlineMs) await delay(POLL_MS);
  for (const pid of pids) signalGroup(pid, 'SIGKILL');
}

async function endAll(): Promise<void> {
  isGatewayGone = true;
  const pids = [...groups.values()];
  for (const pid of pids) signalGroup(pid, 'SIGTERM');
  await endOf(pids);
  // The gateway removes it itself, unless it was killed.
  rmSync(dirname(socketFile), { recursive: true, force: true });
  process.exit();
}

function obey(order: Order): void {
  if (order.order === 'start') {
    void start(order);
    return;
  }
  const pid = groups.get(order.process);
  if (pid !== undefined) signalGroup(pid, order.signal);
}

// These may be sent to the gateway and all its children at once. It is the gateway that answers, and ends us in order.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
// Nobody reads a report when the gateway is gone.
process.stdout.on('error', () => undefined);
const orders = createInterface({ input: process.stdin });
orders.on('line', (line) => obey(JSON.parse(line)));
orders.once('close', () => void endAll());
