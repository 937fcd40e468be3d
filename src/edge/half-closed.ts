// HTTP/1.1 clients that finish sending before they have their answer. TCP alone does not tell whether such a client waits
// or has gone: only bytes do, which one that has gone refuses.

import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** After the client's last byte, then twice as long each time. Of two writes the second fails, so leaving is noticed soon. */
const FIRST_PROBE_MS = 20;

export interface AnsweringSocket extends Socket {
  /** Node keeps the response being written on a socket here, and tells it to nobody else. */
  readonly _httpMessage?: ServerResponse | null;
}

/** Node has this switch without declaring it. Off, the end of what a client sends would end what it is sent. */
export function allowHalfClosed(server: Server): void {
  (server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true;
}

/** Looks after a socket that was fed to a server which allows half-closed clients. */
export function watchHalfClosed(socket: AnsweringSocket): void {
  let timer: NodeJS.Timeout | undefined;
  const probeAfter = (delayMs: number): void => {
    const response = socket._httpMessage;
    if (!response) return;
    timer = setTimeout(() => {
      probe(response, socket);
      probeAfter(2 * delayMs);
    }, delayMs).unref();
  };
  socket.once('end', () => probeAfter(FIRST_PROBE_MS));
  socket.once('close', () => clearTimeout(timer));
}

/** Sends bytes that mean nothing. Those of an answer that still wait to be sent are as good. */
function probe(response: ServerResponse, socket: Socket): void {
  if (response.writableEnded || socket.writableLength > 0) return;
  if (!response.headersSent) {
    // An interim answer, which a client reads over (RFC 9110 §15.2).
    response.writeProcessing();
  } else if (response.chunkedEncoding) {
    // A leading zero of the next chunk's size (RFC 9112 §7.1), behind a head that may not have been written yet.
    response.flushHeaders();
    socket.write('0');
  }
}
