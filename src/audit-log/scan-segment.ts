// Reads one segment from its head to its last seal, and says what does not fit. Recovery after a crash and verification
// judge by this one reading.

import { closeSync, openSync, readSync } from 'node:fs';
import { type Line, readLines, type Segment } from './files.ts';
import {
  BatchMac,
  type BatchSeal,
  type CallLogKeys,
  type ChainHead,
  isSameMac,
  isSealLine,
  parseHeadLine,
  parseSealLine,
} from './format.ts';

export interface Problem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

export interface SegmentScan {
  readonly batches: number;
  readonly records: number;
  /** After the last seal; `undefined` when nothing tells where the chain stands. */
  readonly end: ChainHead | undefined;
  /** How many bytes are sealed, the head included, and how many follow that are not. */
  readonly sealedBytes: number;
  readonly unsealedBytes: number;
  /** Where what is not sealed begins. */
  readonly unsealedLine: number;
  readonly problems: readonly Problem[];
  /** The seal of the batch that was asked for, if it is here. */
  readonly watched: string | undefined;
  /** Marks of cuts after a crash. */
  readonly recoveries: number;
}

export interface ScanOptions {
  /** Where the chain stands before this segment; `undefined` takes the head's word for it. */
  readonly expected?: ChainHead | undefined;
  /** The number of a batch whose seal is wanted. */
  readonly watch?: number | undefined;
}

const RECOVERY = /^\{"time":"[^"]*","recovered":/;
const READ_BYTES = 64 * 1024;

export function scanSegment(segment: Segment, keys: CallLogKeys, options: ScanOptions = {}): SegmentScan {
  const descriptor = openSync(segment.path, 'r');
  try {
    const scan = new Scan(segment, keys, descriptor, options);
    for (const line of readLines(segment.path)) scan.push(line);
    return scan.finish();
  } finally {
    closeSync(descriptor);
  }
}

class Scan {
  readonly #segment: Segment;
  readonly #keys: CallLogKeys;
  readonly #descriptor: number;
  readonly #watch: number | undefined;
  readonly #part = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #problems: Problem[] = [];
  #at: ChainHead | undefined;
  #watched: string | undefined;
  #line = 0;
  #bytes = 0;
  #batches = 0;
  #records = 0;
  #recoveries = 0;
  /** Of the batch that is being read. */
  #start = 0;
  #startLine = 1;
  #pending = 0;

  constructor(segment: Segment, keys: CallLogKeys, descriptor: number, { expected, watch }: ScanOptions) {
    this.#segment = segment;
    this.#keys = keys;
    this.#descriptor = descriptor;
    this.#at = expected;
    this.#watch = watch;
  }

  push(line: Line): void {
    this.#line++;
    this.#bytes += line.bytes.length;
    if (!line.isWhole) return;
    if (this.#line === 1) this.#readHead(line.bytes);
    else if (isSealLine(line.bytes)) this.#readSeal(line);
    else {
      this.#pending++;
      if (RECOVERY.test(line.bytes.toString('latin1', 0, 64))) this.#recoveries++;
    }
  }

  finish(): SegmentScan {
    return {
      batches: this.#batches,
      records: this.#records,
      end: this.#at,
      sealedBytes: this.#start,
      unsealedBytes: this.#bytes - this.#start,
      unsealedLine: this.#startLine,
      problems: this.#problems,
      watched: this.#watched,
      recoveries: this.#recoveries,
    };
  }

  #readHead(bytes: Buffer): void {
    const head = parseHeadLine(bytes);
    const { chain, firstBatch } = this.#segment;
    if (head === undefined || head.chain !== chain || head.firstBatch !== firstBatch) {
      this.#report('this is not the head line of this file');
    } else {
      const before = { batch: firstBatch - 1, mac: head.previous };
      if (this.#at !== undefined && !isSame(this.#at, before)) {
        this.#report(
          `this segment does not follow batch ${this.#at.batch}: segments were deleted, changed or reordered`,
        );
      }
      this.#at = before;
    }
    this.#next(bytes.length);
  }

  #readSeal({ bytes, start }: Line): void {
    const seal = parseSealLine(bytes);
    if (seal === undefined) {
      this.#report('this seal is not one that the gateway wrote');
      this.#at = undefined;
    } else {
      this.#judge(seal, start);
      this.#at = { batch: seal.batch, mac: seal.mac };
      if (seal.batch === this.#watch) this.#watched = seal.mac;
      this.#batches++;
      this.#records += this.#pending;
    }
    this.#next(start + bytes.length);
  }

  #judge(seal: BatchSeal, sealStart: number): void {
    const before = { batch: seal.batch - 1, mac: seal.previous };
    if (this.#at !== undefined && !isSame(this.#at, before)) {
      const due = this.#at.batch + 1;
      this.#report(`batch ${seal.batch} stands where batch ${due} is due: batches were deleted, inserted or reordered`);
    }
    const isIntact = seal.records === this.#pending && isSameMac(this.#macOf(seal, sealStart), seal.mac);
    if (!isIntact) {
      const from = this.#startLine;
      this.#report(`batch ${seal.batch} (lines ${from} to ${this.#line}) was changed: its seal does not fit`, from);
    }
  }

  #macOf({ previous, batch }: BatchSeal, end: number): string {
    const mac = new BatchMac(this.#keys, previous, batch);
    for (let at = this.#start; at < end; ) {
      const length = readSync(this.#descriptor, this.#part, 0, Math.min(READ_BYTES, end - at), at);
      if (length === 0) break;
      mac.add(this.#part.subarray(0, length));
      at += length;
    }
    return mac.digest();
  }

  #next(start: number): void {
    this.#start = start;
    this.#startLine = this.#line + 1;
    this.#pending = 0;
  }

  #report(message: string, line = this.#line): void {
    this.#problems.push({ line, message });
  }
}

function isSame(a: ChainHead, b: ChainHead): boolean {
  return a.batch === b.batch && a.mac === b.mac;
}
