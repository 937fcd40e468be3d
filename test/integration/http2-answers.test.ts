// Answers to HTTP/2 clients that do not end as they should: one that leaves early is not waited for, and half an answer
// cannot be taken for a whole one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { beginHttp2, connectHttp2 } from '../support/raw-http2.ts';
import {
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
}

async function start(t: TestContext, intercept: RecordingUpstreamOptions['intercept']): Promise<Running> {
  const upstream = await startRecordingUpstream({ era: 'legacy', ...(intercept && { intercept }) });
  const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  return { gateway, upstream };
}

async function call(t: TestContext, { gateway }: Running, era: 'legacy' | 'modern'): Promise<http2.ClientHttp2Stream> {
  const { session } = await connectHttp2(gateway.url);
  t.after(() => session.destroy());
  const sent = { ...toolCall('rec.echo', { era }), token: gateway.token() };
  const stream = beginHttp2(session, gateway.mcpUrl, sent);
  stream.end(sent.body);
  return stream;
}

async function inFlight({ gateway }: Running): Promise<string | undefined> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return /^switchboard_calls_in_flight\{service="rec"\} (\d+)$/m.exec(text)?.[1];
}

suite('over HTTP/2', { concurrency: true }, () => {
  for (const era of ['legacy', 'modern'] as const) {
    test(`a ${era} client that leaves while its tool is looked for does not keep its place among the calls in flight`, async (t) => {
      let answerList: (() => void) | undefined;
      const running = await start(t, ({ body }, response) => {
        if (!body.includes('"tools/list"')) return false;
        const { id } = JSON.parse(body.toString());
        const tools = '[{"name":"echo","inputSchema":{"type":"object"}}]';
        answerList = () => {
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(`{"jsonrpc":"2.0","id":"${id}","result":{"tools":${tools}}}`);
        };
        return true;
      });
      const stream = await call(t, running, era);
      const answer = await eventually(() => answerList);
      // Answered behind the call on the same connection: the call has been read.
      const ping = { ...mcpRequest('ping'), token: running.gateway.token() };
      const behind = beginHttp2(stream.session as http2.ClientHttp2Session, running.gateway.mcpUrl, ping);
      behind.end(ping.body);
      await once(behind, 'response');
      stream.close(http2.constants.NGHTTP2_CANCEL);
      await once(stream, 'close');
      await send(running.gateway.mcpUrl, ping);
      answer();
      // A legacy client has not cancelled by leaving.
      if (era === 'legacy') await eventually(() => running.upstream.calls.length === 1);
      await eventually(async () => (await inFlight(running)) === '0');
    });
  }

  test('half a JSON answer of an upstream that breaks off ends with an error', async (t) => {
    const running = await start(t, ({ body }, response) => {
      if (!body.includes('"tools/call"')) return false;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(`{"result":{"a":"${'x'.repeat(200_000)}`, () => response.destroy());
      return true;
    });
    const stream = await call(t, running, 'legacy');
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
    });
    await eventually(() => stream.closed);
    assert.ok(length > 100_000);
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_INTERNAL_ERROR);
  });
});
