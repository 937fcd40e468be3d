// All streams that clients listen to: counted per token, told when something has changed, and ended with the token, the
// session or the view that they were opened under.

import { performance } from 'node:perf_hooks';
import type { Catalogs } from '../catalog/catalogs.ts';
import { TimeSlice } from '../domain/time-slice.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ChangeDebounce } from './change-debounce.ts';
import { RETRY_AFTER_MS, type Refusal } from './exchange.ts';

export interface OpenStream {
  readonly principal: TokenPrincipal;
  readonly view: string | undefined;
  /** When the session that it belongs to ends, in ms since 1970. */
  readonly expiresAtMs?: number;
  /** Whether it ends by itself; when the gateway stops, it is left to. */
  readonly endsAlone: boolean;
  /** Something has changed that may concern it. Resolves when it has been looked at, where that takes long. */
  look(): Promise<void> | void;
  /** To be called about once a second. */
  tend(nowMs: number): void;
  /** Ends it, in order where its client reads. */
  end(): void;
}

export interface OpenStreamsOptions {
  readonly catalogs: Catalogs;
  readonly log: Logger;
  readonly limits: { readonly streamsPerToken: number };
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** One timer for all streams; each is due for its comment at a time of its own. */
const SWEEP_MS = 1_000;

const TOO_MANY: Refusal = {
  code: 'rate_limited',
  message: 'This token has as many streams open as it may. Close some, or ask the operator for more.',
  retryAfterMs: RETRY_AFTER_MS,
};
const STOPPING: Refusal = {
  code: 'overloaded',
  message: 'The gateway is stopping. Try again shortly.',
  retryAfterMs: RETRY_AFTER_MS,
};

export class OpenStreams {
  readonly #options: OpenStreamsOptions;
  readonly #open = new Set<OpenStream>();
  readonly #countByToken = new Map<string, number>();
  readonly #debounce = new ChangeDebounce(() => this.#look(), performance.now.bind(performance));
  readonly #sweep: NodeJS.Timeout;
  readonly #onSweep: (nowMs: number) => void;
  #isClosed = false;

  /** `onSweep` is called about once a second, with `performance.now()`. */
  constructor(options: OpenStreamsOptions, onSweep: (nowMs: number) => void) {
    this.#options = options;
    this.#onSweep = onSweep;
    this.#sweep = setInterval(() => this.#tend(), SWEEP_MS).unref();
  }

  get count(): number {
    return this.#open.size;
  }

  /** Why this token may open no stream now. */
  findRefusal({ token }: TokenPrincipal): Refusal | undefined {
    if (this.#isClosed) return STOPPING;
    const count = this.#countByToken.get(token.id) ?? 0;
    return count >= this.#options.limits.streamsPerToken ? TOO_MANY : undefined;
  }

  add(stream: OpenStream): void {
    const { id } = stream.principal.token;
    this.#open.add(stream);
    this.#countByToken.set(id, (this.#countByToken.get(id) ?? 0) + 1);
  }

  /** Returns whether it was still there. */
  remove(stream: OpenStream): boolean {
    if (!this.#open.delete(stream)) return false;
    const { id } = stream.principal.token;
    const count = (this.#countByToken.get(id) ?? 1) - 1;
    if (count === 0) this.#countByToken.delete(id);
    else this.#countByToken.set(id, count);
    return true;
  }

  /** The configuration, or an upstream's list, is another: who is concerned is told soon. */
  noteChange(): void {
    if (this.#open.size > 0) this.#debounce.note();
  }

  /** Ends the streams of tokens that are gone, revoked, replaced or expired (design §3.12), of sessions and of views. */
  endRevoked(): void {
    for (const stream of this.#open) if (!this.#isGood(stream)) this.#end(stream);
  }

  /** Ends all streams that do not end by themselves, and lets no more be opened. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    this.#debounce.stop();
    for (const stream of this.#open) if (!stream.endsAlone) this.#end(stream);
  }

  /** Unlike a call, a stream does not end by itself: one of a token that expires would go on for ever. */
  #isGood({ principal: { accountId, token, endsAtMs }, view, expiresAtMs }: OpenStream): boolean {
    const { catalogs, now } = this.#options;
    const current = catalogs.snapshot(accountId)?.tokens.get(token.id);
    if (current === undefined || !catalogs.isInForce(accountId, token)) return false;
    if (view !== undefined && catalogs.current(accountId, token.id, view) === undefined) return false;
    const ends = [expiresAtMs ?? null, current.expiresAtMs];
    // The value it was opened with ends before the token where it has been rotated out, before the opening or since.
    if (endsAtMs !== token.expiresAtMs) ends.push(endsAtMs);
    if (current.previousHash === token.hash) ends.push(current.previousExpiresAtMs);
    const nowMs = now();
    return ends.every((endMs) => endMs === null || endMs > nowMs);
  }

  #end(stream: OpenStream): void {
    if (this.remove(stream)) stream.end();
  }

  #tend(): void {
    this.endRevoked();
    const nowMs = performance.now();
    for (const stream of this.#open) stream.tend(nowMs);
    this.#onSweep(nowMs);
  }

  async #look(): Promise<void> {
    const slice = new TimeSlice();
    for (const stream of this.#open) {
      if (slice.isOver) await slice.rest();
      try {
        if (this.#open.has(stream)) await stream.look();
      } catch (error) {
        this.#options.log.error('client not told of changes', { error });
      }
    }
  }
}
