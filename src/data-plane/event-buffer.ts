// Keeps what was sent on the event streams of legacy sessions' calls, for clients whose connection broke and that ask for
// the rest (2025-11-25 basic/transports#resumability-and-redelivery). Bounded: of a stream that is too much nothing is kept.

import { HeldBytes } from '../protocol/held-bytes.ts';
import { EVENT_HEAD } from '../protocol/sse.ts';
import { UpstreamIds } from '../protocol/upstream-id.ts';
import type { Session } from './sessions.ts';

/** Kept of one stream; of one with more, nothing is. */
const MAX_STREAM_BYTES = 256 * 1024;
/** Kept of all streams together. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Counted for each stream besides its events. */
const OVERHEAD_BYTES = 1024;
/** A stream is kept this long after its end. */
const KEPT_MS = 5 * 60 * 1000;
/** From this revision on clients expect an event that has an id and no data (SEP-1699). */
export const PRIMING_REVISION = '2025-11-25';
/** How soon a client whose connection broke is to take its stream up again. */
const RETRY_MS = 1_000;

const LF = 0x0a;
const NO_BYTES = Buffer.alloc(0);

export class EventBuffers {
  readonly #ids = new UpstreamIds();
  readonly #keptMs: number;
  /** Both by session and stream, and those that have ended in the order of their end. */
  readonly #live = new Map<string, CallEvents>();
  readonly #ended = new Map<string, CallEvents>();
  #bytes = 0;

  /** `sessionIdleMs`: what a client has not come back for in this time is given up, if it is less than five minutes. */
  constructor(sessionIdleMs = KEPT_MS) {
    this.#keptMs = Math.min(KEPT_MS, sessionIdleMs);
  }

  /** How many bytes are held, as far as they are counted. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The event stream of a call begins. */
  begin({ nonce, revision }: Session): CallEvents {
    const id = this.#ids.mint();
    const key = keyOf(nonce, id);
    const events = new CallEvents(id, revision >= PRIMING_REVISION, {
      onGrow: (bytes) => this.#grow(bytes),
      onEnd: () => {
        this.#live.delete(key);
        this.#ended.set(key, events);
      },
      onGivenUp: () => this.#drop(key, events),
    });
    this.#live.set(key, events);
    this.#grow(OVERHEAD_BYTES);
    return events;
  }

  /** Only of this session: the stream of another one is as unknown as one that never was. */
  find({ nonce }: Session, id: string): CallEvents | undefined {
    const key = keyOf(nonce, id);
    return this.#live.get(key) ?? this.#ended.get(key);
  }

