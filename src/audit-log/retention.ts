// Deletes whole segments that are too old, and the oldest ones while all together are too large. A signed note says
// first where the chain begins from then on.

import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ChainClaim } from './chain-claim.ts';
import { listChains, listNames, type Segment } from './files.ts';
import { type CallLogKeys, originOf } from './format.ts';
import { readNote, writeNote } from './retained-note.ts';
import { scanSegment } from './scan-segment.ts';

export interface RetentionOptions {
  readonly directory: string;
  readonly keys: CallLogKeys;
  /** 0 keeps all. */
  readonly keepDays: number;
  readonly keepBytes: number;
  readonly now: () => number;
  /** The chain that this process has, and the segment it writes to. */
  readonly own: { readonly chain: string; readonly segment: string | undefined };
}

interface Aged extends Segment {
  readonly bytes: number;
  readonly writtenMs: number;
}

const DAY_MS = 24 * 3_600_000;

/** Returns the names of what was deleted. */
export function retain(options: RetentionOptions): string[] {
  const { directory, keepDays, now } = options;
  const chains = [...listChains(directory)].map(([chain, segments]) => ({ chain, segments: segments.flatMap(toAged) }));
  const oldestMs = keepDays === 0 ? 0 : now() - keepDays * DAY_MS;
  let excess = excessBytes(
    options,
    chains.flatMap(({ segments }) => segments),
  );
  const due = new Map<string, Aged[]>();
  // The oldest first, whosever they are; within a chain that is its own order.
  for (const segment of inOrderOfAge(chains.map(({ segments }) => segments))) {
    if (segment.name === options.own.segment) continue;
    if (segment.writtenMs >= oldestMs && excess <= 0) continue;
    excess -= segment.bytes;
    due.set(segment.chain, [...(due.get(segment.chain) ?? []), segment]);
  }
  const deleted = [...due].flatMap(([chain, segments]) => withClaim(options, chain, () => remove(options, segments)));
  return [...deleted, ...removeTorn(directory, oldestMs)];
}

function excessBytes({ keepBytes }: RetentionOptions, segments: readonly Aged[]): number {
  if (keepBytes === 0) return 0;
  return segments.reduce((sum, { bytes }) => sum + bytes, 0) - keepBytes;
}

function toAged(segment: Segment): Aged[] {
  const stat = statSync(segment.path, { throwIfNoEntry: false });
  return stat === undefined ? [] : [{ ...segment, bytes: stat.size, writtenMs: stat.mtimeMs }];
}

/** A segment never comes before one that its chain has before it, whatever the clocks said. */
function inOrderOfAge(chains: readonly (readonly Aged[])[]): Aged[] {
  return chains
    .flatMap((segments) => {
      let latestMs = 0;
      return segments.map((segment) => {
        latestMs = Math.max(latestMs, segment.writtenMs);
        return { ...segment, writtenMs: latestMs };
      });
    })
    .sort((a, b) => a.writtenMs - b.writtenMs || a.firstBatch - b.firstBatch);
}

/** Only who has a chain may shorten it. A chain of a process that lives is its own to shorten. */
function withClaim({ directory, own, now }: RetentionOptions, chain: string, work: () => string[]): string[] {
  if (chain === own.chain) return work();
  const claim = ChainClaim.take(directory, chain, now());
  if (claim === undefined) return [];
  try {
    return work();
  } finally {
    claim.release();
  }
}

/** Deletes the first segments of a chain, unless anything is wrong with them: that is evidence, and no note may cover it. */
function remove({ directory, keys }: RetentionOptions, segments: readonly Aged[]): string[] {
  const [first] = segments;
  const note = first && readNote(directory, first.chain, keys);
  if (first === undefined || note === 'invalid') return [];
  let before = note ?? originOf(keys, first.chain);
  // Batches before these were deleted by somebody else.
  if (first.firstBatch - 1 > before.batch) return [];
  for (const segment of segments) {
    // Of segments that the note speaks of already, deleting was begun and a crash came between.
    const expected = segment.firstBatch - 1 < before.batch ? undefined : before;
    const { problems, end, unsealedBytes } = scanSegment(segment, keys, { expected });
    if (problems.length > 0 || end === undefined || unsealedBytes > 0) return [];
    before = end;
  }
  if (note === undefined || note.batch < before.batch) writeNote(directory, first.chain, keys, before);
  for (const { path } of segments) rmSync(path, { force: true });
  return segments.map(({ name }) => name);
}

function removeTorn(directory: string, oldestMs: number): string[] {
  const torn = listNames(directory).filter((name) => {
    if (!/^calls-.*\.torn-\d+$/.test(name)) return false;
    return (statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? oldestMs) < oldestMs;
  });
  for (const name of torn) rmSync(join(directory, name), { force: true });
  return torn;
}
