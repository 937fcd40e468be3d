// Relays the event stream that answers one call: progress goes back under the client's token, the answer under the
// client's id, event ids and retry hints stay behind (they belong to the upstream's session, design §3.11).

import {
  type AnswerRewrite,
  AnswerStream,
  beginsLikeAnswer,
  beginsWithMethod,
  rewriteAnswer,
} from './answer-splice.ts';
import { HeldBytes } from './held-bytes.ts';
import { findMember, stringAt } from './json-scan.ts';
import { type Message, scanMessage } from './jsonrpc.ts';
import { type LogLevel, passesLog } from './log-level.ts';
import { type Pieces, SHORT_BYTES, splice } from './splice.ts';
import { COMMENT, EVENT_CUT, EVENT_END, EVENT_HEAD, readEventId, readRetry } from './sse.ts';
import { SseLines } from './sse-lines.ts';

/** From here on a line is passed on in parts if it is the answer. */
const LONG_LINE_BYTES = 64 * 1024;
/** What is no answer must fit: it is read whole. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

const DATA = 'data:';
const EVENT = 'event:';
const MESSAGE = 'message';
const BARE_EVENT = Buffer.from('event');
const ID = 'id:';
const RETRY = 'retry:';

export interface RelayRewrite extends AnswerRewrite {
  /** The client's progress token, if it sent one: raw JSON as latin1 text. */
  readonly progressToken: string | undefined;
  /** From which level on log messages go to this client; `undefined` for none. */
  readonly logLevel: LogLevel | undefined;
  /** `json` for a client that accepts no event stream: it gets the answer alone. */
  readonly framing: 'sse' | 'json';
}

/** `special`: the answer is here, and is not to be passed on before it has been looked into. */
export type RelayState = 'open' | 'answered' | 'special' | 'broken';

/** Who knows what to do with what is not simply passed on. What either returns goes to the client in its place. */
export interface RelaySink {
  onNotification(message: Message): Buffer | undefined;
  onRequest(message: Message): Buffer | undefined;
  /** Whether an answer, or the beginning of a long one, must be looked into. */
  isSpecial(answer: Buffer): boolean;
}

export class SseRelay {
  #rewrite: RelayRewrite;
  readonly #sink: RelaySink;
  readonly #lines: SseLines;
  #out: Buffer[] = [];
  readonly #data = new HeldBytes();
  /** Whether the event that has begun has a data field, be it an empty one. */
  #hasData = false;
  /** Whether the event that has begun is of a type that carries no JSON-RPC, such as `ping`. */
  #isForeign = false;
  /** The answer whose event is passed on in parts, from its first long line to the event's end. */
  #stream: AnswerStream | undefined;
  #isInLongLine = false;
  /** `answered` once the client has its answer, `broken` once it cannot get one. */
  state: RelayState = 'open';
  /** Id and pause of the last whole event, for an upstream that means to be asked again (2025-11-25 SEP-1699). */
  lastEventId: string | undefined;
  retryMs: number | undefined;
  /** Whether a message came behind the answer: nothing on this connection can be trusted to be somebody's answer. */
  isOverrun = false;
  /** Not the last id before its event has ended: asked for what follows, an upstream would skip the half that is missing. */
  #eventId: string | undefined;
  /** The whole answer that is special, as it came and as it would be passed on. */
  special: Buffer = EMPTY;
  #rewritten: Buffer = EMPTY;

