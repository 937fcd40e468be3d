// Finds processes by a mark in the environment they were started with, wherever they have gone since. Linux only.

import { readdirSync, readFileSync } from 'node:fs';

export interface FoundProcess {
  readonly pid: number;
  readonly parentPid: number;
  /** Its arguments, with spaces between them. */
  readonly command: string;
}

/** Those whose first environment holds `mark`; what has ended and waits for its parent is none. */
export function processesMarked(mark: string): FoundProcess[] {
  return allProcesses().filter(({ pid }) => readText(`/proc/${pid}/environ`).includes(mark));
}

export function childrenOf(parentPid: number): FoundProcess[] {
  return allProcesses().filter((each) => each.parentPid === parentPid);
}

export function isRunning(pid: number): boolean {
  return allProcesses().some((each) => each.pid === pid);
}

function allProcesses(): FoundProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    // Behind the name, which may hold anything: state and parent.
    const [state, parentPid] = readText(`/proc/${name}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ');
    if (state === undefined || parentPid === undefined || 'ZX'.includes(state)) return [];
    const command = readText(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim();
    return [{ pid: Number(name), parentPid: Number(parentPid), command }];
  });
}

/** Of a process that is gone meanwhile, or somebody else's: nothing. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
