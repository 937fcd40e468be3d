// Reads what an upstream answers to one call, whole, in parts or as events, and passes it on with the client's id.

import type { IncomingHttpHeaders } from 'node:http';
import type { UpstreamFailureReason } from '../domain/errors.ts';
import {
  type AnswerRewrite,
  AnswerStream,
  beginsLikeAnswer,
  HEAD_BYTES,
  MAX_WALKED_BYTES,
  rewriteAnswer,
  rewriteShortAnswer,
} from '../protocol/answer-splice.ts';
import { HeldBytes } from '../protocol/held-bytes.ts';
import { endsInBrace, MAX_TRIED_BYTES } from '../protocol/json-bytes.ts';
import { JsonScanner } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { mediaType } from '../protocol/media-type.ts';
import { rewritePlainAnswer } from '../protocol/plain-answer.ts';
import { type Pieces, SHORT_BYTES, toText } from '../protocol/splice.ts';
import { type RelayRewrite, SseRelay } from '../protocol/sse-relay.ts';

/** Answers up to this size are held and leave in one write; larger ones stream. */
export const HELD_BYTES = 64 * 1024;

/** Why there is no answer. `message` is a clause about the upstream. */
export interface AnswerFailure {
  readonly reason: UpstreamFailureReason;
  readonly message: string;
}

/**
 * `open`: more is to come. `ended`: an event stream ended without the answer. `asked`: the upstream has answered that it
 * needs something of the client first.
 */
export type Verdict = 'open' | 'answered' | 'asked' | 'ended' | AnswerFailure;

/** The call whose answer is read. */
export interface AnswerSink {
  readonly upstreamId: string;
  rewrite(): AnswerRewrite;
  relayRewrite(): RelayRewrite;
  /** A notification of the upstream that is not simply passed on. What this and the next return goes to the client in its place. */
  onNotification(message: Message): Buffer | undefined;
  onRequest(message: Message): Buffer | undefined;
  /** Whether an answer, or the beginning of a long one, must be looked into. `text` is its latin1 text, if there is one. */
  isSpecial(answer: Buffer, text?: string): boolean;
  /** Whether a long answer may be special. */
  readonly mayAsk: boolean;
  /** Deals with a whole answer that is special; `undefined` when it is one like all others. */
  onSpecial(answer: Buffer): Verdict | undefined;
  sendWhole(answer: Buffer | string): void;
  beginEvents(): void;
  beginParts(): void;
  /** Sends a part of an answer; has the upstream wait when the client does not keep up. */
  sendOn(part: Buffer): void;
}

const UNANSWERED: AnswerFailure = { reason: 'broken_answer', message: 'its answer is not an answer to this call' };

/** The reader for an answer with these headers, or why there can be none. */
export function createAnswerReader(call: AnswerSink, headers: IncomingHttpHeaders): AnswerReader | AnswerFailure {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    return { reason: 'broken_answer', message: 'it compressed its answer although it was asked not to' };
  }
  const type = mediaType(headers['content-type']);
  if (type === 'text/event-stream') return new EventsReader(call);
  if (type === 'application/json') return new JsonReader(call, headers);
  return { reason: 'broken_answer', message: 'its answer is neither JSON nor an event stream' };
}

export interface AnswerReader {
  push(chunk: Buffer): Verdict;
  /** The HTTP answer has ended. */
  end(): Verdict;
  /** Whether what was passed on last ends inside an event. */
  readonly isInsideEvent: boolean;
  /** Whether the upstream went on after its answer. */
  readonly isOverrun: boolean;
  /** What has not been passed on yet is for another request of the client. */
  retarget(): void;
}

/** Held while it is small; from 64 KiB on it streams, unless it must be whole to be judged or reshaped. */
class JsonReader implements AnswerReader {
  readonly isInsideEvent = false;
  readonly isOverrun = false;
  readonly #call: AnswerSink;
  /** How many bytes are to come, or -1 if the upstream does not say. */
  readonly #length: number;
  /** Only the end of the connection ends it, so what was cut off looks whole. */
  readonly #mayBeCut: boolean;
  #rewrite: AnswerRewrite;
  #maxHeldBytes: number;
  readonly #held = new HeldBytes();
  #bytes = 0;
  #triedBytes = 0;
  #parts: AnswerStream | undefined;

  constructor(call: AnswerSink, { 'content-length': length, 'transfer-encoding': coding }: IncomingHttpHeaders) {
    this.#call = call;
    this.#mayBeCut = length === undefined && !/\bchunked\s*$/i.test(coding ?? '');
    this.#length = length === undefined ? -1 : Number(length);
    this.#rewrite = call.rewrite();
    const mustBeWhole = this.#mayBeCut || this.#rewrite.wrapsStructuredContent;
    this.#maxHeldBytes = mustBeWhole ? MAX_WALKED_BYTES : HELD_BYTES;
  }

