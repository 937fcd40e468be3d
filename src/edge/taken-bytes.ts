import type { Socket } from 'node:net';

interface HandledSocket extends Socket {
  /** Of what counts as written, so much is still to be taken by the system. Node's own timeouts look there, too. */
  readonly _handle?: { readonly writeQueueSize?: number } | null;
}

/** How many bytes of what was written a peer has taken, or the system for it. */
export function takenBytes(socket: HandledSocket): number {
  return socket.bytesWritten - (socket._handle?.writeQueueSize ?? 0);
}
