// How many calls there may be at once: of a token, to an upstream and in the process, and how many bytes of requests.

import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import { withoutUpstreamBytes } from '../support/corpus.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import { connectHttp2, sendHttp2 } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
const KIB = 1024;

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
  readonly other: RecordingUpstream;
  /** Lets every hanging call be answered. */
  readonly release: () => void;
  /** Begins a call that hangs, and waits until the upstream has it. */
  hang(token?: string, options?: CallOptions): Promise<{ readonly answer: Promise<Answer> }>;
  call(token?: string, options?: CallOptions, tool?: string): Promise<Answer>;
}

async function start(t: TestContext, limits: Readonly<Record<string, number>>): Promise<Running> {
  const gate = Promise.withResolvers<string>();
  const onCall = (): Promise<string> => gate.promise;
  const upstream = await startRecordingUpstream({ era: 'modern', onCall });
  const other = await startRecordingUpstream({ era: 'modern', onCall: () => '{}' });
  const tokens = ['one', 'two', 'three', 'four', 'five'].map((name) => ({ name }));
  const gateway = await startGateway({
    configs: [
      { name: 'rec', url: upstream.url },
      { name: 'other', url: other.url },
    ],
    tokens,
    limits,
  });
  t.after(async () => {
    gate.resolve('{}');
    await gateway.close();
    await Promise.all([upstream.close(), other.close()]);
  });
  const call: Running['call'] = (token = 'one', options = {}, tool = 'rec.echo') =>
    send(gateway.mcpUrl, { ...toolCall(tool, options), token: gateway.token(token) });
  // Every token has its catalog, so that no list is asked for later.
  for (const { name } of tokens) await call(name, {}, 'other.echo');
  return {
    gateway,
    upstream,
    other,
    release: () => gate.resolve('{}'),
    call,
    hang: async (token, options) => {
      const before = upstream.calls.length;
      const answer = call(token, options);
      await Promise.race([eventually(() => upstream.calls.length > before), answer]);
      return { answer };
    },
  };
}

/** 429 or 503 with what a client needs to try again, and no word to the upstream. */
async function assertRefused(
  { upstream, call }: Pick<Running, 'upstream' | 'call'>,
  status: 429 | 503,
  ...of: Parameters<Running['call']>
): Promise<void> {
  const answer = await withoutUpstreamBytes([upstream], () => call(...of));
  assert.deepEqual([answer.status, answer.headers['retry-after'], answer.message.id], [status, '1', 1], answer.text);
  const { code, data, message } = answer.message.error!;
  const reason = status === 429 ? 'rate_limited' : 'overloaded';
  assert.deepEqual([code, data], [-32603, { source: 'gateway', service: 'rec', reason, retry_after_ms: 1000 }]);
  assert.match(message, /\b(?:Wait for some to end|Try again)\b/);
}

