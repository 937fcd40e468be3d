// CPU time and memory of a process with everything it started, read from outside so that measuring costs it nothing.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { platform } from 'node:os';

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly cpuMs: number;
}

/** What a process, or a tree of them, has used up to a moment. */
export interface CpuReading {
  /** In steps of 10 ms, and complete: what threads and children that have ended used is in it. */
  readonly coarseMs: number;
  /** To the nanosecond, but only of threads that live; `undefined` where the system does not tell. */
  readonly exactMs: number | undefined;
}

// The kernel reports in USER_HZ, which is 100 on every Linux that Node runs on.
const MS_PER_TICK = 10;
const NS_PER_MS = 1e6;
/** Two ticks may be lost at each end of each of a few processes; what is missing beyond that was used by threads that ended. */
const COARSE_ERROR_MS = 60;

/** Of `pid` and its descendants. */
export function readCpu(pid: number): CpuReading {
  const tree = treeOf(pid);
  const exact = tree.map((row) => exactMsOf(row.pid));
  return {
    coarseMs: tree.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    exactMs: exact.includes(undefined) ? undefined : exact.reduce<number>((sum, ms = 0) => sum + ms, 0),
  };
}

/** User plus system time in milliseconds between two readings: exact unless a thread took its share with it. */
export function cpuMsBetween(before: CpuReading, after: CpuReading): number {
  const coarseMs = after.coarseMs - before.coarseMs;
  if (before.exactMs === undefined || after.exactMs === undefined) return coarseMs;
  const exactMs = after.exactMs - before.exactMs;
  return Math.abs(coarseMs - exactMs) <= COARSE_ERROR_MS ? exactMs : coarseMs;
}

/** Resident memory of the tree in bytes. What its processes share is counted in each. */
export function rssBytes(pid: number): number {
  if (platform() !== 'linux') return rssFromPs(pid);
  const kibOf = (each: number) => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readProc(each, 'status') ?? '')?.[1] ?? 0);
  return treeOf(pid).reduce((sum, row) => sum + kibOf(row.pid) * 1024, 0);
}

function treeOf(pid: number): ProcessRow[] {
  const rows = platform() === 'linux' ? processesFromProc() : processesFromPs();
  const tree = new Set([pid]);
  // A child may stand before its parent in the list: repeat until nothing is added.
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const row of rows) if (tree.has(row.parent)) tree.add(row.pid);
  }
  return rows.filter((row) => tree.has(row.pid));
}

function exactMsOf(pid: number): number | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const times = threads.map((thread) => Number(readProc(pid, `task/${thread}/schedstat`)?.split(' ')[0] ?? 0));
    return times.reduce((sum, ns) => sum + ns, 0) / NS_PER_MS;
  } catch {
    return undefined;
  }
}

function processesFromProc(): ProcessRow[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = readProc(Number(name), 'stat');
      if (stat === undefined) return [];
      // The second field is the command in parentheses and may hold spaces: fields count from its end (proc(5): state is 3).
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
      // cutime and cstime hold what children that have ended used: a worker that ends during a round stays counted.
      const ticks = (utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0);
      return [{ pid: Number(name), parent: Number(fields[1]), cpuMs: ticks * MS_PER_TICK }];
    });
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return undefined; // Processes and threads end between the listing and the reading.
  }
}

function processesFromPs(): ProcessRow[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,time='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [pid, parent, time] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), cpuMs: parsePsTime(time ?? '') };
  });
}

function rssFromPs(pid: number): number {
  const pids = treeOf(pid).map((row) => row.pid);
  const sizes = execFileSync('ps', ['-o', 'rss=', '-p', pids.join()], { encoding: 'utf8' }).trim().split('\n');
  return sizes.reduce((sum, kib) => sum + Number(kib) * 1024, 0);
}

/** `[[days-]hours:]minutes:seconds[.hundredths]`, as ps writes it, in milliseconds. */
function parsePsTime(time: string): number {
  const [clock = '', days = '0'] = time.split('-').reverse();
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1000;
}
