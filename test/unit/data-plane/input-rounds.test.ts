import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ClientRequests } from '../../../src/data-plane/client-requests.ts';
import { InputRounds } from '../../../src/data-plane/input-rounds.ts';
import { NO_CAPABILITIES } from '../../../src/protocol/client-capabilities.ts';
import { type InputRequired, readInputRequired } from '../../../src/protocol/input-required.ts';
import { scanMessage } from '../../../src/protocol/jsonrpc.ts';
import { assertIsMcp } from '../../support/mcp-schema.ts';

const CLIENT = { tokenId: 'token', sessionNonce: 'session' };
const DECLARED = { ...NO_CAPABILITIES, sampling: true, elicitationForm: true };
const FORM =
  '{"method":"elicitation/create","params":{"message":"m","requestedSchema":{"type":"object","properties":{}}}}';
const ROOTS = '{"method":"roots/list"}';

interface Written {
  readonly id?: string;
  readonly method: string;
  readonly params: { readonly requestId?: string };
}

function start(t: TestContext, perToken?: number) {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  let nowMs = 0;
  const clientRequests = new ClientRequests({ now: () => nowMs, ...(perToken === undefined ? {} : { perToken }) });
  t.after(() => clientRequests.close());
  const written: Written[] = [];
  const ready: unknown[] = [];
  const givenUp: string[] = [];
  const rounds = new InputRounds({
    client: CLIENT,
    declared: DECLARED,
    clientRequests,
    write: (message) => written.push(JSON.parse(message.toString())),
    onReady: (responses, state) => ready.push([responses, state]),
    onGivenUp: (why) => givenUp.push(why),
  });
  const answer = (id: string | undefined, outcome: string): boolean => {
    const message = scanMessage(Buffer.from(`{"jsonrpc":"2.0","id":"${id}",${outcome}}`));
    assert.ok(message.kind === 'response');
    return clientRequests.answer(CLIENT, message);
  };
  const pass = (ms: number): void => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  return { rounds, clientRequests, written, ready, givenUp, answer, pass };
}

function needs(entries: Record<string, string>, state = '"s\\u0041"'): InputRequired {
  const requests = Object.entries(entries).map(([key, entry]) => `${JSON.stringify(key)}:${entry}`);
  const stateMember = state === '' ? '' : `,"requestState":${state}`;
  const result = `{"resultType":"input_required","inputRequests":{${requests.join(',')}}${stateMember}}`;
  const input = readInputRequired(Buffer.from(`{"jsonrpc":"2.0","id":"id","result":${result}}`), 'id');
  assert.ok(input !== undefined && 'requests' in input);
  return input;
}

test('each entry is a request of its own, and the call goes on when all are answered', (t) => {
  const { rounds, written, ready, answer } = start(t);
  rounds.begin(needs({ a: FORM, b: FORM }));
  assert.equal(written.length, 2);
  for (const message of written) assertIsMcp('2025-11-25', 'ElicitRequest', message);
  answer(written[1]?.id, '"result":{"action":"decline"}');
  assert.deepEqual(ready, []);
  answer(written[0]?.id, '"result":{"action":"accept","content":{"n":1.0}}');
  assert.deepEqual(ready, [['{"a":{"action":"accept","content":{"n":1.0}},"b":{"action":"decline"}}', '"s\\u0041"']]);
});

test('a round without a state is sent again without one', (t) => {
  const { rounds, written, ready, answer } = start(t);
  rounds.begin(needs({ 'ü"': FORM }, ''));
  answer(written[0]?.id, '"result":{}');
  assert.deepEqual(ready, [[Buffer.from('{"ü\\"":{}}').toString('latin1'), undefined]]);
});

test('an error of the client ends it, and what else was asked is cancelled', (t) => {
  const { rounds, clientRequests, written, givenUp, ready, answer } = start(t);
  rounds.begin(needs({ a: FORM, b: FORM }));
  answer(written[0]?.id, '"error":{"code":-1,"message":"User rejected"}');
  assert.deepEqual(givenUp, ['the client answered the input it needs with an error: User rejected']);
  assert.equal(written[2]?.method, 'notifications/cancelled');
  assert.equal(written[2]?.params.requestId, written[1]?.id);
  assertIsMcp('2025-11-25', 'CancelledNotification', written[2]);
  assert.equal(answer(written[1]?.id, '"result":{}'), false);
  assert.deepEqual([ready, clientRequests.count], [[], 0]);
});

test('a client that does not answer in ten minutes ends it', (t) => {
  const { rounds, givenUp, pass } = start(t);
  rounds.begin(needs({ a: FORM }));
  pass(599_000);
  assert.deepEqual(givenUp, []);
  pass(2_000);
  assert.deepEqual(givenUp, ['the client did not give the input it needs in time']);
});

test('nothing is asked that the client has not declared', (t) => {
  const { rounds, written, givenUp } = start(t);
  rounds.begin(needs({ a: FORM, b: ROOTS }));
  assert.deepEqual(written, []);
  assert.match(givenUp[0] ?? '', /the client has not declared roots/);
});

test('a client with too many requests to answer is not asked half', (t) => {
  const { rounds, clientRequests, givenUp, written } = start(t, 1);
  rounds.begin(needs({ a: FORM, b: FORM }));
  assert.match(givenUp[0] ?? '', /as many requests/);
  assert.deepEqual([written, clientRequests.count], [[], 0]);
});

test('answers that are too much for one request end it', (t) => {
  const { rounds, written, givenUp, answer } = start(t);
  rounds.begin(needs({ a: FORM, b: FORM }));
  const result = JSON.stringify({ content: 'x'.repeat(2_200_000) });
  for (const { id } of written.slice(0, 2)) answer(id, `"result":${result}`);
  assert.deepEqual(givenUp, ['the client gave it more input than a request can hold']);
});

test('eight rounds are driven and no more', (t) => {
  const { rounds, written, givenUp, ready, answer } = start(t);
  for (let round = 1; round <= 8; round++) {
    rounds.begin(needs({ a: FORM }));
    answer(written.at(-1)?.id, '"result":{}');
    assert.equal(ready.length, round);
  }
  rounds.begin(needs({ a: FORM }));
  assert.equal(ready.length, 8);
  assert.match(givenUp[0] ?? '', /more than 8 times/);
});

test('without requests the call is sent again by itself, after a pause that grows', (t) => {
  const { rounds, ready, pass } = start(t);
  for (let round = 0; round < 3; round++) {
    rounds.begin(needs({}, '"s"'));
    pass(100 * 2 ** round - 1);
    assert.equal(ready.length, round);
    pass(1);
    assert.deepEqual(ready[round], [undefined, '"s"']);
  }
});

test('when the call ends nothing is asked or sent again', (t) => {
  const { rounds, clientRequests, written, ready, givenUp, answer, pass } = start(t);
  rounds.begin(needs({ a: FORM }));
  assert.ok(rounds.isWaiting);
  rounds.end();
  assert.equal(answer(written[0]?.id, '"result":{}'), false);
  rounds.begin(needs({}, '"s"'));
  rounds.end();
  pass(60_000);
  assert.deepEqual([ready, givenUp, clientRequests.count, rounds.isWaiting], [[], [], 0, false]);
});
