// `subscriptions/listen` and the streams of legacy sessions in plain HTTP, read message by message.

import http, { type IncomingMessage } from 'node:http';
import { eventually } from './eventually.ts';
import { type JsonRpcAnswer, mcpRequest, type Sent } from './mcp-http.ts';

/** What has come on one event stream. */
export class Listening {
  status = 0;
  headers: http.IncomingHttpHeaders = {};
  text = '';
  /** Whether it has ended, and whether it was in order. */
  isOver = false;
  isWhole = false;
  readonly #request: http.ClientRequest;
  #response: IncomingMessage | undefined;

  constructor(url: string, { method = 'POST', token, headers, body }: Sent) {
    const authorization = `Bearer ${token}`;
    const content = body === undefined ? {} : { 'content-type': 'application/json' };
    this.#request = http.request(url, { method, agent: false, headers: { ...content, ...headers, authorization } });
    this.#request
      .on('error', () => this.#end())
      .on('response', (response) => {
        this.#response = response;
        this.status = response.statusCode ?? 0;
        this.headers = response.headers;
        response.setEncoding('utf8');
        response
          .on('data', (chunk: string) => {
            this.text += chunk;
          })
          .on('error', () => this.#end())
          .on('end', () => {
            this.isWhole = true;
          })
          .on('close', () => this.#end());
      });
    this.#request.end(body);
  }

  /** The messages of whole events. */
  get messages(): JsonRpcAnswer[] {
    return this.#events.flatMap((event) => {
      const data = event.split('\n').filter((line) => line.startsWith('data: {'));
      return data.map((line) => JSON.parse(line.slice('data: '.length)) as JsonRpcAnswer);
    });
  }

  /** What they are about, without what they begin with. */
  get told(): string[] {
    return this.messages.map(({ method, params }) => {
      const uri = (params as { uri?: string } | undefined)?.uri;
      return `${method ?? 'answer'}`.replace('notifications/', '') + (uri === undefined ? '' : ` ${uri}`);
    });
  }

  /** The ids of events, in order. */
  get ids(): string[] {
    return this.#events.flatMap((event) => /^id: (.*)$/m.exec(event)?.[1] ?? []);
  }

  /** Reads no more for now. */
  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  /** Breaks the connection. */
  cut(): void {
    this.#request.destroy();
  }

  async until(count: number): Promise<JsonRpcAnswer[]> {
    await eventually(() => this.messages.length >= count);
    return this.messages;
  }

  get #events(): string[] {
    return this.text.split('\n\n').slice(0, -1);
  }

  #end(): void {
    this.isOver = true;
  }
}

/** A modern listen; `filter` and `id` are raw JSON. */
export function listen(url: string, token: string, filter: string, id = '1'): Listening {
  const request = mcpRequest('subscriptions/listen', { era: 'modern', id, params: `"notifications":${filter}` });
  return new Listening(url, { ...request, token });
}
