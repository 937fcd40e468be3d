// Calls to legacy upstreams that wait, in the middle, for a modern client to come back with what the upstream asked for.
// A call is found again by the sealed state its client was given, once, and not after its time.

import { randomBytes } from 'node:crypto';
import type { CallReason } from '../audit-log/call-record.ts';
import type { RequestStates, StateOwner } from './request-states.ts';

export interface ParkedCall {
  /** Whom the call is with: calls are bounded for each. */
  readonly upstream: object;
  /** Refuses the upstream what it has asked for, and cancels the call for this reason. The call is parked no longer. */
  endParked(why: CallReason): void;
}

export interface ParkedCallsOptions {
  readonly states: RequestStates;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Of this process among those that may be asked for a call, from 0. */
  readonly processIndex?: number | undefined;
  readonly timeoutMs?: number;
  readonly perUpstream?: number;
  readonly perToken?: number;
  readonly total?: number;
}

interface Parked<C> {
  readonly call: C;
  readonly tokenId: string;
  readonly expiresAtMs: number;
}

/** The upstream holds its side of the call open meanwhile. */
const TIMEOUT_MS = 600_000;
const PER_UPSTREAM = 64;
const PER_TOKEN = 256;
const TOTAL = 4_096;
/** One timer for all. */
const SWEEP_MS = 1_000;

export class ParkedCalls<C extends ParkedCall> {
  readonly #options: Required<Omit<ParkedCallsOptions, 'processIndex'>>;
  readonly #prefix: string;
  /** By id; the oldest first, which is the first to expire. */
  readonly #parked = new Map<string, Parked<C>>();
  readonly #countByToken = new Map<string, number>();
  readonly #countByUpstream = new Map<object, number>();
  readonly #sweep: NodeJS.Timeout;
  #isClosed = false;

  constructor(options: ParkedCallsOptions) {
    const limits = { timeoutMs: TIMEOUT_MS, perUpstream: PER_UPSTREAM, perToken: PER_TOKEN, total: TOTAL };
    const { processIndex = 0, ...rest } = options;
    this.#prefix = `${processIndex}.`;
    this.#options = { ...limits, ...rest };
    this.#sweep = setInterval(() => this.#endLate(), SWEEP_MS).unref();
  }

  get count(): number {
    return this.#parked.size;
  }

  /** Keeps a call until its owner comes back with the state that is returned; `undefined` when too many wait already. */
  park(owner: StateOwner, call: C): string | undefined {
    const { states, now, timeoutMs, perUpstream, perToken, total } = this.#options;
    const ofToken = this.#countByToken.get(owner.tokenId) ?? 0;
    const ofUpstream = this.#countByUpstream.get(call.upstream) ?? 0;
    const isFull = ofToken >= perToken || ofUpstream >= perUpstream || this.#parked.size >= total;
    if (this.#isClosed || isFull) return undefined;
    const id = `${this.#prefix}${randomBytes(16).toString('base64url')}`;
    this.#parked.set(id, { call, tokenId: owner.tokenId, expiresAtMs: now() + timeoutMs });
    this.#countByToken.set(owner.tokenId, ofToken + 1);
    this.#countByUpstream.set(call.upstream, ofUpstream + 1);
    return states.sealParked(owner, id, timeoutMs);
  }

  /** The call of a state that was opened; `undefined` when it was taken before, or has ended. */
  take(id: string): C | undefined {
    const parked = this.#parked.get(id);
    if (parked === undefined) return undefined;
    this.#parked.delete(id);
    countDown(this.#countByToken, parked.tokenId);
    countDown(this.#countByUpstream, parked.call.upstream);
    return parked.call;
  }

  /** Ends the calls of whoever may no longer make them. */
  endWhere(isGone: (call: C) => boolean, why: CallReason): void {
    for (const [id, { call }] of [...this.#parked]) if (isGone(call)) this.#end(id, why);
  }

  /** Ends all calls and parks no more: on a stop nobody may come back for as long as a person thinks. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    this.endWhere(() => true, 'input_missing');
  }

  #endLate(): void {
    const nowMs = this.#options.now();
    for (const [id, { expiresAtMs }] of [...this.#parked]) {
      if (expiresAtMs > nowMs) break;
      this.#end(id, 'input_missing');
    }
  }

  #end(id: string, why: CallReason): void {
    this.take(id)?.endParked(why);
  }
}

/** Of the process in which the call of a state waits, or waited. */
export function processIndexOf(parkedId: string): number {
  return Number.parseInt(parkedId, 10);
}

function countDown<K>(counts: Map<K, number>, key: K): void {
  const count = (counts.get(key) ?? 1) - 1;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
