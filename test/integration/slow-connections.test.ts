// What one connection costs at most, in time and in bytes: clients that keep sending without ever finishing, floods, and
// what a stranger can push. Silence in each phase is in listener-clocks.test.ts; heads that are too large are in
// http-framing.jsonl, and those of an upstream in upstream-faults.jsonl.

import assert from 'node:assert/strict';
import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server } from 'node:http';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, type TestContext, test } from 'node:test';
import { setTimeout as nextTime } from 'node:timers/promises';
import { createListener, type Listener, type ListenerOptions } from '../../src/edge/listener.ts';
import type { OnRequest } from '../../src/edge/request-gate.ts';
import { trackSockets } from '../support/accepted-sockets.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';
import { pushBody, RawHttp1, toChunk } from '../support/raw-http1.ts';
import { answerOf, beginHttp2, connectHttp2, openHttp2, sendHttp2 } from '../support/raw-http2.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const GET = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n';

/** A frame of HTTP/2 (RFC 9113 §4.1). */
function frame(type: number, flags: number, stream: number, payload: readonly number[] = []): Buffer {
  return Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload]);
}

const EMPTY_SETTINGS = frame(4, 0, 0);
const PING = frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);
/** Settings and a window update that let an answer of any length be sent at once. */
const WIDE_WINDOWS = Buffer.concat([frame(4, 0, 0, [0, 4, 0x7f, 0xff, 0xff, 0xff]), frame(8, 0, 0, [0x7f, 0, 0, 0])]);
/** `GET http://x/`, whole. */
const GET2 = frame(1, 5, 1, [0x82, 0x86, 0x84, 0x01, 0x01, 0x78]);
/** `:method: GET`, whose header block goes on. */
const BEGUN_HEADERS = frame(1, 1, 1, [0x82]);

interface Running {
  readonly listener: Listener;
  readonly url: string;
}

async function start(t: TestContext, options: Partial<ListenerOptions>, onRequest: OnRequest = echo): Promise<Running> {
  const listener = createListener({ host: '127.0.0.1', port: 0, ...options }, onRequest);
  const { port } = await listener.listen();
  t.after(() => listener.close());
  return { listener, url: `http://127.0.0.1:${port}` };
}

const echo: OnRequest = (request, response) => {
  void buffer(request).then(
    (body) => response.end(body),
    () => undefined,
  );
};

