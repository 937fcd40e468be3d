// Requests whose answers are read message by message as they come, over HTTP/1.1 and HTTP/2, and that can be given up in
// between. Connections are shared by whoever sends, whatever their tokens are, as behind a proxy.

import http from 'node:http';
import http2 from 'node:http2';
import type { Readable } from 'node:stream';
import type { JsonRpcAnswer, Sent } from './mcp-http.ts';

export interface Received {
  /** 0 when nothing came. */
  readonly status: number;
  /** Every header and every byte that came. */
  readonly text: string;
  readonly messages: readonly JsonRpcAnswer[];
  /** Whether it was received to its end. */
  readonly isWhole: boolean;
}

export interface Sending {
  /** Never rejects; resolves when the answer has ended, in whatever way. */
  readonly received: Promise<Received>;
  /** Ends the connection, or with HTTP/2 the stream. */
  cut(): void;
}

export interface StreamingClient {
  send(sent: Sent, onMessage?: () => void): Sending;
  close(): void;
}

/** `sockets` is how many connections there may be. */
export function createHttp1Client(url: string, sockets: number): StreamingClient {
  const agent = new http.Agent({ keepAlive: true, maxSockets: sockets, maxFreeSockets: sockets });
  return {
    send(sent, onMessage) {
      const body = Buffer.from(sent.body ?? '');
      const headers = { ...headersOf(sent), 'content-length': String(body.length) };
      const request = http.request(url, { method: sent.method ?? 'POST', agent, headers });
      const received = new Promise<Received>((resolve) => {
        const reading = new Reading(resolve, onMessage);
        request.on('error', () => reading.end(false));
        request.on('response', (response) => {
          reading.begin(response.statusCode ?? 0, response.headers);
          reading.read(response);
          response.on('error', () => undefined);
          response.on('close', () => reading.end(response.complete));
        });
      });
      request.end(body);
      return { received, cut: () => void request.destroy() };
    },
    close: () => agent.destroy(),
  };
}

/** One connection, opened again when the other side has ended it. */
export function createHttp2Client(url: string): StreamingClient {
  let session: http2.ClientHttp2Session | undefined;
  const connect = (): http2.ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    session = http2.connect(url).on('error', () => undefined);
    return session;
  };
  return {
    send(sent, onMessage) {
      const { pathname } = new URL(url);
      const stream = connect().request({
        ':method': sent.method ?? 'POST',
        ':path': pathname,
        ...headersOf(sent),
      });
      let isEnded = false;
      const received = new Promise<Received>((resolve) => {
        const reading = new Reading(resolve, onMessage);
        stream.on('error', () => undefined);
        stream.on('response', (headers) => reading.begin(Number(headers[':status']), headers));
        reading.read(stream);
        stream.on('end', () => {
          isEnded = true;
        });
        stream.on('close', () => reading.end(isEnded && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR));
      });
      stream.end(sent.body);
      return { received, cut: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
    },
    close: () => session?.destroy(),
  };
}

function headersOf({ token, headers }: Sent): Record<string, string> {
  return { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers };
}

/** An answer on its way in: one JSON message, or the messages of an event stream. */
class Reading {
  readonly #resolve: (received: Received) => void;
  readonly #onMessage: (() => void) | undefined;
  readonly #messages: JsonRpcAnswer[] = [];
  #status = 0;
  #isStream = false;
  #head = '';
  #text = '';
  #from = 0;

  constructor(resolve: (received: Received) => void, onMessage?: () => void) {
    this.#resolve = resolve;
    this.#onMessage = onMessage;
  }

  begin(status: number, headers: http.IncomingHttpHeaders): void {
    this.#status = status;
    this.#isStream = headers['content-type'] === 'text/event-stream';
    this.#head = JSON.stringify(headers);
  }

  read(body: Readable): void {
    body.setEncoding('utf8');
    body.on('data', (text: string) => {
      this.#text += text;
      if (this.#isStream) this.#readEvents();
    });
  }

  end(isWhole: boolean): void {
    if (!this.#isStream && isWhole && this.#text !== '') this.#add(this.#text);
    this.#resolve({ status: this.#status, text: this.#head + this.#text, messages: this.#messages, isWhole });
  }

  #readEvents(): void {
    for (let end = this.#text.indexOf('\n\n', this.#from); end >= 0; end = this.#text.indexOf('\n\n', this.#from)) {
      const lines = this.#text.slice(this.#from, end).split('\n');
      this.#from = end + 2;
      const data = lines.filter((line) => line.startsWith('data: ')).map((line) => line.slice('data: '.length));
      // An event without data only has an id (2025-11-25 basic/transports#sending-messages-to-the-server).
      if (data.join('') !== '') this.#add(data.join('\n'));
    }
  }

  #add(data: string): void {
    this.#messages.push(JSON.parse(data));
    this.#onMessage?.();
  }
}
