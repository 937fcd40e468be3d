// Legacy upstreams that end an event stream before its answer on purpose, and are asked for the rest (2025-11-25 basic/
// transports#resumability-and-redelivery, SEP-1699): the client sees one stream.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import { type RecordedRequest, type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
const RESULT = '{"content":[{"type":"text","text":"ok"}]}';

interface Asked extends RecordedRequest {
  readonly atMs: number;
}

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
  /** The requests for the rest of a stream. */
  readonly resumed: readonly Asked[];
  /** When each stream was ended. */
  readonly endedMs: readonly number[];
  readonly id: () => string;
}

/** One stream after the other: what the upstream sends, `ID` standing for the id of the call, before it ends it. */
type Streams = readonly (string | ((response: ServerResponse) => void))[];

async function start(t: TestContext, streams: Streams, era: 'legacy' | 'modern' = 'legacy'): Promise<Running> {
  const resumed: Asked[] = [];
  const endedMs: number[] = [];
  let [next, id] = [0, ''];
  const upstream = await startRecordingUpstream({
    era,
    sessions: era === 'legacy',
    intercept: (request, response) => {
      const isCall = request.method === 'POST' && request.body.includes('"tools/call"');
      if (!isCall && request.method !== 'GET') return false;
      if (isCall) id = JSON.parse(request.body.toString()).id;
      else resumed.push({ ...request, atMs: performance.now() });
      const stream = streams[Math.min(next++, streams.length - 1)]!;
      if (typeof stream === 'function') {
        stream(response);
        return true;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(stream.replaceAll('ID', id), () => endedMs.push(performance.now()));
      return true;
    },
  });
  const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url, credential: 'the-credential' }] });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  return { gateway, upstream, resumed, endedMs, id: () => id };
}

function call({ gateway }: Running, options: CallOptions = {}): Promise<Answer> {
  const sent = toolCall('rec.echo', { meta: '"progressToken":"p"', ...options });
  return send(gateway.mcpUrl, { ...sent, token: gateway.token() });
}

const answer = `data: {"result":${RESULT},"jsonrpc":"2.0","id":"ID"}\n\n`;
const prime = (eventId: string, retryMs?: number): string =>
  `id: ${eventId}\n${retryMs === undefined ? '' : `retry: ${retryMs}\n`}data: \n\n`;

function progress(step: number, token = 'ID'): string {
  const params = `{"progressToken":"${token}","progress":${step}}`;
  return `{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`;
}

function assertAnswered({ status, message, text }: Answer): void {
  assert.equal(status, 200);
  assert.deepEqual(message.result?.content, JSON.parse(RESULT).content, text);
}

function assertBroken({ status, message }: Answer, reason = 'broken_answer'): void {
  assert.deepEqual([status, message.error?.code, message.error?.data?.reason], [200, -32603, reason]);
}

suite('a stream that ends with an event id and no answer', { concurrency: 6 }, () => {
  for (const era of ERAS) {
    test(`is asked for from there, and its answer is the client's (${era})`, async (t) => {
      const running = await start(t, [prime('e-1', 10), answer]);
      assertAnswered(await call(running, { era }));
      const [{ method, path, headers, body }] = running.resumed as [Asked];
      const { headers: first } = running.upstream.calls[0]!;
      assert.deepEqual([method, path, body.length], ['GET', '/mcp', 0]);
      assert.equal(headers['last-event-id'], 'e-1');
      assert.match(String(headers.accept), /text\/event-stream/);
      for (const same of ['mcp-session-id', 'mcp-protocol-version', 'authorization'] as const) {
        assert.equal(headers[same], first[same]);
        assert.notEqual(headers[same], undefined);
      }
    });

    test(`goes on in the stream that the client reads already, without ids and pauses (${era})`, async (t) => {
      const running = await start(t, [
        `${prime('1', 10)}id: 2\ndata: ${progress(1)}\n\n`,
        `id: 3\ndata: ${progress(2)}\n\n`,
        `: still there\n\ndata: ${progress(3)}\n\n${answer}`,
      ]);
      const { kind, datas, text, message } = await call(running, { era });
      assert.equal(kind, 'sse');
      assert.deepEqual(
        datas.slice(0, -1),
        [1, 2, 3].map((step) => progress(step, 'p')),
      );
      assert.deepEqual(message.result.content, JSON.parse(RESULT).content);
      assert.doesNotMatch(text, /^(?:id|retry)/m);
      assert.deepEqual(
        running.resumed.map(({ headers }) => headers['last-event-id']),
        ['2', '3'],
      );
    });
  }

  test('is whole JSON for a client that reads no events', async (t) => {
    const running = await start(t, [`${prime('1', 10)}id: 2\ndata: ${progress(1)}\n\n`, answer]);
    const whole = await call(running, { accept: 'application/json' });
    assert.equal(whole.kind, 'json');
    assertAnswered(whole);
  });

  for (const [what, streams, id, fromMs] of [
    ['after the pause it names', [prime('1', 300), answer], '1', 300],
    ['after a second when it names none', [prime('1'), answer], '1', 1_000],
    [
      'from where it was, and after the same pause, when later streams name no others',
      [prime('1', 300), '', ': x\n\n', answer],
      '1',
      300,
    ],
  ] as const) {
    test(`is asked for ${what}`, async (t) => {
      const running = await start(t, streams);
      assertAnswered(await call(running));
      assert.equal(running.resumed.length, streams.length - 1);
      for (const [index, { headers, atMs }] of running.resumed.entries()) {
        assert.equal(headers['last-event-id'], id);
        const pausedMs = atMs - running.endedMs[index]!;
        assert.ok(pausedMs > fromMs - 50 && pausedMs < 3 * fromMs, `${Math.round(pausedMs)} ms for ${fromMs}`);
      }
    });
  }

  test('is asked for from the last whole event, not from one that was cut', async (t) => {
    const running = await start(t, [`${prime('1', 10)}id: 2\ndata: ${progress(1).slice(0, 30)}`, answer]);
    assertAnswered(await call(running));
    assert.equal(running.resumed[0]!.headers['last-event-id'], '1');
  });

  test('that never comes to an answer is given up', async (t) => {
    const running = await start(t, [prime('1', 1)]);
    assertBroken(await call(running));
    assert.equal(running.resumed.length, 100);
  });

  test('is asked for although its legacy client has left, whose call runs to its end', async (t) => {
    const gate = Promise.withResolvers<void>();
    const running = await start(t, [
      prime('1', 10),
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        void gate.promise.then(() => response.end(answer.replace('ID', running.id())));
      },
    ]);
    const { gateway, resumed } = running;
    const client = await RawHttp1.connect(gateway.url);
    const { head, body } = toHttp1(gateway.mcpUrl, { ...toolCall('rec.echo'), token: gateway.token() });
    client.write(head, body);
    await eventually(() => resumed.length === 1);
    client.socket.resetAndDestroy();
    await send(gateway.mcpUrl, { ...mcpRequest('ping'), token: gateway.token() });
    assert.equal(resumed[0]!.signal.aborted, false);
    gate.resolve();
    await eventually(async () => /outcome="answered"\} 1/.test(await (await fetch(`${gateway.url}/metrics`)).text()));
  });
});

