// Asks the REST API as a script does, over connections that it keeps.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { type Answer, send } from './mcp-http.ts';

export interface RestClient {
  get(path: string): Promise<Answer>;
  post(path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  /** Like `post`, for what must be done: gives the view, and fails for anything but 200. */
  // biome-ignore lint/suspicious/noExplicitAny: views of all operations
  make(path: string, body?: object, headers?: Readonly<Record<string, string>>): Promise<any>;
  close(): void;
}

/** `url` is the gateway's, without `/v1`. */
export function createRestClient(url: string, token: string): RestClient {
  const agent = new Agent({ keepAlive: true });
  const post: RestClient['post'] = (path, body, headers = {}) =>
    send(`${url}/v1${path}`, { token, headers, ...(body && { body: JSON.stringify(body) }) }, agent);
  return {
    get: (path) => send(`${url}/v1${path}`, { method: 'GET', token }, agent),
    post,
    make: async (path, body, headers) => {
      const { status, text } = await post(path, body, headers);
      assert.equal(status, 200, text);
      return JSON.parse(text);
    },
    close: () => agent.destroy(),
  };
}
