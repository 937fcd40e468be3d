// Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes of a plaintext connection.

import type { Socket } from 'node:net';

export type Protocol = 'http1' | 'http2';

/** RFC 9113 §3.4: what every HTTP/2 connection begins with. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** The protocol of a connection that begins with these bytes, or `undefined` while both are possible. */
function protocolOf(bytes: Buffer): Protocol | undefined {
  // POST, PUT and PATCH share the first letter, nothing we serve shares the second.
  if (bytes[0] !== PREFACE[0] || (bytes.length > 1 && bytes[1] !== PREFACE[1])) return 'http1';
  const length = Math.min(bytes.length, PREFACE.length);
  if (bytes.compare(PREFACE, 0, length, 0, length) !== 0) return 'http1';
  return length === PREFACE.length ? 'http2' : undefined;
}

/**
 * Reads until the protocol is known, puts the bytes back and calls `onDecided` once with the socket paused:
 * a reader of its `data` must resume it. A peer that leaves, or does not decide within `timeoutMs`, is dropped
 * without a word; the time is for all its bytes together, so sending them one by one buys nothing.
 */
export function sniff(socket: Socket, timeoutMs: number, onDecided: (protocol: Protocol) => void): void {
  let held: Buffer | undefined;
  const drop = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(drop, timeoutMs);
  const onClose = (): void => clearTimeout(timer);
  const onData = (chunk: Buffer): void => {
    const bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
    const protocol = protocolOf(bytes);
    if (protocol === undefined) {
      held = bytes;
      return;
    }
    clearTimeout(timer);
    socket.off('data', onData).off('end', drop).off('error', drop).off('close', onClose);
    socket.pause();
    socket.unshift(bytes);
    onDecided(protocol);
  };
  socket.on('data', onData).on('end', drop).on('error', drop).on('close', onClose);
}
