// The sockets that a server of this process has accepted, without asking the server.

import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** The open ones at the port of `url`, from now on. */
export function trackSockets(url: string): ReadonlySet<Socket> {
  const port = Number(new URL(url).port);
  const open = new Set<Socket>();
  diagnostics.subscribe('net.server.socket', (message) => {
    const { socket } = message as { socket: Socket };
    if (socket.localPort !== port) return;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
}
