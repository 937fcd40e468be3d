// What upstreams ask of clients, era by era: how it reaches the client, how the answer comes back, and what becomes of
// everybody when an answer is late, partial, refused, repeated or never comes.

import assert from 'node:assert/strict';
import { after, suite, type TestContext, test } from 'node:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { ALL, AskedSession, callModern, needed, textOf, toModern } from '../support/asked-clients.ts';
import { eventually } from '../support/eventually.ts';
import { startFeaturesServer } from '../support/features-servers.ts';
import { type ConfigFileOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { assertIsMcp } from '../support/mcp-schema.ts';
import { askOn, finishOn, needOn, resultOf, ScriptedUpstream } from '../support/scripted-upstream.ts';
import type { Era } from '../support/sdk-server-replies.ts';
import { createHttp1Client } from '../support/streaming-client.ts';
import { type Asked, answer } from '../support/watched-upstream.ts';

const FORM = {
  mode: 'form',
  message: 'Näme?',
  requestedSchema: { type: 'object', properties: { n: { type: 'string' } } },
};
const URL_PARAMS = { mode: 'url', message: 'Sign in', url: 'https://sign-in.example/?n=1' };
const ACCEPTED = { action: 'accept', content: { n: 'é' } };
const UNKNOWN_STATE = -32602;

interface Running {
  readonly upstream: ScriptedUpstream;
  readonly gateway: TestGateway;
  readonly options: ConfigFileOptions;
  /** Moves the gateway's clock on. */
  pass(ms: number): void;
}

const shared = new Map<Era, Promise<Running>>();
after(async () => {
  for (const running of shared.values()) {
    const { gateway, upstream } = await running;
    await gateway.close();
    await upstream.close();
  }
});

/** A gateway for all tests that leave it as it was, with an upstream that has seen nothing. */
async function share(era: Era): Promise<Running> {
  const running = shared.get(era) ?? begin(era, {});
  shared.set(era, running);
  (await running).upstream.forget();
  return running;
}

/** A gateway and an upstream of the test's own. */
async function start(t: TestContext, era: Era, more: Partial<ConfigFileOptions> = {}): Promise<Running> {
  const running = await begin(era, more);
  t.after(() => running.upstream.close());
  t.after(() => running.gateway.close());
  return running;
}

async function begin(era: Era, more: Partial<ConfigFileOptions>): Promise<Running> {
  const upstream = await ScriptedUpstream.start(era);
  const allowed = { allowed_prompts: ['*'], allowed_resources: ['*'] };
  const options = { configs: [{ name: 'svc', url: upstream.url, more: allowed }], ...more };
  let passedMs = 0;
  const gateway = await startGateway({ ...options, now: () => Date.now() + passedMs });
  return {
    upstream,
    gateway,
    options,
    pass: (ms) => {
      passedMs += ms;
    },
  };
}

/** A legacy upstream that asks by form and says what it was answered. */
function asksOnce(upstream: ScriptedUpstream): void {
  let asked = 0;
  upstream.onCall = (call) => void run(call);
  const run = async (call: Asked): Promise<void> => {
    const id = `q-${++asked}`;
    askOn(call, id, 'elicitation/create', FORM);
    const { result, error } = await upstream.response(id);
    finishOn(call, JSON.stringify(result ?? error));
  };
}

suite('a modern client of a legacy upstream', () => {
  test('is asked by input_required, and the call that waits goes on with its answer', async () => {
    const { upstream, gateway } = await share('legacy');
    asksOnce(upstream);
    const asked = await callModern(gateway);
    assertIsMcp('2026-07-28', 'InputRequiredResult', asked.message.result);
    const { keys, requests, requestState } = needed(asked);
    assert.deepEqual(requests, [{ method: 'elicitation/create', params: FORM }]);
    const done = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState, id: 'again' });
    assert.deepEqual(JSON.parse(textOf(done)), ACCEPTED);
    assert.equal(done.message.id, 'again');
    assert.equal(done.message.result.resultType, 'complete');
    assert.equal(upstream.calls.length, 1);
  });

  test('is asked so by prompts and resources, too', async () => {
    const { upstream, gateway } = await share('legacy');
    upstream.onCall = async (call) => {
      askOn(call, call.message.id, 'roots/list');
      const { result } = await upstream.response(call.message.id);
      const uri = call.message.params.uri;
      const text = JSON.stringify(result);
      const outcome = uri
        ? { contents: [{ uri, text }] }
        : { messages: [{ role: 'user', content: { type: 'text', text } }] };
      call.response.end(
        `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: call.message.id, result: outcome })}\n\n`,
      );
    };
    for (const call of [
      { method: 'prompts/get', name: 'svc.ask' },
      { method: 'resources/read', name: 'scripted://ask' },
    ]) {
      const { keys, requestState } = needed(await callModern(gateway, call));
      const roots = { roots: [{ uri: 'file:///é' }] };
      const { message } = await callModern(gateway, { ...call, requestState, inputResponses: { [keys[0]!]: roots } });
      assert.ok(JSON.stringify(message.result).includes(JSON.stringify(JSON.stringify(roots)).slice(1, -1)));
    }
  });

  test('is asked for all that is asked at once, and again for what it left out', async () => {
    const { upstream, gateway } = await share('legacy');
    upstream.onCall = async (call) => {
      askOn(call, 1, 'elicitation/create', FORM);
      askOn(call, '1', 'roots/list');
      askOn(call, 2, 'elicitation/create', { ...URL_PARAMS, elicitationId: 'e' });
      const answers = await Promise.all([1, '1', 2].map((id) => upstream.response(id)));
      finishOn(call, JSON.stringify(answers.map(({ result }) => result)));
    };
    const first = needed(await callModern(gateway));
    assert.deepEqual(
      first.requests.map(({ method }) => method),
      ['elicitation/create', 'roots/list', 'elicitation/create'],
    );
    assert.deepEqual(first.requests[2]?.params, URL_PARAMS);
    const roots = { roots: [] };
    const inputResponses = { [first.keys[1]!]: roots, unheard: {} };
    const second = needed(await callModern(gateway, { inputResponses, requestState: first.requestState }));
    assert.deepEqual(second.keys, [first.keys[0], first.keys[2]]);
    assert.notEqual(second.requestState, first.requestState);
    // Nothing at all is answered with the same questions.
    const third = needed(await callModern(gateway, { requestState: second.requestState }));
    assert.deepEqual(third.keys, second.keys);
    const rest = { [first.keys[0]!]: ACCEPTED, [first.keys[2]!]: { action: 'accept' } };
    const done = await callModern(gateway, { inputResponses: rest, requestState: third.requestState });
    assert.deepEqual(JSON.parse(textOf(done)), [ACCEPTED, roots, { action: 'accept' }]);
    assert.equal(upstream.calls.length, 1);
  });

  test('is asked again in another round when the upstream is not content yet', async () => {
    const { upstream, gateway } = await share('legacy');
    upstream.onCall = async (call) => {
      for (const id of ['a', 'b', 'c']) {
        askOn(call, id, 'elicitation/create', FORM);
        await upstream.response(id);
      }
      finishOn(call, 'content');
    };
    let next = await callModern(gateway);
    for (let round = 0; round < 3; round++) {
      const { keys, requestState } = needed(next);
      next = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
    }
    assert.equal(textOf(next), 'content');
  });

  test('is unknown when it comes back a second time with one state, and the call is not disturbed', async () => {
    const { upstream, gateway } = await share('legacy');
    const goOn = Promise.withResolvers<void>();
    upstream.onCall = async (call) => {
      askOn(call, 'q', 'elicitation/create', FORM);
      await upstream.response('q');
      await goOn.promise;
      finishOn(call, 'done');
    };
    const { keys, requestState } = needed(await callModern(gateway));
    const retry = { inputResponses: { [keys[0]!]: ACCEPTED }, requestState };
    const first = callModern(gateway, retry);
    await upstream.responseTo('q');
    const second = await callModern(gateway, { ...retry, inputResponses: { [keys[0]!]: { action: 'cancel' } } });
    assert.equal(second.message.error?.code, UNKNOWN_STATE, second.text);
    goOn.resolve();
    assert.equal(textOf(await first), 'done');
    assert.equal((await callModern(gateway, retry)).message.error?.code, UNKNOWN_STATE);
    assert.equal(upstream.responses.length, 1);
    assert.equal(upstream.calls.length, 1);
  });

  test('that declines is a client that has answered', async () => {
    const { upstream, gateway } = await share('legacy');
    asksOnce(upstream);
    const { keys, requestState } = needed(await callModern(gateway));
    const inputResponses = { [keys[0]!]: { action: 'decline' } };
    const done = await callModern(gateway, { inputResponses, requestState });
    assert.deepEqual(JSON.parse(textOf(done)), { action: 'decline' });
  });

  test('that leaves after it has come back cancels the call', async (t) => {
    const { upstream, gateway } = await share('legacy');
    upstream.onCall = (call) => askOn(call, 'q', 'elicitation/create', FORM);
    const { keys, requestState } = needed(await callModern(gateway));
    const client = createHttp1Client(gateway.mcpUrl, 1);
    t.after(() => client.close());
    const sending = client.send(toModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState }));
    await upstream.responseTo('q');
    sending.cut();
    await eventually(() => upstream.cancelled.length === 1);
    assert.deepEqual(upstream.cancelled, [upstream.calls[0]?.message.id]);
  });

  test('that never comes back is waited for ten minutes', async (t) => {
    const { upstream, gateway, pass } = await start(t, 'legacy');
    upstream.onCall = (call) => askOn(call, 'q', 'elicitation/create', FORM);
    const { keys, requestState } = needed(await callModern(gateway));
    pass(601_000);
    assert.equal((await upstream.responseTo('q')).error?.code, -32603);
    await eventually(() => upstream.cancelled.length === 1 && upstream.calls[0]?.isOver);
    const late = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
    assert.equal(late.message.error?.code, UNKNOWN_STATE);
  });

  test('whose token or config is gone is waited for no longer', async (t) => {
    const tokens = [{ name: 'agent' }, { name: 'other' }];
    const { upstream, gateway, options } = await start(t, 'legacy', { tokens });
    let asked = 0;
    upstream.onCall = (call) => askOn(call, `q${++asked}`, 'elicitation/create', FORM);
    needed(await callModern(gateway));
    needed(await callModern(gateway, { token: 'other' }));
    await gateway.reload({ ...options, tokens: [{ name: 'other' }] });
    assert.equal((await upstream.responseTo('q1')).error?.code, -32603);
    assert.equal(upstream.responses.length, 1);
    await gateway.reload({ ...options, configs: [], tokens: [{ name: 'other', grants: [] }] });
    assert.equal((await upstream.responseTo('q2')).error?.code, -32603);
    await eventually(() => upstream.calls.every(({ isOver }) => isOver));
  });

  test('gets the answer of an upstream that did not wait for it', async () => {
    const { upstream, gateway } = await share('legacy');
    upstream.onCall = (call) => askOn(call, 'q', 'elicitation/create', FORM);
    const { keys, requestState } = needed(await callModern(gateway));
    finishOn(upstream.calls[0]!, 'went on alone');
    const done = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
    assert.equal(textOf(done), 'went on alone');
  });

  test('is told of an upstream that died while it thought', async (t) => {
    const { upstream, gateway } = await start(t, 'legacy');
    upstream.onCall = (call) => askOn(call, 'q', 'elicitation/create', FORM);
    const { keys, requestState } = needed(await callModern(gateway));
    upstream.calls[0]!.response.destroy();
    const done = await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState });
    assert.equal(done.message.error?.data?.source, 'gateway', done.text);
  });

  test('is not asked what it has not declared: the upstream is told at once', async () => {
    const { upstream, gateway } = await share('legacy');
    asksOnce(upstream);
    const done = await callModern(gateway, { capabilities: { elicitation: { url: {} } } });
    assert.equal(JSON.parse(textOf(done)).code, -32602);
  });

  test('opens URLs that a legacy upstream requires by an error, and calls again', async () => {
    const { upstream, gateway } = await share('legacy');
    const elicitations = [{ ...URL_PARAMS, elicitationId: 'e' }];
    let isOpened = false;
    upstream.onCall = (call) => {
      if (isOpened) answer(call, { result: resultOf('legacy', JSON.stringify(call.message.params)) });
      else answer(call, { error: { code: -32042, message: 'Open it.', data: { elicitations } } });
    };
    const asked = await callModern(gateway);
    const { [Object.keys(asked.message.result.inputRequests)[0]!]: request } = asked.message.result.inputRequests;
    assert.deepEqual(request, { method: 'elicitation/create', params: URL_PARAMS });
    assertIsMcp('2026-07-28', 'InputRequiredResult', asked.message.result);
    isOpened = true;
    const [key] = Object.keys(asked.message.result.inputRequests);
    const { requestState } = asked.message.result;
    const retry = { inputResponses: { [key!]: { action: 'accept' } }, ...(requestState ? { requestState } : {}) };
    assert.deepEqual(JSON.parse(textOf(await callModern(gateway, retry))), { name: 'ask', _meta: {} });
    const other = await callModern(gateway, { capabilities: { elicitation: { form: {} } } });
    assert.ok(other.message.result, 'opened for all');
  });

  test('is told when too many calls wait on one credential, and the upstream, too', async (t) => {
    const { upstream, gateway } = await start(t, 'legacy');
    upstream.onCall = async (call) => {
      askOn(call, call.message.id, 'elicitation/create', FORM);
      const { error } = await upstream.response(call.message.id);
      finishOn(call, error?.message ?? 'done');
    };
    const parked = await Promise.all(Array.from({ length: 64 }, (_, id) => callModern(gateway, { id })));
    for (const each of parked) needed(each);
    assert.match(textOf(await callModern(gateway)), /as many calls waiting/);
    // One that comes back makes room.
    const [first] = parked;
    const { keys, requestState } = needed(first!);
    assert.equal(textOf(await callModern(gateway, { inputResponses: { [keys[0]!]: ACCEPTED }, requestState })), 'done');
    needed(await callModern(gateway));
  });

  test('is not waited for when the gateway stops', async (t) => {
    const { upstream, gateway } = await start(t, 'legacy');
    upstream.onCall = (call) => askOn(call, 'q', 'elicitation/create', FORM);
    needed(await callModern(gateway));
    const before = performance.now();
    await gateway.close();
    assert.ok(performance.now() - before < 3_000);
    assert.equal((await upstream.responseTo('q')).error?.code, -32603);
  });
});

