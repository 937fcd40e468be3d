// The client's side of one call: a whole answer, an answer in parts, or events, in the framing the client reads.

import { EVENT_CUT, EVENT_END, EVENT_HEAD } from '../protocol/sse-relay.ts';
import type { Exchange } from './exchange.ts';
import {
  breakOff,
  COMMENT,
  type Framing,
  type HttpResponse,
  reply,
  replyEmpty,
  replyShort,
  STREAM_HEADERS,
  toDataLines,
  toEvent,
  writeHead,
} from './reply.ts';

export class CallReply {
  readonly #response: HttpResponse;
  /** What a whole answer, or one in parts, is sent as. */
  readonly #framing: Framing;
  readonly #onDrain: () => void;
  #begun: 'nothing' | 'parts' | 'events' = 'nothing';
  /** How many bytes of an answer the client has been sent. */
  bytes = 0;
  /** Nothing is written to a client that has left. */
  isClientGone = false;
  /** `performance.now()` of the last write of a stream, and since when the client has not taken what was written. */
  lastWriteMs = 0;
  stalledSinceMs: number | undefined;

  constructor(exchange: Exchange, onDrain: () => void) {
    this.#response = exchange.response;
    this.#framing = exchange.framing;
    this.#onDrain = onDrain;
  }

  get hasBegun(): boolean {
    return this.#begun !== 'nothing';
  }

  /** Sends a whole answer: bytes, or short bytes as latin1 text. */
  whole(answer: Buffer | string, headers: readonly string[]): void {
    if (this.isClientGone) return;
    this.bytes += answer.length;
    if (typeof answer === 'string') replyShort(this.#response, answer, this.#framing, headers);
    else reply(this.#response, 200, answer, this.#framing, headers);
  }

  beginEvents(headers: readonly string[]): void {
    this.#begin('events', 'sse', headers);
  }

  beginParts(headers: readonly string[]): void {
    this.#begin('parts', this.#framing, headers);
    if (this.#framing === 'sse') this.#write(EVENT_HEAD);
  }

  /** Sends bytes of the stream that has begun; `false` asks the caller to wait for `onDrain`. */
  send(bytes: Buffer): boolean {
    const isEvent = this.#begun === 'parts' && this.#framing === 'sse';
    return this.#write(isEvent ? toDataLines(bytes) : bytes);
  }

  end(): void {
    if (this.isClientGone) return;
    if (this.#begun === 'parts' && this.#framing === 'sse') this.#write(EVENT_END);
    this.#response.end();
  }

  /** Ends with an error that the client can see, whatever it has been sent already. */
  fail(body: Buffer, isInsideEvent: boolean): void {
    if (this.isClientGone) return;
    if (this.#begun === 'nothing') {
      this.bytes += body.length;
      reply(this.#response, 200, body, this.#framing);
    } else if (this.#begun === 'parts' && this.#framing === 'json') {
      // Half an answer was sent: only a broken connection says that the rest is missing.
      breakOff(this.#response);
    } else {
      if (isInsideEvent || this.#begun === 'parts') this.#write(EVENT_CUT);
      this.#write(toEvent(body));
      this.#response.end();
    }
  }

  /** Ends where it stands, with what was written and not taken yet. */
  breakOff(): void {
    if (!this.isClientGone) breakOff(this.#response);
  }

  /** Ends without an answer, for a client that has said it wants none. */
  endUnanswered(): void {
    if (this.isClientGone) return;
    if (this.#begun === 'nothing') replyEmpty(this.#response, 202);
    // Half a JSON text must not end as if it were whole.
    else if (this.#begun === 'parts' && this.#framing === 'json') breakOff(this.#response);
    else this.#response.end();
  }

  /** Keeps a silent stream of events open through proxies that cut what is idle. */
  comment(): void {
    if (this.#begun === 'events' && this.stalledSinceMs === undefined) this.#write(COMMENT);
  }

  #begin(begun: 'parts' | 'events', framing: Framing, headers: readonly string[]): void {
    this.#begun = begun;
    this.lastWriteMs = performance.now();
    if (this.isClientGone) return;
    const kind = framing === 'sse' ? STREAM_HEADERS : ['content-type', 'application/json'];
    writeHead(this.#response, 200, [...kind, ...headers]);
    if ('flushHeaders' in this.#response) this.#response.flushHeaders();
  }

  #write(bytes: Buffer): boolean {
    if (this.isClientGone || bytes.length === 0) return true;
    this.bytes += bytes.length;
    const response = this.#response as { write(bytes: Buffer): boolean };
    this.lastWriteMs = performance.now();
    if (response.write(bytes)) return true;
    if (this.stalledSinceMs === undefined) {
      this.stalledSinceMs = this.lastWriteMs;
      this.#response.once('drain', () => {
        this.stalledSinceMs = undefined;
        this.#onDrain();
      });
    }
    return false;
  }
}
