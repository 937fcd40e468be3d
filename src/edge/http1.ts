// The HTTP/1.1 half of the listener: a server that never listens itself and is only fed sockets.

import type { IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, Server } from 'node:http';
import { createServer, ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { toProblemBody } from '../domain/errors.ts';
import type { AnsweringSocket } from './half-closed.ts';
import { Http1Request } from './http1-request.ts';
import type { OnRequest, RequestGate } from './request-gate.ts';
import { takenBytes } from './taken-bytes.ts';

export interface Http1Options {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly checkIntervalMs: number;
  /** Of one connection; the answer to the last of them ends it. */
  readonly maxRequests: number;
  /** When it says so, every response whose headers are still to be written ends its connection. */
  readonly isDraining: () => boolean;
}

export const MAX_HEADER_BYTES = 16_384;

/**
 * How long a refused peer has to read its answer, and how much of what it goes on sending is read meanwhile: to close on
 * unread bytes resets the connection, and loses the answer (RFC 9112 §9.6).
 */
const LINGER_MS = 1_000;
const LINGER_BYTES = 256 * 1024;

/** Feed it with `emit('connection', socket)`; `close()` stops its clock, which only then lets go of slow requests. */
export function createHttp1Server(options: Http1Options, gate: RequestGate): Server {
  const idleLimit = new IdleLimit(options.keepAliveTimeoutMs + options.headersTimeoutMs, options.checkIntervalMs);
  const server = createServer({
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    connectionsCheckingInterval: options.checkIntervalMs,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    maxHeaderSize: MAX_HEADER_BYTES,
    // The request gate does, and says what to do about it.
    requireHostHeader: false,
    noDelay: true,
    // Said aloud: left out, `--insecure-http-parser` in NODE_OPTIONS would decide.
    insecureHTTPParser: false,
    joinDuplicateHeaders: false,
    // An offered upgrade may be ignored (RFC 9110 §7.8). Refusing would cost every Java client its first request.
    shouldUpgradeCallback: () => false,
    IncomingMessage: Http1Request,
    ServerResponse: createResponseClass(options.isDraining, idleLimit),
  });
  server.on('connection', (socket) => idleLimit.watch(socket));
  server.once('close', () => idleLimit.close());
  server.maxRequestsPerSocket = options.maxRequests;
  server.on('request', inTurn(gate.request));
  server.on('checkContinue', inTurn(gate.checkContinue));
  server.on('checkExpectation', inTurn(gate.checkExpectation));
  server.on('connect', (_request, stream) => stream.destroy());
  server.on('clientError', createMalformedRefusal());
  // Without this a server that is only fed sockets enforces no timeout and knows no idle connection.
  server.emit('listening');
  return server;
}

/**
 * Node parses what is pipelined behind a request at once, but gives its response a socket only when the one before has
 * been sent, and never when that was the last: such a request must not be processed (RFC 9112 §9.6), let alone one that
 * was smuggled in behind a refusal.
 */
function inTurn(onRequest: OnRequest): OnRequest {
  return (request, response) => {
    if (response.socket !== null) onRequest(request, response);
    else (response as ServerResponse).once('socket', () => process.nextTick(onRequest, request, response));
  };
}

/** Node marks the last response of a connection and announces the end to the client, but leaves it to the client to make it. */
interface CountedResponse {
  readonly maxRequestsOnConnectionReached?: boolean;
}

/**
 * `writeHead` is the one place every response passes, also those that were already being worked on when the drain began,
 * and those of a router that would read a refused body to its end. `detachSocket` is where each leaves its connection;
 * Node closes that right behind it, if the response was the last.
 */
function createResponseClass(isDraining: () => boolean, idleLimit: IdleLimit): typeof ServerResponse {
  return class<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
    override writeHead(
      statusCode: number,
      reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
      headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
    ): this {
      const isLast =
        isDraining() || (this as CountedResponse).maxRequestsOnConnectionReached || hasUnreadBody(this.req);
      if (isLast) this.shouldKeepAlive = false;
      return super.writeHead(statusCode, reason as string, headers);
    }

    override detachSocket(socket: Socket): void {
      super.detachSocket(socket);
      idleLimit.answered(socket);
      if (!this.shouldKeepAlive && hasUnreadBody(this.req)) socket.destroySoon = () => linger(socket);
    }
  };
}

/**
 * How long a connection may take from an answer to its next request with all its headers, and for how long its client may
 * take nothing of an answer that waits: Node has no limit for that, and each would be held forever. Node ends its keep-alive timeout
 * at the first byte and starts the headers timeout at the first that is no empty line (RFC 9112 §2.2): between them, a
 * connection could be held forever. One timer looks at all of them, for to set one at every answer costs more than a look.
 */
