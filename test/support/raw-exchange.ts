// HTTP/1.1 as bytes on a socket, for requests that an HTTP client would tidy up or refuse to send.

import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of several lines the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawExchange {
  /** Whole answers, in their order. */
  readonly answers: readonly RawAnswer[];
  /** Whether the server has ended the connection. */
  readonly isClosed: boolean;
  readonly bytes: Buffer;
}

export interface RawOptions {
  /** Answers to wait for, unless one says that it is the last. Default 1. */
  readonly answers?: number;
  /** Whether they have no bodies, whatever their lengths say. */
  readonly isHead?: boolean;
  /** Default 5,000. */
  readonly withinMs?: number;
}

/** Sends bytes and reads what comes back; behind an answer that ends the connection, until it has ended. */
export function sendRaw(url: string, bytes: Buffer | string, options: RawOptions = {}): Promise<RawExchange> {
  const { answers: wanted = 1, isHead = false, withinMs = 5_000 } = options;
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    let received = Buffer.alloc(0);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no ${wanted} answers within ${withinMs} ms, only: ${received.toString('latin1', 0, 200)}`));
    }, withinMs);
    const finish = (isClosed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ answers: parseAnswers(received, isHead), isClosed, bytes: received });
    };
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const answers = parseAnswers(received, isHead);
      if (answers.length >= wanted && answers.at(-1)?.headers.connection?.toLowerCase() !== 'close') finish(false);
    });
    // A reset behind the answer: the server has closed with bytes of the request unread.
    socket.on('error', () => undefined);
    socket.on('close', () => finish(true));
    socket.write(bytes);
  });
}

function parseAnswers(bytes: Buffer, isHead: boolean): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end < 0) return answers;
    const [statusLine = '', ...lines] = bytes.toString('latin1', at, end).split('\r\n');
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
    const length = isHead || status === 204 ? 0 : Number(headers['content-length'] ?? 0);
    const body = bytes.subarray(end + 4, end + 4 + length);
    if (body.length < length) return answers;
    answers.push({ status, headers, body: body.toString() });
    at = end + 4 + length;
  }
}
