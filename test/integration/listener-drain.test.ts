// The drain of the listener: who is waited for, who is told, and when it ends.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import {
  ask2,
  connectSession,
  dial,
  dialStubborn,
  EMPTY_SETTINGS,
  echo,
  GET,
  holding,
  PREFACE,
  startListener,
} from '../support/test-listener.ts';

test('a drain waits for calls in flight on both protocols, tells their clients, and then no socket is left', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await startListener(t, onRequest);
  const wire = await dial(t, port);
  wire.write(GET);
  const session = connectSession(t, port);
  const answer = ask2(session, { ':path': '/' });
  const saidGoodbye = once(session, 'goaway');
  await eventually(() => held.length === 2);

  let isDrained = false;
  const drained = listener.drain(10_000).then(() => {
    isDrained = true;
  });
  assert.equal(listener.draining, true);
  await saidGoodbye;
  await assert.rejects(once(net.connect(port, '127.0.0.1'), 'connect'));
  assert.equal(isDrained, false);

  for (const response of held) response.end('done');
  assert.equal((await answer).text, 'done');
  assert.match(await wire.ended(), /Connection: close[\s\S]*done/);
  await drained;
  assert.equal(listener.connections, 0);
});

test('a drain with idle clients only is over at once', async (t) => {
  const { listener, port } = await startListener(t, echo);
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const request = http.get({ port, host: '127.0.0.1', agent });
  const [response] = await once(request, 'response');
  await buffer(response);
  const session = connectSession(t, port);
  await ask2(session, { ':path': '/' });
  const silent = await dial(t, port);
  await eventually(() => listener.connections === 3);
  const startedAt = performance.now();
  await listener.drain(30_000);
  assert.ok(performance.now() - startedAt < 1_000);
  assert.equal(await silent.ended(), '');
});

test('an HTTP/2 peer that ignores the goodbye does not hold up a drain', async (t) => {
  const { listener, port } = await startListener(t, echo);
  const wire = await dialStubborn(t, port);
  wire.write(PREFACE, EMPTY_SETTINGS);
  await eventually(() => wire.bytesReceived >= 9);
  const startedAt = performance.now();
  await listener.drain(30_000);
  assert.ok(performance.now() - startedAt < 4_000);
  assert.equal(listener.connections, 0);
});

test('a connection whose stream began before the drain is closed when the stream ends', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await startListener(t, onRequest);
  const wire = await dial(t, port);
  wire.write(GET);
  await eventually(() => held.length === 1);
  (held[0] as http.ServerResponse).write('first');
  await wire.until(/first/);
  const drained = listener.drain(10_000);
  held[0]?.end('last');
  assert.match(await wire.ended(), /Connection: keep-alive[\s\S]*last/);
  await drained;
});

test('a response that is written but not yet read by a slow client survives a drain', async (t) => {
  const size = 16 * 1024 * 1024;
  let isWritten = false;
  const { listener, port } = await startListener(t, (_request, response) => {
    response.setHeader('content-length', size);
    response.end(Buffer.alloc(size, 'x'));
    isWritten = true;
  });
  const wire = await dial(t, port);
  wire.socket.pause();
  wire.write(GET);
  await eventually(() => isWritten);
  const drained = listener.drain(10_000);
  wire.socket.resume();
  await drained;
  const text = await wire.ended();
  assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, size);
});

test('at the deadline a drain cuts what is left', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await startListener(t, onRequest);
  const wire = await dial(t, port);
  wire.write(GET);
  const session = connectSession(t, port);
  session.request({ ':path': '/' }).on('error', () => undefined);
  await eventually(() => held.length === 2);
  const startedAt = performance.now();
  await listener.drain(60);
  assert.ok(performance.now() - startedAt < 2_000);
  assert.equal(listener.connections, 0);
  assert.equal(await wire.ended(), '');
});

test('close cuts a drain short, and both then resolve', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await startListener(t, onRequest);
  const wire = await dial(t, port);
  wire.write(GET);
  await eventually(() => held.length === 1);
  await Promise.all([listener.drain(60_000), listener.close()]);
  assert.equal(listener.connections, 0);
});
