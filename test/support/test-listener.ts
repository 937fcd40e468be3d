// A listener with an application of the test's, and peers that speak to it in either protocol.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { createListener, type Listener, type ListenerOptions } from '../../src/edge/listener.ts';
import type { EdgeResponse, OnRequest } from '../../src/edge/request-gate.ts';
import type { Answer } from './mcp-http.ts';
import { RawHttp1 } from './raw-http1.ts';
import { answerOf } from './raw-http2.ts';

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
export const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
export const GET = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n';

export interface TestListener {
  readonly listener: Listener;
  readonly port: number;
}

/** Listens on 127.0.0.1 until the test is over. */
export async function startListener(
  t: TestContext,
  onRequest: OnRequest,
  options: Partial<ListenerOptions> = {},
): Promise<TestListener> {
  const listener = createListener({ host: '127.0.0.1', port: 0, ...options }, onRequest);
  const { port } = await listener.listen();
  t.after(() => listener.close());
  return { listener, port };
}

/** Answers with what it received, as JSON. */
export const echo: OnRequest = (request, response) => {
  void buffer(request).then(
    (body) => {
      const { method, url, httpVersion } = request;
      const text = JSON.stringify({ method, url, httpVersion, body: body.toString('base64') });
      response.setHeader('content-length', text.length);
      response.end(text);
    },
    () => undefined,
  );
};

/** For what must be refused before. */
export const neverCalled: OnRequest = () => assert.fail('the application was called');

/** An application that holds every request until told to answer. */
export function holding(): { onRequest: OnRequest; held: EdgeResponse[] } {
  const held: EdgeResponse[] = [];
  return { held, onRequest: (_request, response) => void held.push(response) };
}

/** A peer that ends the connection, as clients do, when the listener has. */
export async function dial(t: TestContext, port: number): Promise<RawHttp1> {
  const peer = await dialStubborn(t, port);
  peer.socket.on('end', () => peer.socket.end());
  return peer;
}

/** A peer that never ends the connection. */
export async function dialStubborn(t: TestContext, port: number): Promise<RawHttp1> {
  const peer = await RawHttp1.connect(`http://127.0.0.1:${port}`);
  t.after(() => peer.socket.destroy());
  return peer;
}

/** Headers may be names and values in turn, to repeat one. */
export type Headers2 = http2.OutgoingHttpHeaders | readonly string[];

export function connectSession(t: TestContext, port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  return session;
}

export function ask2(session: http2.ClientHttp2Session, headers: Headers2, body?: string): Promise<Answer> {
  const stream = session.request(headers as http2.OutgoingHttpHeaders, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

/** The one refusal in a raw HTTP/1.1 answer, checked for its form. */
export function refusalIn(text: string): { status: number; message: string; code: string } {
  const [headers = '', body = ''] = text.split('\r\n\r\n');
  assert.match(headers, /^connection: close$/im);
  assert.match(headers, /^content-type: application\/json$/im);
  assert.match(headers, new RegExp(`^content-length: ${Buffer.byteLength(body)}$`, 'im'));
  const refusal = JSON.parse(body);
  assert.match(headers, new RegExp(`^HTTP/1\\.1 ${refusal.status}`));
  return refusal;
}
