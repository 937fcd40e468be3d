// Modern upstreams that answer with what a result must not be, or ask where they must not: always an error that says so,
// and never something that the client would have to make sense of.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AskedSession, callModern } from '../support/asked-clients.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { type Asked, answer, beginStream, tell } from '../support/watched-upstream.ts';

/** Of its own for each test: so many broken answers open a breaker. */
async function start(t: TestContext): Promise<{ upstream: ScriptedUpstream; gateway: TestGateway }> {
  const upstream = await ScriptedUpstream.start('modern');
  t.after(() => upstream.close());
  const gateway = await startGateway({ configs: [{ name: 'svc', url: upstream.url }] });
  t.after(() => gateway.close());
  return { upstream, gateway };
}

/** As JSON, and as the last of a stream's events. */
const WAYS: readonly (readonly [string, (call: Asked, result: object) => void])[] = [
  ['in JSON', (call, result) => answer(call, { result })],
  [
    'in an event',
    (call, result) => {
      beginStream(call);
      tell(call, { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } });
      tell(call, { jsonrpc: '2.0', id: call.message.id, result });
      call.response.end();
    },
  ],
];

async function errorsOf(gateway: TestGateway): Promise<readonly (string | undefined)[]> {
  const modern = await callModern(gateway);
  const legacy = await (await AskedSession.open(gateway)).call().ended();
  return [modern.message.error?.message, legacy.error?.message];
}

for (const [way, send] of WAYS) {
  test(`a result of a type that nobody agreed on is a broken answer (${way})`, async (t) => {
    const { upstream, gateway } = await start(t);
    for (const resultType of ['task', null]) {
      upstream.onCall = (call) => send(call, { content: [], resultType, taskId: 'secret' });
      for (const message of await errorsOf(gateway)) assert.match(message ?? '', /type that nobody has agreed on/);
    }
  });

  test(`what only looks like another type passes (${way})`, async (t) => {
    const { upstream, gateway } = await start(t);
    const structuredContent = { resultType: 'input_required', inputRequests: {}, note: 'input_required' };
    const result = { structuredContent, content: [], resultType: 'complete' };
    upstream.onCall = (call) => send(call, result);
    const { message } = await callModern(gateway);
    assert.deepEqual(message.result, result);
  });
}

test('a request of its own ends the call with an error', async (t) => {
  const { upstream, gateway } = await start(t);
  upstream.onCall = (call) => {
    beginStream(call);
    tell(call, { jsonrpc: '2.0', id: 1, method: 'elicitation/create', params: { message: 'secret' } });
    tell(call, { jsonrpc: '2.0', id: call.message.id, result: { content: [], resultType: 'complete' } });
    call.response.end();
  };
  for (const message of await errorsOf(gateway)) assert.match(message ?? '', /a request of its own/);
});

test('of a large answer the beginning decides whether it is looked into', async (t) => {
  const { upstream, gateway } = await start(t);
  const text = 'x'.repeat(200_000);
  upstream.onCall = (call) => {
    const params = { message: text, requestedSchema: { type: 'object', properties: {} } };
    const inputRequests = { a: { method: 'elicitation/create', params } };
    answer(call, { result: { resultType: 'input_required', requestState: 'secret-state', inputRequests } });
  };
  const { message, text: answered } = await callModern(gateway);
  assert.equal(message.result?.inputRequests.a.params.message, text);
  assert.ok(!answered.includes('secret-state'));
});
