// The calls that have not ended, for their deadlines. An array with swap-removal and not a Set: a Set that is added to
// and deleted from all the time chains its outgrown tables, and through them keeps finished calls alive until a full GC.

import type { ToolCall } from './call-tool.ts';

/** How often deadlines are looked at; one timer for all calls, since one each would cost more than the precision is worth. */
const SWEEP_MS = 1000;

export class CallsInFlight {
  readonly #calls: ToolCall[] = [];
  readonly #sweep: NodeJS.Timeout;

  constructor(nowMs: () => number) {
    this.#sweep = setInterval(() => {
      const now = nowMs();
      for (const call of [...this.#calls]) if (call.deadlineMs <= now) call.expire();
    }, SWEEP_MS).unref();
  }

  get size(): number {
    return this.#calls.length;
  }

  add(call: ToolCall): void {
    call.slot = this.#calls.length;
    this.#calls.push(call);
  }

  remove(call: ToolCall): void {
    const last = this.#calls.pop();
    if (last === undefined || last === call) return;
    this.#calls[call.slot] = last;
    last.slot = call.slot;
  }

  /** Stops looking at deadlines. */
  close(): void {
    clearInterval(this.#sweep);
  }
}