async function countOf(gateway: TestGateway, outcome: string): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return Number(
    new RegExp(`^switchboard_calls_total\\{service="rec".*outcome="${outcome}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0,
  );
}

suite('calls at once', () => {
  for (const era of ERAS) {
    test(`of one token over calls_per_token are 429, and others are served (${era})`, async (t) => {
      const running = await start(t, { calls_per_token: 2 });
      const calls = [await running.hang('one', { era }), await running.hang('one', { era })];
      await assertRefused(running, 429, 'one', { era });
      await assertRefused(running, 429, 'one', { era });
      calls.push(await running.hang('two', { era }));
      assert.equal(await countOf(running.gateway, 'limited'), 2);
      running.release();
      for (const { answer } of calls) assert.equal((await answer).status, 200);
      assert.equal((await running.call('one', { era })).status, 200);
    });

    test(`of all tokens over calls are 503 (${era})`, async (t) => {
      const running = await start(t, { calls: 2 });
      const calls = [await running.hang('one', { era }), await running.hang('two', { era })];
      for (const token of ['one', 'three']) await assertRefused(running, 503, token, { era });
      running.release();
      for (const { answer } of calls) assert.equal((await answer).status, 200);
      assert.equal((await running.call('three', { era })).status, 200);
    });

    test(`to one upstream over calls_per_upstream are 503, and other services are served (${era})`, async (t) => {
      const running = await start(t, { calls_per_upstream: 2 });
      const calls = [await running.hang('one', { era }), await running.hang('two', { era })];
      await assertRefused(running, 503, 'three', { era });
      assert.equal((await running.call('three', { era }, 'other.echo')).status, 200);
      running.release();
      for (const { answer } of calls) assert.equal((await answer).status, 200);
      assert.equal((await running.call('three', { era })).status, 200);
    });
  }

  test('over HTTP/2 the refusal is the same, and the connection goes on', async (t) => {
    const running = await start(t, { calls_per_token: 1 });
    const { gateway } = running;
    const hanging = await running.hang('one');
    const { session } = await connectHttp2(gateway.url);
    const statuses: [unknown, unknown][] = [];
    for (let count = 0; count < 3; count++) {
      const sent = { ...toolCall('rec.echo'), token: gateway.token('one') };
      const { status, headers } = await sendHttp2(session, gateway.mcpUrl, sent);
      statuses.push([status, headers['retry-after']]);
    }
    assert.deepEqual(statuses, Array(3).fill([429, '1']));
    session.destroy();
    running.release();
    assert.equal((await hanging.answer).status, 200);
  });

  test('a call that a modern client gives up makes room at once, one that a legacy client leaves only when it ends', async (t) => {
    const running = await start(t, { calls_per_token: 1 });
    const { gateway, upstream } = running;
    for (const era of ['modern', 'legacy'] as const) {
      const before = upstream.calls.length;
      const client = await RawHttp1.connect(gateway.url);
      const { head, body } = toHttp1(gateway.mcpUrl, { ...toolCall('rec.echo', { era }), token: gateway.token('one') });
      client.write(head, body);
      await eventually(() => upstream.calls.length > before);
      client.socket.resetAndDestroy();
      if (era === 'modern') await eventually(() => upstream.calls.at(-1)?.signal.aborted);
    }
    await assertRefused(running, 429, 'one');
    running.release();
    await eventually(async () => (await running.call('one')).status === 200);
  });

  test('a call that is cancelled makes room at once', async (t) => {
    const running = await start(t, { calls_per_token: 1 });
    const { answer } = await running.hang('one');
    const { headers } = mcpRequest('notifications/cancelled');
    const body = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    await send(running.gateway.mcpUrl, { headers: headers!, body, token: running.gateway.token('one') });
    assert.equal((await answer).status, 202);
    const next = await running.hang('one');
    running.release();
    assert.equal((await next.answer).status, 200);
  });

  test('a call whose upstream fails makes room', async (t) => {
    const running = await start(t, { calls_per_token: 1 });
    await running.upstream.close();
    for (let count = 0; count < 3; count++) {
      const { status, message } = await running.call('one');
      assert.deepEqual([status, message.error?.code], [200, -32603]);
    }
    await running.upstream.listen();
  });

  test('lists, pings and refusals are not calls', async (t) => {
    const running = await start(t, { calls_per_token: 1 });
    const { gateway } = running;
    const { answer } = await running.hang('one');
    for (const method of ['tools/list', 'ping']) {
      const { message } = await send(gateway.mcpUrl, { ...mcpRequest(method), token: gateway.token('one') });
      assert.ok(message.result !== undefined);
    }
    assert.equal((await running.call('one', {}, 'rec.missing')).message.error?.code, -32602);
    running.release();
    assert.equal((await answer).status, 200);
  });
});

suite('bytes of requests in flight', () => {
  const argument = (bytes: number): CallOptions => ({ params: `"arguments":{"text":"${'x'.repeat(bytes)}"}` });
  const LIMITS = { body_bytes: 64 * KIB, bytes_in_flight: 256 * KIB };

  test('of one token may be a quarter of all, so that it cannot take the room of others', async (t) => {
    const running = await start(t, LIMITS);
    const calls = [await running.hang('one', argument(40 * KIB))];
    await assertRefused(running, 429, 'one', argument(40 * KIB));
    calls.push(await running.hang('one', argument(8 * KIB)), await running.hang('two', argument(40 * KIB)));
    running.release();
    for (const { answer } of calls) assert.equal((await answer).status, 200);
    assert.equal((await running.call('one', argument(40 * KIB))).status, 200);
  });

  test('of all tokens together over bytes_in_flight are 503', async (t) => {
    const running = await start(t, LIMITS);
    const calls = [];
    for (const token of ['one', 'two', 'three', 'four']) calls.push(await running.hang(token, argument(60 * KIB)));
    await assertRefused(running, 503, 'five', argument(60 * KIB));
    calls.push(await running.hang('five', argument(1 * KIB)));
    running.release();
    for (const { answer } of calls) assert.equal((await answer).status, 200);
  });

  test('count while they are received, and no more when their client has left', async (t) => {
    const running = await start(t, LIMITS);
    const { gateway } = running;
    const sent = { ...toolCall('rec.echo', argument(60 * KIB)), token: gateway.token('one') };
    const { head, body } = toHttp1(gateway.mcpUrl, sent);
    for (let round = 0; round < 8; round++) {
      const client = await RawHttp1.connect(gateway.url);
      client.write(head, body.subarray(0, 56 * KIB));
      // A second one beside it finds no room, and learns so before it is whole.
      const second = await RawHttp1.connect(gateway.url);
      second.write(head);
      await eventually(() => {
        second.write(body.subarray(0, 4 * KIB));
        return second.bytesReceived > 0 || second.isEnded;
      });
      assert.match(await second.ended(), /^HTTP\/1\.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*"reason":"overloaded"/i);
      client.socket.resetAndDestroy();
      // Nothing of it is counted any more.
      await eventually(async () => (await running.call('one', argument(60 * KIB), 'other.echo')).status === 200);
    }
  });
});
