// What follows a failure: which calls are sent again, when an upstream is left alone and tried again, and how many
// sessions are opened when a thousand calls find theirs gone.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { suite, type TestContext, test } from 'node:test';
import type { CallHandler, Upstream } from '../../src/upstream/upstream.ts';
import { eventually } from '../support/eventually.ts';
import { type FaultUpstream, startFaultUpstream } from '../support/fault-upstream.ts';
import { type GatewayOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { upstreamDetails } from '../support/readiness.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';
import { anUpstream } from '../support/upstreams.ts';

/** What a call that is refused at once may take on a busy machine. */
const AT_ONCE_MS = 200;

async function startFaulty(t: TestContext): Promise<FaultUpstream> {
  const upstream = await startFaultUpstream({ era: 'legacy', framing: 'json' });
  t.after(() => upstream.close());
  return upstream;
}

async function serve(t: TestContext, options: GatewayOptions): Promise<TestGateway> {
  const gateway = await startGateway(options);
  t.after(() => gateway.close());
  await eventually(async () => (await upstreamDetails(gateway)).every(({ state }) => state === 'ok'));
  return gateway;
}

async function circuitOf(gateway: TestGateway, service: string): Promise<string | undefined> {
  return (await upstreamDetails(gateway)).find((state) => state.service === service)?.circuit;
}

interface Asked extends CallOptions {
  readonly name?: string;
  readonly token?: string;
}

function call(
  gateway: TestGateway,
  { name = 'faulty.echo', token = 'agent', ...options }: Asked = {},
): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall(name, options), token: gateway.token(token) });
}

/** Calls and hangs up once the condition holds. */
async function leaveDuring(gateway: TestGateway, condition: () => boolean): Promise<void> {
  const { body, headers } = toolCall('rec.echo', { era: 'modern' });
  const authorization = `Bearer ${gateway.token()}`;
  const outgoing = request(gateway.mcpUrl, {
    method: 'POST',
    headers: { ...headers, authorization, 'content-type': 'application/json' },
  });
  outgoing.on('error', () => {}).end(body);
  await eventually(condition);
  outgoing.destroy();
}

/** Resolves with what has been settled when only `left` of them have not. */
async function settledBut<T>(promises: readonly Promise<T>[], left: number): Promise<readonly T[]> {
  const settled: T[] = [];
  for (const promise of promises) void promise.then((value) => settled.push(value));
  await eventually(() => settled.length === promises.length - left);
  return [...settled];
}

function withText(text: string): CallOptions {
  return { params: `"arguments":{"text":"${text}"}` };
}

function reasonIn({ message }: Answer): unknown {
  return message.error?.data?.reason;
}

suite('of two calls that share one connection', () => {
  interface Outcome {
    readonly text?: string;
    readonly error?: Error;
  }

  /** Sends a call straight to an upstream, past the gateway in front of it. */
  function dispatch(
    upstream: Upstream,
    link: Awaited<ReturnType<Upstream['connect']>>,
    text: string,
  ): Promise<Outcome> {
    const params = `{"name":"echo","arguments":{"text":"${text}"}}`;
    const body = Buffer.from(`{"jsonrpc":"2.0","id":"${upstream.mintId()}","method":"tools/call","params":${params}}`);
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      const handler: CallHandler = {
        permit: 'none',
        onTurn: () => true,
        onRequestStart() {},
        onResponseStart() {},
        onResponseData: (_controller: unknown, chunk: Buffer) => void chunks.push(chunk),
        onResponseEnd() {
          upstream.release(link, handler);
          resolve({ text: JSON.parse(Buffer.concat(chunks).toString()).result.content[0].text });
        },
        onResponseError(_controller, error) {
          upstream.release(link, handler);
          resolve({ error });
        },
      };
      upstream.dispatchCall(link, { method: 'tools/call', name: 'echo', params: [] }, body, handler);
    });
  }

  /** The first call is under way and the second waits for its connection. */
  async function startTwo(t: TestContext) {
    const faulty = await startFaulty(t);
    const upstream = anUpstream(faulty.url, { service: 'faulty', connections: 1 });
    t.after(() => upstream.close(0));
    const link = await upstream.connect('c');
    const released = Promise.withResolvers<void>();
    faulty.beforeAnswer = (text) => (text === 'first' ? released.promise : undefined);
    const first = dispatch(upstream, link, 'first');
    await eventually(() => faulty.count('tools/call') === 1);
    const second = dispatch(upstream, link, 'second');
    await eventually(() => upstream.permits.waiting === 1);
    return { faulty, first, second, release: released.resolve };
  }

  function assertSentOnce({ seen }: FaultUpstream): void {
    const calls = seen.filter(({ method }) => method === 'tools/call');
    assert.deepEqual(
      calls.map(({ text }) => text),
      ['first', 'second'],
    );
    assert.notEqual(calls[0]!.connection, calls[1]!.connection);
  }

  test('the one that was written fails with it and is not sent again, the one that was not is sent on another', async (t) => {
    const { faulty, first, second } = await startTwo(t);
    await faulty.hangUp();
    assert.ok((await first).error instanceof Error);
    assert.deepEqual(await second, { text: 'second' });
    assertSentOnce(faulty);
  });

  test('the one that waits is sent on another when the upstream closes it behind its answer to the first', async (t) => {
    const { faulty, first, second, release } = await startTwo(t);
    faulty.closesBehindAnswers = true;
    release();
    assert.deepEqual([await first, await second], [{ text: 'first' }, { text: 'second' }]);
    assertSentOnce(faulty);
  });
});

