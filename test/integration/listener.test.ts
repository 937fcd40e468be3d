// The listener on real sockets: both protocols on one port, and what reaches the application of what is asked.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type http from 'node:http';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { GatewayError } from '../../src/domain/errors.ts';
import { createListener } from '../../src/edge/listener.ts';
import type { EdgeRequest, EdgeResponse } from '../../src/edge/request-gate.ts';
import { eventually } from '../support/eventually.ts';
import {
  ask2,
  connectSession,
  dial,
  EMPTY_SETTINGS,
  echo,
  GET,
  PREFACE,
  refusalIn,
  startListener,
} from '../support/test-listener.ts';

test('an HTTP/1.1 request is served and its connection is used again', async (t) => {
  const { listener, port } = await startListener(t, echo);
  const wire = await dial(t, port);
  wire.write(GET);
  assert.match(await wire.until(/\}/), /^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: keep-alive/);
  wire.write(GET.replace('/a', '/b'));
  await wire.until(/"url":"\/b"/);
  assert.equal(listener.connections, 1);
});

test('the last request that a connection may carry ends it, and says so', async (t) => {
  const { port } = await startListener(t, echo, { maxRequestsPerConnection: 3 });
  const wire = await dial(t, port);
  for (const n of [1, 2]) {
    wire.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await wire.until(new RegExp(`(?:HTTP/1\\.1 200[\\s\\S]*"body":""}[\\s\\S]*){${n}}`));
  }
  assert.doesNotMatch(wire.text, /connection: close/i);
  wire.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const text = await wire.ended();
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 3);
  assert.equal(text.match(/^connection: close/gim)?.length, 1);
});

test('pipelined requests are answered in their order', async (t) => {
  const { port } = await startListener(t, echo);
  const wire = await dial(t, port);
  wire.write(['/1', '/2', '/3'].map((path) => GET.replace('/a', path)).join(''));
  const text = await wire.until(/"url":"\/3"/);
  assert.deepEqual(
    [...text.matchAll(/"url":"(.*?)"/g)].map((match) => match[1]),
    ['/1', '/2', '/3'],
  );
});

test('a body that comes in one chunk with its headers arrives whole, and so does one of many chunks', async (t) => {
  const { port } = await startListener(t, echo);
  for (const size of [1, 3_000, 300_000]) {
    const body = Buffer.alloc(size, 'PRI * HTTP/2.0\r\n\r\n');
    const wire = await dial(t, port);
    const head = `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`;
    wire.write(Buffer.concat([Buffer.from(head), body]));
    const text = await wire.until(/"body":"[^"]*"\}/);
    assert.equal(/"body":"(.*)"/.exec(text)?.[1], body.toString('base64'));
  }
});

test('a peer that has finished sending with its request is answered', async (t) => {
  const { port } = await startListener(t, (_request, response) => void response.end('answered'));
  const wire = await dial(t, port);
  wire.socket.end(GET);
  assert.match(await wire.ended(), /answered/);
});

test('a request sent byte by byte is read whole, also one that begins like the preface', async (t) => {
  const { port } = await startListener(t, echo);
  for (const method of ['GET', 'PATCH', 'PROPFIND']) {
    const wire = await dial(t, port);
    for (const byte of GET.replace('GET', method)) {
      wire.write(byte);
      await new Promise(setImmediate);
    }
    await wire.until(new RegExp(`"method":"${method}"`));
  }
});

test('HTTP/2 with prior knowledge is served on the same port', async (t) => {
  const { port } = await startListener(t, echo);
  const session = connectSession(t, port);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => ask2(session, { ':path': `/${index}`, ':method': 'POST' }, `${index}`)),
  );
  answers.forEach((answer, index) => {
    assert.equal(answer.status, 200);
    const body = Buffer.from(`${index}`).toString('base64');
    assert.deepEqual(JSON.parse(answer.text), { method: 'POST', url: `/${index}`, httpVersion: '2.0', body });
  });
});

test('a preface that comes byte by byte is still HTTP/2', async (t) => {
  const { port } = await startListener(t, echo);
  const wire = await dial(t, port);
  for (const byte of PREFACE) {
    wire.write(byte);
    await new Promise(setImmediate);
  }
  wire.write(EMPTY_SETTINGS);
  await eventually(() => wire.bytesReceived >= 9);
  assert.equal(wire.bytes[3], 4, 'the first frame of the server is SETTINGS');
});

test('an HTTP/2 client that hangs up leaves no socket behind', async (t) => {
  const { listener, port } = await startListener(t, echo);
  const session = connectSession(t, port);
  await ask2(session, { ':path': '/' });
  assert.equal(listener.connections, 1);
  session.close();
  await eventually(() => listener.connections === 0);
  const wire = await dial(t, port);
  wire.write(PREFACE, EMPTY_SETTINGS);
  await eventually(() => wire.bytesReceived >= 9);
  wire.socket.end();
  await eventually(() => listener.connections === 0);
});

