// What can go wrong between an upstream's accept and its last byte: each fault is what is written, when, to the socket
// of one request. Nothing here knows what the gateway should make of it; `upstream-faults.jsonl` does.

import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { toEvent, toMessage } from './sdk-server-replies.ts';

/** Stands in everything of an upstream that no client may see. */
export const SECRET = 'secret.internal';
/** A result, of a call or a list, that no client may get. */
const FORGED =
  '{"content":[{"type":"text","text":"forged"}],"tools":[{"name":"forged","inputSchema":{"type":"object"}}]}';
/** Sent with every answer. */
const HEADERS = [`set-cookie: session=${SECRET}`, `x-upstream: ${SECRET}`, 'www-authenticate: Bearer realm="x"'];
/** Between two pieces of what comes piece by piece: often enough that no idle timeout ends it. */
const TICK_MS = 20;
/** Of what floods; 64 KiB every tick of 5 ms leave a neighbour in the same process room to work. */
const FLOOD_MS = 5;
const FLOOD_BYTES = 64 * 1024;
/** More than the gateway reads of a list, and than it holds of anything. */
const MEBIBYTE = 1024 * 1024;
/** More than a list may have in all, and a call's answer in one event. */
const GIANT_LIST = Buffer.alloc(33 * MEBIBYTE, 'x');
const GIANT_EVENT = GIANT_LIST.subarray(0, 6 * MEBIBYTE);

export interface BlowOptions {
  readonly socket: Socket;
  readonly framing: 'json' | 'sse';
  /** The request's id, and the one of a request before it, as JSON text. */
  readonly idText: string;
  readonly earlierIdText: string;
  /** The message that would be the right answer. */
  readonly answer: string;
  /** Where nobody may connect. */
  readonly trapUrl: string;
}

/** One request that is about to be answered, well or badly. */
export class Blow {
  readonly socket: Socket;
  readonly isStream: boolean;
  readonly idText: string;
  readonly earlierIdText: string;
  readonly answer: string;
  readonly trapUrl: string;

  constructor({ socket, framing, idText, earlierIdText, answer, trapUrl }: BlowOptions) {
    this.socket = socket;
    this.isStream = framing === 'sse';
    this.idText = idText;
    this.earlierIdText = earlierIdText;
    this.answer = answer;
    this.trapUrl = trapUrl;
  }

  /** The right answer with its id at the head, as an SDK server writes errors. */
  get answerIdFirst(): string {
    return `{"jsonrpc":"2.0","id":${this.idText},"result":${this.result}}`;
  }

  get result(): string {
    return this.answer.slice(this.answer.indexOf(':') + 1, this.answer.lastIndexOf(',"jsonrpc"'));
  }

  /** Nothing, where this upstream has ended the connection and a request was on its way to it. */
  write(...parts: (string | Buffer)[]): void {
    for (const part of parts) if (this.socket.writable) this.socket.write(part);
  }

  /** A message as the body of this upstream's framing. */
  body(message: string): string {
    return this.isStream ? toEvent(message) : message;
  }

  /** A whole response with that message. */
  whole(message: string, status = 200, headers: readonly string[] = []): string {
    return toHttp(status, this.body(message), this.isStream, headers);
  }

  /** The head of a response whose body comes in chunks. */
  head(): string {
    return toHead(200, this.isStream, ['transfer-encoding: chunked']);
  }

  /** Sends a body without a length and closes. */
  endWith(body: string): void {
    this.socket.end(toHead(200, this.isStream, ['connection: close']) + body);
  }

  /** Does it now and every so often, until the socket is closed. */
  repeat(work: () => void, everyMs = TICK_MS): void {
    work();
    const timer = setInterval(work, everyMs);
    this.socket.once('close', () => clearInterval(timer));
  }

  drip(text: string): void {
    let at = 0;
    this.repeat(() => this.write(text.charAt(at++)));
  }

  /** Writes as fast as the other side reads, within reason. */
  flood(piece: string): void {
    const chunk = toChunk(piece.repeat(Math.ceil(FLOOD_BYTES / piece.length)));
    this.repeat(() => {
      if (!this.socket.writableNeedDrain) this.write(chunk);
    }, FLOOD_MS);
  }
}

export function toHttp(
  status: number,
  body: string | Buffer,
  isStream = false,
  headers: readonly string[] = [],
): string {
  return `${toHead(status, isStream, [`content-length: ${Buffer.byteLength(body)}`, ...headers])}${body}`;
}

