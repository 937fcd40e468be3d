// The baseline: the cheapest HTTP proxy this stack allows, node:http in front and undici's Pool.dispatch behind.
// It reads nothing, checks nothing and sets no timeouts; what the gateway costs above it is what MCP and policy cost.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { type Dispatcher, Pool } from 'undici';

const { values: options } = parseArgs({ options: { upstream: { type: 'string' } } });
const upstream = new URL(options.upstream ?? '');
const pool = new Pool(upstream.origin, { headersTimeout: 0, bodyTimeout: 0 });

const REQUEST_HEADERS = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
const ONE_WRITE_MAX_BYTES = 16_384;

/** Sends a response that came in one chunk in one `end`; from the second chunk on it streams, with back-pressure. */
class Forwarding implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  #status = 502;
  #headers: IncomingHttpHeaders = {};
  #held: Buffer | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const response = this.#response;
    if (this.#held === undefined && !response.headersSent) {
      this.#held = chunk;
      return;
    }
    if (!response.headersSent) {
      const length = this.#headers['content-length'];
      response.writeHead(this.#status, {
        'content-type': this.#headers['content-type'] ?? '',
        ...(length === undefined ? {} : { 'content-length': length }),
      });
      response.write(this.#held);
      this.#held = undefined;
    }
    if (!response.write(chunk)) {
      controller.pause();
      response.once('drain', () => controller.resume());
    }
  }

  onResponseEnd(): void {
    if (this.#response.headersSent) return void this.#response.end();
    const body = this.#held;
    this.#response.writeHead(this.#status, {
      'content-type': this.#headers['content-type'] ?? '',
      'content-length': body === undefined ? 0 : body.length,
    });
    // Up to a few pages, copying into one latin1 string and writing once is cheaper than writing head and body apart.
    if (body !== undefined && body.length <= ONE_WRITE_MAX_BYTES) this.#response.end(body.toString('latin1'), 'latin1');
    else this.#response.end(body);
  }

  onResponseError(): void {
    if (this.#response.headersSent) return void this.#response.destroy();
    this.#response.writeHead(502).end();
  }
}

const server = createServer((request, response) => {
  let first: Buffer | null = null;
  let rest: Buffer[] | undefined;
  request.on('data', (chunk: Buffer) => {
    if (first === null) first = chunk;
    else if (rest === undefined) rest = [chunk];
    else rest.push(chunk);
  });
  request.on('end', () => {
    const body = first === null || rest === undefined ? first : Buffer.concat([first, ...rest]);
    const method = request.method as Dispatcher.HttpMethod;
    pool.dispatch({ path: upstream.pathname, method, headers: REQUEST_HEADERS, body }, new Forwarding(response));
  });
});

server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
