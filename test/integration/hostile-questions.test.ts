// Questions of upstreams at the worst moments and in the worst forms: none may end the gateway, keep a call from its
// upstream, or reach the client of another call.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AskedSession, callModern, needed, textOf, toModern } from '../support/asked-clients.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { send } from '../support/mcp-http.ts';
import { askOn, finishOn, needOn, resultOf, ScriptedUpstream } from '../support/scripted-upstream.ts';
import type { Era } from '../support/sdk-server-replies.ts';
import { SessionUpstream } from '../support/session-upstream.ts';
import { answer } from '../support/watched-upstream.ts';

const FORM = { mode: 'form', message: 'How many?', requestedSchema: { type: 'object', properties: {} } };
const QUESTION = { id: 'q', method: 'elicitation/create', params: FORM };
const ACCEPTED = { action: 'accept', content: {} };

type More = Partial<ConfigFileOptions>;

async function startScripted(t: TestContext, era: Era, more: More = {}) {
  const upstream = await ScriptedUpstream.start(era);
  return { upstream, gateway: await start(t, upstream, more) };
}

async function startSessions(t: TestContext, more: More = {}) {
  const upstream = await SessionUpstream.start();
  return { upstream, gateway: await start(t, upstream, more) };
}

async function start(
  t: TestContext,
  upstream: { url: string; close(): Promise<void> },
  more: More,
): Promise<TestGateway> {
  t.after(() => upstream.close());
  const gateway = await startGateway({ configs: [{ name: 'svc', url: upstream.url }], ...more });
  t.after(() => gateway.close());
  return gateway;
}

async function metrics({ url, apiKey }: TestGateway): Promise<string> {
  return (await send(`${url}/metrics`, { method: 'GET', token: apiKey })).text;
}

test('a question behind which the upstream begins its answer at once is not put into the middle of that', async (t) => {
  const { upstream, gateway } = await startSessions(t);
  for (const accept of ['application/json', 'application/json, text/event-stream']) {
    const sent = toModern(gateway, {});
    const calling = send(gateway.mcpUrl, { ...sent, headers: { ...sent.headers, accept } });
    await eventually(() => upstream.calls.length === 1);
    const [call] = upstream.calls.splice(0);
    upstream.say(call!, { ...QUESTION, id: accept });
    const text = 'x'.repeat(200_000);
    const whole = JSON.stringify({ jsonrpc: '2.0', id: call!.message.id, result: resultOf('legacy', text) });
    call!.response.writeHead(200, { 'content-type': 'application/json' });
    call!.response.write(whole.slice(0, 150_000));
    assert.ok((await upstream.responseTo(accept)).error);
    call!.response.end(whole.slice(150_000));
    assert.equal(textOf(await calling), text);
  }
});

test('a request with as many params as there may be is sent again with what it lacks', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'modern');
  upstream.onCall = (call) => {
    if (call.message.params.requestState === 'later') answer(call, { result: resultOf('modern', 'done') });
    else needOn(call, undefined, 'later');
  };
  const session = await AskedSession.open(gateway);
  const params: Record<string, unknown> = { name: 'svc.ask' };
  for (let index = 1; index < 1024; index++) params[`p${index}`] = 0;
  const { message, text } = await session.tell({ id: 'c', method: 'tools/call', params });
  assert.ok(message.result ?? message.error, text);
});

test('a call that waits for a connection is not asked what a call that runs needs', async (t) => {
  const { upstream, gateway } = await startSessions(t, { limits: { connections_per_credential: 1 } });
  const first = callModern(gateway, { id: 'first' });
  await upstream.called(1);
  const second = callModern(gateway, { id: 'second' });
  await eventually(async () => (await metrics(gateway)).includes('switchboard_calls_waiting{service="svc"} 1'));
  upstream.say(upstream.calls[0]!, QUESTION);
  const { keys, requestState } = needed(await first);
  const done = callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
  await upstream.responseTo('q');
  await upstream.called(2);
  for (const call of upstream.calls) upstream.finish(call);
  assert.equal(textOf(await done), 'done');
  assert.equal(textOf(await second), 'done');
});