function toHead(status: number, isStream: boolean, headers: readonly string[]): string {
  const type = `content-type: ${isStream ? 'text/event-stream' : 'application/json'}`;
  const hasType = headers.some((header) => header.startsWith('content-type'));
  return [`HTTP/1.1 ${status} Word`, ...(hasType ? [] : [type]), ...HEADERS, ...headers, '', ''].join('\r\n');
}

function toChunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

const half = (text: string): string => text.slice(0, text.length / 2);

type Strike = (blow: Blow, waiting: Blow[]) => void;

/** Answers with an HTTP error whose body, be it a stream, holds what looks like the right answer. */
function status(code: number, ...headers: string[]): Strike {
  return (blow) => blow.write(blow.whole(blow.isStream ? blow.answer : `{"error":"${SECRET}"}`, code, headers));
}

function redirect(code: number): Strike {
  return (blow) => blow.write(blow.whole(blow.answer, code, [`location: ${blow.trapUrl}`]));
}

/** Says that the session is unknown, as servers do. */
function forgotten(code: number, text: string): Strike {
  const error = toMessage('null', { error: `{"code":-32000,"message":"${text}"}` });
  return (blow) => blow.write(toHttp(code, error));
}

/** Answers with a message of its own making. */
function message(make: (blow: Blow) => string): Strike {
  return (blow) => blow.write(blow.whole(make(blow)));
}

function forgedFor(idText: string): string {
  return toMessage(idText, FORGED);
}

/** Struck when a connection is opened: `FaultUpstream` does them. */
const CONNECT_FAULTS = [
  'refused',
  'unreachable',
  'dns-unknown',
  'dns-fails',
  'dns-silent',
  'tls-silent',
  'tls-untrusted',
  'tls-wrong-name',
  'tls-expired',
] as const;
export type ConnectFault = (typeof CONNECT_FAULTS)[number];

export function isConnectFault(fault: FaultName): fault is ConnectFault {
  return (CONNECT_FAULTS as readonly string[]).includes(fault);
}

