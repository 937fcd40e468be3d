// The calls that have not ended: how many there may be, and when one has taken too long. An array with swap-removal and
// not a Set: a Set that is added to and deleted from all the time chains its outgrown tables, and through them keeps
// finished calls alive until a full GC.

import { LRUCache } from 'lru-cache';
import type { Member } from '../protocol/json-scan.ts';
import { rawText } from '../protocol/jsonrpc.ts';
import type { ToolCall } from './call-tool.ts';

export interface CallLimits {
  /** Calls in flight of one token. */
  readonly callsPerToken: number;
  /** Calls in flight of the process. */
  readonly calls: number;
  /** Request bodies of calls in flight, in bytes. */
  readonly bytesInFlight: number;
}

/** How often deadlines are looked at; one timer for all calls, since one each would cost more than the precision is worth. */
const SWEEP_MS = 1_000;
/** A stream of events that is silent this long gets a comment. */
const KEEP_ALIVE_MS = 15_000;
/** A client that takes nothing of what was written this long is cut off. */
const STALL_MS = 120_000;
/** Tokens whose counts are remembered; a count that is forgotten while calls run starts from zero. */
const MAX_TOKENS = 20_000;

interface Count {
  calls: number;
}

export class CallsInFlight {
  readonly #limits: CallLimits;
  readonly #calls: ToolCall[] = [];
  readonly #byToken = new LRUCache<string, Count>({ max: MAX_TOKENS });
  readonly #sweep: NodeJS.Timeout;
  #bytes = 0;

  constructor(limits: CallLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#sweep = setInterval(() => this.#look(nowMs()), SWEEP_MS).unref();
  }

  /** Why another call must not begin now: the token's own doing, or the gateway's load. */
  findLimit(tokenId: string, bytes: number): 'rate_limited' | 'overloaded' | undefined {
    const { callsPerToken, calls, bytesInFlight } = this.#limits;
    if ((this.#byToken.get(tokenId)?.calls ?? 0) >= callsPerToken) return 'rate_limited';
    return this.#calls.length >= calls || this.#bytes + bytes > bytesInFlight ? 'overloaded' : undefined;
  }

  add(call: ToolCall): void {
    call.slot = this.#calls.length;
    this.#calls.push(call);
    this.#bytes += call.request.message.bytes.length;
    const { id } = call.request.exchange.principal.token;
    const count = this.#byToken.get(id);
    if (count === undefined) this.#byToken.set(id, { calls: 1 });
    else count.calls++;
  }

  remove(call: ToolCall): void {
    this.#bytes -= call.request.message.bytes.length;
    const count = this.#byToken.get(call.request.exchange.principal.token.id);
    if (count !== undefined && count.calls > 0) count.calls--;
    const last = this.#calls.pop();
    if (last === undefined || last === call) return;
    this.#calls[call.slot] = last;
    last.slot = call.slot;
  }

  /** The call that a legacy client means by the id of its request. */
  find(conversation: string, bytes: Buffer, id: Member): ToolCall | undefined {
    const text = rawText(bytes, id);
    return this.#calls.find(
      (call) => call.conversation === conversation && call.request.era === 'legacy' && call.request.idText === text,
    );
  }

  /** Stops looking at deadlines. */
  close(): void {
    clearInterval(this.#sweep);
  }

  #look(nowMs: number): void {
    for (const call of [...this.#calls]) {
      const { reply } = call;
      if (call.deadlineMs <= nowMs) call.expire();
      else if (reply.stalledSinceMs !== undefined && nowMs - reply.stalledSinceMs > STALL_MS) {
        call.request.exchange.response.destroy();
      } else if (reply.hasBegun && nowMs - reply.lastWriteMs > KEEP_ALIVE_MS) reply.comment();
    }
  }
}
