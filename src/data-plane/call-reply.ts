// The client's side of one call: a whole answer, an answer in parts, or events, in the framing the client reads.

import { SHORT_BYTES, toText } from '../protocol/splice.ts';
import { COMMENT, EVENT_CUT, EVENT_END, EVENT_HEAD } from '../protocol/sse.ts';
import type { CallEvents, EventBuffers } from './event-buffer.ts';
import type { RpcRequest } from './exchange.ts';
import {
  beginStream,
  breakOff,
  type Framing,
  type HttpResponse,
  isGone,
  NO_BYTES,
  reply,
  replyEmpty,
  replyShort,
  STREAM_HEADERS,
  toDataLines,
  toEvent,
} from './reply.ts';
import type { Session } from './sessions.ts';

export class CallReply {
  readonly #response: HttpResponse;
  /** What a whole answer, or one in parts, is sent as. */
  #framing: Framing;
  readonly #onDrain: () => void;
  readonly #session: Session | undefined;
  readonly #buffers: EventBuffers;
  /** What a client can come back for: the events of a legacy session. */
  #events: CallEvents | undefined;
  #begun: 'nothing' | 'parts' | 'events' = 'nothing';
  /** What a stream of events begins with, held for this tick: one that ends in it leaves whole, at the cost of a plain answer. */
  #opening: { readonly headers: readonly string[]; bytes: Buffer } | undefined;
  /** How many bytes of an answer the client has been sent. */
  bytes = 0;
  /** Nothing is written to a client that has left. */
  isClientGone = false;
  /** `performance.now()` of the last write of a stream, and since when the client has not taken what was written. */
  lastWriteMs = 0;
  stalledSinceMs: number | undefined;

  constructor({ exchange, session }: RpcRequest, buffers: EventBuffers, onDrain: () => void) {
    this.#response = exchange.response;
    this.#framing = exchange.framing;
    this.#session = session;
    this.#buffers = buffers;
    this.#onDrain = onDrain;
  }

  get hasBegun(): boolean {
    return this.#begun !== 'nothing';
  }

  /** Whether another event may follow what it has been sent. */
  get canTakeEvents(): boolean {
    return this.#begun !== 'parts' && this.isReachable;
  }

  /** Whether what is written reaches the client. */
  get isReachable(): boolean {
    return !this.#isUnread;
  }

  /** Sends a whole answer: bytes, or short bytes as latin1 text. As an event among others it ends nothing. */
  whole(answer: Buffer | string, headers: readonly string[]): void {
    if (this.#isUnread) return;
    if (this.#begun === 'events') {
      this.#write(toEvent(typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer));
      return;
    }
    this.bytes += answer.length;
    if (typeof answer === 'string' && this.#framing === 'json') replyShort(this.#response, answer, 'json', headers);
    else if (typeof answer === 'string') reply(this.#response, 200, Buffer.from(answer, 'latin1'), 'sse', headers);
    else reply(this.#response, 200, answer, this.#framing, headers);
  }

  beginEvents(headers: readonly string[]): void {
    this.#begin('events', 'sse', headers);
  }

  /**
   * An answer in parts begins, which may be the last event of a stream that has begun. Its length is not said, even if it is
   * known: between chunks there is room for bytes that find out whether the client is still there (../edge/half-closed.ts).
   */
  beginParts(headers: readonly string[]): void {
    if (this.#begun === 'events') {
      this.#begun = 'parts';
      this.#framing = 'sse';
    } else this.#begin('parts', this.#framing, headers);
    if (this.#framing === 'sse') this.#write(EVENT_HEAD);
  }

  /** Sends bytes of the stream that has begun; `false` asks the caller to wait for `onDrain`. */
  send(bytes: Buffer): boolean {
    const isEvent = this.#begun === 'parts' && this.#framing === 'sse';
    return this.#write(isEvent ? toDataLines(bytes) : bytes);
  }

  end(): void {
    if (this.#isUnread) return;
    if (this.#begun === 'parts' && this.#framing === 'sse') this.#write(EVENT_END);
    this.#end();
  }

  /** Ends with an error that the client can see, whatever it has been sent already. */
  fail(body: Buffer, isInsideEvent: boolean): void {
    if (this.#isUnread) return;
    if (this.#begun === 'nothing') {
      this.bytes += body.length;
      reply(this.#response, 200, body, this.#framing);
    } else if (this.#begun === 'parts' && this.#framing === 'json') {
      // Half an answer was sent: only a broken connection says that the rest is missing.
      breakOff(this.#response);
    } else {
      if (isInsideEvent || this.#begun === 'parts') this.#write(EVENT_CUT);
      this.#write(toEvent(body));
      this.#end();
    }
  }

  /** Ends where it stands, with what was written and not taken yet. */
  breakOff(): void {
    this.#events?.end();
    if (!this.isClientGone) breakOff(this.#response);
  }

  /** Ends without an answer, for a client that has said it wants none. */
  endUnanswered(): void {
    if (this.#isUnread) return;
    if (this.#begun === 'nothing') replyEmpty(this.#response, 202);
    // Half a JSON text must not end as if it were whole.
    else if (this.#begun === 'parts' && this.#framing === 'json') breakOff(this.#response);
    else this.#end();
  }

  /** Keeps a silent stream of events open through proxies that cut what is idle. */
  comment(): void {
    if (this.#begun === 'events' && this.stalledSinceMs === undefined) this.#write(COMMENT);
  }

  #begin(begun: 'parts' | 'events', framing: Framing, headers: readonly string[]): void {
    this.#begun = begun;
    this.lastWriteMs = performance.now();
    if (this.isClientGone) return;
    if (begun === 'events' && this.#session === undefined) {
      this.#opening = { headers, bytes: NO_BYTES };
      process.nextTick(() => this.#open());
      return;
    }
    const kind = framing === 'sse' ? STREAM_HEADERS : ['content-type', 'application/json'];
    beginStream(this.#response, [...kind, ...headers]);
    if (framing !== 'sse' || this.#session === undefined) return;
    this.#events = this.#buffers.begin(this.#session);
    this.#events.onTakenUp = () => this.#breakConnection();
    this.#write(this.#events.opening());
  }

  /** Nobody reads what is written, nor will. */
  get #isUnread(): boolean {
    return this.isClientGone && this.#events === undefined;
  }

  #end(): void {
    this.#events?.end();
    const opening = this.#opening;
    if (opening !== undefined && opening.bytes.length <= SHORT_BYTES) {
      this.#opening = undefined;
      if (!this.isClientGone) replyShort(this.#response, toText(opening.bytes), 'sse', opening.headers);
      return;
    }
    this.#open();
    if (!this.isClientGone) this.#response.end();
  }

  #open(): void {
    const opening = this.#opening;
    this.#opening = undefined;
    if (opening === undefined || this.isClientGone || isGone(this.#response)) return;
    beginStream(this.#response, [...STREAM_HEADERS, ...opening.headers]);
    if (opening.bytes.length > 0) this.#send(opening.bytes);
  }

  /** The client reads on elsewhere. */
  #breakConnection(): void {
    if (!this.isClientGone) breakOff(this.#response);
  }

  #write(bytes: Buffer): boolean {
    if (this.#events !== undefined) bytes = this.#events.take(bytes);
    if (this.isClientGone || bytes.length === 0) return true;
    this.bytes += bytes.length;
    if (this.#opening !== undefined && this.#opening.bytes.length === 0) {
      this.#opening.bytes = bytes;
      return true;
    }
    this.#open();
    return this.#send(bytes);
  }

  #send(bytes: Buffer): boolean {
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
