// The chain this process writes: seals a batch, appends it with one write, and begins a new segment when the one in use
// is large or old.

import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, rmSync, writeSync, writevSync } from 'node:fs';
import { GatewayError } from '../domain/errors.ts';
import { toRecoveryLine } from './call-record.ts';
import { ChainClaim } from './chain-claim.ts';
import type { Checkpoint } from './checkpoint.ts';
import { createDirectory, listChains, type Segment, toSegment } from './files.ts';
import { BatchMac, type CallLogKeys, type ChainHead, originOf, toHeadLine, toSealLine } from './format.ts';
import { type Broken, type ChainEnd, recoverChain } from './recover-chain.ts';

/** A segment is this old at most, so that retention by age has something to delete. */
const SEGMENT_MS = 24 * 3_600_000;

export interface ChainOptions {
  readonly directory: string;
  readonly keys: CallLogKeys;
  readonly segmentBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What a checkpoint has seen of the chains. */
  readonly checkpoint: Checkpoint | undefined;
  /** Told of a chain that cannot be continued because it is not as it was written. */
  readonly onBroken: (broken: Broken) => void;
  readonly onCut: (cut: { readonly segment: string; readonly bytes: number }) => void;
}

interface OpenSegment {
  readonly segment: Segment;
  readonly descriptor: number;
  bytes: number;
  readonly sinceMs: number;
}

export class Chain {
  readonly #options: ChainOptions;
  readonly #claim: ChainClaim;
  #head: ChainHead;
  #open: OpenSegment | undefined;

  private constructor(options: ChainOptions, claim: ChainClaim, end: ChainEnd) {
    this.#options = options;
    this.#claim = claim;
    this.#head = end.head;
    if (end.open === undefined) return;
    const { segment, bytes } = end.open;
    const descriptor = openSync(segment.path, 'r+');
    this.#open = { segment, descriptor, bytes, sinceMs: fstatSync(descriptor).birthtimeMs };
  }

  /** Continues a chain whose writer has ended, or begins one. Throws what the file system throws. */
  static open(options: ChainOptions): Chain {
    const { directory, keys } = options;
    createDirectory(directory);
    for (const [chain, segments] of listChains(directory)) {
      const continued = Chain.#continue(options, chain, segments);
      if (continued !== undefined) return continued;
    }
    const chain = randomBytes(8).toString('hex');
    const claim = ChainClaim.take(directory, chain, options.now());
    if (claim === undefined) throw new GatewayError('internal', `The new chain ${chain} is claimed already.`);
    return new Chain(options, claim, { head: originOf(keys, chain), open: undefined, cut: undefined });
  }

  static #continue(options: ChainOptions, chain: string, segments: readonly Segment[]): Chain | undefined {
    const { directory, keys, checkpoint, now, onBroken, onCut } = options;
    const claim = ChainClaim.take(directory, chain, now());
    if (claim === undefined) return undefined;
    try {
      const end = recoverChain({ directory, chain, segments, keys, checkpointed: checkpoint?.calls[chain] });
      if ('why' in end) {
        onBroken(end);
        claim.release();
        return undefined;
      }
      const continued = new Chain(options, claim, end);
      if (end.cut !== undefined) {
        onCut(end.cut);
        const time = new Date(now()).toISOString();
        continued.append(Buffer.from(toRecoveryLine(time, end.cut.segment, end.cut.bytes), 'latin1'), 1);
      }
      return continued;
    } catch (error) {
      claim.release();
      throw error;
    }
  }

  get id(): string {
    return this.#claim.chain;
  }

  get head(): ChainHead {
    return this.#head;
  }

  /** The name of the segment in use. */
  get segment(): string | undefined {
    return this.#open?.segment.name;
  }

  /** False when another process has taken the chain over: this one must not write to it any more. */
  isHeld(): boolean {
    return this.#claim.isHeld(this.#options.now());
  }

  /**
   * Seals records, which are whole lines, and writes them. Returns whether a segment was begun. Throws what the file
   * system throws; then nothing was added, and the same records can be given again.
   */
  append(records: Buffer, count: number): boolean {
    const isNew = this.#open === undefined || this.#isDone(this.#open);
    const open = isNew ? this.#begin() : (this.#open as OpenSegment);
    const { mac: previous } = this.#head;
    const batch = this.#head.batch + 1;
    const mac = new BatchMac(this.#options.keys, previous, batch).add(records).digest();
    const seal = Buffer.from(toSealLine({ batch, records: count, previous, mac }), 'latin1');
    writeWhole(open, records, seal);
    this.#head = { batch, mac };
    return isNew;
  }

  /** Ends the segment in use where it is old, so that retention may have it though no call comes. */
  endOldSegment(): void {
    if (this.#open === undefined || !this.#isOld(this.#open)) return;
    this.sync();
    this.#closeSegment();
  }

  /** Puts what is sealed on the disk: what a checkpoint speaks of must not be lost when the power fails. */
  sync(): void {
    if (this.#open !== undefined) fdatasyncSync(this.#open.descriptor);
  }

  /** Lets go of the chain, for the next process to continue it; of one that another process has taken over, of the file alone. */
  close(): void {
    this.#closeSegment();
    this.#claim.release();
  }

  /** Full, old, or no longer the file that we wrote: whoever deleted or lengthened it shall not take what comes after with it. */
  #isDone(open: OpenSegment): boolean {
    if (open.bytes >= this.#options.segmentBytes || this.#isOld(open)) return true;
    const { nlink, size } = fstatSync(open.descriptor);
    return nlink === 0 || size !== open.bytes;
  }

  #isOld({ sinceMs }: OpenSegment): boolean {
    return this.#options.now() - sinceMs > SEGMENT_MS;
  }

  #begin(): OpenSegment {
    // A checkpoint syncs the segment in use only.
    this.sync();
    this.#closeSegment();
    const { directory, now } = this.#options;
    const { batch, mac: previous } = this.#head;
    const segment = toSegment(directory, this.id, batch + 1);
    const open = { segment, descriptor: openSync(segment.path, 'wx', 0o600), bytes: 0, sinceMs: now() };
    try {
      writeWhole(open, Buffer.from(toHeadLine({ chain: this.id, firstBatch: batch + 1, previous }), 'latin1'));
    } catch (error) {
      closeSync(open.descriptor);
      rmSync(segment.path, { force: true });
      throw error;
    }
    this.#open = open;
    return open;
  }

  #closeSegment(): void {
    if (this.#open !== undefined) closeSync(this.#open.descriptor);
    this.#open = undefined;
  }
}

/** At its place and not at the end: what a failed write has left there is written over by the next one. */
function writeWhole(open: OpenSegment, ...parts: readonly Buffer[]): void {
  const { descriptor, bytes: start } = open;
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  try {
    let written = writevSync(descriptor, parts, start);
    // Only a disk that is full takes a part; the rest of it fails and says so.
    const whole = written < length ? Buffer.concat(parts) : undefined;
    while (whole !== undefined && written < length) {
      written += writeSync(descriptor, whole, written, length - written, start + written);
    }
  } catch (error) {
    ftruncateSync(descriptor, start);
    throw error;
  }
  open.bytes += length;
}
