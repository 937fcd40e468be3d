// The other gateway processes on the same port. Each has a socket of its own in a folder that only they can enter, over
// which it is handed requests that came to another and that only it can serve. They are authenticated there like any other.

import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { breakOff, isGone, writeHead } from '../data-plane/reply.ts';
import type { SiblingDoor } from '../data-plane/siblings.ts';
import type { ConnectionSource } from './port.ts';
import { writeRefusal } from './refusal.ts';
import type { EdgeRequest, EdgeResponse, OnRequest } from './request-gate.ts';

export interface SiblingsOptions {
  /** Of this process, from 0. */
  readonly index: number;
  readonly count: number;
  readonly folder: string;
  /** Whether the process of that index serves now. */
  readonly isUp: (index: number) => boolean;
}

/** They concern one connection (RFC 9110 §7.6.1), or an exchange that is over when a request is handed on (`expect`). */
const OF_ONE_CONNECTION = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** Sealed ids end in what nobody can choose: their last characters are as good as a hash. */
const OWNER_CHARACTERS = 4;
const RETRY_AFTER_S = 1;

function siblingSocket(folder: string, index: number): string {
  return join(folder, String(index));
}

export class Siblings implements SiblingDoor {
  readonly index: number;
  readonly #options: SiblingsOptions;
  readonly #agent = new Agent({ keepAlive: true });
  /** Requests that another process has handed to this one: they are not handed on again. */
  readonly #handedHere = new WeakSet<object>();

  constructor(options: SiblingsOptions) {
    this.index = options.index;
    this.#options = options;
  }

  owns(sessionId: string): boolean {
    return this.#ownerOf(sessionId) === this.index;
  }

  /** What the main listener calls for `/mcp`: what belongs to a session is served where the session is. */
  atOwner(handle: OnRequest): OnRequest {
    return (request, response) => {
      const id = request.headers['mcp-session-id'];
      if (typeof id !== 'string' || !this.#handOver(this.#ownerOf(id), request, response)) handle(request, response);
    };
  }

  /** What the socket of this process calls. */
  fromOthers(handle: OnRequest): OnRequest {
    return (request, response) => {
      this.#handedHere.add(request);
      handle(request, response);
    };
  }

  /** Where the others connect to this process. */
  socket(): ConnectionSource {
    const file = siblingSocket(this.#options.folder, this.index);
    // Once it listens, an error is one connection that could not be accepted, such as for want of descriptors.
    const server = createServer({ allowHalfOpen: true }).on('error', () => undefined);
    return {
      open(onConnection) {
        // Of the process before this one, which was killed.
        rmSync(file, { force: true });
        server.on('connection', onConnection).listen(file);
        return once(server, 'listening').then(() => ({ host: file, port: 0 }));
      },
      close() {
        server.close();
      },
    };
  }

  handOver(index: number, request: EdgeRequest, response: EdgeResponse, body: Buffer): boolean {
    return !this.#handedHere.has(request) && this.#handOver(index, request, response, body);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** The same for an id in every process, for as long as there are as many. */
  #ownerOf(sessionId: string): number {
    let sum = 0;
    const start = Math.max(0, sessionId.length - OWNER_CHARACTERS);
    for (let at = start; at < sessionId.length; at++) sum = (sum * 31 + sessionId.charCodeAt(at)) >>> 0;
    return sum % this.#options.count;
  }

  /** Without a `body` that was read, it is what the request brings. */
  #handOver(index: number, request: EdgeRequest, response: EdgeResponse, body?: Buffer): boolean {
    // Of one that has ended, what was in its memory is lost: what a session starts with is in its id.
    if (index === this.index || !this.#options.isUp(index)) return false;
    const { folder } = this.#options;
    const outgoing = httpRequest({
      agent: this.#agent,
      socketPath: siblingSocket(folder, index),
      method: request.method ?? 'POST',
      path: request.url ?? '/mcp',
      headers: toHeaders(request, body),
    });
    let isAnswered = false;
    outgoing.once('response', (answer) => {
      isAnswered = true;
      passBack(answer, response);
    });
    outgoing.on('error', () => {
      if (isAnswered || isGone(response)) return;
      response.setHeader('retry-after', String(RETRY_AFTER_S));
      writeRefusal(response, 503, 'overloaded', ENDED);
    });
    // Before its end, this is a client that has left; behind it, nothing is left to be broken off.
    response.once('close', () => outgoing.destroy());
    if (body === undefined) request.pipe(outgoing);
    else outgoing.end(body);
    return true;
  }
}

const ENDED =
  'The process of this session ended while it worked on this request, which may have been carried out or not.';

function toHeaders(request: EdgeRequest, body: Buffer | undefined): string[] {
  const { rawHeaders, headers } = request;
  const passed: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index], rawHeaders[index + 1]];
    const isFraming = body !== undefined && /^content-length$/i.test(name);
    if (!name.startsWith(':') && !isFraming && !OF_ONE_CONNECTION.has(name.toLowerCase())) passed.push(name, value);
  }
  const authority = headers[':authority'];
  if (headers.host === undefined && typeof authority === 'string') passed.push('host', authority);
  if (body !== undefined) passed.push('content-length', String(body.length));
  else if (headers['content-length'] === undefined && hasBody(request)) passed.push('transfer-encoding', 'chunked');
  return passed;
}

function hasBody(request: EdgeRequest): boolean {
  return 'stream' in request ? !request.stream.endAfterHeaders : request.headers['transfer-encoding'] !== undefined;
}

function passBack(answer: IncomingMessage, response: EdgeResponse): void {
  const { statusCode = 502, rawHeaders } = answer;
  const headers: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = [rawHeaders[index], rawHeaders[index + 1]];
    if (!OF_ONE_CONNECTION.has(name.toLowerCase())) headers.push(name, value);
  }
  if (isGone(response)) {
    answer.destroy();
    return;
  }
  writeHead(response, statusCode, headers);
  // A stream of events may have nothing to say for long.
  if ('flushHeaders' in response && headers.includes('text/event-stream')) response.flushHeaders();
  // What was cut off must not end as if it were whole.
  answer.once('close', () => {
    if (!answer.complete) breakOff(response);
  });
  answer.on('error', () => undefined);
  answer.pipe(response as NodeJS.WritableStream & EdgeResponse);
}