suite('a legacy client of a legacy upstream', () => {
  test('is asked on the stream of its call, under an id of the gateway, and its answer goes back byte for byte', async () => {
    const { upstream, gateway } = await share('legacy');
    asksOnce(upstream);
    const session = await AskedSession.open(gateway);
    const call = session.call();
    const [question] = await call.asked();
    assertIsMcp('2025-11-25', 'ElicitRequest', question);
    assert.deepEqual(question?.params, FORM);
    assert.notEqual(question?.id, 'q-1');
    assert.equal((await session.tell({ id: question?.id, result: ACCEPTED })).status, 202);
    assert.deepEqual(JSON.parse((await call.ended()).result.content[0].text), ACCEPTED);
    // Nobody waits for it any more.
    await session.tell({ id: question?.id, result: { action: 'cancel' } });
    assert.equal(upstream.responses.length, 1);
  });

  test('relays its error as it is', async () => {
    const { upstream, gateway } = await share('legacy');
    asksOnce(upstream);
    const session = await AskedSession.open(gateway);
    const call = session.call();
    const [question] = await call.asked();
    const error = { code: -1, message: 'User rejected', data: { why: 'é' } };
    await session.tell({ id: question?.id, error });
    assert.deepEqual(JSON.parse((await call.ended()).result.content[0].text), error);
  });

  test('that cannot be asked is not: the upstream is told at once', async () => {
    const { upstream, gateway } = await share('legacy');
    asksOnce(upstream);
    const silent = (await AskedSession.open(gateway, {})).call();
    assert.equal(JSON.parse((await silent.ended()).result.content[0].text).code, -32602);
    // 2025-03-26 knows no elicitation, whatever a client of it declares.
    const old = (await AskedSession.open(gateway, ALL, '2025-03-26')).call();
    assert.equal(JSON.parse((await old.ended()).result.content[0].text).code, -32602);
    // A client that reads no stream cannot be sent a question.
    const session = await AskedSession.open(gateway);
    const unread = session.call('svc.ask', { accept: 'application/json' });
    assert.ok('code' in JSON.parse((await unread.ended()).result.content[0].text));
  });

  test('that thinks keeps no other call from the connection', async (t) => {
    const limits = { connections_per_credential: 1 };
    const { upstream, gateway } = await start(t, 'legacy', { limits });
    asksOnce(upstream);
    const sessions = [await AskedSession.open(gateway), await AskedSession.open(gateway)];
    const calls = sessions.map((session) => session.call());
    const asked = await Promise.all(calls.map((call) => call.asked()));
    assert.equal(textOf(await callModern(gateway, { name: 'svc.echo' })), 'echo');
    for (const at of [1, 0]) {
      await sessions[at]?.tell({ id: asked[at]?.[0]?.id, result: ACCEPTED });
      assert.deepEqual(JSON.parse((await calls[at]?.ended())?.result.content[0].text), ACCEPTED);
    }
    assert.equal(textOf(await callModern(gateway, { name: 'svc.echo' })), 'echo');
  });

  test('that cancels its call is asked no more, and its late answer goes nowhere', async () => {
    const { upstream, gateway } = await share('legacy');
    upstream.onCall = (call) => askOn(call, 'q', 'elicitation/create', FORM);
    const session = await AskedSession.open(gateway);
    const call = session.call();
    const [question] = await call.asked();
    await session.tell({ method: 'notifications/cancelled', params: { requestId: 'c' } });
    await eventually(() => upstream.cancelled.length === 1);
    await call.ended();
    await session.tell({ id: question?.id, result: ACCEPTED });
    assert.equal(upstream.responses.filter(({ result }) => result !== undefined).length, 0);
  });
});

