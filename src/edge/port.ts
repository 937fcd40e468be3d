// A port of this machine: the connections that are made to it.

import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { GatewayError } from '../domain/errors.ts';

/** Where the connections of a listener come from. */
export interface ConnectionSource {
  /**
   * From here on `onConnection` gets every connection, unread. Resolves with where clients connect to.
   * @throws GatewayError `invalid_argument` when the address cannot be bound.
   */
  open(onConnection: (socket: Socket) => void): Promise<{ readonly host: string; readonly port: number }>;
  /** Takes no more. */
  close(): void;
}

export interface PortOptions {
  readonly host: string;
  /** 0 lets the system pick a free one. */
  readonly port: number;
  /** At once; further ones are closed as they come. */
  readonly maxConnections: number;
  /** For who hands connections on: nothing is read of them. */
  readonly pauseOnConnect?: boolean;
}

/** A port that is not bound yet. */
export function openPort({ host, port, maxConnections, pauseOnConnect = false }: PortOptions): ConnectionSource {
  // Half-open as in node:http: a peer may finish sending before it reads its answer.
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect });
  server.maxConnections = maxConnections;
  return {
    open(onConnection) {
      server.on('connection', onConnection);
      return new Promise((resolve, reject) => {
        server.once('error', (error) => reject(toListenError(error, host, port)));
        server.listen(port, host, () => {
          const address = server.address();
          // From here on an error is one connection that could not be accepted.
          server.removeAllListeners('error').on('error', () => undefined);
          resolve({ host, port: typeof address === 'object' && address !== null ? address.port : port });
        });
      });
    },
    close() {
      server.close();
    },
  };
}

/** `tls` is whatever there is where the address speaks TLS. */
export function toUrl(
  { host, port }: { readonly host: string; readonly port: number },
  tls: object | undefined,
): string {
  return `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function toListenError(error: NodeJS.ErrnoException, host: string, port: number): GatewayError {
  return new GatewayError('invalid_argument', describe(error.code, host, port), { cause: error });
}

function describe(code: string | undefined, host: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} is in use. Stop the other process, or set listen.port to another number (0 picks a free one).`;
    case 'EACCES':
      return `Port ${port} on ${host} needs more rights than this process has. Set listen.port to 1024 or above.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is not an address of this machine. Set listen.host to one that is, such as 127.0.0.1 or 0.0.0.0.`;
    default:
      return `Listening on port ${port} of ${host} failed${code === undefined ? '' : ` (${code})`}. Check listen.host and listen.port.`;
  }
}