  /** The last byte is acted upon before the HTTP answer ends: only until then can a poisoned connection be destroyed. */
  push(chunk: Buffer): Verdict {
    this.#bytes += chunk.length;
    if (this.#parts !== undefined) this.#sendPieces(this.#parts.push(chunk));
    else {
      this.#held.push(chunk);
      if (this.#bytes > this.#maxHeldBytes) {
        if (!this.#holdOrPass()) return UNANSWERED;
      } else if (this.#length < 0 && this.#isForeign(chunk)) return UNANSWERED;
    }
    return this.#bytes === this.#length ? this.end() : 'open';
  }

  end(): Verdict {
    if (this.#parts !== undefined) {
      const rest = this.#parts.end();
      if (rest === undefined) return UNANSWERED;
      this.#sendPieces(rest);
      return 'answered';
    }
    const bytes = this.#held.whole();
    this.#held.clear();
    if (this.#mayBeCut && !isWholeMessage(bytes)) return UNANSWERED;
    const text = bytes.length <= SHORT_BYTES ? toText(bytes) : undefined;
    const plain = text === undefined ? undefined : rewritePlainAnswer(bytes, text, this.#rewrite);
    if (plain !== undefined) {
      this.#call.sendWhole(plain);
      return 'answered';
    }
    if (this.#call.isSpecial(bytes, text)) {
      const verdict = this.#call.onSpecial(bytes);
      if (verdict !== undefined) return verdict;
    }
    const answer =
      text === undefined ? rewriteAnswer(bytes, this.#rewrite) : rewriteShortAnswer(bytes, text, this.#rewrite);
    if (answer === undefined) return UNANSWERED;
    this.#call.sendWhole(answer);
    return 'answered';
  }

  retarget(): void {
    this.#rewrite = this.#call.rewrite();
  }

  /** What must be looked into is held on, as far as an answer can be walked through; `false` when it can be no answer. */
  #holdOrPass(): boolean {
    const { mayAsk, upstreamId } = this.#call;
    const canBePassed = beginsLikeAnswer(this.#held.beginning(HEAD_BYTES), upstreamId);
    const mayBeWalked = this.#maxHeldBytes < MAX_WALKED_BYTES;
    if (mayBeWalked && (!canBePassed || (mayAsk && this.#call.isSpecial(this.#held.whole())))) {
      this.#maxHeldBytes = MAX_WALKED_BYTES;
      return true;
    }
    if (canBePassed) this.#beginParts();
    return canBePassed;
  }

  #beginParts(): void {
    this.#call.beginParts();
    this.#parts = new AnswerStream(this.#rewrite);
    for (const piece of this.#held.pieces()) this.#sendPieces(this.#parts.push(piece));
    this.#held.clear();
  }

  #sendPieces(pieces: Pieces): void {
    if (Buffer.isBuffer(pieces)) this.#call.sendOn(pieces);
    else for (const piece of pieces) this.#call.sendOn(piece);
  }

  /** A whole message without our id: the answer to somebody else's request. */
  #isForeign(chunk: Buffer): boolean {
    if (!endsInBrace(chunk)) return false;
    if (this.#triedBytes + this.#bytes > MAX_TRIED_BYTES) return false;
    this.#triedBytes += this.#bytes;
    const bytes = this.#held.whole();
    return !bytes.includes(this.#call.upstreamId) && isWholeMessage(bytes);
  }
}

/** An event stream that answers one call; it may be cut into several by an upstream that expects to be asked for the rest. */
export class EventsReader implements AnswerReader {
  readonly #call: AnswerSink;
  readonly #relay: SseRelay;
  /** On an answer that was special; what comes behind it changes nothing. */
  #verdict: Verdict | undefined;

  constructor(call: AnswerSink) {
    this.#call = call;
    const rewrite = call.relayRewrite();
    this.#relay = new SseRelay(rewrite, call);
    // A client that takes no events gets the answer alone, once it comes.
    if (rewrite.framing === 'sse') call.beginEvents();
  }

  retarget(): void {
    const rewrite = this.#call.relayRewrite();
    this.#relay.retarget(rewrite);
    if (rewrite.framing === 'sse') this.#call.beginEvents();
  }

  get isInsideEvent(): boolean {
    return this.#relay.isInsideEvent;
  }

  get lastEventId(): string | undefined {
    return this.#relay.lastEventId;
  }

  get retryMs(): number | undefined {
    return this.#relay.retryMs;
  }

  get isOverrun(): boolean {
    return this.#relay.isOverrun;
  }

  push(chunk: Buffer): Verdict {
    this.#send(this.#relay.push(chunk));
    const { state, special } = this.#relay;
    if (state === 'open') return 'open';
    if (state === 'answered') return 'answered';
    if (state === 'special') {
      this.#verdict ??= this.#call.onSpecial(special);
      if (this.#verdict === undefined) this.#send(this.#relay.passOn());
      return this.#verdict ?? 'answered';
    }
    return { reason: 'broken_answer', message: 'its event stream holds something that is no answer to this call' };
  }

  end(): Verdict {
    return 'ended';
  }

  #send(parts: readonly Buffer[]): void {
    for (const bytes of parts) this.#call.sendOn(bytes);
  }
}

function isWholeMessage(bytes: Buffer): boolean {
  const scan = new JsonScanner(bytes);
  const end = scan.skipValue(scan.skipSpace(0), 0);
  return end >= 0 && scan.skipSpace(end) === bytes.length;
}
