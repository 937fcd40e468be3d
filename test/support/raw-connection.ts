// A connection for bytes that no client library would send, and HTTP/1.1 answers read from what comes back.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { eventually } from './eventually.ts';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of a repeated one the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawConnection {
  readonly socket: net.Socket;
  /** Everything received so far. */
  readonly bytes: Buffer;
  /** Whether the other side has closed or reset. */
  readonly isClosed: boolean;
  closed(withinMs?: number): Promise<void>;
  /** The whole answers so far, interim ones left out, once they are enough or the other side has closed. */
  answers(areEnough: (answers: readonly RawAnswer[]) => boolean, isHead?: boolean): Promise<readonly RawAnswer[]>;
}

/** Connects to the host and port of `url`; closes only when the other side has. */
export async function connectRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ port: Number(port), host: hostname, noDelay: true, allowHalfOpen: true });
  let bytes = Buffer.alloc(0);
  let isClosed = false;
  const onClosed = (): void => {
    isClosed = true;
    socket.end();
  };
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
  });
  socket
    .on('error', () => undefined)
    .on('end', onClosed)
    .on('close', onClosed);
  await once(socket, 'connect');
  return {
    socket,
    get bytes() {
      return bytes;
    },
    get isClosed() {
      return isClosed;
    },
    closed: async (withinMs) => {
      await eventually(() => isClosed, withinMs);
    },
    answers: (areEnough, isHead) =>
      eventually(() => {
        const answers = readAnswers(bytes.toString('latin1'), isHead);
        return (isClosed || areEnough(answers)) && answers;
      }),
  };
}

/** `isHead`: the first answer is to HEAD and has no body, whatever its length says. */
function readAnswers(text: string, isHead = false): readonly RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let at = 0; ; ) {
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return answers;
    const [statusLine = '', ...lines] = text.slice(at, headEnd).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]);
    assert.ok(status >= 100, `no status line: ${statusLine.slice(0, 80)}`);
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    assert.equal(headers['transfer-encoding'], undefined, 'chunked answers are not read here');
    const hasBody = status >= 200 && status !== 204 && !(isHead && answers.length === 0);
    const bodyEnd = headEnd + 4 + (hasBody ? Number(headers['content-length'] ?? 0) : 0);
    if (bodyEnd > text.length) return answers;
    if (status >= 200) answers.push({ status, headers, body: text.slice(headEnd + 4, bodyEnd) });
    at = bodyEnd;
  }
}
