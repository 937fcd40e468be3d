// What a legacy upstream says on the GET stream of a client's session, without saying which call it means.

import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import { describe, type TestContext, test } from 'node:test';
import { ALL, callModern, LegacyCall, needed, textOf } from '../support/asked-clients.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { BOTH, send } from '../support/mcp-http.ts';
import { LegacySession } from '../support/session-client.ts';
import { SessionUpstream, type SessionUpstreamOptions } from '../support/session-upstream.ts';
import type { Asked } from '../support/watched-upstream.ts';
import { metricOf } from '../support/worker-connections.ts';

const FORM = { message: 'How many?', requestedSchema: { type: 'object', properties: {} } };
const ACCEPTED = { action: 'accept', content: {} };
const QUESTION = { id: 'q', method: 'elicitation/create', params: FORM };

interface Started {
  readonly upstream: SessionUpstream;
  readonly gateway: TestGateway;
}

async function start(t: TestContext, options: SessionUpstreamOptions = {}): Promise<Started> {
  const upstream = await SessionUpstream.start(options);
  t.after(() => upstream.close());
  const gateway = await startGateway({ configs: [{ name: 'svc', url: upstream.url }] });
  t.after(() => gateway.close());
  return { upstream, gateway };
}

function open(gateway: TestGateway, capabilities: object = ALL): Promise<LegacySession> {
  return LegacySession.open(gateway.mcpUrl, gateway.token(), capabilities);
}

function call({ headers, mcpUrl, token }: LegacySession, id = 'c'): LegacyCall {
  const more = { accept: BOTH, authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const request = http.request(mcpUrl, { method: 'POST', agent: false, headers: { ...headers, ...more } });
  return new LegacyCall(request, `{"jsonrpc":"2.0","id":"${id}","method":"tools/call","params":{"name":"svc.ask"}}`);
}

/** A call on a session of its own, in whose middle its client is asked on the session's stream. */
async function ask(upstream: SessionUpstream, gateway: TestGateway) {
  const session = await open(gateway);
  const calling = call(session);
  const [called] = await upstream.called();
  upstream.say(called!, QUESTION);
  const [question] = await calling.asked();
  return { session, calling, called, question };
}

/** A session whose one call has ended. */
async function callOnce(upstream: SessionUpstream, gateway: TestGateway) {
  const session = await open(gateway);
  const calling = call(session);
  const [called] = await upstream.called();
  upstream.finish(called!);
  await calling.ended();
  return { session, called: called! };
}

function tell({ headers, mcpUrl, token }: LegacySession, message: object): Promise<{ status: number }> {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message });
  return send(mcpUrl, { headers: { ...headers, accept: BOTH }, body, token });
}

test('a question is asked on the stream of the one call that runs', async (t) => {
  const { upstream, gateway } = await start(t);
  const { session, calling, called, question } = await ask(upstream, gateway);
  assert.deepEqual(question?.params, FORM);
  await tell(session, { id: question?.id, result: ACCEPTED });
  assert.deepEqual((await upstream.responseTo('q')).result, ACCEPTED);
  upstream.finish(called!);
  assert.equal((await calling.ended()).result.content[0].text, 'done');
});

test('a question lets a modern client go, and its call waits for it', async (t) => {
  const { upstream, gateway } = await start(t);
  const calling = callModern(gateway);
  const [called] = await upstream.called();
  upstream.say(called!, QUESTION);
  const { keys, requestState } = needed(await calling);
  // It does not wait: what it answers meanwhile is kept for the client.
  upstream.finish(called!);
  const done = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
  assert.equal(textOf(done), 'done');
  assert.deepEqual((await upstream.responseTo('q')).result, ACCEPTED);
});

describe('what was asked in a session that the upstream has forgotten', () => {
  /** Forgets the session of the call, and opens no other until the test says so. */
  function forget(upstream: SessionUpstream, { response }: Asked): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    upstream.opening = promise;
    response.writeHead(404).end();
    return resolve;
  }

  test('no modern client is asked again, however much of it is open', async (t) => {
    const [upstream, other] = [await SessionUpstream.start(), await SessionUpstream.start()];
    t.after(() => Promise.all([upstream.close(), other.close()]));
    const configs = [upstream, other].map(({ url }, at) => ({ name: ['svc', 'other'][at]!, url }));
    const gateway = await startGateway({ configs });
    t.after(() => gateway.close());
    const calling = callModern(gateway);
    const [called] = await upstream.called();
    for (const id of ['q', 'r']) upstream.say(called!, { ...QUESTION, id });
    const { keys, requestState } = needed(await calling);
    const sessions = upstream.watched.of('initialize').length;
    const open = forget(upstream, called!);
    const back = callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
    await eventually(() => upstream.watched.of('initialize').length > sessions);
    // Calls are let go of in turn: when it is this one's, it has been the other's.
    const neighbour = callModern(gateway, { name: 'other.ask' });
    other.say((await other.called())[0]!, QUESTION);
    needed(await neighbour);
    open();
    upstream.finish((await upstream.called(2))[1]!);
    assert.equal(textOf(await back), 'done');
  });

  test('a legacy client is told not to answer, and its answer goes nowhere', async (t) => {
    const { upstream, gateway } = await start(t);
    const { session, calling, called, question } = await ask(upstream, gateway);
    const reopen = forget(upstream, called!);
    await eventually(() => calling.messages.some(({ method }) => method === 'notifications/cancelled'));
    assert.equal(calling.messages.at(-1)?.params.requestId, question?.id);
    assert.equal((await tell(session, { id: question?.id, result: ACCEPTED })).status, 400);
    reopen();
    upstream.finish((await upstream.called(2))[1]!);
    assert.equal((await calling.ended()).result.content[0].text, 'done');
  });
});