suite('a legacy client of a modern upstream', () => {
  const INPUTS = { 'é"': { method: 'elicitation/create', params: FORM }, roots: { method: 'roots/list' } };

  test('is asked on the stream of its call, which is sent again with the answers and the state as it was', async () => {
    const { upstream, gateway } = await share('modern');
    const state = 'state of "é" 😀';
    upstream.onCall = (call) => {
      const { inputResponses, requestState } = call.message.params;
      if (inputResponses === undefined) needOn(call, INPUTS, state);
      else answer(call, { result: resultOf('modern', JSON.stringify({ inputResponses, requestState })) });
    };
    const session = await AskedSession.open(gateway);
    const call = session.call();
    const questions = await call.asked(2);
    const roots = { roots: [{ uri: 'file:///é' }] };
    for (const { id, method } of questions) {
      await session.tell({ id, result: method === 'roots/list' ? roots : ACCEPTED });
    }
    const { result } = await call.ended();
    assert.deepEqual(JSON.parse(result.content[0].text), {
      inputResponses: { 'é"': ACCEPTED, roots },
      requestState: state,
    });
    assert.equal('resultType' in result, false);
    assert.notEqual(upstream.calls[0]?.message.id, upstream.calls[1]?.message.id);
    assert.deepEqual(upstream.calls[1]?.message.params.arguments, {});
  });

  test('is asked by prompts and resources, too', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => {
      const { uri, inputResponses } = call.message.params;
      const text = JSON.stringify(inputResponses);
      const outcome = uri
        ? { contents: [{ uri, text }], ttlMs: 0, cacheScope: 'private' }
        : { messages: [{ role: 'user', content: { type: 'text', text } }] };
      if (inputResponses === undefined) needOn(call, { a: { method: 'roots/list' } });
      else answer(call, { result: { ...outcome, resultType: 'complete' } });
    };
    const session = await AskedSession.open(gateway);
    for (const [method, name] of [
      ['prompts/get', 'svc.ask'],
      ['resources/read', 'scripted://ask'],
    ] as const) {
      const call = session.call(name, { method });
      const [question] = await call.asked();
      await session.tell({ id: question?.id, result: { roots: [] } });
      assert.match(JSON.stringify((await call.ended()).result), /roots/);
    }
  });

  test('that answers with an error ends the call, and is told why', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => needOn(call, INPUTS, 's');
    const session = await AskedSession.open(gateway);
    const call = session.call();
    const [question, other] = await call.asked(2);
    await session.tell({ id: question?.id, error: { code: -1, message: 'User rejected' } });
    const ended = await call.ended();
    assert.match(JSON.stringify(ended.result ?? ended.error), /User rejected/);
    const cancelled = call.messages.find(({ method }) => method === 'notifications/cancelled');
    assert.equal(cancelled?.params.requestId, other?.id);
    assert.equal(upstream.calls.length, 1);
  });

  test('is not asked for what the upstream only waits for', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => {
      if (call.message.params.requestState === 'later') answer(call, { result: resultOf('modern', 'done') });
      else needOn(call, undefined, 'later');
    };
    const call = (await AskedSession.open(gateway)).call();
    assert.equal((await call.ended()).result.content[0].text, 'done');
    assert.deepEqual(call.questions, []);
  });

  test('is asked eight times and no more', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => needOn(call, { a: { method: 'roots/list' } }, 'again');
    const session = await AskedSession.open(gateway);
    const call = session.call();
    for (let round = 1; round <= 8; round++) {
      const questions = await call.asked(round);
      await session.tell({ id: questions[round - 1]?.id, result: { roots: [] } });
    }
    const ended = await call.ended();
    assert.match(JSON.stringify(ended.result ?? ended.error), /more than 8 times/);
    assert.equal(upstream.calls.length, 9);
  });

  test('is not asked what it has not declared, and is told so', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => needOn(call, { a: { method: 'elicitation/create', params: URL_PARAMS } }, 's');
    // 2025-06-18 knows no elicitation by URL.
    const call = (await AskedSession.open(gateway, ALL, '2025-06-18')).call();
    const ended = await call.ended();
    assert.match(JSON.stringify(ended.result ?? ended.error), /elicitation by URL/);
    assert.deepEqual(call.questions, []);
    const { _meta } = upstream.calls[0]!.message.params;
    const declared = _meta['io.modelcontextprotocol/clientCapabilities'];
    assert.deepEqual(declared.elicitation, { form: {} });
  });

  test('that cancels its call is asked no more, and the call is not sent again', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => needOn(call, INPUTS, 's');
    const session = await AskedSession.open(gateway);
    const call = session.call();
    const questions = await call.asked(2);
    await session.tell({ method: 'notifications/cancelled', params: { requestId: 'c' } });
    await call.ended();
    for (const { id } of questions) await session.tell({ id, result: ACCEPTED });
    await session.call('svc.echo', { id: 'e' }).ended();
    assert.equal(upstream.calls.length, 1);
  });
});

