// Clients that hold on to what they opened: answers read at a chosen speed, and streams that stay open. On bare sockets, so
// that ten thousand of them fit beside the gateway.

import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { openSession } from '../src/load/open-session.ts';
import { LEGACY_REVISION } from '../src/load/rpc-request.ts';
import { type Endpoint, toListen } from './calls.ts';
import type { Call } from './load.ts';

export interface Held {
  readonly socket: Socket;
  /** Received so far, head included. */
  bytes: number;
  /** Of the legacy session whose stream it is. */
  sessionId?: string;
}

const AT_ONCE = 32;
/** Of a process: what it needs besides its streams. */
const OTHER_DESCRIPTORS = 1_000;

/** Sends a request and keeps the connection; resolves with the first bytes of its answer, and rejects when it is not 200. */
export function hold(
  { url, headers, body }: Pick<Call, 'url' | 'headers' | 'body'>,
  bytesPerSecond = Number.POSITIVE_INFINITY,
): Promise<Held> {
  const { hostname, port, host, pathname } = new URL(url);
  const method = body === '' ? 'GET' : 'POST';
  const lines = [
    `${method} ${pathname} HTTP/1.1`,
    `host: ${host}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === '' ? [] : [`content-length: ${Buffer.byteLength(body)}`]),
  ];
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const held: Held = { socket, bytes: 0 };
    const sinceMs = performance.now();
    socket.once('error', reject);
    socket.on('data', (chunk: Buffer) => {
      if (held.bytes === 0) {
        const head = chunk.toString('latin1', 0, 300);
        if (head.startsWith('HTTP/1.1 200')) resolve(held);
        else reject(new Error(`a held request was answered ${head}`));
        socket.off('error', reject).on('error', () => undefined);
      }
      held.bytes += chunk.length;
      const earlyMs = sinceMs + (1000 * held.bytes) / bytesPerSecond - performance.now();
      if (earlyMs <= 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), earlyMs);
    });
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1');
  });
}

/** The stream that a legacy session listens to, or the listen of a modern client. */
export async function openStream(endpoint: Endpoint): Promise<Held> {
  if (endpoint.era === 'modern') return hold(toListen(endpoint));
  const { url, token } = endpoint;
  const sessionId = await openSession(new URL(url), token);
  if (sessionId === undefined) throw new Error('there is no session to open a stream of');
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'text/event-stream',
    'mcp-protocol-version': LEGACY_REVISION,
    'mcp-session-id': sessionId,
  };
  return Object.assign(await hold({ url, headers, body: '' }), { sessionId });
}

/** Drops streams as clients do that are done, with their sessions. */
export async function leave({ url, token }: Endpoint, held: readonly Held[]): Promise<void> {
  for (const { socket } of held) socket.destroy();
  const sessions = held.flatMap(({ sessionId }) => sessionId ?? []);
  await many(sessions.length, async (index) => {
    const headers = { authorization: `Bearer ${token}`, 'mcp-session-id': sessions[index] ?? '' };
    const answer = await fetch(url, { method: 'DELETE', headers });
    if (!answer.ok) throw new Error(`the end of a session was answered HTTP ${answer.status}`);
  });
}

/** Makes so many, a few at a time. */
export async function many<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const index = next++;
      made[index] = await make(index);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return made;
}

/** How many streams a process may hold here: as many as wanted, or as descriptors allow. */
export function streamsWithin(wanted: number): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return limit === undefined ? wanted : Math.min(wanted, Number(limit) - OTHER_DESCRIPTORS);
  } catch {
    return wanted;
  }
}
