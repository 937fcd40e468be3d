// HTTP/2 stream by stream, on a socket that a test can break: requests that it ends, resets or reads when it sees fit.

import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { type Answer, type Sent, toAnswer } from './mcp-http.ts';

export interface RawHttp2 {
  readonly session: http2.ClientHttp2Session;
  readonly socket: net.Socket;
}

/** Connects to the host and port of `url`, in plain text. */
export async function connectHttp2(url: string, options: http2.ClientSessionOptions = {}): Promise<RawHttp2> {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ port: Number(port), host: hostname, noDelay: true });
  socket.on('error', () => undefined);
  const session = http2.connect(url, { ...options, createConnection: () => socket });
  session.on('error', () => undefined);
  await once(session, 'connect');
  return { session, socket };
}

/** Begins a request; its body is the caller's to write, and to end. */
export function beginHttp2(session: http2.ClientHttp2Session, url: string, sent: Sent): http2.ClientHttp2Stream {
  return request(session, url, sent, false);
}

/** Sends a whole request. */
export function openHttp2(session: http2.ClientHttp2Session, url: string, sent: Sent): http2.ClientHttp2Stream {
  const stream = request(session, url, sent, sent.body === undefined);
  if (sent.body !== undefined) stream.end(sent.body);
  return stream;
}

/** Sends a whole request and reads its answer. */
export function sendHttp2(session: http2.ClientHttp2Session, url: string, sent: Sent): Promise<Answer> {
  return answerOf(openHttp2(session, url, sent));
}

function request(session: http2.ClientHttp2Session, url: string, sent: Sent, endStream: boolean) {
  const { pathname, search } = new URL(url);
  const stream = session.request(
    {
      ':method': sent.method ?? 'POST',
      ':path': pathname + search,
      ...(sent.token === undefined ? {} : { authorization: `Bearer ${sent.token}` }),
      ...(sent.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...sent.headers,
    },
    { endStream },
  );
  // A stream may be reset behind its answer, to stop the rest of a body.
  stream.on('error', () => undefined);
  return stream;
}

/** The status of an answer, as soon as it is there; the rest is read past. */
export async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const [head] = await once(stream.resume(), 'response');
  return head[':status'];
}

/** The answer of a request up to its end, be that a reset. Rejects when there is none. */
export async function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => undefined);
  const [head] = await once(stream, 'response');
  // A reset is an error, too, for `once`.
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
  return toAnswer(head[':status'], head, Buffer.concat(chunks));
}
