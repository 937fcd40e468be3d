// A client on a connection of its own, HTTP/1.1 or HTTP/2, that can be gone from one moment to the next: no DELETE, no
// cancellation, no GOAWAY, only what the kernel sends when a process ends, or a reset.

import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import type { Sent } from './mcp-http.ts';
import { toHttp1 } from './raw-http1.ts';
import { beginHttp2 } from './raw-http2.ts';

export interface VanishingClient {
  /** Sends a request; resolves with what came back, head included, once that matches. Rejects when the connection ends. */
  ask(sent: Sent, pattern: RegExp): Promise<string>;
  vanish(byReset: boolean): void;
}

export async function connectVanishing(url: string, version: 1 | 2): Promise<VanishingClient> {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  const ends = new Set<() => void>();
  socket.on('error', () => undefined);
  socket.on('close', () => {
    for (const end of ends) end();
  });
  const session = version === 1 ? undefined : http2.connect(url, { createConnection: () => socket });
  session?.on('error', () => undefined);

  const ask: VanishingClient['ask'] = (sent, pattern) =>
    new Promise((resolve, reject) => {
      let text = '';
      const end = (): void => reject(new Error(`the connection ended before ${pattern} came: ${text.slice(0, 300)}`));
      const take = (part: string | Buffer): void => {
        text += part.toString();
        if (!pattern.test(text)) return;
        ends.delete(end);
        if (session === undefined) socket.off('data', take);
        resolve(text);
      };
      ends.add(end);
      if (session === undefined) {
        socket.on('data', take);
        const { head, body } = toHttp1(url, sent);
        socket.write(Buffer.concat([head, body]));
      } else {
        const stream = beginHttp2(session, url, sent);
        stream.on('response', (headers) => take(headLines(headers))).on('data', take);
        stream.end(sent.body);
      }
    });

  return {
    ask,
    vanish: (byReset) => {
      ends.clear();
      if (byReset) socket.resetAndDestroy();
      else socket.destroy();
    },
  };
}

/** In the form in which HTTP/1.1 sends them. */
function headLines(headers: http2.IncomingHttpHeaders): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/2 ${headers[':status']} \r\n${lines.join('')}\r\n`;
}
