// A call that its client gives up, between clients and upstreams of both eras: the upstream is told in its own era's way,
// and the client hears nothing more.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { suite, type TestContext, test } from 'node:test';
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import {
  type RecordedCall,
  type RecordedRequest,
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';
import { callResult, listResult, toMessage } from '../support/sdk-server-replies.ts';

const ERAS = ['legacy', 'modern'] as const;
type Era = (typeof ERAS)[number];

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
  /** Lets the upstream answer what hangs. */
  readonly release: () => void;
}

async function start(
  t: TestContext,
  era: Era,
  options: Partial<RecordingUpstreamOptions> = {},
  limits: Record<string, number> = {},
): Promise<Running> {
  const gate = Promise.withResolvers<string>();
  const upstream = await startRecordingUpstream({
    era,
    sessions: era === 'legacy',
    onCall: ({ body }) => (body.includes('"hang"') ? gate.promise : callResult(era)),
    ...options,
  });
  const gateway = await startGateway({ ...configsOf(upstream, 'first'), limits });
  t.after(async () => {
    gate.resolve('{}');
    await gateway.close();
    await upstream.close();
  });
  return { gateway, upstream, release: () => gate.resolve('{"late":true}') };
}

function configsOf({ url }: RecordingUpstream, credential: string): ConfigFileOptions {
  return { configs: [{ name: 'rec', url, credential }] };
}

const HANG = '"arguments":{"text":"hang"}';

function call({ gateway }: Running, era: Era, params?: string): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall('rec.echo', { era, ...(params && { params }) }), token: gateway.token() });
}

/** A call on a connection of its own, which its client can drop. */
async function begin({ gateway }: Running, era: Era, id = '1'): Promise<RawHttp1> {
  const client = await RawHttp1.connect(gateway.url);
  const { head, body } = toHttp1(gateway.mcpUrl, {
    ...toolCall('rec.echo', { era, id, params: HANG }),
    token: gateway.token(),
  });
  client.write(head, body);
  return client;
}

