// The calls that have not ended: how many there may be, and when one has taken too long. An array with swap-removal and
// not a Set: a Set that is added to and deleted from all the time chains its outgrown tables, and through them keeps
// finished calls alive until a full GC.

import { getHeapStatistics } from 'node:v8';
import { LRUCache } from 'lru-cache';
import type { Route } from '../catalog/route.ts';
import type { RpcRequest } from './exchange.ts';
import type { UpstreamCall } from './upstream-call.ts';

export interface CallLimits {
  /** Calls in flight of one token. */
  readonly callsPerToken: number;
  /** Calls in flight to one upstream with one credential; a config may set its own. */
  readonly callsPerUpstream: number;
  /** Calls in flight of the process. */
  readonly calls: number;
  /** Request bodies of calls in flight and of requests being received, in bytes. */
  readonly bytesInFlight: number;
  /** Share of the JavaScript heap in use from which calls are turned away, in percent. */
  readonly heapPercent: number;
}

/** What another call would exceed, and whose it is to do something about it. */
export type ExceededLimit = 'token' | 'upstream' | 'process';

/** How often deadlines are looked at; one timer for all calls, since one each would cost more than the precision is worth. */
const SWEEP_MS = 100;
/** A stream of events that is silent this long gets a comment. */
const KEEP_ALIVE_MS = 15_000;
/** A client that takes nothing of what was written this long is cut off. */
const STALL_MS = 120_000;
/** Tokens whose counts are remembered; a count that is forgotten while calls run starts from zero. */
const MAX_TOKENS = 20_000;
/** Let through even when the heap is full: without work there is no collection, and the heap would look full for ever. */
const CALLS_ON_FULL_HEAP = 32;

/** Of the bytes in flight one token may hold this part, so that it cannot take the room of all others. */
const TOKEN_SHARE = 1 / 4;

interface Count {
  calls: number;
  bytes: number;
}

/** The share of the JavaScript heap in use, garbage that is still there included. */
function readHeapPercent(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  return (100 * used) / limit;
}

export class CallsInFlight {
  readonly #limits: CallLimits;
  readonly #readHeapPercent: () => number;
  readonly #calls: UpstreamCall[] = [];
  readonly #byToken = new LRUCache<string, Count>({ maxSize: MAX_TOKENS, sizeCalculation: () => 1 });
  readonly #sweep: NodeJS.Timeout;
  #bytes = 0;
  #isHeapFull = false;

  constructor(limits: CallLimits, nowMs: () => number, heapPercent = readHeapPercent) {
    this.#limits = limits;
    this.#readHeapPercent = heapPercent;
    this.#sweep = setInterval(() => this.#look(nowMs()), SWEEP_MS).unref();
  }

  /** Why another call must not begin now. */
  findLimit(tokenId: string, { upstream }: Route, bytes: number): ExceededLimit | undefined {
    const { callsPerToken, callsPerUpstream, calls, bytesInFlight } = this.#limits;
    const count = this.#byToken.get(tokenId);
    if (count !== undefined && (count.calls >= callsPerToken || count.bytes + bytes > bytesInFlight * TOKEN_SHARE)) {
      return 'token';
    }
    if (upstream.calls >= (upstream.callLimits.calls ?? callsPerUpstream)) return 'upstream';
    if (this.#calls.length >= calls || this.#bytes + bytes > bytesInFlight) return 'process';
    return this.#isHeapFull && this.#calls.length >= CALLS_ON_FULL_HEAP ? 'process' : undefined;
  }

  /** Counts bytes of a request that is being received; when there is no room for them none are counted. */
  tryHold(tokenId: string, bytes: number): boolean {
    const { bytesInFlight } = this.#limits;
    const count = this.#countOf(tokenId);
    if (this.#bytes + bytes > bytesInFlight || count.bytes + bytes > bytesInFlight * TOKEN_SHARE) return false;
    this.#bytes += bytes;
    count.bytes += bytes;
    return true;
  }

  letGo(tokenId: string, bytes: number): void {
    this.#bytes -= bytes;
    const count = this.#countOf(tokenId);
    count.bytes = Math.max(0, count.bytes - bytes);
  }

  add(call: UpstreamCall): void {
    const bytes = call.request.message.bytes.length;
    call.slot = this.#calls.length;
    this.#calls.push(call);
    this.#bytes += bytes;
    call.heldBytes += bytes;
    call.route.upstream.calls++;
    const count = this.#countOf(call.request.exchange.principal.token.id);
    count.calls++;
    count.bytes += bytes;
  }

  /** The call has ended. */
  remove(call: UpstreamCall): void {
    this.suspend(call);
    this.letGo(call.request.exchange.principal.token.id, call.heldBytes);
    call.heldBytes = 0;
  }

  /** The call is none of those in flight for now, but the bytes of its request are still held; harmless when it is none already. */
  suspend(call: UpstreamCall): void {
    if (call.slot < 0) return;
    call.route.upstream.calls--;
    const count = this.#countOf(call.request.exchange.principal.token.id);
    count.calls = Math.max(0, count.calls - 1);
    const last = this.#calls.pop();
    const { slot } = call;
    call.slot = -1;
    if (last === undefined || last === call) return;
    this.#calls[slot] = last;
    last.slot = slot;
  }

  /** The calls of a legacy conversation whose request may be the one that is meant. */
  find(conversation: string, isMeant: (request: RpcRequest) => boolean): readonly UpstreamCall[] {
    return this.#calls.filter(
      (call) =>
        call.isOpen && call.conversation === conversation && call.request.era === 'legacy' && isMeant(call.request),
    );
  }

  /** The calls of this moment. */
  all(): readonly UpstreamCall[] {
    return [...this.#calls];
  }

  /** Stops looking at deadlines. */
  close(): void {
    clearInterval(this.#sweep);
  }

  #countOf(tokenId: string): Count {
    let count = this.#byToken.get(tokenId);
    if (count === undefined) {
      count = { calls: 0, bytes: 0 };
      this.#byToken.set(tokenId, count);
    }
    return count;
  }

  #look(nowMs: number): void {
    this.#isHeapFull = this.#readHeapPercent() >= this.#limits.heapPercent;
    for (const call of this.all()) {
      call.expire(nowMs);
      const { reply } = call;
      if (reply.stalledSinceMs !== undefined && nowMs - reply.stalledSinceMs > STALL_MS) {
        reply.breakOff();
      } else if (call.isOpen && reply.hasBegun && nowMs - reply.lastWriteMs > KEEP_ALIVE_MS) call.keepAlive();
    }
  }
}
