// Reads one chain from its end towards its beginning, a block at a time.

import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { CallGap, CallRecord } from './call-record.ts';
import { codeOf, type Segment } from './files.ts';
import { SEAL_START } from './format.ts';

export type LoggedCall = CallRecord | CallGap;

/** Everything behind it has been read. */
export interface Position {
  readonly firstBatch: number;
  readonly offset: number;
}

export interface TimeRange {
  /** Milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

interface Placed<T> {
  readonly value: T;
  /** Where its line ends. */
  readonly end: number;
}

const BLOCK_BYTES = 64 * 1024;
/** A line that is longer is none of ours. */
const MAX_LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;
/** How far a clock may have been set back between two records. */
const CLOCK_STEP_MS = 300_000;

export class TailReader {
  readonly chain: string;
  bytesRead = 0;
  /** Those that have not been begun. */
  readonly #segments: Segment[];
  readonly #stopBefore: string;
  readonly #skipAfter: string;
  #segment: Segment | undefined;
  /** Up to here the segment has not been read. */
  #unread = 0;
  #lines: Placed<string>[] = [];
  #next: Placed<LoggedCall> | undefined;
  /** What stands behind the last seal of a segment is no record yet, or was added by somebody. */
  #isSealed = false;
  #blockBytes = BLOCK_BYTES;

  /** Begins at the end of the chain, or at `position`. */
  constructor(chain: string, segments: readonly Segment[], position: Position | undefined, range: TimeRange) {
    const { sinceMs, untilMs } = range;
    this.chain = chain;
    this.#stopBefore = sinceMs === undefined ? '' : new Date(sinceMs - CLOCK_STEP_MS).toISOString();
    this.#skipAfter = untilMs === undefined ? '~' : new Date(untilMs + CLOCK_STEP_MS).toISOString();
    this.#segments = segments.filter(({ firstBatch }) => firstBatch <= (position?.firstBatch ?? firstBatch));
    if (position === undefined || this.#segments.at(-1)?.firstBatch !== position.firstBatch) return;
    this.#segment = this.#segments.pop();
    this.#isSealed = true;
    this.#unread = Math.min(position.offset, sizeOf(this.#segment?.path));
  }

  /** The newest record that has not been taken, unless it takes more than `maxBytes` to find it. */
  peek(maxBytes: number): LoggedCall | undefined {
    while (this.#next === undefined && !this.isAtBeginning) {
      const line = this.#lines.pop();
      if (line !== undefined) this.#look(line);
      else if (this.bytesRead >= maxBytes) return undefined;
      else this.#readOn();
    }
    return this.#next?.value;
  }

  take(): void {
    this.#next = undefined;
  }

  get isAtBeginning(): boolean {
    const isSegmentRead = this.#next === undefined && this.#lines.length === 0 && this.#unread === 0;
    return isSegmentRead && this.#segments.length === 0;
  }

  /** Where to go on later; `undefined` at the beginning of the chain. */
  get position(): Position | undefined {
    if (this.isAtBeginning) return undefined;
    const offset = (this.#next ?? this.#lines.at(-1))?.end ?? this.#unread;
    if (this.#segment !== undefined && offset > 0) return { firstBatch: this.#segment.firstBatch, offset };
    return { firstBatch: this.#segments.at(-1)?.firstBatch ?? 0, offset: Number.MAX_SAFE_INTEGER };
  }

  #look({ value, end }: Placed<string>): void {
    if (value.startsWith(SEAL_START)) this.#isSealed = true;
    const record = this.#isSealed ? parseRecord(value) : undefined;
    if (record === undefined) return;
    if (record.time < this.#stopBefore) this.#stop();
    else this.#next = { value: record, end };
  }

  #stop(): void {
    this.#lines = [];
    this.#unread = 0;
    this.#segments.length = 0;
  }

  #readOn(): void {
    if (this.#unread === 0) this.#beginSegment();
    if (this.#segment === undefined || this.#unread === 0) return;
    const start = Math.max(0, this.#unread - this.#blockBytes);
    const block = readRange(this.#segment.path, start, this.#unread);
    this.bytesRead += block.length;
    // It was deleted meanwhile, as retention does.
    if (block.length < this.#unread - start) {
      this.#unread = 0;
      return;
    }
    const from = start === 0 ? 0 : block.indexOf(NEWLINE) + 1;
    // The block is a part of one line.
    if (start > 0 && (from === 0 || from === block.length)) {
      if (this.#blockBytes < MAX_LINE_BYTES) this.#blockBytes *= 2;
      else this.#unread = start;
      return;
    }
    this.#blockBytes = BLOCK_BYTES;
    this.#lines = toLines(block, from, start);
    this.#unread = start + from;
  }

  #beginSegment(): void {
    this.#segment = this.#segments.pop();
    if (this.#segment === undefined) return;
    this.#isSealed = false;
    this.#unread = sizeOf(this.#segment.path);
    const head = readRange(this.#segment.path, 0, Math.min(this.#unread, BLOCK_BYTES));
    this.bytesRead += head.length;
    const earliest = toLines(head, 0, 0)
      .map(({ value }) => parseRecord(value))
      .find((record) => record !== undefined);
    if (earliest !== undefined && earliest.time > this.#skipAfter) this.#unread = 0;
  }
}

function sizeOf(path: string | undefined): number {
  return path === undefined ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
}

/** What a file has of the range; nothing when it is gone. */
function readRange(path: string, start: number, end: number): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    const bytes = Buffer.alloc(end - start);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, start));
  } finally {
    closeSync(descriptor);
  }
}

/** The whole lines of a block from `from` on; `start` is where the block begins in the file. */
function toLines(block: Buffer, from: number, start: number): Placed<string>[] {
  const lines: Placed<string>[] = [];
  for (let at = from, end = block.indexOf(NEWLINE, at); end >= 0; at = end + 1, end = block.indexOf(NEWLINE, at)) {
    lines.push({ value: block.toString('latin1', at, end), end: start + end + 1 });
  }
  return lines;
}

/** A line that is a record of a call or of a gap. */
function parseRecord(line: string): LoggedCall | undefined {
  if (!line.startsWith('{"time":"')) return undefined;
  try {
    const record = JSON.parse(line) as LoggedCall;
    return isReadable(record) ? record : undefined;
  } catch {
    // Somebody has written into the log; verification says so.
    return undefined;
  }
}

/** Whether what is compared with has the type for it. */
function isReadable(record: LoggedCall): boolean {
  if (typeof record.time !== 'string' || typeof record.account !== 'string') return false;
  return (
    !('outcome' in record) || [record.tool, record.config].every((each) => each === null || typeof each === 'string')
  );
}
