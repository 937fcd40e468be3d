// One legacy session as a listener: what is sent on its GET stream, and kept for it for a while when it has none.

import { hash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { COMMENT } from '../protocol/sse.ts';
import { PRIMING_REVISION } from './event-buffer.ts';
import { EventStream } from './event-stream.ts';
import type { Exchange } from './exchange.ts';
import { Listener, type ListeningDeps, methodOf, toNotification } from './listener.ts';
import type { OpenStream } from './open-streams.ts';
import { Outbox } from './outbox.ts';
import { type HttpResponse, toEvent } from './reply.ts';
import type { Session } from './sessions.ts';

/** Requests of servers outside a call that are kept to be sent again; the oldest makes room. */
const MAX_REQUESTS = 32;
const REQUEST = '#';

export class ListeningSession implements OpenStream {
  readonly session: Session;
  readonly listener: Listener;
  readonly endsAlone = false;
  #nonce: string | undefined;
  #stream: EventStream | undefined;
  /** Since when it has no stream, by `performance.now()`. */
  absentSinceMs = performance.now();
  /** Whether updates may have been missed while nothing was watched for it. */
  isBehind = false;
  #requests = 0;

  /** `nowMs` is in ms since 1970. */
  constructor(session: Session, exchange: Exchange, deps: ListeningDeps, nowMs: number) {
    this.session = session;
    // Numbers of an earlier process, or of another replica, must not come again within the session.
    const outbox = new Outbox({ start: nowMs * 1000, keepsRead: true });
    const owner = { era: 'legacy', outbox, wake: () => this.#stream?.wake(performance.now()) } as const;
    this.listener = new Listener(exchange, owner, deps);
  }

  get principal(): TokenPrincipal {
    return this.listener.principal;
  }

  get view(): string | undefined {
    return this.listener.view;
  }

  get expiresAtMs(): number {
    return this.session.expiresAtMs;
  }

  get hasStream(): boolean {
    return this.#stream !== undefined;
  }

  /** Begins its event ids: the same in every replica, and of no other session. */
  get nonce(): string {
    const { nonce } = this.session;
    this.#nonce ??= hash('sha256', `events\n${nonce}`, 'base64url').slice(0, nonce.length);
    return this.#nonce;
  }

  /** Begins a stream; returns it. */
  begin(response: HttpResponse): EventStream {
    const stream = new EventStream({ response, first: this.#opening(), next: () => this.#next() }, performance.now());
    this.#stream = stream;
    return stream;
  }

  /** A stream is over, whoever ended it; `false` when the session has another by now. */
  leave(stream: EventStream): boolean {
    if (this.#stream !== undefined && this.#stream !== stream) return false;
    this.#stream = undefined;
    this.absentSinceMs = performance.now();
    return true;
  }

  /** Sends a server's message as it is; `false` without an open stream, or when too much waits already. */
  send(message: Buffer): boolean {
    const { outbox, wake } = this.listener;
    if (this.#stream === undefined || outbox.isFull) return false;
    outbox.delete(`${REQUEST}${this.#requests - MAX_REQUESTS}`);
    outbox.put(`${REQUEST}${this.#requests++}`, message);
    wake();
    return true;
  }

  look(): Promise<void> | void {
    return this.listener.look();
  }

  tend(nowMs: number): void {
    this.#stream?.tend(nowMs);
  }

  end(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.absentSinceMs = performance.now();
    stream?.end();
  }

  /** A comment, so that the headers go out, and an id to come back with for clients that know an event without data. */
  #opening(): Buffer {
    if (this.session.revision < PRIMING_REVISION) return COMMENT;
    return Buffer.concat([COMMENT, Buffer.from(`id: ${this.nonce}-${this.listener.outbox.read}\ndata: \n\n`)]);
  }

  /** What is sent next, each event with an id from which the client can go on. */
  #next(): Buffer | undefined {
    const events: Buffer[] = [];
    this.listener.readOn((key, data, number) => {
      const message = key.startsWith(REQUEST) ? data : toNotification(methodOf(key), data);
      events.push(Buffer.from(`id: ${this.nonce}-${number}\n`), toEvent(message));
    });
    return events.length === 0 ? undefined : Buffer.concat(events);
  }
}