suite('a stream is not asked for again', { concurrency: 6 }, () => {
  const unanswerable: readonly [what: string, streams: Streams][] = [
    ['without an event id', [`retry: 10\ndata: ${progress(1)}\n\n`]],
    ['with an id that no header can carry', ['id: é\nretry: 10\ndata: \n\n']],
    [
      'in the middle of an answer that was passed on already',
      [`${prime('1', 10)}data: {"result":{"a":"${'x'.repeat(200_000)}`],
    ],
    ['behind something that is no answer', [`${prime('1', 10)}data: {"result":{},"jsonrpc":"2.0","id":"other"}\n\n`]],
  ];
  for (const [what, streams] of unanswerable) {
    test(what, async (t) => {
      const running = await start(t, streams);
      const { text, status } = await call(running);
      assert.equal(status, 200);
      assert.ok(text.includes('"reason":"broken_answer"'), text.slice(-300));
      assert.deepEqual(running.resumed, []);
    });
  }

  test('of a modern upstream, whose streams have no ids', async (t) => {
    const running = await start(t, [prime('1', 10), answer], 'modern');
    assertBroken(await call(running, { era: 'modern' }));
    assert.deepEqual(running.resumed, []);
  });

  test('when its modern client has left meanwhile, and the upstream is told', async (t) => {
    const running = await start(t, [prime('1', 60_000), answer]);
    const { gateway, upstream } = running;
    const client = await RawHttp1.connect(gateway.url);
    const { head, body } = toHttp1(gateway.mcpUrl, {
      ...toolCall('rec.echo', { era: 'modern' }),
      token: gateway.token(),
    });
    client.write(head, body);
    await eventually(() => running.endedMs.length > 0);
    client.socket.resetAndDestroy();
    await eventually(() => upstream.requests.some((each) => each.body.includes('notifications/cancelled')));
    assert.deepEqual(running.resumed, []);
  });

  test('when its legacy client has cancelled meanwhile', async (t) => {
    const running = await start(t, [prime('1', 300), answer]);
    const { gateway, upstream } = running;
    const cancelled = call(running);
    await eventually(() => running.endedMs.length > 0);
    const cancellation = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    await send(gateway.mcpUrl, { ...mcpRequest('ping'), body: cancellation, token: gateway.token() });
    const { text } = await cancelled;
    assert.ok(!text.includes('"result"') && !text.includes('"error"'), text);
    await eventually(() => upstream.requests.some((each) => each.body.includes('notifications/cancelled')));
    // Its pause would be over by then.
    const until = performance.now() + 500;
    await eventually(() => performance.now() > until);
    assert.deepEqual(running.resumed, []);
  });

  for (const [status, reason] of [
    [404, 'session_lost'],
    [405, 'bad_status'],
    [500, 'bad_status'],
    [401, 'credential_refused'],
  ] as const) {
    test(`when the upstream answers ${status}: the client is told, and the call is not sent again`, async (t) => {
      const running = await start(t, [prime('1', 10), (response) => response.writeHead(status).end()]);
      assertBroken(await call(running), reason);
      assert.deepEqual([running.resumed.length, running.upstream.calls.length], [1, 1]);
    });
  }

  test('when the upstream is gone: the client is told', async (t) => {
    const running = await start(t, [prime('1', 10), (response) => response.destroy()]);
    assertBroken(await call(running));
    assert.deepEqual([running.resumed.length, running.upstream.calls.length], [1, 1]);
  });
});
