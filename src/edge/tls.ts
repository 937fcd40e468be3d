// TLS on accepted sockets, with the application protocol agreed in the handshake (RFC 7301) and a certificate that can
// be replaced while connections are open. The TLS server never listens itself and is only fed sockets.

import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { Secret } from '../domain/secret.ts';
import type { Protocol } from './sniff.ts';

/** Both in PEM; the certificate may be followed by its chain. */
export interface TlsPair {
  readonly certificate: string;
  readonly key: Secret;
}

type OnSecure = (protocol: Protocol, secure: TLSSocket) => void;

export interface TlsTerminator {
  /**
   * Shakes hands, and calls `onSecure` once with the socket that carries the plaintext. A peer that leaves, speaks no
   * TLS, offers only unknown protocols or is too slow is dropped without a word. Both sockets close together.
   */
  terminate(socket: Socket, onSecure: OnSecure): void;
  /** From here on handshakes use this pair; open connections keep theirs. Throws as `assertUsable` does. */
  use(pair: TlsPair): void;
}

export interface TlsOptions {
  /** For the whole handshake, however its bytes are spread. Default 10,000. */
  readonly handshakeTimeoutMs?: number | undefined;
}

/** Throws as `assertUsable` does. */
export function createTlsTerminator(pair: TlsPair, { handshakeTimeoutMs = 10_000 }: TlsOptions = {}): TlsTerminator {
  const handshakes = new Map<string, OnSecure>();
  const server = createServer({ ...toContextOptions(pair), ALPNProtocols: ['h2', 'http/1.1'] });
  server.on('secureConnection', (secure) => {
    // As the socket it came on was accepted: a peer may finish sending before it reads its answer.
    secure.allowHalfOpen = true;
    secure.on('error', () => secure.destroy());
    // Without ALPN the client speaks HTTP/1.1 (RFC 9113 §3.2).
    handshakes.get(endsOf(secure))?.(secure.alpnProtocol === 'h2' ? 'http2' : 'http1', secure);
  });
  // What went wrong is the peer's affair, and with a log line for each a stranger could fill the disk.
  server.on('tlsClientError', (_error, secure) => secure.destroy());

  return {
    use(next) {
      assertUsable(next);
      server.setSecureContext(toContextOptions(next));
    },
    terminate(socket, onSecure) {
      const ends = endsOf(socket);
      const drop = (): void => {
        socket.destroy();
      };
      // Node's own timeout begins anew with every byte.
      const timer = setTimeout(drop, handshakeTimeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        handshakes.delete(ends);
      };
      socket.once('close', settle).on('error', drop);
      handshakes.set(ends, (protocol, secure) => {
        settle();
        secure.once('close', drop);
        onSecure(protocol, secure);
      });
      // Who ends the connection inside the handshake is gone.
      socket.allowHalfOpen = false;
      server.emit('connection', socket);
    },
  };
}

/** Tells the connections of one port apart. The server has another object for a socket than it was fed. */
function endsOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

/** Throws what OpenSSL finds wrong with the pair, in an error whose message holds nothing of the key. */
export function assertUsable(pair: TlsPair): void {
  createSecureContext(toContextOptions(pair));
}

function toContextOptions({ certificate, key }: TlsPair): SecureContextOptions {
  return {
    cert: certificate,
    key: key.reveal(),
    minVersion: 'TLSv1.2',
    // A peer that renegotiates makes the server work much harder than itself, and HTTP/2 forbids it (RFC 9113 §9.2.1).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}