  /** Forgets what has ended long ago. To be called about once a second, with `performance.now()`. */
  tend(nowMs: number): void {
    for (const [key, events] of this.#ended) {
      if (nowMs - events.endedAtMs < this.#keptMs) return;
      this.#drop(key, events);
    }
  }

  /** Forgets the streams of a session that was ended. */
  endSession({ nonce }: Session): void {
    for (const streams of [this.#live, this.#ended]) {
      for (const [key, events] of streams) if (key.startsWith(keyOf(nonce, ''))) events.giveUp();
    }
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    // Those that have ended go first, and of them the oldest: a client that has not come back by now hardly will.
    for (const streams of [this.#ended, this.#live]) {
      for (const events of streams.values()) {
        if (this.#bytes <= MAX_BYTES) return;
        events.giveUp();
      }
    }
  }

  #drop(key: string, events: CallEvents): void {
    if (this.#live.delete(key) || this.#ended.delete(key)) this.#bytes -= OVERHEAD_BYTES + events.bytes;
  }
}

function keyOf(sessionNonce: string, id: string): string {
  return `${sessionNonce}\n${id}`;
}

interface CallEventsHooks {
  readonly onGrow: (bytes: number) => void;
  readonly onEnd: () => void;
  readonly onGivenUp: () => void;
}

/** A connection on which a client has taken up a stream. */
export interface Taker {
  onEvent(): void;
  onEnd(): void;
  /** Another connection has taken it up, or its events were given up. */
  onLost(): void;
}

/** The events of one call's stream, from its first to its answer. */
export class CallEvents {
  readonly id: string;
  readonly #isPrimed: boolean;
  readonly #hooks: CallEventsHooks;
  /** Whole events, as they were sent; the first has number 1 in its id. */
  #events: Buffer[] = [];
  /** The event that has begun. */
  readonly #begun = new HeldBytes();
  #isInside = false;
  #count = 0;
  #taker: Taker | undefined;
  #isGivenUp = false;
  /** How many bytes are held, those of an event that has only begun among them. */
  bytes = 0;
  /** By `performance.now()`; `Infinity` until then. */
  endedAtMs = Number.POSITIVE_INFINITY;
  /** Called once, when another connection takes up the stream; set by the one that it began on. */
  onTakenUp: () => void = () => {};

  constructor(id: string, isPrimed: boolean, hooks: CallEventsHooks) {
    this.id = id;
    this.#isPrimed = isPrimed;
    this.#hooks = hooks;
  }

  get isEnded(): boolean {
    return this.endedAtMs !== Number.POSITIVE_INFINITY;
  }

  /** What the stream begins with: an id to come back with, before anything has happened. */
  opening(): Buffer {
    return this.#isPrimed ? Buffer.from(`id: ${this.id}-0\nretry: ${RETRY_MS}\ndata: \n\n`) : NO_BYTES;
  }

  /** Takes the next bytes of the stream; returns them with the id of the event that they begin, if they begin one. */
  take(bytes: Buffer): Buffer {
    if (!this.#isInside) {
      // A comment is no event, and has no id.
      if (!beginsEvent(bytes)) return bytes;
      bytes = Buffer.concat([Buffer.from(`id: ${this.id}-${++this.#count}\n`), bytes]);
    }
    this.#isInside = !endsEvent(bytes);
    if (this.bytes + bytes.length > MAX_STREAM_BYTES) this.giveUp();
    if (!this.#isGivenUp) this.#hold(bytes);
    return bytes;
  }

  /** The stream has ended, in whatever way. */
  end(): void {
    if (this.isEnded) return;
    this.endedAtMs = performance.now();
    if (!this.#isGivenUp) this.#hooks.onEnd();
    this.#taker?.onEnd();
    this.onTakenUp = () => {};
  }

  /** What follows the event with this number, or `undefined` for one that was never sent, or is held no more. */
  after(number: number): Buffer | undefined {
    if (this.#isGivenUp || number > this.#events.length) return undefined;
    return Buffer.concat(this.#events.slice(number));
  }

  /** The number of the last whole event. */
  get last(): number {
    return this.#events.length;
  }

  /** The stream goes on on another connection. */
  takeUp(taker: Taker): void {
    this.#taker?.onLost();
    this.#taker = taker;
    this.onTakenUp();
    this.onTakenUp = () => {};
  }

  /** The taker has left; what comes from now on is kept for the next one. */
  leave(taker: Taker): void {
    if (this.#taker === taker) this.#taker = undefined;
  }

  /** Drops everything: whoever asks from now on is told that the event is unknown. */
  giveUp(): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#hooks.onGivenUp();
    this.#events = [];
    this.#begun.clear();
    this.bytes = 0;
    this.#taker?.onLost();
    this.#taker = undefined;
  }

  #hold(bytes: Buffer): void {
    this.#begun.push(bytes);
    this.bytes += bytes.length;
    if (!this.#isInside) {
      // Copied: the parts are slices of larger buffers that the upstream sent, and would keep all of those.
      this.#events.push(Buffer.from(this.#begun.whole()));
      this.#begun.clear();
    }
    this.#hooks.onGrow(bytes.length);
    if (!this.#isInside) this.#taker?.onEvent();
  }
}

function beginsEvent(bytes: Buffer): boolean {
  return bytes.length >= EVENT_HEAD.length && EVENT_HEAD.compare(bytes, 0, EVENT_HEAD.length) === 0;
}

function endsEvent(bytes: Buffer): boolean {
  return bytes.length >= 2 && bytes[bytes.length - 1] === LF && bytes[bytes.length - 2] === LF;
}
