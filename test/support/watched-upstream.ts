// An upstream whose streams the test writes event by event, and what it was asked.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { closeServer, listenLocally } from './local-server.ts';

export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into messages whose shape is what they assert.
  readonly message: any;
  readonly response: ServerResponse;
  readonly atMs: number;
  /** Whether the caller has left. */
  isOver: boolean;
}

export class WatchedUpstream {
  readonly asked: Asked[] = [];
  url = '';
  readonly #answer: (asked: Asked) => void;
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  constructor(answer: (asked: Asked) => void) {
    this.#answer = answer;
  }

  async listen(): Promise<this> {
    this.url = `http://127.0.0.1:${await listenLocally(this.#server)}`;
    return this;
  }

  close(): Promise<void> {
    return closeServer(this.#server);
  }

  /** Every GET, or the requests of a method. */
  of(method: string): Asked[] {
    return this.asked.filter((asked) => (asked.message?.method ?? asked.method) === method);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    const body = (await buffer(request)).toString();
    const { method = '', headers } = request;
    const asked: Asked = {
      method,
      headers,
      message: body && JSON.parse(body),
      response,
      atMs: performance.now(),
      isOver: false,
    };
    response.on('close', () => {
      asked.isOver = true;
    });
    this.asked.push(asked);
    this.#answer(asked);
  }
}

/** Begins an event stream. */
export function beginStream({ response }: Asked): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
}

/** Writes one event; with an id if there is one. */
export function tell({ response }: Asked, message: object | string, id?: string): void {
  const data = typeof message === 'string' ? message : JSON.stringify(message);
  response.write(`${id === undefined ? '' : `id: ${id}\n`}event: message\ndata: ${data}\n\n`);
}

export const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';

/** A notification of a listen, with the id of its request. */
export function notificationOf(listen: Asked, method: string, params: object = {}): object {
  return {
    jsonrpc: '2.0',
    method: `notifications/${method}`,
    params: { ...params, _meta: { [SUBSCRIPTION_ID]: listen.message.id } },
  };
}

/** Acknowledges a listen, for all it asks unless told otherwise. */
export function acknowledge(listen: Asked, notifications: object = listen.message.params.notifications): void {
  beginStream(listen);
  tell(listen, notificationOf(listen, 'subscriptions/acknowledged', { notifications }));
}

/** Answers a request with JSON. */
export function answer({ response, message }: Asked, outcome: object, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...outcome }));
}