suite('the circuit breaker', () => {
  async function startBreaking(t: TestContext) {
    const clock = { nowMs: Date.now() };
    const [faulty, neighbour] = [await startFaulty(t), await startFaulty(t)];
    const gateway = await serve(t, {
      configs: [
        { name: 'faulty', url: faulty.url },
        { name: 'neighbour', url: neighbour.url },
      ],
      now: () => clock.nowMs,
    });
    assert.equal(reasonIn(await call(gateway)), undefined);
    await faulty.arm('status-500', 'call');
    for (let failure = 1; failure <= 5; failure++) {
      assert.notEqual(await circuitOf(gateway, 'faulty'), 'open');
      assert.equal(reasonIn(await call(gateway)), 'bad_status');
    }
    assert.equal(await circuitOf(gateway, 'faulty'), 'open');
    return { clock, faulty, neighbour, gateway };
  }

  test('is open after five failures: calls fail at once and reach nobody, and a neighbour has a circuit of its own', async (t) => {
    const { faulty, gateway } = await startBreaking(t);
    const sent = faulty.seen.length;
    const startedMs = performance.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => call(gateway)));
    assert.ok(performance.now() - startedMs < AT_ONCE_MS);
    assert.deepEqual(new Set(answers.map(reasonIn)), new Set(['breaker_open']));
    assert.equal(faulty.seen.length, sent);
    assert.equal(reasonIn(await call(gateway, { name: 'neighbour.echo' })), undefined);
    assert.equal(await circuitOf(gateway, 'neighbour'), undefined);
  });

  test('lets one of many calls through when its rest is over, and all of them once that one was answered', async (t) => {
    const { clock, faulty, gateway } = await startBreaking(t);
    faulty.disarm();
    const released = Promise.withResolvers<void>();
    faulty.beforeAnswer = () => released.promise;
    const sent = faulty.count('tools/call');
    clock.nowMs += 1_000;
    const calls = Array.from({ length: 20 }, () => call(gateway));
    const refused = await settledBut(calls, 1);
    assert.deepEqual(
      refused.map(reasonIn),
      Array.from({ length: 19 }, () => 'breaker_open'),
    );
    assert.equal(await circuitOf(gateway, 'faulty'), 'half_open');
    released.resolve();
    const answers = await Promise.all(calls);
    assert.equal(answers.filter((answer) => reasonIn(answer) === undefined).length, 1);
    assert.equal(faulty.count('tools/call') - sent, 1);
    assert.deepEqual(
      (await Promise.all(Array.from({ length: 20 }, () => call(gateway)))).filter((answer) => reasonIn(answer)),
      [],
    );
    assert.equal(await circuitOf(gateway, 'faulty'), undefined);
  });

  test('rests twice as long each time its test fails, and at most four seconds', async (t) => {
    const { clock, faulty, gateway } = await startBreaking(t);
    for (const restMs of [1_000, 2_000, 4_000, 4_000]) {
      clock.nowMs += restMs - 1;
      const early = await call(gateway);
      assert.equal(reasonIn(early), 'breaker_open');
      clock.nowMs += 1;
      assert.equal(reasonIn(await call(gateway)), 'bad_status');
      assert.equal(await circuitOf(gateway, 'faulty'), 'open');
    }
    faulty.disarm();
    clock.nowMs += 4_000;
    assert.equal(reasonIn(await call(gateway)), undefined);
  });

  test('does not count what the upstream says about a call, with whatever status', async (t) => {
    let reply = (_id: string) => ({ status: 200, body: '' });
    const upstream = await startRecordingUpstream({
      era: 'legacy',
      intercept: ({ body }, response) => {
        if (!body.includes('"tools/call"')) return false;
        const { status, body: text } = reply(JSON.parse(body.toString()).id);
        response.writeHead(status, { 'content-type': 'application/json' }).end(text);
        return true;
      },
    });
    t.after(() => upstream.close());
    const gateway = await serve(t, { configs: [{ name: 'rec', url: upstream.url }] });
    for (const status of [200, 400, 404, 409, 422]) {
      reply = (id) => ({ status, body: `{"jsonrpc":"2.0","id":"${id}","error":{"code":-32602,"message":"no"}}` });
      for (let round = 0; round < 6; round++) {
        assert.equal((await call(gateway, { name: 'rec.echo' })).message.error!.code, -32602);
      }
    }
    reply = (id) => ({ status: 200, body: `{"result":{"isError":true,"content":[]},"jsonrpc":"2.0","id":"${id}"}` });
    for (let round = 0; round < 6; round++) {
      assert.equal((await call(gateway, { name: 'rec.echo' })).message.result.isError, true);
    }
    assert.equal(upstream.calls.length, 36);
    assert.deepEqual(await upstreamDetails(gateway), [{ service: 'rec', state: 'ok', tools: 1 }]);
  });

  test('does not count calls that their clients gave up', async (t) => {
    const upstream = await startRecordingUpstream({ era: 'modern', onCall: () => new Promise(() => {}) });
    t.after(() => upstream.close());
    const gateway = await serve(t, { configs: [{ name: 'rec', url: upstream.url }] });
    await Promise.all(Array.from({ length: 6 }, () => leaveDuring(gateway, () => upstream.calls.length === 6)));
    await eventually(() => upstream.calls.every(({ signal }) => signal.aborted));
    for (let round = 1; round <= 6; round++) {
      const cancelled = call(gateway, { name: 'rec.echo', id: `"c${round}"` });
      await eventually(() => upstream.calls.length === 6 + round);
      const { body, headers } = mcpRequest('notifications/cancelled', { params: `"requestId":"c${round}"` });
      const notification = body.replace('"id":1,', '');
      await send(gateway.mcpUrl, { body: notification, headers: { ...headers }, token: gateway.token() });
      assert.equal((await cancelled).text, '');
    }
    assert.deepEqual(await upstreamDetails(gateway), [{ service: 'rec', state: 'ok', tools: 1 }]);
  });
});

