// Verifies a directory of call logs: every record that was edited, every batch or segment that was deleted, inserted or
// reordered, and, with a checkpoint, whatever was cut off at the end.

import { join } from 'node:path';
import { ChainClaim } from './chain-claim.ts';
import type { Checkpoint } from './checkpoint.ts';
import { codeOf, listChains, type Segment } from './files.ts';
import { type CallLogKeys, type ChainHead, isSameMac, originOf } from './format.ts';
import { notePath, readNote } from './retained-note.ts';
import { type SegmentScan, scanSegment } from './scan-segment.ts';

/** Something that is not as the gateway wrote it. */
export interface Finding {
  readonly file: string;
  /** From 1; `null` where it is about the whole file, or about one that is gone. */
  readonly line: number | null;
  readonly message: string;
}

export interface CallLogReport {
  readonly chains: number;
  readonly segments: number;
  readonly batches: number;
  readonly records: number;
  readonly findings: readonly Finding[];
  /** What is no sign of a forgery: an end that a crash has left, a cut that was mended. */
  readonly notes: readonly string[];
}

/**
 * Reads every segment in `directory`, a few hundred KiB at a time. The log may be in use: read the checkpoint first, for
 * what it speaks of has been written by then. Throws what the file system throws.
 */
export function verifyCallLog(directory: string, keys: CallLogKeys, checkpoint?: Checkpoint): CallLogReport {
  const verification = new Verification(directory, keys, checkpoint);
  const chains = listChains(directory);
  for (const [chain, segments] of chains) verification.addChain(chain, segments);
  for (const [chain, { batch }] of Object.entries(checkpoint?.calls ?? {})) {
    if (batch > 0 && !chains.has(chain)) verification.reportGone(chain, batch);
  }
  return verification.report(chains.size);
}

/** How often a chain is looked at again that retention shortens at this moment. */
const ATTEMPTS = 5;

class Verification {
  readonly #directory: string;
  readonly #keys: CallLogKeys;
  readonly #checkpoint: Checkpoint | undefined;
  readonly #findings: Finding[] = [];
  readonly #notes: string[] = [];
  #segments = 0;
  #batches = 0;
  #records = 0;

  constructor(directory: string, keys: CallLogKeys, checkpoint: Checkpoint | undefined) {
    this.#directory = directory;
    this.#keys = keys;
    this.#checkpoint = checkpoint;
  }

  report(chains: number): CallLogReport {
    return {
      chains,
      segments: this.#segments,
      batches: this.#batches,
      records: this.#records,
      findings: this.#findings,
      notes: this.#notes,
    };
  }

  reportGone(chain: string, batch: number): void {
    this.#find(`calls-${chain}`, null, `all of this chain is gone; the checkpoint has seen its batch ${batch}`);
  }

  addChain(chain: string, listed: readonly Segment[]): void {
    const watch = this.#checkpoint?.calls[chain]?.batch;
    let segments = listed;
    for (let attempt = 1; ; attempt++) {
      try {
        const note = readNote(this.#directory, chain, this.#keys);
        this.#judge(chain, note, this.#scanAll(chain, note, segments, watch));
        return;
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error;
        segments = listChains(this.#directory).get(chain) ?? [];
      }
    }
  }

  #scanAll(chain: string, note: Note, segments: readonly Segment[], watch: number | undefined): ScannedSegment[] {
    let before = this.#beginningOf(chain, note, segments[0]);
    return segments.map((segment) => {
      const scan = scanSegment(segment, this.#keys, { expected: before, watch });
      before = scan.end;
      return { segment, scan };
    });
  }

  /** Where the first segment must begin; `undefined` for what only its seals can say. */
  #beginningOf(chain: string, note: Note, first: Segment | undefined): ChainHead | undefined {
    if (first?.firstBatch === 1) return originOf(this.#keys, chain);
    return note !== 'invalid' && note?.batch === (first?.firstBatch ?? 0) - 1 ? note : undefined;
  }

  #judge(chain: string, note: Note, scanned: readonly ScannedSegment[]): void {
    if (note === 'invalid') {
      this.#find(notePath(this.#directory, chain), null, 'this note of what retention has deleted is not ours');
    }
    const retained = note === 'invalid' || note === undefined ? 0 : note.batch;
    const [first] = scanned;
    if (first !== undefined && first.segment.firstBatch - 1 > retained) {
      const { path, firstBatch } = first.segment;
      this.#find(path, 1, `batches ${retained + 1} to ${firstBatch - 1} before this segment were deleted`);
    }
    scanned.forEach(({ segment, scan }, index) => {
      this.#count(segment, scan);
      if (scan.unsealedBytes > 0) this.#judgeUnsealed(segment, scan, index === scanned.length - 1);
    });
    const end = scanned.at(-1)?.scan.end?.batch;
    const last = scanned.at(-1)?.segment.path ?? join(this.#directory, `calls-${chain}`);
    // A broken seal may leave nothing that says where the chain stands; that was reported.
    if (end !== undefined || scanned.length === 0) this.#compare(chain, last, Math.max(end ?? 0, retained), scanned);
  }

  #count(segment: Segment, scan: SegmentScan): void {
    this.#segments++;
    this.#batches += scan.batches;
    this.#records += scan.records;
    for (const { line, message } of scan.problems) this.#find(segment.path, line, message);
    if (scan.recoveries > 0) {
      this.#notes.push(`${segment.name}: says that an end which a crash had left unsealed was cut off before it`);
    }
  }

  /** Only a writer that lives, or that was killed, leaves an end without a seal. */
  #judgeUnsealed({ chain, name, path }: Segment, { unsealedLine, unsealedBytes }: SegmentScan, isLast: boolean): void {
    if (isLast && !ChainClaim.isReleased(this.#directory, chain)) {
      this.#notes.push(`${name}: its last ${unsealedBytes} bytes are not sealed yet, or were left so by a crash`);
    } else this.#find(path, unsealedLine, 'what follows here is not sealed: it was added, or its seal deleted');
  }

  #compare(chain: string, file: string, end: number, scanned: readonly ScannedSegment[]): void {
    const seen = this.#checkpoint?.calls[chain];
    if (seen === undefined) return;
    if (end < seen.batch) {
      this.#find(
        file,
        null,
        `the chain ends at batch ${end}; the checkpoint has seen batch ${seen.batch}: it was cut off`,
      );
    }
    const found = scanned.find(({ scan }) => scan.watched !== undefined);
    if (found?.scan.watched !== undefined && !isSameMac(found.scan.watched, seen.mac)) {
      this.#find(found.segment.path, null, `batch ${seen.batch} is not the one that the checkpoint has seen`);
    }
  }

  #find(file: string, line: number | null, message: string): void {
    this.#findings.push({ file, line, message });
  }
}

type Note = ReturnType<typeof readNote>;

interface ScannedSegment {
  readonly segment: Segment;
  readonly scan: SegmentScan;
}
