// Requests that were sent to legacy clients and wait for the answer, which comes with a POST of its own. Their ids are
// unguessable, and count only from the token and session that were asked.

import { stringAt } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { type ClientAnswer, readClientAnswer } from '../protocol/server-request.ts';
import { UpstreamIds } from '../protocol/upstream-id.ts';

/** Who is asked. */
export interface AskedClient {
  readonly tokenId: string;
  /** `undefined` for a client without a session. */
  readonly sessionNonce: string | undefined;
}

/** Called once; without an answer when none came in time, or none can come any more. */
export type OnAnswer = (answer: ClientAnswer | undefined) => void;

interface Asked extends AskedClient {
  readonly onAnswer: OnAnswer;
  readonly expiresAtMs: number;
}

export interface ClientRequestsOptions {
  /** In ms, of a clock that never goes back. */
  readonly now: () => number;
  /** How long an answer is waited for: a person may have to give it. */
  readonly timeoutMs?: number;
  readonly perToken?: number;
  readonly total?: number;
}

const TIMEOUT_MS = 600_000;
const PER_TOKEN = 64;
const TOTAL = 10_000;
/** One timer for all. */
const SWEEP_MS = 1_000;

export class ClientRequests {
  readonly #options: Required<ClientRequestsOptions>;
  readonly #ids = new UpstreamIds();
  /** By id; the oldest first, which is the first to expire. */
  readonly #asked = new Map<string, Asked>();
  readonly #countByToken = new Map<string, number>();
  readonly #sweep: NodeJS.Timeout;

  constructor(options: ClientRequestsOptions) {
    this.#options = { timeoutMs: TIMEOUT_MS, perToken: PER_TOKEN, total: TOTAL, ...options };
    this.#sweep = setInterval(() => this.#endLate(), SWEEP_MS).unref();
  }

  get count(): number {
    return this.#asked.size;
  }

  /** The id of a request that is about to be sent, without quotes; `undefined` when too many wait already. */
  ask({ tokenId, sessionNonce }: AskedClient, onAnswer: OnAnswer): string | undefined {
    const { now, timeoutMs, perToken, total } = this.#options;
    const count = this.#countByToken.get(tokenId) ?? 0;
    if (count >= perToken || this.#asked.size >= total) return undefined;
    const id = this.#ids.mint();
    this.#asked.set(id, { tokenId, sessionNonce, onAnswer, expiresAtMs: now() + timeoutMs });
    this.#countByToken.set(tokenId, count + 1);
    return id;
  }

  /** Takes a response that a client has sent; `false` when it answers nothing that waits for this client. */
  answer({ tokenId, sessionNonce }: AskedClient, message: Message): boolean {
    const id = message.id && stringAt(message.bytes, message.id);
    const asked = id === undefined ? undefined : this.#asked.get(id);
    if (id === undefined || asked?.tokenId !== tokenId || asked.sessionNonce !== sessionNonce) return false;
    this.drop(id);
    asked.onAnswer(readClientAnswer(message));
    return true;
  }

  /** Waits for this one no longer; its `onAnswer` is not called. */
  drop(id: string): void {
    const asked = this.#asked.get(id);
    if (asked === undefined) return;
    this.#asked.delete(id);
    const count = (this.#countByToken.get(asked.tokenId) ?? 1) - 1;
    if (count === 0) this.#countByToken.delete(asked.tokenId);
    else this.#countByToken.set(asked.tokenId, count);
  }

  /** Ends, without an answer, what a token that is no longer good, or a session that has ended, was asked. */
  endWhere(isGone: (client: AskedClient) => boolean): void {
    for (const [id, asked] of [...this.#asked]) if (isGone(asked)) this.#end(id, asked);
  }

  /** Stops looking at the clock. */
  close(): void {
    clearInterval(this.#sweep);
  }

  #endLate(): void {
    const nowMs = this.#options.now();
    for (const [id, asked] of [...this.#asked]) {
      if (asked.expiresAtMs > nowMs) break;
      this.#end(id, asked);
    }
  }

  #end(id: string, asked: Asked): void {
    // Whoever was told before it may have given it up.
    if (!this.#asked.has(id)) return;
    this.drop(id);
    asked.onAnswer(undefined);
  }
}