suite('a thousand calls that find their sessions forgotten', () => {
  const TOKENS = ['one', 'two', 'three', 'four'];

  test('open one session for each conversation, and each is executed once', { timeout: 30_000 }, async (t) => {
    const faulty = await startFaulty(t);
    const executed: string[] = [];
    faulty.beforeAnswer = (text) => void executed.push(text);
    const tokens = TOKENS.map((name) => ({ name }));
    const gateway = await serve(t, { configs: [{ name: 'faulty', url: faulty.url }], tokens });
    await Promise.all(TOKENS.map((token) => call(gateway, { token })));
    const [opened, sent] = [faulty.count('initialize'), faulty.count('tools/call')];
    assert.equal(opened, 1 + TOKENS.length);
    executed.length = 0;
    faulty.forgetSessions();
    const texts = Array.from({ length: 1_000 }, (_, index) => `call ${index}`);
    const answers = await Promise.all(
      texts.map((text, index) => call(gateway, { token: TOKENS[index % TOKENS.length]!, ...withText(text) })),
    );
    assert.deepEqual(
      answers.map(({ message }) => message.result?.content[0].text ?? message.error),
      texts,
    );
    assert.equal(faulty.count('initialize') - opened, TOKENS.length);
    assert.deepEqual(executed.toSorted(), texts.toSorted());
    assert.ok(faulty.count('tools/call') - sent <= 2 * texts.length);
  });
});
