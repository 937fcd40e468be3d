// TLS in front of an upstream that speaks plain HTTP: what the certificate and the handshake are is the test's to say.

import { connect, type Socket } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import { closeServer, listenLocally } from './local-server.ts';

export interface TlsFront {
  /** `https://127.0.0.1:PORT` and the path of the upstream. */
  readonly url: string;
  readonly port: number;
  /** Subjects of the client certificates of all connections so far; `undefined` for none. */
  readonly clients: (string | undefined)[];
  close(): Promise<void>;
}

export async function startTlsFront(upstreamUrl: string, options: TlsOptions): Promise<TlsFront> {
  const { port: upstreamPort, pathname } = new URL(upstreamUrl);
  const sockets = new Set<Socket>();
  const clients: (string | undefined)[] = [];
  const track = (socket: Socket) => {
    sockets.add(socket);
    // A handshake that fails is what many tests are about.
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
  };
  const server = createServer(options, (socket) => {
    clients.push(socket.getPeerCertificate().subject?.CN?.toString());
    const inner = connect(Number(upstreamPort), '127.0.0.1');
    track(inner);
    socket.on('error', () => inner.destroy());
    socket.pipe(inner).pipe(socket);
  });
  server.on('connection', track);
  const port = await listenLocally(server);
  return {
    url: `https://127.0.0.1:${port}${pathname}`,
    port,
    clients,
    close: () => closeServer(server, sockets),
  };
}