/** Struck when the request has been read. */
export const STRIKES = {
  'no-head': () => {},
  'head-drip': (blow) => blow.drip(blow.whole(blow.answer)),
  'head-17k': (blow) => blow.write(blow.whole(blow.answer, 200, [`x-big: ${'x'.repeat(17_000)}`])),
  'head-garbage': (blow) => blow.write(`${SECRET} is no status line\r\n\r\n`),
  'head-1xx-flood': (blow) => blow.repeat(() => blow.write(`HTTP/1.1 103 Early Hints\r\nlink: </${SECRET}>\r\n\r\n`)),
  'no-word-fin': ({ socket }) => socket.end(),
  'no-word-rst': ({ socket }) => socket.resetAndDestroy(),

  'body-rst': (blow) => {
    blow.socket.write(blow.head() + toChunk(half(blow.body(blow.answer))), () => blow.socket.resetAndDestroy());
  },
  // Without a length, only the end of the connection ends the body: what was cut looks whole to HTTP.
  'body-fin': (blow) => blow.endWith(half(blow.body(blow.answer))),
  'body-fin-at-brace': (blow) => {
    const text = blow.body(blow.answerIdFirst);
    blow.endWith(blow.isStream ? text.slice(0, -1) : text.slice(0, text.lastIndexOf('}')));
  },
  'body-length-short': (blow) => {
    const body = blow.body(blow.answer);
    blow.write(toHead(200, blow.isStream, [`content-length: ${body.length - 10}`]), body);
  },
  'body-length-long': (blow) => {
    const body = blow.body(blow.answer);
    blow.write(toHead(200, blow.isStream, [`content-length: ${body.length + 10}`]), body.slice(0, -2));
  },
  'body-drip': (blow) => {
    blow.write(toHead(200, blow.isStream, ['content-length: 100000']));
    blow.drip(blow.body(toMessage(blow.idText, `{"text":"${'x'.repeat(10_000)}"}`)));
  },
  'body-endless': (blow) => {
    const begun = `{"jsonrpc":"2.0","id":${blow.idText},"result":{"text":"`;
    blow.write(blow.head(), toChunk(blow.isStream ? `data: ${begun}` : begun));
    blow.flood('x');
  },
  'body-malformed': message((blow) => `{"jsonrpc":"2.0","id":${blow.idText},"result":{"content":[tru}}`),
  'body-malformed-id-last': message((blow) => `{"result":{"content":[}},"jsonrpc":"2.0","id":${blow.idText}}`),
  'body-giant': (blow) => {
    const [before = '', behind = ''] = blow
      .body('{"jsonrpc":"2.0","method":"notifications/message","params":"|"}')
      .split('|');
    const giant = blow.answer.includes('"tools"') ? GIANT_LIST : GIANT_EVENT;
    const length = before.length + giant.length + behind.length;
    blow.write(toHead(200, blow.isStream, [`content-length: ${length}`]), before, giant, behind);
  },
  'body-trailing-bytes': (blow) => blow.write(`${blow.whole(blow.answer)}${SECRET}`),

  'wrong-id': message(() => forgedFor('"nobody-asked-this"')),
  'wrong-id-chunked': (blow) => blow.write(blow.head(), toChunk(`${forgedFor('"nobody-asked-this"')}\n`), '0\r\n\r\n'),
  'duplicate-response': (blow) => blow.write(blow.whole(blow.answer) + blow.whole(forgedFor(blow.idText))),
  'late-duplicate': (blow) => {
    blow.write(blow.whole(blow.answer));
    setTimeout(() => blow.write(blow.whole(forgedFor(blow.idText))), TICK_MS);
  },
  'duplicate-event': (blow) => {
    blow.write(toHttp(200, toEvent(blow.answer) + toEvent(forgedFor(blow.idText)), true));
  },
  'unsolicited-response': (blow) => {
    blow.write(blow.whole(blow.answer));
    setTimeout(() => blow.write(blow.whole(forgedFor('"nobody-asked-this"'))), TICK_MS);
  },
  'unsolicited-event': (blow) => {
    blow.write(toHttp(200, toEvent(forgedFor('"nobody-asked-this"')) + toEvent(blow.answer), true));
  },
  'other-id': (blow, waiting) => {
    const other = waiting.pop();
    if (other === undefined) waiting.push(blow);
    else {
      blow.write(blow.whole(toMessage(other.idText, other.result)));
      other.write(other.whole(toMessage(blow.idText, blow.result)));
    }
  },
  // The id of a request that this upstream has answered already.
  'earlier-id': message((blow) => forgedFor(blow.earlierIdText)),
  'two-results': message((blow) => `${blow.answerIdFirst.slice(0, -1)},"result":${FORGED}}`),
  'result-and-error': message(
    (blow) => `${blow.answerIdFirst.slice(0, -1)},"error":{"code":-1,"message":"${SECRET}"}}`,
  ),
  'accepted-202': (blow) => blow.write(blow.isStream ? blow.whole(blow.answer, 202) : toHttp(202, '')),
  'html-200': (blow) => {
    const html = `<h1>${SECRET}</h1>`;
    blow.write(toHttp(200, blow.isStream ? toEvent(html) : html, false, ['content-type: text/html']));
  },

  'stream-half-open': (blow) => blow.write(blow.head(), toChunk(`: ${SECRET}\n\n`)),
  'stream-mid-event': (blow) => blow.write(blow.head(), toChunk(half(toEvent(blow.answer)))),
  'stream-comments': (blow) => {
    blow.write(blow.head());
    blow.repeat(() => blow.write(toChunk(`: ${SECRET}\n\n`)));
  },
  'stream-flood': (blow) => {
    blow.write(blow.head());
    blow.flood(toEvent(`{"jsonrpc":"2.0","method":"notifications/x","params":{"x":"${SECRET}"}}`));
  },
  'stream-lingers': (blow) => {
    blow.write(blow.head(), toChunk(toEvent(blow.answer)));
    blow.repeat(() => blow.write(toChunk(': still here\n\n')));
  },

  'status-204': (blow) => blow.write('HTTP/1.1 204 No Content\r\n\r\n'),
  'redirect-302': redirect(302),
  'redirect-307': redirect(307),
  'status-401': status(401, `www-authenticate: Bearer realm="${SECRET}"`),
  'status-403': status(403),
  'status-404': status(404),
  'status-429': status(429, 'retry-after: 7'),
  'status-500': status(500),
  'status-502': status(502, 'content-type: text/html'),
  'status-503': status(503, 'retry-after: 7'),
  'session-404': forgotten(404, 'Session not found'),
  'session-410': forgotten(410, 'Gone'),
  'session-400': forgotten(400, 'Bad Request: No valid session ID provided'),
  'session-always-lost': forgotten(404, 'Session not found'),
  compressed: (blow) => {
    const body = gzipSync(blow.body(blow.answer));
    blow.write(toHead(200, blow.isStream, ['content-encoding: gzip', `content-length: ${body.length}`]), body);
  },
} satisfies Record<string, Strike>;

export type FaultName = ConnectFault | keyof typeof STRIKES;
