// What the listener refuses on its own, in both protocols: requests whose reading would be a matter of opinion.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type http from 'node:http';
import { test } from 'node:test';
import type { OnRequest } from '../../src/edge/request-gate.ts';
import { eventually } from '../support/eventually.ts';
import { answerOf } from '../support/raw-http2.ts';
import {
  ask2,
  connectSession,
  dial,
  dialStubborn,
  GET,
  neverCalled,
  refusalIn,
  startListener,
} from '../support/test-listener.ts';

const REFUSED: readonly (readonly [title: string, request: string, status: number, message: RegExp])[] = [
  [
    'a second Authorization',
    'GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n',
    400,
    /authorization/,
  ],
  ['a second Host', 'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400, /host/],
  ['a second Mcp-Name', 'GET / HTTP/1.1\r\nHost: x\r\nMcp-Name: a\r\nMCP-NAME: a\r\n\r\n', 400, /mcp-name/],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: x\r\n\r\n', 505, /HTTP\/1\.1/],
  ['HTTP/0.9', 'GET /\r\n\r\n', 505, /HTTP\/1\.1/],
  ['a 17 KB header', `GET / HTTP/1.1\r\nHost: x\r\nx-big: ${'x'.repeat(17_000)}\r\n\r\n`, 431, /16384 bytes/],
  ['2,000 headers', `GET / HTTP/1.1\r\nHost: x\r\n${'a:\r\n'.repeat(2_000)}\r\n`, 431, /^The request (headers|has)/],
  ['150 headers', `GET / HTTP/1.1\r\nHost: x\r\n${'a: 1\r\n'.repeat(150)}\r\n`, 431, /151 header lines/],
  ['a target on another host', 'GET http://evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n', 400, /Host/],
  ['a target that is no path', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 400, /path/],
  [
    'two framings',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    400,
    /not valid/,
  ],
  [
    'an unknown expectation',
    'POST / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\nContent-Length: 1\r\n\r\n',
    417,
    /100-continue/,
  ],
];

for (const [title, request, status, message] of REFUSED) {
  test(`${title} is refused with ${status} before the application sees it`, async (t) => {
    const { listener, port } = await startListener(t, neverCalled);
    const wire = await dial(t, port);
    wire.write(request);
    const refusal = refusalIn(await wire.ended());
    assert.equal(refusal.status, status);
    assert.equal(refusal.code, 'invalid_request');
    assert.match(refusal.message, message);
    await eventually(() => listener.connections === 0);
  });
}

test('a body that had to wait is read on behind its refusal, so that the answer is not lost', async (t) => {
  const asked = Promise.withResolvers<Parameters<OnRequest>>();
  const { port } = await startListener(t, (...both) => asked.resolve(both));
  const wire = await dialStubborn(t, port);
  wire.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n', Buffer.alloc(100_000));
  const [request, response] = await asked.promise;
  await eventually(() => request.readableLength >= request.readableHighWaterMark);
  const { socket } = request;
  response.statusCode = 413;
  response.end();
  await wire.until(/413/);
  wire.write(Buffer.alloc(200_000));
  await eventually(() => socket.bytesRead > 300_000);
});

test('a request without Host is refused with 400', async (t) => {
  const { port } = await startListener(t, neverCalled);
  const wire = await dial(t, port);
  wire.write('GET / HTTP/1.1\r\n\r\n');
  assert.match(await wire.ended(), /^HTTP\/1\.1 400 /);
});

test('garbage after an answer has begun closes the connection and adds nothing to the answer', async (t) => {
  const { port } = await startListener(t, (_request, response) => {
    (response as http.ServerResponse).write('begun');
  });
  const wire = await dial(t, port);
  wire.write(GET);
  await wire.until(/begun/);
  wire.write('\0\0\0\r\n\r\n');
  assert.equal((await wire.ended()).match(/HTTP\/1\.1/g)?.length, 1);
});

test('over HTTP/2 the same refusals come without a connection header', async (t) => {
  const { port } = await startListener(t, neverCalled);
  const session = connectSession(t, port);
  const twice = await ask2(session, [':path', '/', 'mcp-name', 'a', 'mcp-name', 'b']);
  assert.equal(twice.status, 400);
  assert.equal(twice.headers.connection, undefined);
  assert.match(JSON.parse(twice.text).message, /mcp-name/);
  const otherHost = await ask2(session, { ':path': '/', ':authority': 'x', host: 'evil.test' });
  assert.equal(otherHost.status, 400);
  const lines = Array.from({ length: 101 }, (_, index) => [`x-${index}`, '1']).flat();
  assert.equal((await ask2(session, [':path', '/', ...lines])).status, 431);
  assert.equal((await ask2(session, { ':path': '/', ':method': 'POST', expect: 'cake' })).status, 417);
});

test('over HTTP/2 a refusal resets a body that is still coming, and a 17 KB header resets its stream', async (t) => {
  const { port } = await startListener(t, neverCalled);
  const session = connectSession(t, port);
  const stream = session.request([':path', '/', ':method', 'POST', 'mcp-name', 'a', 'mcp-name', 'b'] as never);
  const answer = await answerOf(stream);
  assert.equal(answer.status, 400);
  assert.match(JSON.parse(answer.text).message, /mcp-name/);
  const big = session.request({ ':path': '/', 'x-big': 'x'.repeat(17_000) });
  await assert.rejects(once(big, 'response'));
  assert.equal(session.destroyed, false);
});
