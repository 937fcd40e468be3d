// Bodies in chunks of one byte, from clients and from upstreams: what counts as little must be little, and nobody else is
// held up by it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway } from '../support/gateway.ts';
import { heldMemoryBytes } from '../support/held-memory.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { RawHttp1 } from '../support/raw-http1.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';

/** Writes a piece many times, as fast as it is taken, and lets others run in between. */
async function pour(socket: Socket, piece: string, times: number): Promise<void> {
  const block = Buffer.from(piece.repeat(1_000));
  for (let sent = 0; sent < times && !socket.destroyed; sent += 1_000) {
    if (!socket.write(block)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
    else await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a request body in chunks of one byte takes little more memory than its bytes', async (t) => {
  const upstream = await startRecordingUpstream({ era: 'legacy' });
  const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  const client = await RawHttp1.connect(gateway.url);
  const text = 'x'.repeat(300_000);
  const { body } = toolCall('rec.echo', { params: `"arguments":{"text":"${text}"}` });
  const [head = '', tail = ''] = body.split(text);
  client.write(
    `POST /mcp HTTP/1.1\r\nhost: ${new URL(gateway.url).host}\r\nauthorization: Bearer ${gateway.token()}\r\n`,
  );
  client.write('accept: application/json\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n');
  client.write(toChunk(head));
  const before = heldMemoryBytes();
  await pour(client.socket, toChunk('x'), text.length);
  await send(gateway.mcpUrl, { ...mcpRequest('ping'), token: gateway.token() });
  // Sixty megabytes if each chunk were kept as it came.
  const held = heldMemoryBytes() - before;
  assert.ok(held < 10e6, `${held} bytes are held`);
  client.write(toChunk(tail), '0\r\n\r\n');
  await client.until(/"id":1\}/);
  client.socket.destroy();
  assert.ok(upstream.calls[0]?.body.includes(text));
});

function toChunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

/** An upstream that answers `method` with an endless JSON string of braces, each in a chunk of its own. */
async function startBraces(
  t: TestContext,
  method: string,
): Promise<{ readonly url: string; readonly poured: Promise<void> }> {
  const upstream = await startRecordingUpstream({
    era: 'legacy',
    intercept: ({ body }, response) => {
      if (!body.includes(`"${method}"`)) return false;
      const { socket } = response;
      assert.ok(socket);
      socket.write(
        'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n6\r\n{"a":"\r\n',
      );
      void pour(socket, '1\r\n}\r\n', 60_000).then(poured.resolve);
      return true;
    },
  });
  const poured = Promise.withResolvers<void>();
  t.after(() => upstream.close());
  return { url: upstream.url, poured: poured.promise };
}

for (const method of ['tools/call', 'tools/list']) {
  test(`an answer to ${method} of closing braces in chunks of their own holds nobody up`, async (t) => {
    const { url, poured } = await startBraces(t, method);
    const gateway = await startGateway({ configs: [{ name: 'rec', url }], limits: { drain_ms: 1 } });
    t.after(() => gateway.close());
    let longestMs = 0;
    let isOver = false;
    void poured.then(() => {
      isOver = true;
    });
    const client = await RawHttp1.connect(gateway.url);
    t.after(() => client.socket.destroy());
    const { body } = toolCall('rec.echo');
    client.write(
      `POST /mcp HTTP/1.1\r\nhost: ${new URL(gateway.url).host}\r\nauthorization: Bearer ${gateway.token()}\r\n`,
    );
    client.write(`content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await eventually(async () => {
      const startedMs = performance.now();
      await send(gateway.mcpUrl, { ...mcpRequest('ping'), token: gateway.token() });
      longestMs = Math.max(longestMs, performance.now() - startedMs);
      return isOver;
    }, 30_000);
    assert.ok(longestMs < 500, `somebody else waited ${longestMs} ms`);
  });
}