async function cancel({ gateway }: Running, requestId = '1'): Promise<void> {
  const { headers } = mcpRequest('notifications/cancelled');
  const params = `{"requestId":${requestId},"reason":"not wanted"}`;
  const body = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`;
  const { status, text } = await send(gateway.mcpUrl, { headers: headers!, body, token: gateway.token() });
  assert.deepEqual([status, text], [202, '']);
}

/** When they are answered, the gateway has read what was sent before them. */
async function pings({ gateway }: Running): Promise<void> {
  for (let count = 0; count < 3; count++) {
    await send(gateway.mcpUrl, { ...mcpRequest('ping'), token: gateway.token() });
  }
}

async function giveUp(running: Running, era: Era, client: RawHttp1): Promise<void> {
  if (era === 'modern') client.socket.resetAndDestroy();
  else await cancel(running);
}

/** What was given up reaches the upstream neither before nor after somebody else's call. */
async function assertNeverCalled(running: Running, era: Era): Promise<void> {
  for (let count = 0; count < 2; count++) {
    await eventually(async () => 'result' in (await call(running, era)).message, 10_000);
  }
  assert.ok(running.upstream.calls.every(({ body }) => !body.includes('"hang"')));
}

/** Keeps the first list from being answered until it is told to. */
function holdFirstList(era: Era) {
  let answer: (() => void) | undefined;
  const intercept = ({ body }: RecordedRequest, response: ServerResponse): boolean => {
    if (!body.includes('"tools/list"') || answer !== undefined) return false;
    const { id } = JSON.parse(body.toString());
    const tools = listResult(era, ['{"name":"echo","inputSchema":{"type":"object"}}'], undefined, 1);
    answer = () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(toMessage(JSON.stringify(id), tools));
    };
    return true;
  };
  return { intercept, listAsked: () => eventually(() => answer) };
}

function arrived({ upstream }: Running): Promise<RecordedCall> {
  return eventually(() => upstream.calls.find(({ body }) => body.includes('"hang"')));
}

function cancellationsIn({ upstream }: Running): RecordedRequest[] {
  return upstream.requests.filter(({ body }) => body.includes('notifications/cancelled'));
}

/** Within a second; in the legacy era by a notification of the gateway's own id in the call's session, too. */
async function assertTold(running: Running, era: Era, { signal, idText, headers }: RecordedCall): Promise<void> {
  await eventually(() => signal.aborted, 1_000);
  if (era === 'modern') {
    assert.deepEqual(cancellationsIn(running), [], 'a modern upstream knows no such notification');
    return;
  }
  const told = await eventually(() => cancellationsIn(running)[0], 1_000);
  const message = JSON.parse(told.body.toString());
  assert.deepEqual([message.params.requestId, 'id' in message], [JSON.parse(idText), false]);
  for (const header of ['mcp-session-id', 'mcp-protocol-version'] as const) {
    assert.equal(told.headers[header], headers[header]);
  }
  assert.equal(cancellationsIn(running).length, 1);
}

async function outcomes({ gateway }: Running): Promise<Record<string, number>> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const lines = text.matchAll(/^switchboard_calls_total\{.*outcome="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, outcome, count]) => [outcome, Number(count)]));
}

for (const era of ERAS) {
  suite(`an upstream of the ${era} era`, () => {
    test('is told when a modern client leaves', async (t) => {
      const running = await start(t, era);
      const client = await begin(running, 'modern');
      const call = await arrived(running);
      client.socket.resetAndDestroy();
      await assertTold(running, era, call);
      assert.deepEqual(await outcomes(running), { cancelled: 1 });
    });

    test('is not told when a legacy client leaves, whose call runs to its end', async (t) => {
      const running = await start(t, era);
      const client = await begin(running, 'legacy');
      const hanging = await arrived(running);
      client.socket.resetAndDestroy();
      for (let count = 0; count < 3; count++) await call(running, 'legacy');
      assert.deepEqual([hanging.signal.aborted, cancellationsIn(running)], [false, []]);
      running.release();
      await eventually(async () => (await outcomes(running)).answered === 4);
      assert.equal(hanging.signal.aborted, false);
    });

    test('is told when a legacy client says that it has cancelled, and the client gets no answer', async (t) => {
      const running = await start(t, era);
      const client = await begin(running, 'legacy');
      const hanging = await arrived(running);
      await cancel(running);
      await assertTold(running, era, hanging);
      running.release();
      const text = await client.until(/\r\n\r\n/);
      assert.match(text, /^HTTP\/1\.1 202 [\s\S]*content-length: 0\r\n[\s\S]*\r\n\r\n$/i);
      // What the upstream says all the same is for nobody: the connection goes on with the next call.
      const { head, body } = toHttp1(running.gateway.mcpUrl, {
        ...toolCall('rec.echo', { id: '2' }),
        token: running.gateway.token(),
      });
      client.write(head, body);
      await client.until(/"id":2\}$/);
      assert.ok(!client.text.includes('late'));
      client.socket.destroy();
      assert.deepEqual(await outcomes(running), { answered: 1, cancelled: 1 });
    });

    test('is not told of a call that it has answered', async (t) => {
      const running = await start(t, era);
      for (let count = 0; count < 3; count++) {
        await call(running, 'legacy');
        await cancel(running);
      }
      assert.deepEqual(cancellationsIn(running), []);
      assert.deepEqual(await outcomes(running), { answered: 3 });
    });

    test('is told of the one call that is meant, and of no other', async (t) => {
      const running = await start(t, era);
      const clients = await Promise.all(['1', '2', '"1"'].map((id) => begin(running, 'legacy', id)));
      await eventually(() => running.upstream.calls.length === 3);
      await cancel(running, '"1"');
      await eventually(() => running.upstream.calls.some(({ signal }) => signal.aborted));
      await call(running, 'legacy');
      assert.equal(running.upstream.calls.filter(({ signal }) => signal.aborted).length, 1);
      running.release();
      for (const [index, expected] of [/"id":1\}$/, /"id":2\}$/, / 202 [\s\S]*\r\n\r\n$/].entries()) {
        assert.match(await clients[index]!.until(expected), expected);
        clients[index]!.socket.destroy();
      }
    });

    test('gets both of two calls with one id, of which a client without a session gave up one while they waited', async (t) => {
      const { intercept, listAsked } = holdFirstList(era);
      const running = await start(t, era, { intercept });
      const clients = [await begin(running, 'legacy'), await begin(running, 'legacy')];
      const answer = await listAsked();
      await pings(running);
      await cancel(running);
      answer();
      await eventually(() => running.upstream.calls.length === 2);
      running.release();
      for (const client of clients) {
        await client.until(/"id":1\}$/);
        client.socket.destroy();
      }
    });

    for (const client of ERAS) {
      test(`gets no call that a ${client} client gave up while it was still being connected to`, async (t) => {
        const held: ServerResponse[] = [];
        let holds = true;
        const isOpening = ({ headers, body }: RecordedRequest) =>
          headers.authorization === 'Bearer second' && /"(?:server\/discover|initialize)"/.test(body.toString());
        const running = await start(t, era, {
          intercept: (request, response) => holds && isOpening(request) && held.push(response) > 0,
        });
        await call(running, client);
        // One connection is opened for the list and one for the call, or one for both.
        await running.gateway.reload(configsOf(running.upstream, 'second'));
        const leaving = await begin(running, client);
        await pings(running);
        await giveUp(running, client, leaving);
        await eventually(async () => (await outcomes(running)).cancelled === 1);
        holds = false;
        for (const response of held) response.destroy();
        await assertNeverCalled(running, client);
      });

      test(`gets no call that a ${client} client gave up while its tool was still looked for`, async (t) => {
        const { intercept, listAsked } = holdFirstList(era);
        const running = await start(t, era, { intercept });
        const leaving = await begin(running, client);
        const answer = await listAsked();
        await pings(running);
        await giveUp(running, client, leaving);
        await pings(running);
        answer();
        await assertNeverCalled(running, client);
      });

      test(`is told when the call of a ${client} client takes too long, and the client is answered`, async (t) => {
        const running = await start(t, era, {}, { call_timeout_ms: 300 });
        const answer = call(running, client, HANG);
        const hanging = await arrived(running);
        const { status, message } = await answer;
        assert.deepEqual([status, message.error?.code, message.error?.data?.reason], [200, -32603, 'timeout']);
        await assertTold(running, era, hanging);
      });
    }

    test('is told when a real client of the first SDK aborts a call', async (t) => {
      const running = await start(t, era);
      const client = new Client({ name: 't', version: '1' });
      const transport = new StreamableHTTPClientTransport(new URL(running.gateway.mcpUrl), {
        requestInit: { headers: { authorization: `Bearer ${running.gateway.token()}` } },
      });
      await client.connect(transport as Parameters<typeof client.connect>[0]);
      const leaving = new AbortController();
      const answer = client.callTool({ name: 'rec.echo', arguments: { text: 'hang' } }, undefined, {
        signal: leaving.signal,
      });
      const hanging = await arrived(running);
      leaving.abort('changed my mind');
      await assert.rejects(answer);
      await assertTold(running, era, hanging);
      await client.callTool({ name: 'rec.echo', arguments: {} });
      await client.close();
    });

    test('is told when a real modern client aborts a call', async (t) => {
      const running = await start(t, era);
      const client = new ModernClient(
        { name: 't', version: '1' },
        { versionNegotiation: { mode: { pin: '2026-07-28' } } },
      );
      const requestInit = { headers: { authorization: `Bearer ${running.gateway.token()}` } };
      await client.connect(new ModernTransport(new URL(running.gateway.mcpUrl), { requestInit }));
      const leaving = new AbortController();
      const answer = client.callTool({ name: 'rec.echo', arguments: { text: 'hang' } }, { signal: leaving.signal });
      const hanging = await arrived(running);
      leaving.abort('changed my mind');
      await assert.rejects(answer);
      await assertTold(running, era, hanging);
      await client.callTool({ name: 'rec.echo', arguments: {} });
      await client.close();
    });
  });
}
