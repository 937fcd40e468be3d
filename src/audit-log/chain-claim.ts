// Which process writes a chain. A claim is a file with a number, and the highest number holds: taking over means making
// the next one, which only one process can. A claim is taken over only when its holder is known to have ended.

import {
  closeSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { codeOf, listNames } from './files.ts';

/** A claim that nobody has refreshed this long has no holder, wherever it ran. */
const ABANDONED_MS = 300_000;
const REFRESH_MS = 30_000;
const RELEASED = 'released';

interface Holder {
  readonly host: string;
  readonly pid: number;
  /** When the process started, in the kernel's ticks, and in which world its pid means something; `null` where there is no /proc. */
  readonly started: string | null;
  readonly world: string | null;
}

export class ChainClaim {
  readonly chain: string;
  readonly #directory: string;
  readonly #number: number;
  #refreshedMs: number;

  private constructor(directory: string, chain: string, number: number, nowMs: number) {
    this.#directory = directory;
    this.chain = chain;
    this.#number = number;
    this.#refreshedMs = nowMs;
  }

  /** Whether its last writer has let go of the chain: then it ended in a seal. */
  static isReleased(directory: string, chain: string): boolean {
    const path = claimPath(directory, chain, highest(directory, chain));
    try {
      return readFileSync(path, 'utf8') === RELEASED;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Claims the chain for this process, or returns `undefined` when another one may still be writing it. */
  static take(directory: string, chain: string, nowMs: number): ChainClaim | undefined {
    const last = highest(directory, chain);
    if (last > 0 && !isFree(directory, chain, last)) return undefined;
    const path = claimPath(directory, chain, last + 1);
    try {
      const descriptor = openSync(path, 'wx', 0o600);
      try {
        writeSync(descriptor, JSON.stringify(thisProcess()));
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return undefined;
      throw error;
    }
    // Another process may have made this claim and a higher one since the look above, and deleted this one again.
    if (highest(directory, chain) !== last + 1) {
      rmSync(path, { force: true });
      return undefined;
    }
    for (const number of numbersOf(directory, chain)) {
      if (number <= last) rmSync(claimPath(directory, chain, number), { force: true });
    }
    return new ChainClaim(directory, chain, last + 1, nowMs);
  }

  /** Whether this process still has the chain: it may have been asleep so long that another one took it for dead. */
  isHeld(nowMs: number): boolean {
    if (Math.abs(nowMs - this.#refreshedMs) < REFRESH_MS) return true;
    if (highest(this.#directory, this.chain) !== this.#number) return false;
    utimesSync(this.#path, new Date(), new Date());
    this.#refreshedMs = nowMs;
    return true;
  }

  /** Lets go. The file stays, for the numbers must rise. */
  release(): void {
    if (highest(this.#directory, this.chain) === this.#number) writeFileSync(this.#path, RELEASED);
  }

  get #path(): string {
    return claimPath(this.#directory, this.chain, this.#number);
  }
}

function claimPath(directory: string, chain: string, number: number): string {
  return join(directory, `calls-${chain}.${number}.claim`);
}

function numbersOf(directory: string, chain: string): number[] {
  const claim = new RegExp(`^calls-${chain}\\.(\\d{1,15})\\.claim$`);
  return listNames(directory).flatMap((name) => {
    const number = claim.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}

function highest(directory: string, chain: string): number {
  return Math.max(0, ...numbersOf(directory, chain));
}

/** Whether the holder of a claim has certainly ended. In doubt it has not: another chain costs nothing. */
function isFree(directory: string, chain: string, number: number): boolean {
  const path = claimPath(directory, chain, number);
  let text: string;
  let mtimeMs: number;
  try {
    text = readFileSync(path, 'utf8');
    mtimeMs = statSync(path).mtimeMs;
  } catch (error) {
    // Another process has just taken over.
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
  if (text === RELEASED) return true;
  const holder = parseHolder(text);
  const here = thisProcess();
  if (holder !== undefined && holder.host === here.host && holder.world === here.world) {
    if (here.world !== null) return startOf(holder.pid) !== holder.started;
    return !isRunning(holder.pid);
  }
  return fileSystemNowMs(directory) - mtimeMs > ABANDONED_MS;
}

function parseHolder(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    // It is being written at this moment, or its writer died there: its age decides.
    return undefined;
  }
}

function thisProcess(): Holder {
  const { pid } = process;
  return { host: hostname(), pid, started: startOf(pid), world: readWorld() };
}

/** This boot of this machine, and the process namespace: in another container the same pid is another process. */
function readWorld(): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    // No Linux.
    return null;
  }
}

/** When a process started, or `null` when there is none. The name before it may hold anything, so it is cut off. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more.
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== 'ESRCH';
  }
}

/** The clock that stamps the files, which on a network disk is another machine's. */
function fileSystemNowMs(directory: string): number {
  const probe = join(directory, `.clock-${process.pid}-${process.hrtime.bigint()}`);
  try {
    writeFileSync(probe, '', { mode: 0o600 });
    return statSync(probe).mtimeMs;
  } finally {
    rmSync(probe, { force: true });
  }
}
