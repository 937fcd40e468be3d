// Writes answers of the data plane on HTTP/1.1 and HTTP/2 alike, as JSON or, for a client that accepts nothing else,
// as an event stream.

import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { SHORT_BYTES, toText } from '../protocol/splice.ts';
import { EVENT_END, EVENT_HEAD } from '../protocol/sse.ts';

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;
export type Framing = 'json' | 'sse';

/** Real clients accept JSON alone, event streams alone, both, or anything: only the second rules JSON out. */
export function framingFor(accept: string | undefined): Framing {
  if (accept === undefined) return 'json';
  return accept.includes('text/event-stream') && !accept.includes('application/json') && !accept.includes('*/*')
    ? 'sse'
    : 'json';
}

/** Whether an event stream may be passed on as one. */
export function acceptsStream(accept: string | undefined): boolean {
  return (
    accept === undefined || accept.includes('text/event-stream') || accept.includes('*/*') || accept.includes('text/*')
  );
}

/** Sends a whole answer. `headers` is a flat [name, value, …] array. */
export function reply(
  response: HttpResponse,
  status: number,
  body: Buffer,
  framing: Framing,
  headers: readonly string[] = NO_HEADERS,
): void {
  const isEvent = framing === 'sse' && status === 200;
  const bytes = isEvent ? toEvent(body) : body;
  const { length } = bytes;
  const whole = wholeHeaders(isEvent ? 'sse' : 'json', length, headers);
  if (length <= SHORT_BYTES) send(response, status, whole, toText(bytes), NO_PARTS);
  else {
    writeHead(response, status, whole);
    (response as ServerResponse).end(bytes);
  }
}

/**
 * Like `reply` with status 200 for JSON in parts, of which the first is short; over HTTP/1.1 long ones are not joined. They
 * leave at the end of this turn of the event loop.
 */
export function replyParts(response: HttpResponse, parts: readonly Buffer[], framing: Framing): void {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (framing === 'json' && length <= SHORT_BYTES) {
    replyShort(response, toText(Buffer.concat(parts, length)), framing, NO_HEADERS);
    return;
  }
  if (framing === 'sse' || !(response instanceof ServerResponse)) {
    reply(response, 200, Buffer.concat(parts, length), framing);
    return;
  }
  const [first = NO_BYTES, ...others] = parts;
  // As text it leaves in one piece with the head.
  replyLater({ response, status: 200, framing, headers: NO_HEADERS, length, text: toText(first), others });
}

export const NO_BYTES = Buffer.alloc(0);
const NO_PARTS: readonly Buffer[] = [];

interface DueReply {
  readonly response: HttpResponse;
  readonly status: number;
  readonly framing: Framing;
  readonly headers: readonly string[];
  /** Of the body, in bytes. */
  readonly length: number;
  /** latin1: the body, or its first part. */
  readonly text: string;
  readonly others: readonly Buffer[];
}

/**
 * Replies that are whole, until the event loop has read what else has come. Written one behind the other they find their
 * readers awake: to wake a process that sleeps is a third of the cost of a write.
 */
let due: DueReply[] = [];

function replyLater(reply: DueReply): void {
  if (due.length === 0) setImmediate(sendDue);
  due.push(reply);
}

/** Sends a short answer, given as it is framed and as latin1 text, at the end of this turn of the event loop. */
export function replyShort(
  response: HttpResponse,
  text: string,
  framing: Framing,
  headers: readonly string[],
  status = 200,
): void {
  replyLater({ response, status, framing, headers, length: text.length, text, others: NO_PARTS });
}

function sendDue(): void {
  const replies = due;
  due = [];
  for (const { response, status, framing, headers, length, text, others } of replies) {
    if (!isGone(response)) send(response, status, wholeHeaders(framing, length, headers), text, others);
  }
}

/** As one string, the head and what is short leave in one write, which is cheaper than both apart. */
function send(
  response: HttpResponse,
  status: number,
  headers: readonly string[],
  text: string,
  others: readonly Buffer[],
): void {
  writeHead(response, status, headers);
  if (others.length === 0) {
    (response as ServerResponse).end(text, 'latin1');
    return;
  }
  response.cork();
  (response as ServerResponse).write(text, 'latin1');
  for (const part of others) write(response, part);
  response.end();
}

function wholeHeaders(framing: Framing, length: number, headers: readonly string[]): string[] {
  const type = framing === 'sse' ? 'text/event-stream' : 'application/json';
  return ['content-type', type, 'content-length', String(length), ...headers];
}

const NO_HEADERS: readonly string[] = [];

/** Of an event stream that goes on: proxies must neither keep its events nor hold them back. */
export const STREAM_HEADERS: readonly string[] = [
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-cache',
  'x-accel-buffering',
  'no',
];

/** Sends a status without a body. */
export function replyEmpty(response: HttpResponse, status: number, headers: readonly string[] = []): void {
  writeHead(response, status, status === 204 ? headers : [...headers, 'content-length', '0']);
  response.end();
}

/** The two response types declare `writeHead` and `write` apart, and behave alike here. */
export function writeHead(response: HttpResponse, status: number, headers: readonly string[]): void {
  (response as ServerResponse).writeHead(status, headers as string[]);
}

/** Begins an answer whose bytes come by and by. The head leaves with what is written in this turn of the event loop, if anything is. */
export function beginStream(response: HttpResponse, headers: readonly string[]): void {
  writeHead(response, 200, headers);
  const socket = response instanceof ServerResponse ? response.socket : null;
  if (socket !== null) {
    socket.cork();
    process.nextTick(() => socket.uncork());
  }
  if ('flushHeaders' in response) response.flushHeaders();
}

export function write(response: HttpResponse, bytes: Buffer): boolean {
  return (response as ServerResponse).write(bytes);
}

/** Breaks an answer off where it stands. On HTTP/2 it takes an error: a stream that is just destroyed ends as if it were whole. */
export function breakOff(response: HttpResponse): void {
  if ('stream' in response) response.stream.destroy(new Error('the answer was broken off'));
  else response.destroy();
}

/** Whether the client has left: `close` has been told, or is about to be. */
export function isGone(response: HttpResponse): boolean {
  return 'stream' in response ? response.stream.destroyed : response.destroyed;
}

export function end(response: HttpResponse, bytes?: Buffer): void {
  if (bytes === undefined) response.end();
  else (response as ServerResponse).end(bytes);
}

/** One event that holds `body`; line ends inside it begin new data lines. */
export function toEvent(body: Buffer): Buffer {
  return Buffer.concat([EVENT_HEAD, toDataLines(body), EVENT_END]);
}

/**
 * JSON holds no line end inside a string, so cutting there changes nothing but white space. CR ends a line, too: it
 * becomes a space, or an upstream could write fields and whole events of its own into the client's stream.
 */
export function toDataLines(body: Buffer): Buffer {
  if (!body.includes(0x0a) && !body.includes(0x0d)) return body;
  return Buffer.from(body.toString('latin1').replaceAll('\r', ' ').replaceAll('\n', '\ndata: '), 'latin1');
}
