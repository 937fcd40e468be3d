// Finds the end of a chain that is to be continued, and cuts off what a crash has left behind it. What looks like
// anything else than a crash is left as it is, for verification to find.

import { closeSync, ftruncateSync, openSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Segment } from './files.ts';
import { type CallLogKeys, type ChainHead, isSameMac, originOf } from './format.ts';
import { readNote } from './retained-note.ts';
import { type SegmentScan, scanSegment } from './scan-segment.ts';

export interface ChainEnd {
  readonly head: ChainHead;
  /** The segment to go on in, and its size; `undefined` when the next batch begins one. */
  readonly open: { readonly segment: Segment; readonly bytes: number } | undefined;
  /** What was cut off, if anything was. */
  readonly cut: { readonly segment: string; readonly bytes: number } | undefined;
}

/** Why a chain is not continued. */
export interface Broken {
  readonly file: string;
  readonly why: string;
}

export interface RecoverInput {
  readonly directory: string;
  readonly chain: string;
  readonly segments: readonly Segment[];
  readonly keys: CallLogKeys;
  /** Where a checkpoint has seen the chain. */
  readonly checkpointed: ChainHead | undefined;
}

/** Of what is cut off, this much is kept in a file of its own. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** The end of the chain, after the cut, or why the chain must be left alone. */
export function recoverChain(input: RecoverInput): ChainEnd | Broken {
  const { directory, chain, segments, keys, checkpointed } = input;
  const note = readNote(directory, chain, keys);
  if (note === 'invalid') return { file: chain, why: 'its note of what retention has deleted is not ours' };
  const last = segments.at(-1);
  const scan = last && scanSegment(last, keys, { watch: checkpointed?.batch });
  const problem = scan?.problems[0];
  if (last !== undefined && problem !== undefined) return { file: last.name, why: problem.message };
  const isBegun = scan !== undefined && scan.batches === 0;
  const before = isBegun ? recoverBefore(segments.at(-2), keys, note ?? originOf(keys, chain)) : undefined;
  const head = before ?? scan?.end ?? note ?? originOf(keys, chain);
  if ('why' in head) return head;
  const truncation = findTruncation(head, scan, checkpointed);
  if (truncation !== undefined) return { file: last?.name ?? chain, why: truncation };
  if (last === undefined || scan === undefined) return { head, open: undefined, cut: undefined };
  const cut = scan.unsealedBytes === 0 ? undefined : { segment: last.name, bytes: scan.unsealedBytes };
  if (isBegun) {
    if (cut === undefined) rmSync(last.path);
    else renameSync(last.path, tornPath(last));
    return { head, open: undefined, cut };
  }
  if (cut !== undefined) cutOff(last, scan);
  return { head, open: { segment: last, bytes: scan.sealedBytes }, cut };
}

/** Where the chain stood when its last segment was begun, in which nothing is sealed yet. */
function recoverBefore(segment: Segment | undefined, keys: CallLogKeys, beginning: ChainHead): ChainHead | Broken {
  if (segment === undefined) return beginning;
  const { problems, end, batches, unsealedBytes } = scanSegment(segment, keys);
  const why = problems[0]?.message;
  if (why !== undefined) return { file: segment.name, why };
  if (end !== undefined && batches > 0 && unsealedBytes === 0) return end;
  return { file: segment.name, why: 'it is not the last and does not end in a seal' };
}

/** A chain that a checkpoint has seen further on, or otherwise, has been cut: to continue it would hide that. */
function findTruncation(
  head: ChainHead,
  scan: SegmentScan | undefined,
  checkpointed: ChainHead | undefined,
): string | undefined {
  if (checkpointed === undefined) return undefined;
  if (head.batch < checkpointed.batch) {
    return `it ends at batch ${head.batch}, and the checkpoint has seen batch ${checkpointed.batch}`;
  }
  return scan?.watched === undefined || isSameMac(scan.watched, checkpointed.mac)
    ? undefined
    : `its batch ${checkpointed.batch} is not the one that the checkpoint has seen`;
}

/** Moves what follows the last seal into a file of its own: it is no part of the log, and may still tell something. */
function cutOff(segment: Segment, { sealedBytes, unsealedBytes }: SegmentScan): void {
  const torn = Buffer.alloc(Math.min(unsealedBytes, MAX_KEPT_BYTES));
  const descriptor = openSync(segment.path, 'r+');
  try {
    readSync(descriptor, torn, 0, torn.length, sealedBytes);
    writeFileSync(tornPath(segment), torn, { mode: 0o600 });
    ftruncateSync(descriptor, sealedBytes);
  } finally {
    closeSync(descriptor);
  }
}

function tornPath({ path }: Segment): string {
  return `${path}.torn-${process.hrtime.bigint()}`;
}