/** Each on a listener of its own, whose times pass at the same time. */
suite('a listener', { concurrency: true }, () => {
  suite('a client that keeps sending and never finishes', { concurrency: true }, () => {
    const TIMES = {
      sniffTimeoutMs: 150,
      headersTimeoutMs: 200,
      requestTimeoutMs: 300,
      keepAliveTimeoutMs: 250,
      checkIntervalMs: 20,
    };
    const LINGER_MS = 1_000;
    /** What a loaded machine may be late by. */
    const SLACK_MS = 700;
    const POST = 'POST / HTTP/1.1\r\nHost: x\r\n';

    const CASES: readonly {
      readonly what: string;
      readonly begins: string | Buffer;
      readonly goesOn: string | Buffer;
      readonly fromMs: number;
      readonly toMs: number;
      readonly answer: RegExp;
    }[] = [
      {
        what: 'a head of HTTP/1.1',
        begins: POST,
        goesOn: 'x-a: 1\r\n',
        fromMs: 200,
        toMs: 220,
        answer: /^HTTP\/1\.1 408 /,
      },
      {
        what: 'empty lines before a request',
        begins: '\r\n',
        goesOn: '\r\n',
        fromMs: 200,
        toMs: 220,
        answer: /^HTTP\/1\.1 408 /,
      },
      {
        what: 'a body of HTTP/1.1',
        begins: `${POST}Content-Length: 1000\r\n\r\n`,
        goesOn: 'x',
        fromMs: 300,
        toMs: 320,
        answer: /^HTTP\/1\.1 408 /,
      },
      {
        what: 'chunks',
        begins: `${POST}Transfer-Encoding: chunked\r\n\r\n`,
        goesOn: toChunk('x'),
        fromMs: 300,
        toMs: 320,
        answer: /^HTTP\/1\.1 408 /,
      },
      {
        what: 'trailers',
        begins: `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n`,
        goesOn: 'x-a: 1\r\n',
        fromMs: 300,
        toMs: 320,
        answer: /^HTTP\/1\.1 408 /,
      },
      {
        what: 'empty lines behind an answered request',
        begins: GET,
        goesOn: '\r\n',
        fromMs: 450,
        toMs: 450,
        answer: /^HTTP\/1\.1 200 (?!.*HTTP)/s,
      },
      {
        what: 'pings',
        begins: Buffer.concat([PREFACE, EMPTY_SETTINGS]),
        goesOn: PING,
        fromMs: 250,
        toMs: 250 + LINGER_MS,
        answer: /./s,
      },
      {
        what: 'a frame of HTTP/2',
        begins: Buffer.concat([PREFACE, EMPTY_SETTINGS, frame(1, 4, 1, [0x82]).subarray(0, 9)]),
        goesOn: '',
        fromMs: 250,
        toMs: 250 + LINGER_MS,
        answer: /./s,
      },
      {
        what: 'a header block of HTTP/2',
        begins: Buffer.concat([PREFACE, EMPTY_SETTINGS, BEGUN_HEADERS]),
        goesOn: '',
        fromMs: 250,
        toMs: 250 + 2 * LINGER_MS,
        answer: /./s,
      },
    ];
    for (const { what, begins, goesOn, fromMs, toMs, answer } of CASES) {
      test(`${what} that never ends: cut in its time`, async (t) => {
        const { listener, url } = await start(t, TIMES);
        const client = await RawHttp1.connect(url);
        const startedAt = performance.now();
        client.write(begins);
        const dripping = setInterval(() => client.write(goesOn), 15);
        t.after(() => clearInterval(dripping));
        assert.match(await client.ended(), answer);
        const tookMs = performance.now() - startedAt;
        // The clocks of the server and the test are not read at the same moment.
        assert.ok(tookMs > fromMs - 20 && tookMs < toMs + SLACK_MS, `${what} took ${Math.round(tookMs)} ms`);
        await eventually(() => listener.connections === 0);
      });
    }

    test('a body over HTTP/2 that never ends: its stream is cut in its time, and others are answered meanwhile', async (t) => {
      const { url } = await start(t, { ...TIMES, keepAliveTimeoutMs: 60_000 });
      const { session } = await connectHttp2(url);
      t.after(() => session.destroy());
      const stream = session.request({ ':method': 'POST' }).on('error', () => undefined);
      const answer = answerOf(stream);
      const startedAt = performance.now();
      const dripping = setInterval(() => stream.write('x'), 15);
      t.after(() => clearInterval(dripping));
      assert.equal((await sendHttp2(session, url, { body: 'other' })).text, 'other');
      const { status } = await answer;
      const tookMs = performance.now() - startedAt;
      assert.equal(status, 408);
      assert.ok(tookMs > 280 && tookMs < 300 + SLACK_MS, `took ${Math.round(tookMs)} ms`);
      assert.equal((await sendHttp2(session, url, { body: 'next' })).text, 'next');
    });

    test('who decides late for a protocol has the whole time for its headers, and no more', async (t) => {
      const { url } = await start(t, TIMES);
      const client = await RawHttp1.connect(url);
      const startedAt = performance.now();
      client.write('P');
      await new Promise((resolve) => setTimeout(resolve, 100));
      client.write('OST / HTTP/1.1\r\n');
      assert.match(await client.ended(), /^HTTP\/1\.1 408 /);
      const tookMs = performance.now() - startedAt;
      assert.ok(tookMs > 280 && tookMs < 320 + SLACK_MS, `took ${Math.round(tookMs)} ms`);
    });

    test('a request behind a pause that is short enough is answered, after many answers, too', async (t) => {
      const { url } = await start(t, TIMES);
      const client = await RawHttp1.connect(url);
      for (let answers = 1; answers <= 5; answers++) {
        client.write(GET);
        await client.answers((all) => all.length === answers);
        await new Promise((resolve) => setTimeout(resolve, 120));
      }
      assert.equal(client.isEnded, false);
      client.socket.destroy();
    });

    const LONG = Buffer.alloc(32 * MIB, ' ');
    const answersLong: OnRequest = (_request, response) => void response.end(LONG);

    test('nothing of a long answer is taken: cut in its time, on either protocol', async (t) => {
      const { listener, url } = await start(t, TIMES, answersLong);
      const client = await RawHttp1.connect(url);
      client.socket.pause();
      client.write(GET, GET);
      const { session, socket } = await connectHttp2(url);
      t.after(() => session.destroy());
      openHttp2(session, url, { method: 'GET' }).on('error', () => undefined);
      assert.equal(listener.connections, 2);
      await eventually(() => listener.connections === 0);
      client.socket.destroy();
      socket.destroy();
    });

    const ASKS = { 'HTTP/1.1': GET, 'HTTP/2': Buffer.concat([PREFACE, WIDE_WINDOWS, GET2]) };
    for (const [protocol, ask] of Object.entries(ASKS)) {
      test(`a long answer over ${protocol} that is taken little by little arrives whole`, async (t) => {
        const { url } = await start(t, TIMES, answersLong);
        const { hostname, port } = new URL(url);
        const socket = net.connect({ host: hostname, port: Number(port) }).on('error', () => undefined);
        socket.write(ask);
        const startedMs = performance.now();
        let taken = 0;
        while (taken < LONG.length && !socket.readableEnded) {
          await once(socket, 'readable');
          taken += socket.read()?.length ?? 0;
          await nextTime(2);
        }
        assert.ok(taken >= LONG.length, `${taken} bytes`);
        assert.ok(performance.now() - startedMs > 2 * (TIMES.keepAliveTimeoutMs + TIMES.headersTimeoutMs));
        socket.destroy();
      });
    }

    test('an answer may take longer than every limit of its connection', async (t) => {
      const { url } = await start(t, TIMES, (request, response) => {
        request.resume();
        setTimeout(() => response.end('late'), request.url === '/late' ? 600 : 0);
      });
      const client = await RawHttp1.connect(url);
      client.write(GET);
      await client.answers((all) => all.length === 1);
      client.write(GET.replace('/livez', '/late'));
      const answers = await client.answers((all) => all.length === 2);
      assert.deepEqual(
        answers.map(({ body }) => body),
        ['late', 'late'],
      );
      client.socket.destroy();
    });
  });

  suite('as many connections as may be', () => {
    test('those over the limit are closed at once, those under it are served, and a place that is freed is taken', async (t) => {
      const { listener, url } = await start(t, { maxConnections: 3, sniffTimeoutMs: 1_500 });
      const served = await RawHttp1.connect(url);
      served.write(GET);
      await served.answers((all) => all.length === 1);
      const { session } = await connectHttp2(url);
      t.after(() => session.destroy());
      assert.equal((await sendHttp2(session, url, { body: 'a' })).text, 'a');
      const silent = await RawHttp1.connect(url);
      await eventually(() => listener.connections === 3);

      const startedAt = performance.now();
      const refused = await Promise.all(Array.from({ length: 50 }, () => RawHttp1.connect(url)));
      for (const client of refused) client.write(GET);
      assert.deepEqual(new Set(await Promise.all(refused.map((client) => client.ended()))), new Set(['']));
      assert.ok(performance.now() - startedAt < 1_500, 'the silent one had gone before');
      served.write(GET);
      await served.answers((all) => all.length === 2);
      assert.equal((await sendHttp2(session, url, { body: 'b' })).text, 'b');
      assert.equal(listener.connections, 3);

      await silent.ended();
      const next = await eventually(async () => {
        const client = await RawHttp1.connect(url);
        client.write(GET);
        const answers = await client.answers((all) => all.length === 1);
        return answers.length === 1 && client;
      });
      assert.equal(listener.connections, 3);
      for (const client of [served, next]) client.socket.destroy();
    });
  });
});

