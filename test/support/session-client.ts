// A legacy session in plain HTTP, with the stream that it opens by GET, on either HTTP version.

import assert from 'node:assert/strict';
import http from 'node:http';
import type http2 from 'node:http2';
import type { Readable } from 'node:stream';
import { eventually } from './eventually.ts';
import { type Answer, mcpRequest, type Sent, send } from './mcp-http.ts';
import { openHttp2 } from './raw-http2.ts';

const LIST_CHANGED = 'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n';
const EVENT_ID = /id: [\w-]+\n(data: \n\n)?/g;

/** What has come on one stream. */
export class ReceivedStream {
  status: number | undefined;
  text = '';
  /** Whether it has ended, in order or not. */
  isOver = false;

  /** How often it was told; fails when anything else was said but comments. */
  get told(): number {
    const text = this.text.replaceAll(EVENT_ID, '');
    assert.equal(text.replaceAll(LIST_CHANGED, '').replaceAll(':\n\n', ''), '');
    return this.text.split(LIST_CHANGED).length - 1;
  }

  read(source: Readable): void {
    source.on('data', (chunk: Buffer) => {
      this.text += chunk;
    });
    const end = (): void => {
      this.isOver = true;
    };
    source.on('error', end).on('close', end);
  }
}

export class LegacySession {
  readonly mcpUrl: string;
  readonly token: string;
  readonly id: string;

  private constructor(mcpUrl: string, token: string, id: string) {
    this.mcpUrl = mcpUrl;
    this.token = token;
    this.id = id;
  }

  static async open(mcpUrl: string, token: string, capabilities: object = {}): Promise<LegacySession> {
    const info = '"clientInfo":{"name":"t","version":"1"}';
    const params = `"protocolVersion":"2025-11-25","capabilities":${JSON.stringify(capabilities)},${info}`;
    const { headers, text } = await send(mcpUrl, { ...mcpRequest('initialize', { params }), token });
    assert.ok(headers['mcp-session-id'], text);
    return new LegacySession(mcpUrl, token, String(headers['mcp-session-id']));
  }

  get headers(): Readonly<Record<string, string>> {
    return { 'mcp-session-id': this.id, 'mcp-protocol-version': '2025-11-25' };
  }

  /** The names that the session lists. */
  async toolNames(): Promise<string[]> {
    const { headers } = this;
    const { message } = await send(this.mcpUrl, { ...mcpRequest('tools/list', { headers }), token: this.token });
    return message.result.tools.map(({ name }: { name: string }) => name);
  }

  end(): Promise<Answer> {
    return send(this.mcpUrl, { method: 'DELETE', token: this.token, headers: this.headers });
  }

  get streamRequest(): Sent {
    return { method: 'GET', token: this.token, headers: { accept: 'text/event-stream', ...this.headers } };
  }

  /** Opens its stream over HTTP/1.1, on a connection of its own; resolves once its first comment is here. */
  async listen(): Promise<ReceivedStream> {
    const received = new ReceivedStream();
    const { method, headers } = this.streamRequest;
    const authorization = `Bearer ${this.token}`;
    const request = http.request(this.mcpUrl, { method, agent: false, headers: { ...headers, authorization } });
    request
      .on('error', () => undefined)
      .on('response', (response) => {
        received.status = response.statusCode;
        received.read(response);
      });
    request.end();
    await eventually(() => received.text.startsWith(':\n\n'));
    return received;
  }

  /** Opens its stream on an HTTP/2 connection. */
  async listen2(connection: http2.ClientHttp2Session): Promise<ReceivedStream> {
    const received = new ReceivedStream();
    const stream = openHttp2(connection, this.mcpUrl, this.streamRequest);
    stream.on('response', (headers) => {
      received.status = headers[':status'];
    });
    received.read(stream);
    await eventually(() => received.text.startsWith(':\n\n'));
    return received;
  }
}