test('answers reach an upstream however many sessions with it have a stream', async (t) => {
  const { upstream, gateway } = await startSessions(t, { limits: { connections_per_credential: 2 } });
  for (let count = 1; count <= 4; count++) {
    const session = await AskedSession.open(gateway);
    const call = session.call();
    await eventually(() => upstream.calls.length === 1);
    const [called] = upstream.calls.splice(0);
    // On the stream of the call, which every session has.
    askOn(called!, `q${count}`, 'elicitation/create', FORM);
    const [question] = await call.asked();
    await session.tell({ id: question?.id, result: ACCEPTED });
    assert.deepEqual((await upstream.responseTo(`q${count}`)).result, ACCEPTED);
    finishOn(called!, 'done');
    await call.ended();
  }
});

test('an upstream that asks before its answer begins may be answered late', async (t) => {
  const { upstream, gateway } = await startSessions(t, { limits: { header_timeout_ms: 300 } });
  const calling = callModern(gateway);
  const [called] = await upstream.called();
  upstream.say(called!, QUESTION);
  const { keys, requestState } = needed(await calling);
  // Calls that came later, and are not asked anything, have had their time.
  for (const id of ['silent', 'too']) {
    assert.equal((await callModern(gateway, { id, capabilities: {} })).message.error?.data?.reason, 'timeout');
  }
  assert.ok(!called!.isOver);
  const done = callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
  await upstream.responseTo('q');
  upstream.finish(called!);
  assert.equal(textOf(await done), 'done');
});

test('what an upstream asks for with a part said twice is no answer', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'modern');
  for (const result of [
    '"resultType":"input_required","requestState":"a","requestState":"b"',
    '"resultType":"input_required","inputRequests":{},"requestState":"a","inputRequests":{"a":{"method":"roots/list"}}',
    '"resultType":"complete","resultType":"input_required","requestState":"b"',
    '"resultType":"task","resultType":"task"',
  ]) {
    upstream.onCall = ({ message, response }) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`{"jsonrpc":"2.0","id":"${message.id}","result":{${result}}}`);
    };
    const { message, text } = await callModern(gateway);
    assert.equal(message.error?.data?.reason, 'broken_answer', text);
    const legacy = await (await AskedSession.open(gateway)).call().ended();
    assert.equal(
      (legacy.error as { data?: { reason?: string } })?.data?.reason,
      'broken_answer',
      JSON.stringify(legacy),
    );
    // One that fails all the time would be given a rest.
    await callModern(gateway, { name: 'svc.echo' });
  }
});

test('a large answer that only speaks of input is passed on, however it is framed', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'modern');
  const content = [{ type: 'text', text: 'x'.repeat(5_000_000) }];
  const result = { structuredContent: { resultType: 'input_required' }, content, resultType: 'complete' };
  for (const isStream of [false, true]) {
    upstream.onCall = ({ message, response }) => {
      const whole = JSON.stringify({ jsonrpc: '2.0', id: message.id, result });
      response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
      response.end(isStream ? `event: message\ndata: ${whole}\n\n` : whole);
    };
    const { message } = await callModern(gateway);
    assert.deepEqual(message.result, result, String(isStream));
  }
});

test('input that is asked for at the end of a long answer is seen', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'modern');
  const requests = { a: { method: 'elicitation/create', params: { ...FORM, message: 'x'.repeat(1_000_000) } } };
  for (const isStream of [false, true]) {
    upstream.onCall = ({ message, response }) => {
      const result = { inputRequests: requests, requestState: 'raw', resultType: 'input_required' };
      const whole = JSON.stringify({ jsonrpc: '2.0', id: message.id, result });
      response.writeHead(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' });
      response.end(isStream ? `event: message\ndata: ${whole}\n\n` : whole);
    };
    const { requestState } = needed(await callModern(gateway));
    assert.notEqual(requestState, 'raw');
  }
});

test('a question that names no call is not for one that cannot be asked', async (t) => {
  const { upstream, gateway } = await startSessions(t);
  const first = callModern(gateway);
  const [called] = await upstream.called();
  const second = callModern(gateway, { id: 'silent', capabilities: {} });
  await upstream.called(2);
  upstream.say(called!, QUESTION);
  needed(await first);
  for (const call of upstream.calls) upstream.finish(call);
  await second;
});