suite('the limits of a gateway', () => {
  let gateway: TestGateway;

  before(async () => {
    gateway = await startGateway({ configs: [] });
  });
  after(() => gateway.close());

  test('are 10 s for headers, 30 s for a body, 75 s between requests, and 20,000 connections', async () => {
    const servers: Server[] = [];
    const onStart = (message: unknown) => servers.push((message as { server: Server }).server);
    const listening: net.Server[] = [];
    const onSocket = (message: unknown) =>
      listening.push((message as { socket: { server: net.Server } }).socket.server);
    diagnostics.subscribe('http.server.request.start', onStart);
    diagnostics.subscribe('net.server.socket', onSocket);
    await send(`${gateway.url}/livez`, { method: 'GET' });
    diagnostics.unsubscribe('http.server.request.start', onStart);
    diagnostics.unsubscribe('net.server.socket', onSocket);
    const [server] = servers as [Server & { connectionsCheckingInterval: number }];
    const { headersTimeout, requestTimeout, keepAliveTimeout, connectionsCheckingInterval, timeout } = server;
    assert.deepEqual(
      { headersTimeout, requestTimeout, keepAliveTimeout, connectionsCheckingInterval, timeout },
      {
        headersTimeout: 10_000,
        requestTimeout: 30_000,
        keepAliveTimeout: 75_000,
        connectionsCheckingInterval: 1_000,
        timeout: 0,
      },
    );
    assert.equal(listening[0]?.maxConnections, 20_000);
  });

  test('are 10 s for the first bytes', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const sockets = trackSockets(gateway.url);
    const silent = net.connect(Number(new URL(gateway.url).port), '127.0.0.1');
    const begun = net.connect(Number(new URL(gateway.url).port), '127.0.0.1');
    const closed = Promise.all([once(silent, 'close'), once(begun, 'close')]);
    begun.write('PRI * HTTP/2.0');
    while ([...sockets].reduce((sum, { bytesRead }) => sum + bytesRead, 0) < 14 || sockets.size < 2)
      await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(9_999);
    assert.deepEqual(
      [...sockets].map(({ destroyed }) => destroyed),
      [false, false],
    );
    t.mock.timers.tick(1);
    await closed;
    assert.deepEqual([silent.bytesRead, begun.bytesRead], [0, 0]);
  });

  test('are 30 s for a body over HTTP/2', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { session } = await connectHttp2(gateway.url);
    t.after(() => session.destroy());
    const stream = beginHttp2(session, gateway.mcpUrl, { token: gateway.token(), body: '{}' });
    let status = 0;
    stream.once('response', (head) => {
      status = head[':status'] ?? 0;
    });
    await ping(session);
    t.mock.timers.tick(29_999);
    await ping(session);
    assert.equal(status, 0);
    t.mock.timers.tick(1);
    await once(stream.resume(), 'close');
    assert.equal(status, 408);
  });

  test('are 75 s without a request over HTTP/2', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { session } = await connectHttp2(gateway.url);
    t.after(() => session.destroy());
    await ping(session);
    t.mock.timers.tick(74_999);
    await ping(session);
    assert.equal(session.closed, false);
    t.mock.timers.tick(1);
    await once(session, 'close');
  });
});

