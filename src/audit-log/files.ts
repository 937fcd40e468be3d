// The names of the call log's files, and what is done with files in more than one place here.

import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SEGMENT = /^calls-([0-9a-f]{16})-(\d{15})\.jsonl$/;
const OF_CHAIN = /^calls-([0-9a-f]{16})[-.]/;
const READ_BYTES = 64 * 1024;
/** No line of ours is nearly as long. */
const MAX_LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** One file of a chain, known by its name alone. */
export interface Segment {
  readonly chain: string;
  readonly firstBatch: number;
  readonly name: string;
  readonly path: string;
}

export function toSegment(directory: string, chain: string, firstBatch: number): Segment {
  const name = `calls-${chain}-${String(firstBatch).padStart(15, '0')}.jsonl`;
  return { chain, firstBatch, name, path: join(directory, name) };
}

/** The segments of every chain, in the chain's order. A chain without segments is there with none. */
export function listChains(directory: string): Map<string, Segment[]> {
  const chains = new Map<string, Segment[]>();
  for (const name of listNames(directory).sort()) {
    const chain = OF_CHAIN.exec(name)?.[1];
    if (chain === undefined) continue;
    const segments = chains.get(chain) ?? [];
    chains.set(chain, segments);
    const firstBatch = SEGMENT.exec(name)?.[2];
    if (firstBatch !== undefined) segments.push(toSegment(directory, chain, Number(firstBatch)));
  }
  return chains;
}

/** The names in a directory; none where there is no directory. */
export function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

export function createDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/** Replaces a file whole or not at all, also when the power fails. */
export function replaceFile(path: string, text: string): void {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600, flush: true });
  renameSync(draft, path);
  syncDirectory(dirname(path));
}

/** A new name survives a power cut only once its directory is on disk. Windows opens no directories. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A line with its line end. The last one of a file may be without. */
export interface Line {
  readonly bytes: Buffer;
  readonly start: number;
  readonly isWhole: boolean;
}

/** The lines of a file, read in parts; the bytes are good until the next line is asked for. */
export function* readLines(path: string): Generator<Line> {
  const descriptor = openSync(path, 'r');
  try {
    const part = Buffer.allocUnsafeSlow(READ_BYTES);
    let held: Buffer = Buffer.alloc(0);
    let start = 0;
    for (;;) {
      const length = readSync(descriptor, part, 0, READ_BYTES, start + held.length);
      if (length === 0) break;
      held = Buffer.concat([held, part.subarray(0, length)]);
      let from = 0;
      for (let at = held.indexOf(NEWLINE); at >= 0; at = held.indexOf(NEWLINE, from)) {
        yield { bytes: held.subarray(from, at + 1), start: start + from, isWhole: true };
        from = at + 1;
      }
      start += from;
      held = held.subarray(from);
      // Somebody else's bytes: passed on in pieces, so that they cannot take the memory.
      if (held.length > MAX_LINE_BYTES) {
        yield { bytes: held, start, isWhole: false };
        start += held.length;
        held = Buffer.alloc(0);
      }
    }
    if (held.length > 0) yield { bytes: held, start, isWhole: false };
  } finally {
    closeSync(descriptor);
  }
}

/** The code of a failed system call, such as `ENOSPC`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
