// The HTTP/2 half of the listener (prior knowledge, RFC 9113 §3.3): a server that is only fed sockets.
// Node has no clocks for HTTP/2 requests, so the ones HTTP/1.1 has are made here.

import type {
  Http2Server,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import { constants, createServer } from 'node:http2';
import type { Socket } from 'node:net';
import { MAX_HEADER_BYTES } from './http1.ts';
import { writeRefusal } from './refusal.ts';
import type { OnRequest, RequestGate } from './request-gate.ts';
import { takenBytes } from './taken-bytes.ts';
import { UselessBytes } from './useless-bytes.ts';

export interface Http2Options {
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly onSession: (session: ServerHttp2Session) => void;
}

/** How long a peer may keep a connection after we have closed our side of it. */
const LINGER_MS = 1_000;

/** Feed it with `feedHttp2`. Burst and rate of stream resets, pings and settings stay at Node's limits. */
export function createHttp2Server(options: Http2Options, gate: RequestGate): Http2Server {
  const server = createServer({
    settings: { maxConcurrentStreams: 256, maxHeaderListSize: MAX_HEADER_BYTES },
    // In megabytes; a session over it refuses new streams.
    maxSessionMemory: 10,
    // Malformed requests mostly; a client library sends none, and Node's 1,000 are as many chances for a smuggler.
    maxSessionInvalidFrames: 100,
  });
  const uselessBytes = new UselessBytes();
  const timed =
    (onRequest: OnRequest) =>
    (request: Http2ServerRequest, response: Http2ServerResponse): void => {
      limitReceiveTime(request, response, options.requestTimeoutMs);
      onRequest(request, response);
    };
  server.on('request', timed(gate.request));
  server.on('checkContinue', timed(gate.checkContinue));
  server.on('checkExpectation', gate.checkExpectation);
  // A session hides its socket; this one is told of in the same turn, before its session is.
  let fed: Socket;
  server.prependListener('connection', (socket) => {
    fed = socket;
  });
  server.on('session', (session) => {
    limitIdleTime(session, fed, options.keepAliveTimeoutMs);
    uselessBytes.watch(session, fed);
    // The peer broke the protocol or the connection broke: Node has ended the session, nobody else is concerned.
    session.on('error', () => undefined);
    options.onSession(session);
  });
  return server;
}

/** Hands over a socket whose first bytes are the preface. */
export function feedHttp2(server: Http2Server, socket: Socket): void {
  // HTTP/1.1 answers peers that have finished sending; an HTTP/2 peer that has finished sending is gone.
  socket.allowHalfOpen = false;
  socket.once('finish', () => {
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
  server.emit('connection', socket);
}

/**
 * Not by the session's own timeout: Node clears that too late to clear it, and a dead session is kept until it is over.
 * The socket is destroyed here, because a session waits for a peer that reads nothing to take what is left, for ever.
 * Answers that wait to be taken keep a session only while something of them is.
 */
function limitIdleTime(session: ServerHttp2Session, socket: Socket, timeoutMs: number): void {
  const open = new Set<ServerHttp2Stream>();
  let takenBefore = 0;
  const timer = setTimeout(() => {
    const taken = takenBytes(socket);
    const isTaking = taken > takenBefore;
    takenBefore = taken;
    for (const stream of open) {
      // A stream that we have closed stays as long as its peer takes nothing.
      if (stream.closed || (stream.writableEnded && !isTaking)) continue;
      timer.refresh();
      return;
    }
    session.close();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }, timeoutMs).unref();
  session.on('stream', (stream) => {
    open.add(stream);
    stream.once('close', () => {
      open.delete(stream);
      if (!session.destroyed) timer.refresh();
    });
  });
  session.once('close', () => clearTimeout(timer));
}

function limitReceiveTime(request: Http2ServerRequest, response: Http2ServerResponse, timeoutMs: number): void {
  const { stream } = request;
  if (stream.endAfterHeaders) return;
  const timer = setTimeout(() => {
    // Received but not read, as by an application that streams its answer to a request without a body.
    if (stream.state.state === constants.NGHTTP2_STREAM_STATE_HALF_CLOSED_REMOTE) return;
    // Before the stream: closing that alone would end the half of a body as if it were whole.
    request.destroy();
    if (response.headersSent) {
      stream.close(constants.NGHTTP2_CANCEL);
      return;
    }
    const message = 'The request body did not arrive completely in time. Send it again, without pauses.';
    writeRefusal(response, 408, 'invalid_request', message);
  }, timeoutMs);
  // A peer that resets its stream with NO_ERROR would end the half of a body as if it were whole, too.
  stream.once('aborted', () => request.destroy());
  const stop = (): void => clearTimeout(timer);
  stream.once('end', stop).once('close', stop);
}
