// Opens a tunnel through an HTTP proxy (RFC 9110 §9.3.6). The proxy is not trusted: of its answer only the status is
// read, in bounded bytes, and nothing of it goes on to the upstream or to a client.

import type { Socket } from 'node:net';
import type { Secret } from '../domain/secret.ts';
import type { AddressPolicy } from './address-guard.ts';

export interface EgressProxy {
  readonly url: URL;
  /** Value of `Proxy-Authorization`. */
  readonly authorization: Secret | undefined;
  /** Where proxies may be; `admitted` is the proxy's own origin when the operator's file names it. */
  readonly policy: AddressPolicy;
}

/** The proxy is in the way. The message is a clause without host, address or anything the proxy sent. */
export class EgressProxyError extends Error {
  readonly code = 'SWITCHBOARD_EGRESS_PROXY';
  readonly reason: 'unreachable' | 'timeout';

  constructor(message: string, reason: 'unreachable' | 'timeout' = 'unreachable', cause?: unknown) {
    super(message, { cause });
    this.name = 'EgressProxyError';
    this.reason = reason;
  }
}

const MAX_HEAD_BYTES = 16_384;
const END_OF_HEAD = '\r\n\r\n';
const STATUS_LINE = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r\n/;

/**
 * Asks the proxy behind `socket` for a connection to `authority` (`host:port`). Calls back once, with an error or with
 * the socket ready to be written to; no timer runs here.
 */
export function openTunnel(
  socket: Socket,
  authority: string,
  authorization: Secret | undefined,
  callback: (error: EgressProxyError | undefined) => void,
): void {
  let head = Buffer.alloc(0);

  function onReadable(): void {
    // All that has come: a socket hands over its whole buffer.
    head = Buffer.concat([head, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
    const end = head.indexOf(END_OF_HEAD);
    if (end >= 0 || head.length > MAX_HEAD_BYTES) settle(judgeHead(head, end, authorization !== undefined));
  }
  function onEnd(): void {
    settle(new EgressProxyError('the egress proxy closed the connection before it opened a tunnel'));
  }
  function settle(error: EgressProxyError | undefined): void {
    socket.off('readable', onReadable);
    socket.off('end', onEnd);
    callback(error);
  }

  // Not `data`: a socket that flows would lose what comes between here and its next reader.
  socket.on('readable', onReadable);
  socket.on('end', onEnd);
  const credential = authorization === undefined ? '' : `Proxy-Authorization: ${authorization.reveal()}\r\n`;
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credential}\r\n`);
}

function judgeHead(head: Buffer, end: number, isAuthorized: boolean): EgressProxyError | undefined {
  const length = end + END_OF_HEAD.length;
  if (end < 0 || length > MAX_HEAD_BYTES) {
    return new EgressProxyError('the egress proxy answered with too large a head');
  }
  const status = Number(STATUS_LINE.exec(head.toString('latin1', 0, length))?.[1]);
  if (Number.isNaN(status)) return new EgressProxyError('the egress proxy did not answer as an HTTP proxy does');
  if (status === 407) {
    return new EgressProxyError(
      isAuthorized
        ? 'the egress proxy refused the credentials this gateway holds for it (HTTP 407)'
        : 'the egress proxy wants credentials (HTTP 407)',
    );
  }
  if (status < 200 || status > 299) {
    return new EgressProxyError(`the egress proxy refused to connect to it (HTTP ${status})`);
  }
  // In TLS and in HTTP the client speaks first: whatever is here already does not come from the upstream.
  return head.length === length
    ? undefined
    : new EgressProxyError('the egress proxy sent bytes of its own into the tunnel');
}
