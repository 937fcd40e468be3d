// On real sockets: whether bytes were taken is for the system to say.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2ServerResponse } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { EventStream } from '../../../src/data-plane/event-stream.ts';
import { COMMENT } from '../../../src/protocol/sse.ts';
import { eventually } from '../../support/eventually.ts';
import { closeServer, listenLocally } from '../../support/local-server.ts';
import { connectHttp2 } from '../../support/raw-http2.ts';

const EVENT = Buffer.from('event: message\ndata: {}\n\n');

/** A stream of which the test says what it is to send next; what waits already takes the place of what was to come. */
class TestStream extends EventStream {
  readonly #owed: { next: Buffer | undefined };

  constructor(response: ServerResponse | Http2ServerResponse, first = COMMENT) {
    const owed: { next: Buffer | undefined } = { next: undefined };
    const next = () => {
      const bytes = owed.next;
      owed.next = undefined;
      return bytes;
    };
    super({ response, first, next }, 0);
    this.#owed = owed;
  }

  send(event: Buffer, nowMs: number): void {
    this.#owed.next = event;
    this.wake(nowMs);
  }
}

interface Opened {
  readonly stream: TestStream;
  readonly response: ServerResponse;
  readonly client: Socket;
  /** What has come without its chunk sizes, from behind the headers on. */
  readonly received: () => string;
}

/** A stream that was opened at 0, on a clock that the test moves by what it passes. */
async function open(t: TestContext): Promise<Opened> {
  const requested = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, response) => requested.resolve(response));
  const client = connect(await listenLocally(server), '127.0.0.1');
  t.after(() => {
    client.destroy();
    return closeServer(server);
  });
  let text = '';
  client
    .on('error', () => undefined)
    .on('data', (chunk) => {
      text += chunk;
    });
  client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  const response = await requested.promise;
  const stream = new TestStream(response);
  const received = () => text.replace(/^[\s\S]*?\r\n\r\n/, '').replace(/[0-9a-f]+\r\n([\s\S]*?)\r\n/g, '$1');
  return { stream, response, client, received };
}

suite('a stream', () => {
  test('begins with a comment, so that the client has its headers', async (t) => {
    const { received } = await open(t);
    await eventually(() => received() === ':\n\n');
  });

  test('passes events on as they come', async (t) => {
    const { stream, received } = await open(t);
    await eventually(() => received() === ':\n\n');
    stream.send(EVENT, 10);
    await eventually(() => received() === `:\n\n${EVENT}`);
  });

  test('gets a comment when it has been silent for fifteen seconds, counted from its last event', async (t) => {
    const { stream, received } = await open(t);
    await eventually(() => received() === ':\n\n');
    stream.send(EVENT, 10_000);
    await eventually(() => received() === `:\n\n${EVENT}`);
    for (const nowMs of [11_000, 15_000, 24_999, 25_000, 26_000]) stream.tend(nowMs);
    await eventually(() => received() === `:\n\n${EVENT}:\n\n`);
    stream.tend(39_999);
    stream.tend(40_000);
    await eventually(() => received() === `:\n\n${EVENT}:\n\n:\n\n`);
  });

  test('ends in order, and its connection goes on', async (t) => {
    const { stream, response, client, received } = await open(t);
    await eventually(() => received() === ':\n\n');
    stream.end();
    await once(response, 'close');
    assert.equal(response.writableFinished, true);
    assert.equal(client.readyState, 'open');
  });

  test('ends with its last words behind what was written, whether or not that was taken', async (t) => {
    const [idle, writing] = [await open(t), await open(t)];
    await eventually(() => idle.received() === ':\n\n' && writing.received() === ':\n\n');
    idle.stream.end(Buffer.from('last'));
    writing.stream.send(EVENT, 1);
    writing.stream.end(Buffer.from('last'));
    await eventually(() => idle.received() === ':\n\nlast' && writing.received() === `:\n\n${EVENT}last`);
    await eventually(() => idle.response.writableFinished && writing.response.writableFinished);
  });

  test('says its last words once, however often it is woken or ended meanwhile', async (t) => {
    const { stream, response, received } = await open(t);
    await eventually(() => received() === ':\n\n');
    stream.end(Buffer.from('last'));
    stream.wake(1);
    stream.end(Buffer.from('more'));
    stream.wake(2);
    stream.tend(60_000);
    await once(response, 'close');
    assert.equal(response.errored, null);
    await eventually(() => received().includes('last'));
    assert.ok(!received().includes('more'));
  });

  test('that is to finish sends what there is first', async (t) => {
    const { stream, response, received } = await open(t);
    stream.send(EVENT, 1);
    stream.finish(2);
    await eventually(() => response.writableFinished && received() === `:\n\n${EVENT}`);
  });

  test('is written nothing more when its client has left', async (t) => {
    const { stream, response, client, received } = await open(t);
    await eventually(() => received() === ':\n\n');
    client.destroy();
    await once(response, 'close');
    stream.send(EVENT, 1);
    stream.tend(60_000);
    stream.end();
    assert.equal(response.errored, null);
  });
});

