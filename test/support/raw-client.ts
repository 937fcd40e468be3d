// Clients that misbehave: HTTP/1.1 as bytes on a socket and HTTP/2 on a socket that can be reset under it, and a count of
// the sockets that a server of this process has accepted.

import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { eventually } from './eventually.ts';
import type { Sent } from './mcp-http.ts';

/** A request as HTTP/1.1 bytes. */
export function toHttp1(url: string, sent: Sent): { readonly head: Buffer; readonly body: Buffer } {
  const { host, pathname } = new URL(url);
  const body = Buffer.from(sent.body ?? '');
  const headers: [string, string][] = Object.entries({
    host,
    ...(sent.token === undefined ? {} : { authorization: `Bearer ${sent.token}` }),
    ...(sent.body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(body.length) }),
    ...sent.headers,
  });
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return { head: Buffer.from(`${sent.method ?? 'POST'} ${pathname} HTTP/1.1\r\n${lines}\r\n`, 'latin1'), body };
}

export class RawHttp1 {
  readonly socket: net.Socket;
  #received: Buffer[] = [];
  bytesReceived = 0;
  isEnded = false;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.bytesReceived += chunk.length;
    });
    socket.on('error', () => undefined);
    socket.on('end', () => {
      this.isEnded = true;
    });
  }

  static async connect(url: string): Promise<RawHttp1> {
    const { hostname, port } = new URL(url);
    const socket = net.connect({ port: Number(port), host: hostname, noDelay: true, allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawHttp1(socket);
  }

  get text(): string {
    return Buffer.concat(this.#received).toString();
  }

  /** Whether what was received last is this. */
  endsWith(text: string): boolean {
    return Buffer.concat(this.#received.slice(-3)).toString().endsWith(text);
  }

  write(...parts: readonly (string | Buffer)[]): void {
    for (const part of parts) this.socket.write(part);
  }

  /** Resolves with all text so far once it matches. */
  async until(pattern: RegExp): Promise<string> {
    await eventually(() => pattern.test(this.text) || this.socket.destroyed);
    return this.text;
  }

  /** Resolves once the peer has finished or broken the connection. */
  async ended(withinMs?: number): Promise<string> {
    await eventually(() => this.isEnded || this.socket.destroyed, withinMs);
    this.socket.destroy();
    return this.text;
  }
}

export interface RawHttp2 {
  readonly session: http2.ClientHttp2Session;
  readonly socket: net.Socket;
}

export async function connectHttp2(url: string, options: http2.ClientSessionOptions = {}): Promise<RawHttp2> {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ port: Number(port), host: hostname, noDelay: true });
  socket.on('error', () => undefined);
  const session = http2.connect(url, { ...options, createConnection: () => socket });
  session.on('error', () => undefined);
  await once(session, 'connect');
  return { session, socket };
}

/** Begins a request; its body is the caller's to write. */
export function beginHttp2(session: http2.ClientHttp2Session, url: string, sent: Sent): http2.ClientHttp2Stream {
  const stream = session.request(
    {
      ':method': sent.method ?? 'POST',
      ':path': new URL(url).pathname,
      ...(sent.token === undefined ? {} : { authorization: `Bearer ${sent.token}` }),
      ...(sent.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...sent.headers,
    },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  return stream;
}

/** The open sockets that a server on this port of this process has accepted from now on. */
export function trackSockets(url: string): ReadonlySet<net.Socket> {
  const port = Number(new URL(url).port);
  const open = new Set<net.Socket>();
  diagnostics.subscribe('net.server.socket', (message) => {
    const { socket } = message as { socket: net.Socket };
    if (socket.localPort !== port) return;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
}
