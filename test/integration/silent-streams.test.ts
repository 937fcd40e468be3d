// Streams of events on which nothing happens: a comment keeps them open through proxies that cut what is idle. The clock
// is the test's, so that nobody waits for fifteen seconds.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, mock, suite, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type CallOptions, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import { beginHttp2, connectHttp2 } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const SILENCE_MS = 15_000;
/** The gateway looks ten times a second; this is after it has looked twice. */
const LOOKS_MS = 250;

const realNow = performance.now.bind(performance);
let jumpedMs = 0;
let upstream: RecordingUpstream;
let gateway: TestGateway;
/** Of the test that runs. */
let connections: { destroy(): void }[] = [];
let gate = Promise.withResolvers<void>();

before(async () => {
  mock.method(performance, 'now', () => realNow() + jumpedMs);
  // As after an hour of work.
  jumpedMs = 3_600_000;
  upstream = await startRecordingUpstream({
    era: 'legacy',
    tools: ['silent', 'primed', 'parts', 'hanging', 'halting'].map(
      (name) => `{"name":"${name}","inputSchema":{"type":"object"}}`,
    ),
    intercept: ({ method, body }, response) => {
      if (method === 'GET') {
        void gate.promise.then(() => response.writeHead(405).end());
        return true;
      }
      const { id, params } = JSON.parse(body.toString() || '{}');
      const end = `{"result":{},"jsonrpc":"2.0","id":"${id}"}`;
      if (params?.name === 'silent') {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        void gate.promise.then(() => response.end(`data: ${end}\n\n`));
      } else if (params?.name === 'primed') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end('id: 1\nretry: 1\ndata: \n\n');
      } else if (params?.name === 'parts') {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write(`{"result":{"a":"${'x'.repeat(100_000)}`);
        void gate.promise.then(() => response.end(`"},"jsonrpc":"2.0","id":"${id}"}`));
      } else if (params?.name === 'halting') {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(`data: {"result":{"a":"${'x'.repeat(100_000)}`);
        void gate.promise.then(() => response.end(`"},"jsonrpc":"2.0","id":"${id}"}\n\n`));
      } else if (params?.name === 'hanging') {
        void gate.promise.then(() => response.writeHead(200, { 'content-type': 'application/json' }).end(end));
      } else return false;
      return true;
    },
  });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
});
afterEach(() => {
  gate.resolve();
  for (const connection of connections) connection.destroy();
  connections = [];
});
after(async () => {
  await gateway.close();
  await upstream.close();
  mock.restoreAll();
});

async function open(tool: string, options: CallOptions = {}): Promise<RawHttp1> {
  gate = Promise.withResolvers();
  const client = await RawHttp1.connect(gateway.url);
  connections.push(client.socket);
  const from = upstream.calls.length;
  const { head, body } = toHttp1(gateway.mcpUrl, { ...toolCall(`rec.${tool}`, options), token: gateway.token() });
  client.write(head, body);
  await eventually(() => upstream.calls.length > from);
  return client;
}

/** Long enough for the gateway to look at its calls, without its clock moving further than that. */
async function looked(): Promise<void> {
  const until = realNow() + LOOKS_MS;
  await eventually(() => realNow() > until);
}

function commentsIn(text: string): number {
  return text.split('\n').filter((line) => line === ':').length;
}

suite('a silent stream', { concurrency: false }, () => {
  for (const era of ['legacy', 'modern'] as const) {
    test(`is sent a comment after fifteen seconds, and every fifteen seconds (${era})`, async () => {
      const client = await open('silent', { era });
      await client.until(/\r\n\r\n/);
      await looked();
      assert.equal(commentsIn(client.text), 0);
      for (let count = 1; count <= 3; count++) {
        jumpedMs += SILENCE_MS;
        await eventually(() => commentsIn(client.text) === count);
      }
      await looked();
      assert.equal(commentsIn(client.text), 3);
      gate.resolve();
      assert.match(await client.until(/"id":1\}/), /event: message\ndata: \{"result"/);
    });
  }

  test('is sent one while its upstream is to be asked again', async () => {
    const client = await open('primed');
    await client.until(/\r\n\r\n/);
    jumpedMs += SILENCE_MS + 1_000;
    await eventually(() => commentsIn(client.text) === 1);
    gate.resolve();
    await client.until(/bad_status/);
  });

  test('over HTTP/2 is sent one, too', async () => {
    gate = Promise.withResolvers();
    const { session } = await connectHttp2(gateway.url);
    connections.push(session);
    const sent = { ...toolCall('rec.silent'), token: gateway.token() };
    const stream = beginHttp2(session, gateway.mcpUrl, sent);
    stream.end(sent.body);
    let text = '';
    stream.on('data', (chunk) => {
      text += chunk;
    });
    await once(stream, 'response');
    jumpedMs += SILENCE_MS + 1_000;
    await eventually(() => commentsIn(text) === 1);
    gate.resolve();
    await once(stream, 'close');
    assert.match(text, /"id":1\}/);
  });

  test('is sent none in the middle of an event, which would fall apart', async () => {
    const client = await open('halting');
    await client.until(/xxx/);
    jumpedMs += SILENCE_MS + 1_000;
    await looked();
    assert.equal(commentsIn(client.text), 0);
    gate.resolve();
    assert.match(await client.until(/"id":1\}/), /x"\},"jsonrpc"/);
  });

  test('of JSON is sent nothing, begun or not', async () => {
    const [parts, hanging] = [await open('parts'), await open('hanging')];
    await parts.until(/xxx/);
    jumpedMs += SILENCE_MS + 1_000;
    await looked();
    assert.equal(hanging.text, '');
    assert.equal(commentsIn(parts.text), 0);
  });
});
