// Servers of tests: on 127.0.0.1, at a port that the kernel chooses, and gone when they are closed, whoever is connected.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Resolves with the port once the server listens; at `port`, if that is told. */
export async function listenLocally(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Breaks open connections and frees the port. An HTTP server knows its own `sockets`, but for what it has handed over. */
export async function closeServer(server: Server, sockets: Iterable<Socket> = []): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  if (server instanceof HttpServer) server.closeAllConnections();
  for (const socket of sockets) socket.destroy();
  await closed;
}

/** A port that nobody listens at. */
export async function findDeadPort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_QUIET_PORT, LAST_QUIET_PORT);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await closeServer(server);
    return port;
  }
}

/** Below those that the system gives to who asks for any (IANA's from 49152, Linux's from 32768): another test would be given it. */
const FIRST_QUIET_PORT = 20_000;
const LAST_QUIET_PORT = 32_000;
