// An MCP server that costs as little as it can, to be put behind what is measured. It finds the id of a request by native
// search and splices it in front of a prepared result; only rare messages are parsed, and little is checked.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRandom } from './arrivals.ts';
import type { MockUpstreamOptions } from './mock-options.ts';
import { idText, type MockRequest, parseRequest } from './mock-request.ts';
import { MOCK_INFO, MODERN_CACHEABLE, toMockList, toMockResult } from './mock-result.ts';

const NOT_INITIALIZED =
  '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}';
const NO_REQUEST = '{"jsonrpc":"2.0","error":{"code":-32700,"message":"The body is no JSON-RPC message"},"id":null}';
const TOOL_FAILED = '{"code":-32000,"message":"The mock upstream was told to fail."}';
const PROGRESS_TOKEN = /"progressToken": ?("(?:[^"\\]|\\.)*"|-?\d+)/;
/** A larger result is sent in pieces, as fast as it is taken: a hundred at once must not be a hundred copies. */
const WHOLE_BYTES = 1024 * 1024;
const PIECE_BYTES = 64 * 1024;
/** Longer than any pause between two loads: a connection that is closed while idle would count as an error of the target. */
const KEEP_ALIVE_MS = 120_000;

export class MockUpstream {
  /** Calls it was sent. What answers a call that did not come here is found out by this count, at `GET /calls`. */
  calls = 0;
  readonly #options: MockUpstreamOptions;
  readonly #server: Server;
  readonly #random: () => number;
  readonly #callResult: string;
  /** The same, where it is too large to be copied for each call. */
  readonly #largeResult: Buffer | undefined;
  readonly #listResult: string;

  constructor(options: MockUpstreamOptions) {
    this.#options = options;
    this.#random = createRandom(options.seed);
    const result = toMockResult(options.era, options.resultBytes, options.shape);
    const isLarge = result.length > WHOLE_BYTES;
    this.#callResult = isLarge ? '' : result;
    this.#largeResult = isLarge ? Buffer.from(result, 'latin1') : undefined;
    this.#listResult = toMockList(options.era, options.tools);
    this.#server = createServer((request, response) => this.#receive(request, response));
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
  }

  /** Resolves with the port. Rejects with the system's error when it cannot be listened on. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'POST') {
      if (request.url === '/calls') send(response, 200, String(this.calls));
      else response.writeHead(405, { allow: 'POST' }).end();
      return;
    }
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => this.#answer(response, body));
  }

  #answer(response: ServerResponse, body: string): void {
    if (!body.includes('"tools/call"')) {
      const request = parseRequest(body);
      if (request === undefined) send(response, 400, NO_REQUEST);
      else this.#answerRare(response, body, request);
      return;
    }
    const id = idText(body);
    if (id === undefined) {
      send(response, 400, NO_REQUEST);
      return;
    }
    this.calls++;
    const { fromMs, toMs } = this.#options.latency;
    if (toMs === 0) this.#answerCall(response, body, id);
    else setTimeout(() => this.#answerCall(response, body, id), fromMs + this.#random() * (toMs - fromMs));
  }

  #answerCall(response: ServerResponse, body: string, id: string): void {
    const { errorRate, stallRate, answer, progressEvents } = this.#options;
    if (stallRate > 0 && this.#random() < stallRate) return;
    const isError = errorRate > 0 && this.#random() < errorRate;
    if (!isError && this.#largeResult !== undefined) {
      const events = answer === 'sse' ? progressOf(body, progressEvents) : undefined;
      sendLarge(response, this.#largeResult, id, events);
      return;
    }
    const message = isError
      ? `{"error":${TOOL_FAILED},"jsonrpc":"2.0","id":${id}}`
      : `{"result":${this.#callResult},"jsonrpc":"2.0","id":${id}}`;
    if (answer === 'json') send(response, 200, message);
    else sendEvents(response, [...progressOf(body, progressEvents), message]);
  }

  #answerRare(response: ServerResponse, body: string, { id, method, params }: MockRequest): void {
    const isModern = this.#options.era === 'modern';
    if (id === undefined) response.writeHead(202).end();
    else if (method === 'tools/list') sendResult(response, body, this.#listResult);
    else if (method === 'ping') sendResult(response, body, '{}');
    else if (method === 'initialize' && !isModern) {
      const version = JSON.stringify(params?.protocolVersion);
      const result = `{"protocolVersion":${version},"capabilities":{"tools":{}},"serverInfo":${MOCK_INFO}}`;
      sendResult(response, body, result);
    } else if (method === 'server/discover') {
      const result = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},${MODERN_CACHEABLE}}`;
      if (isModern) sendResult(response, body, result);
      else send(response, 400, NOT_INITIALIZED);
    } else {
      const error = '{"code":-32601,"message":"Method not found"}';
      send(response, isModern ? 404 : 200, `{"jsonrpc":"2.0","id":${idText(body)},"error":${error}}`);
    }
  }
}

/** Progress towards a call that asks for it. */
function progressOf(body: string, count: number): string[] {
  const token = count === 0 ? undefined : PROGRESS_TOKEN.exec(body)?.[1];
  if (token === undefined) return [];
  return Array.from({ length: count }, (_, index) => {
    const params = `{"progressToken":${token},"progress":${index + 1},"total":${count}}`;
    return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`;
  });
}

function sendResult(response: ServerResponse, body: string, result: string): void {
  send(response, 200, `{"result":${result},"jsonrpc":"2.0","id":${idText(body)}}`);
}

/** One latin1 string lets node:http send head and body in a single write. */
function send(response: ServerResponse, status: number, json: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': json.length });
  response.end(json, 'latin1');
}

function sendEvents(response: ServerResponse, messages: readonly string[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (const message of messages.slice(0, -1)) response.write(`event: message\ndata: ${message}\n\n`, 'latin1');
  response.end(`event: message\ndata: ${messages.at(-1)}\n\n`, 'latin1');
}

/** Without `events` it is JSON; else the last event behind these. */
function sendLarge(response: ServerResponse, result: Buffer, id: string, events: readonly string[] | undefined): void {
  const head = '{"result":';
  const tail = `,"jsonrpc":"2.0","id":${id}}`;
  if (events === undefined) {
    const length = head.length + result.length + tail.length;
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': length });
    response.write(head, 'latin1');
  } else {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    for (const event of events) response.write(`event: message\ndata: ${event}\n\n`, 'latin1');
    response.write(`event: message\ndata: ${head}`, 'latin1');
  }
  let at = 0;
  const goOn = (): void => {
    while (at < result.length) {
      const piece = result.subarray(at, at + PIECE_BYTES);
      at += piece.length;
      if (response.write(piece)) continue;
      response.once('drain', goOn);
      return;
    }
    response.end(events === undefined ? tail : `${tail}\n\n`, 'latin1');
  };
  goOn();
}