suite('a modern client of a modern upstream', () => {
  test('is shown what is asked byte for byte, and the upstream gets its state back as it was', async () => {
    const { upstream, gateway } = await share('modern');
    const requests = `{ "a\\u0062" : {"method":"elicitation/create","params":{"x":9007199254740993, "message":"é","requestedSchema":{}}}}`;
    upstream.onCall = (call) => {
      const { inputResponses, requestState } = call.message.params;
      if (inputResponses !== undefined) {
        answer(call, { result: resultOf('modern', JSON.stringify({ inputResponses, requestState })) });
        return;
      }
      const result = `{"inputRequests":${requests},"requestState":"\\u0073 é","resultType":"input_required"}`;
      call.response.writeHead(200, { 'content-type': 'application/json' });
      call.response.end(`{"jsonrpc":"2.0","id":"${call.message.id}","result":${result}}`);
    };
    const asked = await callModern(gateway);
    assert.ok(asked.text.includes(requests), asked.text);
    const { requestState } = needed(asked);
    assert.ok(!asked.text.includes(' é"'), 'its state is sealed');
    const done = await callModern(gateway, { inputResponses: { ab: ACCEPTED }, requestState });
    assert.deepEqual(JSON.parse(textOf(done)), { inputResponses: { ab: ACCEPTED }, requestState: 's é' });
  });

  test('needs no state where the upstream has none', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => {
      const { inputResponses } = call.message.params;
      if (inputResponses === undefined) needOn(call, { a: { method: 'roots/list' } });
      else answer(call, { result: resultOf('modern', JSON.stringify(inputResponses)) });
    };
    assert.equal(needed(await callModern(gateway)).requestState, undefined);
    const inputResponses = { a: { roots: [] } };
    assert.deepEqual(JSON.parse(textOf(await callModern(gateway, { inputResponses }))), inputResponses);
  });

  test('tells the upstream what it has declared, and is not shown more than that', async () => {
    const { upstream, gateway } = await share('modern');
    upstream.onCall = (call) => needOn(call, { a: { method: 'elicitation/create', params: URL_PARAMS } }, 's');
    const capabilities = { elicitation: { form: {} }, sampling: {}, experimental: { x: {} } };
    const refused = await callModern(gateway, { capabilities });
    assert.equal(refused.message.error?.data?.reason, 'broken_answer', refused.text);
    const declared = upstream.calls[0]?.message.params._meta['io.modelcontextprotocol/clientCapabilities'];
    assert.deepEqual(declared, { sampling: {}, elicitation: { form: {} } });
  });

  test('is told when an upstream breaks the rules of what it needs', async (t) => {
    const { upstream, gateway } = await start(t, 'modern');
    for (const result of [
      {},
      { inputRequests: {} },
      { inputRequests: { a: { method: 'tools/call', params: {} } }, requestState: 's' },
      { inputRequests: [], requestState: 's' },
      { requestState: 1 },
    ]) {
      upstream.onCall = (call) => answer(call, { result: { resultType: 'input_required', ...result } });
      const refused = await callModern(gateway);
      assert.equal(refused.message.error?.data?.reason, 'broken_answer', refused.text);
    }
  });
});

