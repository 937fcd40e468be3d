// HTTP/1.1 as bytes on a socket: requests that an HTTP client would tidy up, break off in the middle or refuse to send, and
// what comes back for them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { Sent } from './mcp-http.ts';

/** One whole answer that is not interim. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of a repeated one the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawExchange {
  /** In their order. */
  readonly answers: readonly RawAnswer[];
  /** Whether the server has ended the connection. */
  readonly isEnded: boolean;
  readonly bytes: Buffer;
}

export interface AnswerOptions {
  /** How many of the answers, from the first on, are to HEAD and have no body, whatever their lengths say. Default none. */
  readonly heads?: number;
  /** Default 5,000. */
  readonly withinMs?: number;
}

/** A request as HTTP/1.1 bytes, with a length and a type for its body unless `headers` has them. */
export function toHttp1(url: string, sent: Sent): { readonly head: Buffer; readonly body: Buffer } {
  const { host, pathname, search } = new URL(url);
  const body = Buffer.from(sent.body ?? '');
  const headers: [string, string][] = Object.entries({
    host,
    ...(sent.token === undefined ? {} : { authorization: `Bearer ${sent.token}` }),
    ...(sent.body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) }),
    ...sent.headers,
  });
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return {
    head: Buffer.from(`${sent.method ?? 'POST'} ${pathname}${search} HTTP/1.1\r\n${lines}\r\n`, 'latin1'),
    body,
  };
}

/** A connection that keeps its own side open, whatever the server does, until its user ends it. */
export class RawHttp1 {
  readonly socket: net.Socket;
  bytesReceived = 0;
  /** Whether the server has finished or broken the connection. */
  isEnded = false;
  readonly #received: Buffer[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    const end = (): void => {
      this.isEnded = true;
    };
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.bytesReceived += chunk.length;
    });
    // A reset is an end like others: the server has closed with bytes of the request unread.
    socket.on('error', () => undefined);
    socket.on('end', end).on('close', end);
  }

  /** Connects to the host and port of `url`. */
  static async connect(url: string): Promise<RawHttp1> {
    const { hostname, port } = new URL(url);
    const socket = net.connect({ port: Number(port), host: hostname, noDelay: true, allowHalfOpen: true });
    const client = new RawHttp1(socket);
    await once(socket, 'connect');
    return client;
  }

  /** Everything received so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#received);
  }

  get text(): string {
    return this.bytes.toString();
  }

  /** Whether what was received last is this; at no cost, however much that is. */
  endsWith(text: string): boolean {
    return Buffer.concat(this.#received.slice(-3)).toString().endsWith(text);
  }

  write(...parts: readonly (string | Buffer)[]): void {
    for (const part of parts) this.socket.write(part);
  }

  /** Resolves with all text so far once it matches; fails when the connection ends before. */
  async until(pattern: RegExp): Promise<string> {
    await this.#when(() => this.isEnded || pattern.test(this.text));
    assert.match(this.text, pattern);
    return this.text;
  }

  /** Resolves with all text once the server has ended the connection. */
  async ended(withinMs?: number): Promise<string> {
    await this.#when(() => this.isEnded, withinMs);
    this.socket.destroy();
    return this.text;
  }

  /** The whole answers so far, once they are enough or the connection has ended. */
  async answers(
    areEnough: (answers: readonly RawAnswer[]) => boolean,
    { heads = 0, withinMs }: AnswerOptions = {},
  ): Promise<readonly RawAnswer[]> {
    await this.#when(() => this.isEnded || areEnough(readAnswers(this.bytes, heads)), withinMs);
    return readAnswers(this.bytes, heads);
  }

  /** Looks again whenever something has come: thousands of exchanges have no time for polling. */
  #when(condition: () => boolean, withinMs = 5_000): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      try {
        if (condition()) resolve();
      } catch (error) {
        reject(error);
      }
    };
    const limit = setTimeout(() => {
      const end = JSON.stringify(this.text.slice(-200));
      reject(
        new assert.AssertionError({ message: `not reached within ${withinMs} ms: ${condition}; received …${end}` }),
      );
    }, withinMs);
    this.socket.on('data', look).on('end', look).on('close', look);
    look();
    return promise.finally(() => {
      clearTimeout(limit);
      this.socket.off('data', look).off('end', look).off('close', look);
    });
  }
}

/** Sends bytes on a new connection and reads the answers; behind one that says so, until the connection has ended. */
export async function exchangeRaw(
  url: string,
  bytes: Buffer | string,
  { answers: wanted = 1, ...options }: AnswerOptions & { readonly answers?: number } = {},
): Promise<RawExchange> {
  const client = await RawHttp1.connect(url);
  try {
    client.write(bytes);
    const isLast = (answer: RawAnswer | undefined) => answer?.headers.connection?.toLowerCase() === 'close';
    const answers = await client.answers((all) => all.length >= wanted && !isLast(all.at(-1)), options);
    return { answers, isEnded: client.isEnded, bytes: client.bytes };
  } finally {
    client.socket.destroy();
  }
}

/**
 * Sends a head and then as many pieces of its body as are taken, `bytes` at the most; resolves when the server has ended
 * the connection.
 */
export async function pushBody(
  url: string,
  head: string,
  piece: Buffer,
  bytes: number,
): Promise<{ readonly text: string; readonly sentBytes: number }> {
  const client = await RawHttp1.connect(url);
  const { socket } = client;
  client.write(head);
  const change = () =>
    Promise.race(['drain', 'end', 'close'].map((event) => once(socket, event))).catch(() => undefined);
  for (let sent = 0; sent < bytes && !client.isEnded; sent += piece.length) {
    if (!socket.write(piece)) await change();
  }
  const sentBytes = socket.bytesWritten - socket.writableLength;
  return { text: await client.ended(), sentBytes };
}

/** A piece of a body that is sent in chunks. */
export function toChunk(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

function readAnswers(bytes: Buffer, heads: number): readonly RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let at = 0; ; ) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return answers;
    const [statusLine = '', ...lines] = bytes.toString('latin1', at, headEnd).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    assert.ok(status >= 100, `no status line: ${statusLine.slice(0, 80)}`);
    const headers = Object.fromEntries(lines.map(toHeader));
    assert.equal(headers['transfer-encoding'], undefined, 'chunked answers are not read here');
    const hasBody = status >= 200 && status !== 204 && answers.length >= heads;
    const bodyEnd = headEnd + 4 + (hasBody ? Number(headers['content-length'] ?? 0) : 0);
    if (bodyEnd > bytes.length) return answers;
    if (status >= 200) answers.push({ status, headers, body: bytes.toString('utf8', headEnd + 4, bodyEnd) });
    at = bodyEnd;
  }
}

function toHeader(line: string): [name: string, value: string] {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}