test('of several calls none is taken for the one that is meant: the session is asked on its own stream', async (t) => {
  const { upstream, gateway } = await start(t);
  const session = await open(gateway);
  const calls = [call(session, 'a'), call(session, 'b')];
  const called = await upstream.called(2);
  const stream = await session.listen();
  upstream.say(called[0]!, QUESTION);
  await eventually(() => stream.text.includes('elicitation/create'));
  const id = /"id":"([\w-]+)"/.exec(stream.text)?.[1];
  await tell(session, { id, result: ACCEPTED });
  assert.deepEqual((await upstream.responseTo('q')).result, ACCEPTED);
  for (const each of called) upstream.finish(each);
  for (const each of calls) assert.equal((await each.ended()).result.content[0].text, 'done');
});

test('of several calls of modern clients none is asked: it might be the question of another', async (t) => {
  const { upstream, gateway } = await start(t);
  const calls = [callModern(gateway), callModern(gateway)];
  const called = await upstream.called(2);
  upstream.say(called[0]!, QUESTION);
  assert.match(JSON.stringify((await upstream.responseTo('q')).error), /has not declared elicitation/);
  for (const each of called) upstream.finish(each);
  for (const each of calls) assert.equal(textOf(await each), 'done');
});

test('a call that waits for its client is not the one that asks, if another runs', async (t) => {
  const { upstream, gateway } = await start(t);
  const first = callModern(gateway);
  const [asking] = await upstream.called(1);
  upstream.say(asking!, QUESTION);
  needed(await first);
  const second = callModern(gateway);
  const called = await upstream.called(2);
  upstream.say(called[1]!, { ...QUESTION, id: 'of the second' });
  const { keys, requestState } = needed(await second);
  upstream.finish(called[1]!);
  const done = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
  assert.equal(textOf(done), 'done');
  assert.deepEqual((await upstream.responseTo('of the second')).result, ACCEPTED);
});

test('a session without a stream of its own is asked on that of its latest call', async (t) => {
  const { upstream, gateway } = await start(t);
  const session = await open(gateway);
  const first = call(session, 'a');
  await upstream.called(1);
  const second = call(session, 'b');
  const called = await upstream.called(2);
  upstream.say(called[0]!, QUESTION);
  assert.equal((await second.asked()).length, 1);
  assert.equal(first.questions.length, 0);
  upstream.say(called[0]!, { method: 'notifications/cancelled', params: { requestId: 'q' } });
  for (const each of called) upstream.finish(each);
  await Promise.all([first.ended(), second.ended()]);
});

test('without a call the session is asked if it listens, and the upstream is told if it does not', async (t) => {
  const { upstream, gateway } = await start(t);
  const { session, called } = await callOnce(upstream, gateway);
  upstream.say(called, QUESTION);
  assert.equal(((await upstream.responseTo('q')).error as { code: number }).code, -32603);
  const stream = await session.listen();
  upstream.say(called, { ...QUESTION, id: 'again' });
  await eventually(() => stream.text.includes('elicitation/create'));
});

test('a question that finds no stream to be asked on is refused alone: the one before it can still be answered', async (t) => {
  const { upstream, gateway } = await start(t);
  const { session, called } = await callOnce(upstream, gateway);
  const connection = http2.connect(gateway.url);
  const stream = await session.listen2(connection);
  upstream.say(called, QUESTION);
  await eventually(() => stream.text.includes('elicitation/create'));
  const id = /"id":"([\w-]+)"/.exec(stream.text)?.[1];
  connection.destroy();
  await eventually(async () => (await metricOf(gateway.url, 'client_streams')) === 0);
  upstream.say(called, { ...QUESTION, id: 'unheard' });
  assert.match(JSON.stringify((await upstream.responseTo('unheard')).error), /has no stream open/);
  assert.equal((await tell(session, { id, result: ACCEPTED })).status, 202);
  assert.deepEqual((await upstream.responseTo('q')).result, ACCEPTED);
});

test('logs reach the session that listens, from the level on that it has set', async (t) => {
  const { upstream, gateway } = await start(t);
  const session = await open(gateway);
  await tell(session, { id: 1, method: 'logging/setLevel', params: { level: 'warning' } });
  const stream = await session.listen();
  const calling = call(session);
  const [called] = await upstream.called();
  for (const level of ['info', 'error']) {
    upstream.say(called!, { method: 'notifications/message', params: { level, data: level } });
  }
  upstream.finish(called!);
  await calling.ended();
  await eventually(() => stream.text.includes('"data":"error"'));
  assert.ok(!stream.text.includes('"data":"info"'));
});

test('a client that can be asked nothing has no stream opened for it, and an upstream without streams is called as ever', async (t) => {
  const { upstream, gateway } = await start(t, { streams: false });
  for (const capabilities of [{}, ALL]) {
    const streams = upstream.watched.of('GET').length;
    const calling = call(await open(gateway, capabilities));
    await eventually(() => upstream.calls.length === 1);
    upstream.finish(upstream.calls.pop()!);
    assert.equal((await calling.ended()).result.content[0].text, 'done');
    assert.equal(upstream.watched.of('GET').length - streams, Object.keys(capabilities).length === 0 ? 0 : 1);
  }
});