test('every request of a call that waits for its client is recorded, once', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'legacy', { settings: { audit: { calls: true } } });
  upstream.onCall = async (call) => {
    askOn(call, call.message.id, 'elicitation/create', FORM);
    await upstream.response(call.message.id);
    finishOn(call, 'done');
  };
  const first = needed(await callModern(gateway));
  const retry = { inputResponses: { [first.keys[0]!]: ACCEPTED }, requestState: first.requestState };
  assert.equal(textOf(await callModern(gateway, retry)), 'done');
  assert.ok((await callModern(gateway, retry)).message.error);
  const records = async () => {
    const { text } = await send(`${gateway.url}/v1/audit?kind=calls`, { method: 'GET', token: gateway.apiKey });
    return (JSON.parse(text) as { calls: { outcome: string; ms: number; upstream_ms: number }[] }).calls;
  };
  await eventually(async () => (await records()).length === 3);
  const outcomes = (await records()).map(({ outcome }) => outcome);
  assert.deepEqual(outcomes, ['invalid', 'answered', 'answered']);
  // Waits for nobody, and is given up without another word.
  needed(await callModern(gateway));
  await eventually(async () => (await records()).length === 4);
  await gateway.reload({
    configs: [{ name: 'svc', url: upstream.url }],
    tokens: [],
    settings: { audit: { calls: true } },
  });
  await eventually(() => upstream.cancelled.length === 1);
  assert.equal((await records()).length, 4);
  assert.ok((await records()).every(({ ms, upstream_ms }) => upstream_ms === null || upstream_ms <= ms));
});

test('calls that wait for their clients hold the bytes of their requests against the token', async (t) => {
  const limits = { body_bytes: 100_000, bytes_in_flight: 400_000 };
  const { upstream, gateway } = await startScripted(t, 'legacy', { limits });
  upstream.onCall = (call) => askOn(call, call.message.id, 'elicitation/create', FORM);
  const large = (id: string) => {
    const sent = toModern(gateway, { id });
    return send(gateway.mcpUrl, {
      ...sent,
      body: sent.body.replace('"params":{', `"params":{"x":"${'x'.repeat(60_000)}",`),
    });
  };
  const { keys, requestState } = needed(await large('a'));
  assert.equal((await large('b')).message.error?.data?.reason, 'rate_limited');
  const done = callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
  await eventually(() => upstream.responses.length === 1);
  finishOn(upstream.calls[0]!, 'done');
  assert.equal(textOf(await done), 'done');
  needed(await large('c'));
});

test('a session that has ended is asked nothing more by a call that runs on', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'legacy');
  const session = await AskedSession.open(gateway);
  const call = session.call();
  await eventually(() => upstream.calls.length === 1);
  await session.end();
  askOn(upstream.calls[0]!, 'q', 'elicitation/create', FORM);
  assert.equal((await upstream.responseTo('q')).error?.code, -32602);
  finishOn(upstream.calls[0]!, 'done');
  assert.deepEqual((await call.ended()).result?.content, [{ type: 'text', text: 'done' }]);
  assert.deepEqual(call.questions, []);
});

test('what an upstream does while its call waits for a client is not lost, whoever has the connection then', async (t) => {
  const { upstream, gateway } = await startScripted(t, 'legacy', { limits: { connections_per_credential: 1 } });
  upstream.onCall = (call) => {
    if (call.message.params.name === 'ask') for (const id of [1, 2]) askOn(call, id, 'elicitation/create', FORM);
  };
  const first = needed(await callModern(gateway));
  upstream.calls[0]!.response.destroy();
  const other = callModern(gateway, { name: 'svc.other', id: 'other' });
  await eventually(() => upstream.calls.length === 2);
  const inputResponses = { [first.keys[0]!]: ACCEPTED };
  const rest = await callModern(gateway, { inputResponses, requestState: first.requestState });
  assert.equal(rest.message.error?.data?.reason, 'broken_answer');
  finishOn(upstream.calls[1]!, 'done');
  assert.equal(textOf(await other), 'done');
  assert.equal(textOf(await callModern(gateway, { name: 'svc.echo' })), 'echo');
});
