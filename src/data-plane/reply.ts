// Writes answers of the data plane on HTTP/1.1 and HTTP/2 alike, as JSON or, for a client that accepts nothing else,
// as an event stream.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { ERRORS, type ErrorCode } from '../domain/errors.ts';
import { errorAnswer } from '../protocol/jsonrpc.ts';

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

/** Up to a few pages, copying head and body into one string and writing once is cheaper than writing both apart. */
const ONE_WRITE_BYTES = 16 * 1024;

/** Sends a whole answer. `headers` is a flat [name, value, …] array. */
export function reply(
  response: HttpResponse,
  status: number,
  body: string | Buffer,
  framing: Framing,
  headers: readonly string[] = NO_HEADERS,
): void {
  const isEvent = framing === 'sse' && status === 200;
  const bytes = isEvent ? toEvent(body) : typeof body === 'string' ? Buffer.from(body) : body;
  const type = isEvent ? 'text/event-stream' : 'application/json';
  writeHead(response, status, ['content-type', type, 'content-length', String(bytes.length), ...headers]);
  if (bytes.length > ONE_WRITE_BYTES) (response as ServerResponse).end(bytes);
  else (response as ServerResponse).end(bytes.toString('latin1'), 'latin1');
}

const NO_HEADERS: readonly string[] = [];

/** Sends a status without a body. */
export function replyEmpty(response: HttpResponse, status: number, headers: readonly string[] = []): void {
  writeHead(response, status, status === 204 ? headers : [...headers, 'content-length', '0']);
  response.end();
}

/** Sends an error of the gateway's own as a JSON-RPC error. */
export function replyError(
  response: HttpResponse,
  error: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly data?: Readonly<Record<string, unknown>> | undefined;
  },
  id: string | undefined,
  framing: Framing,
): void {
  const { status, jsonRpcCode } = ERRORS[error.code];
  const { message, data } = error;
  const body = errorAnswer(id, { code: jsonRpcCode, message, ...(data === undefined ? {} : { data }) });
  reply(response, status, body, framing);
}

/** The two response types declare `writeHead` and `write` apart, and behave alike here. */
export function writeHead(response: HttpResponse, status: number, headers: readonly string[]): void {
  (response as ServerResponse).writeHead(status, headers as string[]);
}

export function write(response: HttpResponse, bytes: Buffer): boolean {
  return (response as ServerResponse).write(bytes);
}

export function end(response: HttpResponse, bytes?: Buffer): void {
  if (bytes === undefined) response.end();
  else (response as ServerResponse).end(bytes);
}

/** One event that holds `body`; line ends inside it begin new data lines. */
export function toEvent(body: string | Buffer): Buffer {
  return Buffer.concat([
    Buffer.from('event: message\ndata: '),
    toDataLines(Buffer.from(body as string)),
    Buffer.from('\n\n'),
  ]);
}

/** JSON holds no line end inside a string, so cutting there changes nothing but white space. */
export function toDataLines(body: Buffer): Buffer {
  return body.includes(0x0a) ? Buffer.from(body.toString('latin1').replaceAll('\n', '\ndata: '), 'latin1') : body;
}