  constructor(rewrite: RelayRewrite, sink: RelaySink) {
    this.#rewrite = rewrite;
    this.#sink = sink;
    this.#lines = new SseLines(
      {
        onLine: (line) => this.#onLine(line),
        onLongLine: (begun) => this.#onLongLine(begun),
        onPart: (part) => this.#writePieces(this.#stream?.push(part)),
      },
      LONG_LINE_BYTES,
    );
  }

  /** Takes bytes from the upstream; returns what goes to the client now. */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.state !== 'broken') this.#lines.push(chunk);
    if (this.state === 'open' && this.#isHoldingTooMuch) {
      this.#lines.ask();
      if (this.#isHoldingTooMuch) this.#break();
    }
    return this.#takeOut();
  }

  /** What comes from now on is for another request of the client. */
  retarget(rewrite: RelayRewrite): void {
    this.#rewrite = rewrite;
  }

  /** The special answer is one like all others. */
  passOn(): readonly Buffer[] {
    this.#answer(this.#rewritten);
    return this.#takeOut();
  }

  get #isHoldingTooMuch(): boolean {
    return this.#lines.heldBytes + this.#data.length > MAX_EVENT_BYTES;
  }

  #takeOut(): readonly Buffer[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** Whether what was pushed last ends inside an event that is being passed on. */
  get isInsideEvent(): boolean {
    return this.state === 'open' && this.#stream !== undefined;
  }

  get #hasAnswer(): boolean {
    return this.state === 'answered' || this.state === 'special';
  }

  #onLine(line: Buffer): void {
    if (this.#hasAnswer) this.isOverrun ||= hasName(line, DATA) && fieldValue(line, DATA).length > 0;
    if (this.state !== 'open') return;
    if (this.#isInLongLine) this.#endLongLine(line);
    else if (line.length === 0) this.#dispatch();
    else if (line[0] === 0x3a) this.#onComment();
    else if (hasName(line, DATA)) this.#onData(fieldValue(line, DATA));
    else if (hasName(line, EVENT)) this.#isForeign = !isMessageType(fieldValue(line, EVENT));
    // A field without a colon has the empty value (WHATWG HTML §9.2.6).
    else if (line.equals(BARE_EVENT)) this.#isForeign = false;
    else if (hasName(line, ID)) this.#eventId = readEventId(fieldValue(line, ID)) ?? this.#eventId;
    else if (hasName(line, RETRY)) this.retryMs = readRetry(fieldValue(line, RETRY)) ?? this.retryMs;
  }

  /** A comment keeps the connection alive, which an event that has begun does itself. */
  #onComment(): void {
    if (this.#stream === undefined && !this.#hasData) this.#frame(COMMENT);
  }

  #onData(value: Buffer): void {
    if (this.#stream !== undefined) {
      this.#writePieces(this.#stream.push(NEWLINE));
      this.#writePieces(this.#stream.push(value));
      return;
    }
    if (value.length > MAX_EVENT_BYTES && this.#beginStream(value)) return;
    if (this.#hasData) this.#data.push(NEWLINE);
    this.#hasData = true;
    this.#data.push(value);
  }

  #onLongLine(begun: Buffer): boolean {
    if (this.#hasAnswer) this.isOverrun = true;
    if (this.state !== 'open' || this.#isForeign || !hasName(begun, DATA)) return false;
    const value = fieldValue(begun, DATA);
    if (this.#stream !== undefined) this.#onData(value);
    else if (!this.#beginStream(value)) return false;
    this.#isInLongLine = true;
    return true;
  }

  /** Passes an answer on from its beginning, if it can be. */
  #beginStream(value: Buffer): boolean {
    if (this.#hasData || !this.#canPassInParts(value)) return false;
    this.#stream = new AnswerStream(this.#rewrite);
    this.#frame(EVENT_HEAD);
    this.#writePieces(this.#stream.push(value));
    return true;
  }

  /** An answer that is reshaped or looked into must be whole; what is too large for that is just an answer. */
  #canPassInParts(value: Buffer): boolean {
    const { wrapsStructuredContent, upstreamId } = this.#rewrite;
    if (wrapsStructuredContent || !beginsLikeAnswer(value, upstreamId)) return false;
    return value.length > MAX_EVENT_BYTES || !this.#sink.isSpecial(value);
  }

  #endLongLine(rest: Buffer): void {
    this.#isInLongLine = false;
    this.#writePieces(this.#stream?.push(rest));
  }

  #endStream(stream: AnswerStream): void {
    const rest = stream.end();
    if (rest === undefined) {
      this.#break();
      return;
    }
    this.#writePieces(rest);
    this.#frame(EVENT_END);
    this.state = 'answered';
  }

  /** Gives the stream up. An event that was begun is ended so that no client can read it: it may hold a forged answer. */
  #break(): void {
    this.state = 'broken';
    if (this.#stream !== undefined) this.#frame(EVENT_CUT);
  }

  #dispatch(): void {
    if (this.#stream !== undefined) {
      this.#endStream(this.#stream);
      return;
    }
    // Looked at here, too: whether an event is too large must not depend on how it was cut into chunks.
    if (this.#data.length > MAX_EVENT_BYTES) {
      this.#break();
      return;
    }
    this.lastEventId = this.#eventId;
    const isForeign = this.#isForeign;
    this.#isForeign = false;
    if (!this.#hasData) return;
    const data = this.#data.whole();
    this.#hasData = false;
    this.#data.clear();
    if (isForeign) return;
    // A priming event has an empty data field (2025-11-25 basic/transports#sending-messages-to-the-server).
    if (data.length === 0) return;
    const mayAnswer = data.includes(this.#rewrite.upstreamId) && !beginsWithMethod(data);
    const answer = mayAnswer ? rewriteAnswer(data, this.#rewrite) : undefined;
    if (answer !== undefined) {
      if (this.#sink.isSpecial(data)) {
        this.state = 'special';
        this.special = data;
        this.#rewritten = answer;
      } else this.#answer(answer);
      return;
    }
    const message = scanMessage(data);
    if (message.kind === 'notification') this.#notify(message);
    else if (message.kind === 'request') this.#eventOf(this.#sink.onRequest(message));
    // An answer to a request that was not asked here, or no JSON-RPC at all: this stream cannot be trusted further.
    else this.state = 'broken';
  }

  #answer(answer: Buffer): void {
    if (this.#rewrite.framing === 'json') this.#write(answer);
    else this.#event(answer);
    this.state = 'answered';
  }

  #notify(message: Message): void {
    if (message.method === 'notifications/progress') this.#progress(message);
    else if (message.method === 'notifications/message') {
      if (passesLog(message, this.#rewrite.logLevel)) this.#event(message.bytes);
    } else this.#eventOf(this.#sink.onNotification(message));
  }

  #progress(message: Message): void {
    const { progressToken, upstreamId } = this.#rewrite;
    const token = findMember(message.params, 'progressToken');
    if (token === undefined || progressToken === undefined) return;
    if (stringAt(message.bytes, token) !== upstreamId) return;
    this.#event(splice(message.bytes, [{ start: token.start, end: token.end, text: progressToken }]));
  }

  #eventOf(data: Buffer | undefined): void {
    if (data !== undefined) this.#event(data);
  }

  #event(data: Buffer): void {
    if (this.#rewrite.framing === 'json') return;
    // As one piece it is one chunk of the client's HTTP answer.
    if (data.length <= SHORT_BYTES && !data.includes(0x0a)) {
      this.#write(Buffer.concat([EVENT_HEAD, data, EVENT_END]));
      return;
    }
    this.#write(EVENT_HEAD);
    this.#writeLines(data);
    this.#write(EVENT_END);
  }

  #writePieces(pieces: Pieces = EMPTY): void {
    if (Buffer.isBuffer(pieces)) this.#writeLines(pieces);
    else for (const piece of pieces) this.#writeLines(piece);
  }

  /** Writes (a part of) a message as the data of an event; a line end inside it begins another data line. */
  #writeLines(data: Buffer): void {
    let from = 0;
    if (this.#rewrite.framing === 'sse') {
      for (let at = data.indexOf(0x0a); at >= 0; at = data.indexOf(0x0a, from)) {
        this.#write(data.subarray(from, at));
        this.#write(DATA_LINE);
        from = at + 1;
      }
    }
    this.#write(data.subarray(from));
  }

  #frame(bytes: Buffer): void {
    if (this.#rewrite.framing === 'sse') this.#write(bytes);
  }

  #write(bytes: Buffer | undefined): void {
    if (bytes !== undefined && bytes.length > 0) this.#out.push(bytes);
  }
}

const EMPTY = Buffer.alloc(0);
const NEWLINE = Buffer.from('\n');
const DATA_LINE = Buffer.from('\ndata: ');

function hasName(line: Buffer, name: string): boolean {
  if (line.length < name.length) return false;
  for (let at = 0; at < name.length; at++) if (line[at] !== name.charCodeAt(at)) return false;
  return true;
}

/** What stands behind a field's name, colon included, and one optional space. */
function fieldValue(line: Buffer, name: string): Buffer {
  return line.subarray(line[name.length] === 0x20 ? name.length + 1 : name.length);
}

/** Events of other types are not for an MCP client (WHATWG HTML §9.2.6: the default type is `message`). */
function isMessageType(type: Buffer): boolean {
  return type.length === 0 || (type.length === MESSAGE.length && hasName(type, MESSAGE));
}