/** More than the system holds for a client that reads no more. */
const FILLER = Buffer.from(`:${'x'.repeat(16_000_000)}\n\n`);

async function stall({ stream, response, client, received }: Opened): Promise<void> {
  await eventually(() => received() === ':\n\n');
  client.pause();
  stream.send(FILLER, 1_000);
  assert.ok(response.writableLength > 0);
}

suite('a client that takes nothing', () => {
  test('holds one write and one event, however many it should get', async (t) => {
    const opened = await open(t);
    await stall(opened);
    const held = opened.response.writableLength;
    for (let count = 0; count < 10_000; count++) {
      opened.stream.send(EVENT, 2_000);
      opened.stream.tend(2_000 + count);
    }
    assert.equal(opened.response.writableLength, held);
  });

  test('is sent the event it is owed, once, when it reads again', async (t) => {
    const opened = await open(t);
    await stall(opened);
    for (let count = 0; count < 10; count++) opened.stream.send(EVENT, 2_000);
    opened.client.resume();
    await eventually(() => opened.received().endsWith(EVENT.toString()));
    assert.equal(opened.received().split(EVENT.toString()).length - 1, 1);
  });

  test('holds as little on HTTP/2, where it opens no window', async (t) => {
    const requested = Promise.withResolvers<Http2ServerResponse>();
    const server = createHttp2Server((_request, response) => requested.resolve(response));
    const url = `http://127.0.0.1:${await listenLocally(server)}`;
    const { session, socket } = await connectHttp2(url, { settings: { initialWindowSize: 0 } });
    t.after(() => {
      session.destroy();
      return closeServer(server, [socket]);
    });
    const request = session.request({ ':path': '/' });
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    const response = await requested.promise;
    const stream = new TestStream(response);
    await once(request, 'response');
    for (let count = 0; count < 10_000; count++) stream.send(EVENT, 1_000);
    // Behind the answer to a ping, everything that was to be written before has been.
    await new Promise((resolve) => session.ping(resolve));
    stream.tend(30_000);
    assert.ok(response.stream.writableLength <= ':\n\n'.length, `${response.stream.writableLength}`);
    session.settings({ initialWindowSize: 65_535 });
    await eventually(() => text === `:\n\n${EVENT}`);
    stream.tend(121_000);
    await eventually(() => text === `:\n\n${EVENT}:\n\n`);
  });

  test('for two minutes is cut off, and one that takes one write in them is not', async (t) => {
    const { stream, response, client, received } = await open(t);
    await stall({ stream, response, client, received });
    stream.send(FILLER, 2_000);
    stream.tend(100_000);
    client.on('data', () => {
      if (client.bytesRead > FILLER.length + 1_000) client.pause();
    });
    client.resume();
    await eventually(() => client.isPaused());
    stream.tend(121_001);
    assert.equal(response.destroyed, false);
    stream.tend(220_001);
    assert.equal(response.destroyed, true);
  });

  test('is cut off soon after the stream is to end, and what it was owed is not sent', async (t) => {
    const opened = await open(t);
    await stall(opened);
    opened.stream.send(EVENT, 2_000);
    opened.stream.end(Buffer.from('last'));
    await eventually(() => opened.response.destroyed, 1_000);
  });
});