class IdleLimit {
  readonly #sockets = new Set<TimedSocket>();
  readonly #timer: NodeJS.Timeout;
  /** How often was looked. */
  #now = 0;

  constructor(timeoutMs: number, checkIntervalMs: number) {
    const limit = Math.ceil(timeoutMs / checkIntervalMs);
    this.#timer = setInterval(() => this.#look(limit), checkIntervalMs).unref();
  }

  watch(socket: TimedSocket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  answered(socket: TimedSocket): void {
    socket[ANSWERED] = this.#now;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(limit: number): void {
    this.#now++;
    for (const socket of this.#sockets) {
      const isIdle = !socket._httpMessage && this.#now - (socket[ANSWERED] ?? this.#now) > limit;
      if (isIdle || this.#now - this.#takenAt(socket) > limit) socket.destroy();
    }
  }

  /** When the client was last seen to have taken something, or to have nothing to take. */
  #takenAt(socket: TimedSocket): number {
    if (socket.writableLength === 0) {
      socket[TAKEN] = undefined;
      return this.#now;
    }
    const bytes = takenBytes(socket);
    const last = socket[TAKEN];
    if (last?.bytes === bytes) return last.at;
    socket[TAKEN] = { bytes, at: this.#now };
    return this.#now;
  }
}

/** Ends a connection on which a body is still coming. Nobody reads requests from it any more, not even one behind that body. */
function linger(socket: Socket): void {
  // The router's adapter asks for the end once more, half a second later.
  socket.destroySoon = () => undefined;
  const before = socket.bytesRead;
  // Node's parser lets go of a connection that has another listener, and listens itself from then on.
  socket.removeAllListeners('data');
  socket.on('data', () => {
    if (socket.bytesRead - before > LINGER_BYTES) socket.pause();
  });
  // A parser that waited for the body to be read has left the socket as if it were reading: this is the end of that read.
  socket.push('');
  socket.resume();
  closeInTime(socket);
}

function closeInTime(socket: Socket): void {
  socket.end();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** To keep the connection its rest would have to be read, of any size and from anybody. */
function hasUnreadBody({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0);
}

interface ParserError extends Error {
  readonly code?: string;
  readonly reason?: string;
}

/** When a connection was last answered, as its idle limit counts. */
const ANSWERED = Symbol('answered');

/** How much a client had taken of what waits for it, and when that was first seen. */
const TAKEN = Symbol('taken');

interface TimedSocket extends AnsweringSocket {
  [ANSWERED]?: number;
  [TAKEN]?: { readonly bytes: number; readonly at: number } | undefined;
}

/** Refuses what is no request, behind the answers to the requests before it. */
function createMalformedRefusal(): (error: ParserError, stream: Duplex) => void {
  /** What a connection had received when it was first refused: the parser reports every further chunk of it. */
  const bytesAtRefusal = new WeakMap<Socket, number>();
  return (error, stream) => {
    const socket = stream as TimedSocket;
    const before = bytesAtRefusal.get(socket);
    if (before !== undefined) {
      if (socket.bytesRead - before > LINGER_BYTES) socket.destroy();
      return;
    }
    bytesAtRefusal.set(socket, socket.bytesRead);
    if (error.code === 'ECONNRESET') socket.destroy();
    else refuseInTurn(error, socket);
  };
}

/** An answer is read as the one to the first request that has none yet; in the middle of another it would be a part of it. */
function refuseInTurn(error: ParserError, socket: TimedSocket): void {
  const pending = socket._httpMessage;
  if (pending?.headersSent && !pending.writableEnded) socket.destroy();
  else if (pending && (pending.headersSent || pending.req.complete)) {
    pending.once('close', () => refuseInTurn(error, socket));
  } else if (socket.writable) refuseMalformed(error, socket);
}

function refuseMalformed(error: ParserError, socket: Socket): void {
  const { status, message } = toRefusal(error.code, error.reason);
  const body = toProblemBody(status, 'invalid_request', message);
  const head = [
    // The space stays where there is no phrase behind it (RFC 9112 §4).
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  closeInTime(socket);
}

function toRefusal(code: string | undefined, reason: string | undefined): { status: number; message: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return {
        status: 431,
        message: `The request headers are over ${MAX_HEADER_BYTES} bytes. Send fewer or shorter ones.`,
      };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, message: 'The chunk extensions of the request body are too long. Leave them out.' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, message: 'The request did not arrive completely in time. Send it again, without pauses.' };
    default:
      return { status: 400, message: `The request is not valid HTTP/1.1${reason === undefined ? '' : `: ${reason}`}.` };
  }
}
