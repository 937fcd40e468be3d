// The clocks of the listener: what dawdles is cut, and what may take its time is not.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type http2 from 'node:http2';
import { buffer } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import type { OnRequest } from '../../src/edge/request-gate.ts';
import { eventually } from '../support/eventually.ts';
import { answerOf } from '../support/raw-http2.ts';
import { ask2, connectSession, dial, echo, GET, PREFACE, refusalIn, startListener } from '../support/test-listener.ts';

/** Each on a listener of its own, whose times pass at the same time. */
suite('a listener', { concurrency: true }, () => {
  test('a peer that does not finish the preface in time is dropped, however it dawdles', async (t) => {
    const { listener, port } = await startListener(t, echo, { sniffTimeoutMs: 60 });
    const silent = await dial(t, port);
    const dawdling = await dial(t, port);
    const preface = [...PREFACE];
    const dawdle = setInterval(() => dawdling.write(preface.shift() ?? 'x'), 25);
    t.after(() => clearInterval(dawdle));
    assert.equal(await silent.ended(), '');
    assert.equal(await dawdling.ended(), '');
    assert.ok(preface.length > 0);
    await eventually(() => listener.connections === 0);
  });

  const FAST = { headersTimeoutMs: 80, requestTimeoutMs: 160, checkIntervalMs: 20 };

  test('slow headers are cut at the headers timeout', async (t) => {
    const { port } = await startListener(t, echo, { ...FAST, requestTimeoutMs: 60_000 });
    const wire = await dial(t, port);
    wire.write('GET /a HTTP/1.1\r\nHost: x\r\n');
    const drip = setInterval(() => wire.write('x-more: 1\r\n'), 15);
    t.after(() => clearInterval(drip));
    const refusal = refusalIn(await wire.ended());
    assert.equal(refusal.status, 408);
  });

  test('slow headers are cut on the second request of a connection too', async (t) => {
    const { port } = await startListener(t, echo, { ...FAST, requestTimeoutMs: 60_000 });
    const wire = await dial(t, port);
    wire.write(GET);
    await wire.until(/\}/);
    wire.write('GET /b HTTP/1.1\r\n');
    assert.match(await wire.ended(), /\}HTTP\/1\.1 408/);
  });

  test('a slow body is cut at the request timeout over HTTP/1.1', async (t) => {
    const { port } = await startListener(t, echo, FAST);
    const wire = await dial(t, port);
    wire.write('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx');
    assert.equal(refusalIn(await wire.ended()).status, 408);
  });

  test('a slow body is cut at the request timeout over HTTP/2', async (t) => {
    const { port } = await startListener(t, echo, FAST);
    const session = connectSession(t, port);
    const stream = session.request({ ':path': '/', ':method': 'POST' });
    stream.write('x');
    const answer = await answerOf(stream);
    assert.equal(answer.status, 408);
    assert.equal(JSON.parse(answer.text).status, 408);
    assert.equal((await ask2(session, { ':path': '/' })).status, 200);
  });

  test('an answer may take longer than the request timeout', async (t) => {
    const later: OnRequest = (request, response) => {
      request.resume();
      setTimeout(() => response.end('late'), 400);
    };
    const { port } = await startListener(t, later, FAST);
    const wire = await dial(t, port);
    wire.write('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx');
    const session = connectSession(t, port);
    const answer = await ask2(session, { ':path': '/', ':method': 'POST' }, 'x');
    assert.equal(answer.text, 'late');
    await wire.until(/late/);
  });

  test('over HTTP/2 an application need not read a body to answer for longer than the request timeout', async (t) => {
    const { port } = await startListener(
      t,
      (_request, response) => {
        (response as http2.Http2ServerResponse).write('begun');
        setTimeout(() => response.end(' done'), 400);
      },
      FAST,
    );
    const stream = connectSession(t, port).request({ ':path': '/' }, { endStream: false });
    await once(stream, 'response');
    stream.end();
    assert.equal((await buffer(stream)).toString(), 'begun done');
  });

  test('idle connections of both protocols are closed at the keep-alive timeout', async (t) => {
    const { listener, port } = await startListener(t, echo, { keepAliveTimeoutMs: 50 });
    const wire = await dial(t, port);
    wire.write(GET);
    const session = connectSession(t, port);
    await ask2(session, { ':path': '/' });
    await wire.ended();
    await eventually(() => session.closed && listener.connections === 0);
  });
});
