// The bytes of the call log: a segment is a head line, then batches, each its records and the line that seals them.
// A seal covers the one before it, so that records, batches and segments can only be added at the end.

import { createHmac, timingSafeEqual } from 'node:crypto';

/** The end of a chain, or of a part of it: the number and the seal of its last batch; 0 and the origin before the first. */
export interface ChainHead {
  readonly batch: number;
  readonly mac: string;
}

export interface SegmentHead {
  readonly chain: string;
  readonly firstBatch: number;
  readonly previous: string;
}

export interface BatchSeal extends ChainHead {
  readonly records: number;
  readonly previous: string;
}

const HEAD = /^\{"chain":"([0-9a-f]{16})","first_batch":([1-9]\d{0,14}),"previous":"([0-9a-f]{64})"\}\n$/;
const SEAL =
  /^\{"batch":([1-9]\d{0,14}),"records":([1-9]\d{0,14}),"previous":"([0-9a-f]{64})","mac":"([0-9a-f]{64})"\}\n$/;
/** What a seal begins with, and no record does. */
export const SEAL_START = '{"batch":';

/** Keys of their own for what the audit key is used for here: no seal of one kind can be passed off as one of another. */
export interface CallLogKeys {
  readonly batches: Buffer;
  readonly notes: Buffer;
}

export function deriveCallLogKeys(auditKey: Uint8Array): CallLogKeys {
  const derive = (use: string) => createHmac('sha256', auditKey).update(`switchboard/v1/call-log/${use}`).digest();
  return { batches: derive('batches'), notes: derive('notes') };
}

/** What the first batch of a chain has as the seal before it; it ties the seals to the chain's name. */
export function originOf(keys: CallLogKeys, chain: string): ChainHead {
  return { batch: 0, mac: macOf(keys.batches, `chain ${chain}`) };
}

export function macOf(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

export function isMac(key: Buffer, text: string, mac: string): boolean {
  return isSameMac(macOf(key, text), mac);
}

export function isSameMac(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** Collects the bytes of one batch: HMAC-SHA-256 over the previous seal, the batch's number and the record bytes. */
export class BatchMac {
  readonly #hmac;

  constructor(keys: CallLogKeys, previous: string, batch: number) {
    this.#hmac = createHmac('sha256', keys.batches).update(`${previous}${batch}\n`);
  }

  add(bytes: Uint8Array): this {
    this.#hmac.update(bytes);
    return this;
  }

  digest(): string {
    return this.#hmac.digest('hex');
  }
}

export function toHeadLine({ chain, firstBatch, previous }: SegmentHead): string {
  return `{"chain":"${chain}","first_batch":${firstBatch},"previous":"${previous}"}\n`;
}

/** The head in exactly the form it is written in, or `undefined`. */
export function parseHeadLine(line: Buffer): SegmentHead | undefined {
  const [, chain, firstBatch, previous] = HEAD.exec(line.toString('latin1')) ?? [];
  if (chain === undefined || previous === undefined) return undefined;
  return { chain, firstBatch: Number(firstBatch), previous };
}

export function toSealLine({ batch, records, previous, mac }: BatchSeal): string {
  return `{"batch":${batch},"records":${records},"previous":"${previous}","mac":"${mac}"}\n`;
}

/** The seal in exactly the form it is written in, or `undefined`. */
export function parseSealLine(line: Buffer): BatchSeal | undefined {
  const [, batch, records, previous, mac] = SEAL.exec(line.toString('latin1')) ?? [];
  if (previous === undefined || mac === undefined) return undefined;
  return { batch: Number(batch), records: Number(records), previous, mac };
}

export function isSealLine(line: Buffer): boolean {
  return line.toString('latin1', 0, SEAL_START.length) === SEAL_START;
}