/** What was sent before has been read when its answer comes. */
function ping(session: Awaited<ReturnType<typeof connectHttp2>>['session']): Promise<void> {
  return new Promise((resolve, reject) => {
    session.ping((error) => (error ? reject(error) : resolve()));
  });
}

suite('many connections', () => {
  let gateway: TestGateway;
  let sockets: ReadonlySet<net.Socket>;

  before(async () => {
    gateway = await startGateway({ configs: [] });
    sockets = trackSockets(gateway.url);
  });
  after(() => gateway.close());

  async function assertServed(): Promise<void> {
    const sent = { ...mcpRequest('ping'), token: gateway.token() };
    assert.equal((await send(gateway.mcpUrl, sent)).status, 200);
  }

  const MOST_BYTES = 8 * MIB;
  for (const path of ['/mcp', '/v1/explain', '/nothing', '/livez', '/mcp/../mcp']) {
    test(`100 strangers that declare 1 GiB each for ${path} get rid of 8 MiB at most`, async (t) => {
      const piece = Buffer.alloc(64 * 1024, 0x20);
      const head = `POST ${path} HTTP/1.1\r\nHost: ${new URL(gateway.url).host}\r\nContent-Length: ${GIB}\r\n\r\n`;
      const bytesRead: number[] = [];
      const note = (socket: net.Socket) => socket.once('close', () => bytesRead.push(socket.bytesRead));
      const onSocket = (message: unknown) => void note((message as { socket: net.Socket }).socket);
      diagnostics.subscribe('net.server.socket', onSocket);
      const pushes = Array.from({ length: 100 }, () => pushBody(gateway.url, head, piece, GIB));
      const pushed = await Promise.all(pushes);
      await eventually(() => sockets.size === 0);
      diagnostics.unsubscribe('net.server.socket', onSocket);
      for (const { sentBytes } of pushed) assert.ok(sentBytes <= MOST_BYTES, `${sentBytes} bytes were taken`);
      const most = Math.max(...pushed.map(({ sentBytes }) => sentBytes));
      const total = pushed.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
      const read = Math.max(...bytesRead);
      assert.ok(read <= MIB, `${read} bytes were read`);
      const mib = (bytes: number): string => (bytes / MIB).toFixed(2);
      t.diagnostic(`${path}: ${mib(most)} MiB at most, ${mib(total)} MiB in all; at most ${mib(read)} MiB read`);
      await assertServed();
    });
  }

  for (const [what, leave] of [
    ['that open and close', (socket: net.Socket) => void socket.end()],
    ['that open and reset', (socket: net.Socket) => void socket.resetAndDestroy()],
    ['that leave in the middle of the preface', (socket: net.Socket) => void socket.end('PRI * HT')],
    ['that leave in the middle of a head', (socket: net.Socket) => void socket.end('POST /mcp HTTP/1.1\r\nHost: ')],
  ] as const) {
    test(`1,000 ${what} leave nothing behind, and others are served meanwhile`, async () => {
      const port = Number(new URL(gateway.url).port);
      const flood = async (): Promise<void> => {
        for (let made = 0; made < 1_000; made += 100) {
          const clients = Array.from({ length: 100 }, () =>
            net.connect(port, '127.0.0.1').on('error', () => undefined),
          );
          const closed = Promise.all(clients.map((client) => once(client.resume(), 'close')));
          for (const client of clients) client.once('connect', () => leave(client));
          await closed;
        }
      };
      await Promise.all([flood(), ...Array.from({ length: 10 }, assertServed)]);
      await eventually(() => sockets.size === 0);
      await assertServed();
    });
  }
});
