// Relays the event stream that answers one call: progress goes back under the client's token, the answer under the
// client's id, event ids and retry hints stay behind (they belong to the upstream's session, design §3.11).

import { type AnswerRewrite, AnswerStream, beginsLikeAnswer, rewriteAnswer } from './answer-splice.ts';
import { findMember, stringAt } from './json-scan.ts';
import { type Message, scanMessage } from './jsonrpc.ts';
import { splice } from './splice.ts';
import { SseLines } from './sse-lines.ts';

/** From here on a line is passed on in parts if it is the answer. */
const LONG_LINE_BYTES = 64 * 1024;
/** What is no answer must fit: it is read whole. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;

const EVENT_HEAD = Buffer.from('event: message\ndata: ');
const EVENT_END = Buffer.from('\n\n');
const COMMENT = Buffer.from(':\n\n');
const DATA = 'data:';

export interface RelayRewrite extends AnswerRewrite {
  /** The client's progress token as raw JSON bytes, if it sent one. */
  readonly progressToken: Buffer | undefined;
  /** Whether `notifications/message` may go to this client. */
  readonly passesLogs: boolean;
  /** `json` for a client that accepts no event stream: it gets the answer alone. */
  readonly framing: 'sse' | 'json';
}

export type RelayState = 'open' | 'answered' | 'broken';

export class SseRelay {
  readonly #rewrite: RelayRewrite;
  readonly #lines: SseLines;
  #out: Buffer[] = [];
  #data: Buffer[] = [];
  #dataBytes = 0;
  #stream: AnswerStream | undefined;
  /** `answered` once the client has its answer, `broken` once it cannot get one. */
  state: RelayState = 'open';
  /** Called for notifications that are the gateway's to act on, such as a changed list. */
  onNotification: (method: string) => void = () => {};

  constructor(rewrite: RelayRewrite) {
    this.#rewrite = rewrite;
    this.#lines = new SseLines(
      {
        onLine: (line) => this.#onLine(line),
        onLongLine: (begun) => this.#onLongLine(begun),
        onPart: (part) => this.#write(this.#stream?.push(part)),
      },
      LONG_LINE_BYTES,
    );
  }

  /** Takes bytes from the upstream; returns what goes to the client now. */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.state === 'open') this.#lines.push(chunk);
    if (this.#lines.heldBytes + this.#dataBytes > MAX_EVENT_BYTES) this.state = 'broken';
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #onLine(line: Buffer): void {
    if (this.state !== 'open') return;
    if (this.#stream !== undefined) this.#endStream(line);
    else if (line.length === 0) this.#dispatch();
    else if (line[0] === 0x3a) this.#frame(COMMENT);
    else if (isData(line)) {
      const value = dataValue(line);
      this.#data.push(value);
      this.#dataBytes += value.length;
    }
  }

  #onLongLine(begun: Buffer): boolean {
    if (this.state !== 'open' || this.#data.length > 0 || !isData(begun)) return false;
    const value = dataValue(begun);
    if (!beginsLikeAnswer(value, this.#rewrite.upstreamId)) return false;
    this.#stream = new AnswerStream(this.#rewrite);
    this.#frame(EVENT_HEAD);
    this.#write(this.#stream.push(value));
    return true;
  }

  #endStream(line: Buffer): void {
    this.#write(this.#stream?.push(line));
    const rest = this.#stream?.end();
    this.#stream = undefined;
    if (rest === undefined) {
      this.state = 'broken';
      return;
    }
    this.#write(rest);
    this.#frame(EVENT_END);
    this.state = 'answered';
  }

  #dispatch(): void {
    const [first] = this.#data;
    if (first === undefined) return;
    const data =
      this.#data.length === 1 ? first : Buffer.concat(this.#data.flatMap((part) => [NEWLINE, part]).slice(1));
    this.#data = [];
    this.#dataBytes = 0;
    // A priming event has an empty data field (2025-11-25 basic/transports#sending-messages-to-the-server).
    if (data.length === 0) return;
    const answer = data.includes(this.#rewrite.upstreamId) ? rewriteAnswer(data, this.#rewrite) : undefined;
    if (answer !== undefined) {
      if (this.#rewrite.framing === 'json') this.#write(answer);
      else this.#event(answer);
      this.state = 'answered';
      return;
    }
    const message = scanMessage(data);
    if (message.kind === 'notification') this.#notify(message);
    // An answer to a request that was not asked here, or no JSON-RPC at all: this stream cannot be trusted further.
    else if (message.kind !== 'request') this.state = 'broken';
  }

  #notify(message: Message): void {
    if (message.method === 'notifications/progress') this.#progress(message);
    else if (message.method === 'notifications/message') {
      if (this.#rewrite.passesLogs) this.#event(message.bytes);
    } else this.onNotification(message.method);
  }

  #progress(message: Message): void {
    const { progressToken, upstreamId } = this.#rewrite;
    const token = findMember(message.params, 'progressToken');
    if (token === undefined || progressToken === undefined) return;
    if (stringAt(message.bytes, token) !== upstreamId) return;
    this.#event(splice(message.bytes, [{ start: token.start, end: token.end, text: progressToken }]));
  }

  #event(data: Buffer): void {
    if (this.#rewrite.framing === 'json') return;
    this.#write(EVENT_HEAD);
    let from = 0;
    for (let at = data.indexOf(0x0a); at >= 0; at = data.indexOf(0x0a, from)) {
      this.#write(data.subarray(from, at));
      this.#write(DATA_LINE);
      from = at + 1;
    }
    this.#write(data.subarray(from));
    this.#write(EVENT_END);
  }

  #frame(bytes: Buffer): void {
    if (this.#rewrite.framing === 'sse') this.#write(bytes);
  }

  #write(bytes: Buffer | undefined): void {
    if (bytes !== undefined && bytes.length > 0) this.#out.push(bytes);
  }
}

const NEWLINE = Buffer.from('\n');
const DATA_LINE = Buffer.from('\ndata: ');

function isData(line: Buffer): boolean {
  return line.length >= DATA.length && line.toString('latin1', 0, DATA.length) === DATA;
}

/** What stands behind `data:` and one optional space. */
function dataValue(line: Buffer): Buffer {
  return line.subarray(line[DATA.length] === 0x20 ? DATA.length + 1 : DATA.length);
}