test('a broken preface and broken frames end their own connection only', async (t) => {
  const { listener, port } = await startListener(t, echo);
  for (const bytes of [
    'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n',
    `${PREFACE}${'\xff'.repeat(64)}`,
    '\x16\x03\x01\x02\x00\x01',
  ]) {
    const wire = await dial(t, port);
    wire.write(Buffer.from(bytes, 'latin1'));
    await wire.ended();
  }
  await eventually(() => listener.connections === 0);
  const wire = await dial(t, port);
  wire.write(GET);
  await wire.until(/200 OK/);
});

test('a peer that leaves while it is being sniffed leaves no socket behind', async (t) => {
  const { listener, port } = await startListener(t, echo);
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const wire = await dial(t, port);
    wire.write('PRI');
    await eventually(() => listener.connections === 1);
    wire.socket[leave]();
    await eventually(() => listener.connections === 0);
  }
});

test('an absolute target on our own host reaches the application as a path', async (t) => {
  const { port } = await startListener(t, echo);
  const wire = await dial(t, port);
  wire.write('GET http://x/mcp?names=dot HTTP/1.1\r\nHost: x\r\n\r\n');
  await wire.until(/"url":"\/mcp\?names=dot"/);
});

test('TRACE is left to the application', async (t) => {
  const { port } = await startListener(t, echo);
  const wire = await dial(t, port);
  wire.write(GET.replace('GET', 'TRACE'));
  await wire.until(/"method":"TRACE"/);
});

test('CONNECT is cut, and an offered upgrade is served as the plain request it came with', async (t) => {
  const { listener, port } = await startListener(t, echo);
  const connecting = await dial(t, port);
  connecting.write('CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n');
  assert.equal(await connecting.ended(), '');
  const upgrading = await dial(t, port);
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  upgrading.write(`POST /mcp HTTP/1.1\r\nHost: x\r\n${offer}Content-Length: 2\r\n\r\nhi`);
  await upgrading.until(/"url":"\/mcp".*"body":"aGk="/);
  upgrading.write(GET);
  await upgrading.until(/"url":"\/a"/);
  const session = connectSession(t, port);
  assert.equal((await ask2(session, { ':method': 'CONNECT', ':authority': 'evil.test:443' })).status, 405);
  assert.equal(listener.connections, 2);
});

test('100 Continue is sent when the application asks for the body, and never when it does not', async (t) => {
  const { port } = await startListener(t, (request, response) => {
    if (request.url === '/read') echo(request, response);
    else {
      response.statusCode = 401;
      response.end();
    }
  });
  const post = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`;
  const reading = await dial(t, port);
  reading.write(post('/read'));
  await reading.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
  reading.write('hi');
  await reading.until(/"body":"aGk="/);
  const refused = await dial(t, port);
  refused.write(post('/refuse'));
  assert.match(await refused.ended(), /^HTTP\/1\.1 401 [\s\S]*Connection: close/);
  const session = connectSession(t, port);
  const stream = session.request({ ':path': '/read', ':method': 'POST', expect: '100-continue' });
  await once(stream, 'continue');
  stream.end('hi');
  assert.match((await buffer(stream)).toString(), /"body":"aGk="/);
});

test('an application that throws answers 500, or resets an answer it has begun, and the next request is served', async (t) => {
  const errors: unknown[] = [];
  const throwing = (request: EdgeRequest, response: EdgeResponse): void => {
    if (request.url === '/begun') (response as http.ServerResponse).write('begun');
    if (request.url !== '/fine') throw new Error('detail of the failure');
    response.end('fine');
  };
  const { port } = await startListener(t, throwing, { onError: (error) => errors.push(error) });
  const wire = await dial(t, port);
  wire.write(GET);
  const refusal = refusalIn(await wire.ended());
  assert.deepEqual([refusal.status, refusal.code], [500, 'internal']);
  assert.doesNotMatch(refusal.message, /detail/);
  const begun = await dial(t, port);
  begun.write(GET.replace('/a', '/begun'));
  assert.doesNotMatch(await begun.ended(), /\r\n0\r\n\r\n$/);
  const session = connectSession(t, port);
  assert.equal((await ask2(session, { ':path': '/' })).status, 500);
  assert.equal((await ask2(session, { ':path': '/fine' })).text, 'fine');
  assert.equal(errors.length, 3);
});

test('a port in use is said with what to do about it', async (t) => {
  const { port } = await startListener(t, echo);
  const second = createListener({ host: '127.0.0.1', port }, echo);
  await assert.rejects(second.listen(), (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'invalid_argument');
    assert.match(error.message, new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use\\..*listen\\.port`));
    return true;
  });
  await second.close();
});

test('connections over the limit are closed as they come', async (t) => {
  const { listener, port } = await startListener(t, echo, { maxConnections: 1 });
  const first = await dial(t, port);
  first.write(GET);
  await first.until(/\}/);
  const second = await dial(t, port);
  assert.equal(await second.ended(), '');
  assert.equal(listener.connections, 1);
});
