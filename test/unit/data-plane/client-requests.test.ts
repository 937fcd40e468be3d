import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type AskedClient,
  ClientRequests,
  type ClientRequestsOptions,
} from '../../../src/data-plane/client-requests.ts';
import { type Message, scanMessage } from '../../../src/protocol/jsonrpc.ts';
import type { ClientAnswer } from '../../../src/protocol/server-request.ts';

const CLIENT: AskedClient = { tokenId: 'token', sessionNonce: 'session' };

function start(t: TestContext, options: Partial<ClientRequestsOptions> = {}) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const requests = new ClientRequests({ now: () => nowMs, ...options });
  t.after(() => requests.close());
  const pass = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 1000) {
      nowMs += 1000;
      t.mock.timers.tick(1000);
    }
  };
  const ask = (client = CLIENT) => {
    const answers: (ClientAnswer | undefined)[] = [];
    const id = requests.ask(client, (answer) => answers.push(answer));
    return { id: id ?? '', answers };
  };
  return { requests, pass, ask };
}

function response(id: string, outcome = '"result":{"action":"accept"}'): Message {
  const message = scanMessage(Buffer.from(`{"jsonrpc":"2.0","id":${id},${outcome}}`));
  assert.ok(message.kind === 'response');
  return message;
}

const RESULT: ClientAnswer = { kind: 'result', text: '{"action":"accept"}' };

test('an answer reaches whoever asked, once', (t) => {
  const { requests, ask } = start(t);
  const first = ask();
  const second = ask();
  assert.ok(requests.answer(CLIENT, response(`"${second.id}"`)));
  assert.deepEqual([first.answers, second.answers], [[], [RESULT]]);
  assert.equal(requests.answer(CLIENT, response(`"${second.id}"`, '"result":{}')), false);
  assert.deepEqual(second.answers, [RESULT]);
  assert.equal(requests.count, 1);
});

test('an error is an answer', (t) => {
  const { requests, ask } = start(t);
  const asked = ask();
  assert.ok(requests.answer(CLIENT, response(`"${asked.id}"`, '"error":{"code":-1,"message":"no"}')));
  assert.deepEqual(asked.answers, [{ kind: 'error', text: '{"code":-1,"message":"no"}' }]);
});

test('an answer of another token or session is none, and the request stays open', (t) => {
  const { requests, ask } = start(t);
  const asked = ask();
  for (const other of [
    { ...CLIENT, tokenId: 'other' },
    { ...CLIENT, sessionNonce: 'other' },
    { ...CLIENT, sessionNonce: undefined },
  ]) {
    assert.equal(requests.answer(other, response(`"${asked.id}"`)), false);
  }
  assert.ok(requests.answer(CLIENT, response(`"${asked.id}"`)));
});

test('an answer to what nobody asked is none', (t) => {
  const { requests, ask } = start(t);
  const { id } = ask();
  for (const other of ['1', '""', `"${id}x"`, `"${id.slice(1)}"`, '"__proto__"']) {
    assert.equal(requests.answer(CLIENT, response(other)), false, other);
  }
  assert.equal(requests.count, 1);
});

test('a message with both result and error, or with neither, is no response', (t) => {
  const { requests, ask } = start(t);
  const { id } = ask();
  for (const outcome of [',"result":{},"error":{"code":1,"message":"x"}', '']) {
    assert.equal(scanMessage(Buffer.from(`{"jsonrpc":"2.0","id":"${id}"${outcome}}`)).kind, 'fault');
  }
  assert.equal(requests.count, 1);
});

test('an answer that does not come in time is waited for no longer', (t) => {
  const { requests, ask, pass } = start(t);
  const early = ask();
  pass(300_000);
  const late = ask();
  pass(300_000);
  assert.deepEqual([early.answers, late.answers], [[undefined], []]);
  assert.equal(requests.answer(CLIENT, response(`"${early.id}"`)), false);
  assert.ok(requests.answer(CLIENT, response(`"${late.id}"`)));
  pass(600_000);
  assert.deepEqual([early.answers, late.answers], [[undefined], [RESULT]]);
});

test('what was dropped is neither answered nor ended', (t) => {
  const { requests, ask, pass } = start(t);
  const asked = ask();
  requests.drop(asked.id);
  requests.drop(asked.id);
  assert.equal(requests.answer(CLIENT, response(`"${asked.id}"`)), false);
  pass(601_000);
  assert.deepEqual(asked.answers, []);
});

test('a token has so many open requests, and all together so many', (t) => {
  const { requests, ask } = start(t, { perToken: 2, total: 3 });
  const first = ask();
  ask({ ...CLIENT, sessionNonce: 'another' });
  assert.equal(ask().id, '');
  assert.notEqual(ask({ tokenId: 'b', sessionNonce: undefined }).id, '');
  assert.equal(ask({ tokenId: 'c', sessionNonce: undefined }).id, '');
  requests.drop(first.id);
  assert.notEqual(ask({ tokenId: 'c', sessionNonce: undefined }).id, '');
  assert.equal(ask().id, '');
});

test('what a revoked token was asked ends without an answer', (t) => {
  const { requests, ask } = start(t);
  const revoked = ask();
  const other = ask({ tokenId: 'other', sessionNonce: 'session' });
  requests.endWhere(({ tokenId }) => tokenId === 'token');
  assert.deepEqual([revoked.answers, other.answers], [[undefined], []]);
  assert.equal(requests.answer(CLIENT, response(`"${revoked.id}"`)), false);
  assert.equal(requests.count, 1);
});