suite('the SDK client of the second line in its legacy mode', () => {
  for (const era of ['legacy', 'modern'] as const) {
    test(`answers what a ${era} SDK server asks`, async (t) => {
      const server = await startFeaturesServer(era);
      t.after(() => server.close());
      const gateway = await startGateway({ configs: [{ name: 'svc', url: server.url }] });
      t.after(() => gateway.close());
      const info = { name: 'v2', version: '1' };
      const client = new Client(info, { capabilities: ALL, versionNegotiation: { mode: 'legacy' } });
      const roots = { roots: [{ uri: 'file:///é' }] };
      const sampled = { role: 'assistant', content: { type: 'text', text: 'é' }, model: 'm' } as const;
      client.setRequestHandler('elicitation/create', ({ params }) =>
        params.mode === 'url' ? { action: 'accept' } : { action: 'accept', content: { size: 7 } },
      );
      client.setRequestHandler('sampling/createMessage', () => sampled);
      client.setRequestHandler('roots/list', () => roots);
      const requestInit = { headers: { authorization: `Bearer ${gateway.token()}` } };
      await client.connect(new StreamableHTTPClientTransport(new URL(gateway.mcpUrl), { requestInit }));
      t.after(() => client.close());
      for (const [name, said] of Object.entries({
        ask: { action: 'accept', content: { size: 7 } },
        visit: { action: 'accept' },
        sample: sampled,
        roots,
      })) {
        const { content } = await client.callTool({ name: `svc.${name}`, arguments: {} });
        assert.deepEqual(JSON.parse((content[0] as { text: string }).text), said, name);
      }
    });
  }
});
