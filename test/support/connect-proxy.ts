// A small real CONNECT proxy. It connects to 127.0.0.1 whatever the name, so names that no DNS knows can be asked for.

import { createServer, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { closeServer, listenLocally } from './local-server.ts';

export interface ConnectProxyOptions {
  /** `user:password` that it wants. */
  readonly credential?: string;
  /** Answers a CONNECT in the place of the proxy, with whatever bytes; silence is an answer, too. */
  readonly takeOver?: (socket: Socket) => void;
}

export interface ConnectProxy {
  readonly url: string;
  /** Every CONNECT, refused or not: its target and its raw headers. */
  readonly asked: { readonly target: string; readonly headers: readonly string[] }[];
  /** The port from which it connected to the upstream, for each tunnel. */
  readonly tunnelPorts: number[];
  /** Sockets of clients that are open. */
  readonly open: () => number;
  close(): Promise<void>;
}

export async function startConnectProxy(options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const sockets = new Set<Socket>();
  const asked: { target: string; headers: string[] }[] = [];
  const tunnelPorts: number[] = [];
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  const expected =
    options.credential === undefined ? undefined : `Basic ${Buffer.from(options.credential).toString('base64')}`;
  const server = createServer((_request, response) => response.writeHead(405).end());
  let clients = 0;
  server.on('connection', (socket) => {
    clients++;
    socket.once('close', () => clients--);
    track(socket);
  });
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const target = request.url ?? '';
    asked.push({ target, headers: request.rawHeaders });
    // Sockets of an HTTP server stay open on their own side.
    socket.once('end', () => socket.end());
    if (options.takeOver !== undefined) {
      options.takeOver(socket);
      return;
    }
    if (expected !== undefined && request.headers['proxy-authorization'] !== expected) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="proxy"\r\n\r\n');
      return;
    }
    const upstream = connect(Number(target.split(':').at(-1)), '127.0.0.1');
    track(upstream);
    upstream.once('connect', () => {
      tunnelPorts.push(upstream.localPort ?? 0);
      socket.write('HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n');
      upstream.write(head);
      socket.pipe(upstream).pipe(socket);
    });
    upstream.once('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
    socket.once('close', () => upstream.destroy());
  });
  return {
    url: `http://127.0.0.1:${await listenLocally(server)}`,
    asked,
    tunnelPorts,
    open: () => clients,
    close: () => closeServer(server, sockets),
  };
}
