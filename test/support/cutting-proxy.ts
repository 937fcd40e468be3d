// A TCP proxy that loses answers: it waits until the server has begun to answer, and then cuts the connection, so that the
// client cannot know whether what it asked for was done. Knows HTTP/1.1, one request at a time, and HTTP/2 in the clear.

import { connect, createServer, type Socket } from 'node:net';
import { closeServer, listenLocally } from './local-server.ts';

export interface CuttingProxy {
  readonly url: string;
  /** Requests that clients have begun. */
  readonly requests: number;
  /** Loses the next answer. */
  cutNextAnswer(): void;
  close(): Promise<void>;
}

const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_HEAD_BYTES = 9;
const HEADERS_FRAME = 1;

/** Counts the messages that begin in what one side of an HTTP/2 connection sends (RFC 9113 §4.1). */
class Http2Heads {
  #bytes = Buffer.alloc(0);

  count(chunk: Buffer): number {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    let heads = 0;
    while (this.#bytes.length >= FRAME_HEAD_BYTES) {
      const length = FRAME_HEAD_BYTES + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < length) break;
      if (this.#bytes[3] === HEADERS_FRAME) heads++;
      this.#bytes = this.#bytes.subarray(length);
    }
    return heads;
  }
}

/** Every head of HTTP/1.1 is at the beginning of what is sent at once. */
const HTTP1_HEADS = { count: (chunk: Buffer) => (/^(?:GET|POST|HTTP)\b/.test(chunk.toString('latin1', 0, 5)) ? 1 : 0) };

export async function startCuttingProxy(targetUrl: string): Promise<CuttingProxy> {
  const target = Number(new URL(targetUrl).port);
  const sockets = new Set<Socket>();
  let requests = 0;
  let cuts = 0;
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A connection that is cut may break on either side.
      socket
        .on('error', () => undefined)
        .once('close', () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
    }
    let heads: { count(chunk: Buffer): number }[] | undefined;
    client.on('data', (chunk: Buffer) => {
      const isHttp2 = chunk.toString('latin1', 0, HTTP2_PREFACE.length) === HTTP2_PREFACE;
      const sent = heads === undefined && isHttp2 ? chunk.subarray(HTTP2_PREFACE.length) : chunk;
      heads ??= isHttp2 ? [new Http2Heads(), new Http2Heads()] : [HTTP1_HEADS, HTTP1_HEADS];
      requests += heads[0]?.count(sent) ?? 0;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      const isAnswer = (heads?.[1]?.count(chunk) ?? 0) > 0;
      if (isAnswer && cuts > 0) {
        cuts--;
        // One that only ends is waited on for 30 seconds by Runloop's client over HTTP/2.
        client.resetAndDestroy();
      } else client.write(chunk);
    });
  });
  const port = await listenLocally(server);
  return {
    url: `http://127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    cutNextAnswer() {
      cuts++;
    },
    close: () => closeServer(server, sockets),
  };
}
