// CPU time of a process with everything it started, read from outside so that measuring costs the process nothing.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { platform } from 'node:os';

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly cpuMs: number;
}

// The kernel reports in USER_HZ, which is 100 on every Linux that Node runs on.
const MS_PER_TICK = 10;

/** User plus system time in milliseconds that `pid` and its descendants have used so far, all threads included. */
export function cpuMsOfTree(pid: number): number {
  const rows = platform() === 'linux' ? processesFromProc() : processesFromPs();
  const tree = new Set([pid]);
  // A child may stand before its parent in the list: repeat until nothing is added.
  for (let size = 0; size !== tree.size; ) {
    size = tree.size;
    for (const row of rows) if (tree.has(row.parent)) tree.add(row.pid);
  }
  return rows.reduce((sum, row) => (tree.has(row.pid) ? sum + row.cpuMs : sum), 0);
}

function processesFromProc(): ProcessRow[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = readStat(name);
      if (stat === undefined) return [];
      // The second field is the command in parentheses and may hold spaces: fields count from its end (proc(5): state is 3).
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
      // cutime and cstime hold what children that have ended used: a worker that ends during a round stays counted.
      const ticks = (utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0);
      return [{ pid: Number(name), parent: Number(fields[1]), cpuMs: ticks * MS_PER_TICK }];
    });
}

function readStat(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined; // Processes end between the listing and the reading.
  }
}

function processesFromPs(): ProcessRow[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,time='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [pid, parent, time] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), cpuMs: parsePsTime(time ?? '') };
  });
}

/** `[[days-]hours:]minutes:seconds[.hundredths]`, as ps writes it, in milliseconds. */
function parsePsTime(time: string): number {
  const [clock = '', days = '0'] = time.split('-').reverse();
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return (Number(days) * 86_400 + seconds) * 1000;
}
