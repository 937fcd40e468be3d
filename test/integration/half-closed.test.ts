// An HTTP/1.1 client may finish sending (FIN) and still wait for its answer. It looks like one that has gone, whose call
// must end in the modern era, until bytes are sent to it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type CallOptions, mcpRequest, type Sent, toAnswer, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import { type RecordedCall, type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
const TOOLS = ['plain', 'streamed'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);

let upstream: RecordingUpstream;
let gateway: TestGateway;
let gate: PromiseWithResolvers<void>;

before(async () => {
  upstream = await startRecordingUpstream({
    era: 'modern',
    tools: TOOLS,
    onCall: async (call) => {
      const { promise } = gate;
      if (call.name === 'streamed') return { sse: progressAround(promise, call), result: '{"ok":1.0}' };
      await promise;
      return '{"ok":1.0}';
    },
  });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
});
after(async () => {
  gate.resolve();
  await gateway.close();
  await upstream.close();
});

async function* progressAround(end: Promise<void>, { idText }: RecordedCall): AsyncGenerator<string> {
  const event = (step: number): string =>
    `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${idText},"progress":${step}}}`;
  yield event(1);
  await end;
  yield event(2);
}

interface Asked {
  readonly socket: net.Socket;
  readonly outgoing: ClientRequest;
  readonly response: Promise<IncomingMessage>;
  /** The call as the upstream has it. */
  readonly call: RecordedCall;
  readonly answer: Promise<Answer>;
  /** How many interim answers have come. */
  readonly interims: () => number;
}

/** Sends a call whose socket stays open for reading when the test ends it; resolves when the upstream has the call. */
async function ask(t: TestContext, tool: string, options: CallOptions): Promise<Asked> {
  gate = Promise.withResolvers();
  const { body, headers } = toolCall(`rec.${tool}`, options);
  const { hostname, port } = new URL(gateway.url);
  const socket = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  t.after(() => socket.destroy());
  const calls = upstream.calls.length;
  const outgoing = request(gateway.mcpUrl, {
    method: 'POST',
    createConnection: () => socket,
    headers: {
      'content-type': 'application/json',
      'content-length': body.length,
      authorization: `Bearer ${gateway.token()}`,
      ...headers,
    },
  });
  let interims = 0;
  outgoing.on('information', () => {
    interims++;
  });
  const response = once(outgoing, 'response').then(([incoming]) => incoming as IncomingMessage);
  const answer = response.then(async (incoming) =>
    toAnswer(incoming.statusCode ?? 0, incoming.headers, await buffer(incoming)),
  );
  answer.catch(() => undefined);
  outgoing.end(body);
  const call = await eventually(() => upstream.calls[calls]);
  return { socket, outgoing, response, call, answer, interims: () => interims };
}

for (const era of ERAS) {
  suite(`a ${era} client that has finished sending`, () => {
    test('gets its answer', async (t) => {
      const { socket, answer, interims } = await ask(t, 'plain', { era });
      socket.end();
      await once(socket, 'finish');
      gate.resolve();
      const { status, message } = await answer;
      assert.deepEqual([status, message.result.ok], [200, 1]);
      assert.equal(interims(), 0);
      if (!socket.destroyed) await once(socket, 'close');
    });

    test('gets its answer after a long wait, behind interim answers that clients read over', async (t) => {
      const { socket, answer, call, interims } = await ask(t, 'plain', { era });
      socket.end();
      await eventually(() => interims() === 2);
      assert.equal(call.signal.aborted, false);
      gate.resolve();
      const { status, message } = await answer;
      assert.deepEqual([status, message.result.ok], [200, 1]);
    });

    test('in the middle of a stream gets the rest of it', async (t) => {
      const { socket, response, answer, call } = await ask(t, 'streamed', { era, meta: '"progressToken":7' });
      await response;
      let received = '';
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1');
      });
      socket.end();
      // Zeros before the size of a chunk, which every reader of chunks reads over.
      await eventually(() => received.endsWith('00'));
      assert.equal(call.signal.aborted, false);
      gate.resolve();
      const { datas, message } = await answer;
      assert.equal(datas.length, 3);
      assert.equal(message.result.ok, 1);
    });
  });
}

suite('a client that has finished sending and then goes', () => {
  for (const [tool, what] of [
    ['plain', 'before its answer'],
    ['streamed', 'inside its answer'],
  ] as const) {
    test(`${what} has cancelled a modern call within two seconds`, async (t) => {
      const { socket, outgoing, response, call } = await ask(t, tool, { era: 'modern', meta: '"progressToken":7' });
      outgoing.on('error', () => undefined);
      if (tool === 'streamed') await response;
      socket.end();
      await once(socket, 'finish');
      socket.destroy();
      await eventually(() => call.signal.aborted, 2_000);
    });
  }
});

/** Sends bytes and finishes; resolves with everything that comes back. */
async function exchange(t: TestContext, ...parts: readonly (string | Buffer)[]): Promise<string> {
  const client = await RawHttp1.connect(gateway.url);
  t.after(() => client.socket.destroy());
  client.write(...parts);
  client.socket.end();
  return client.ended();
}

function toBytes(sent: Sent, more: Readonly<Record<string, string>> = {}): Buffer {
  const headers = { ...sent.headers, ...more };
  const { head, body } = toHttp1(gateway.mcpUrl, { ...sent, token: gateway.token(), headers });
  return Buffer.concat([head, body]);
}

test('a client that has finished sending gets the answers to all that it sent', async (t) => {
  gate = Promise.withResolvers();
  const answers = exchange(t, toBytes(toolCall('rec.plain')), 'GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
  const calls = upstream.calls.length;
  await eventually(() => upstream.calls[calls]);
  gate.resolve();
  const text = await answers;
  assert.deepEqual(text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200']);
  assert.match(text, /"result":\{"ok":1.0\}.*\{"status":"live"\}$/s);
});

test('a request that ends before its body does is refused, and nothing of it reaches an upstream', async (t) => {
  const requests = upstream.requests.length;
  const list = mcpRequest('tools/list');
  assert.match(
    await exchange(t, toBytes(list, { 'content-length': String(list.body.length + 1) })),
    /^HTTP\/1\.1 400\b/,
  );
  assert.equal(upstream.requests.length, requests);
});
