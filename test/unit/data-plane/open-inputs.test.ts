import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenInputs } from '../../../src/data-plane/open-inputs.ts';
import type { LiveRequest } from '../../../src/protocol/server-request.ts';
import { assertIsMcp } from '../../support/mcp-schema.ts';

const request = (idText: string): LiveRequest => ({ method: 'roots/list', params: undefined, needs: 'roots', idText });

function keysOf(inputs: OpenInputs): string[] {
  const { result } = JSON.parse(inputs.toAnswer('1', 'state').toString());
  assertIsMcp('2026-07-28', 'InputRequiredResult', result);
  return Object.keys(result.inputRequests);
}

const texts = (responses: readonly Buffer[]): string[] => responses.map(String);

test('what is answered goes to the upstream under its ids, the rest stays open', () => {
  const inputs = new OpenInputs();
  for (const id of ['1', '"1"', '2']) assert.ok(inputs.add(request(id)));
  const [first, second, third] = keysOf(inputs) as [string, string, string];
  const taken = inputs.take([
    { key: second, text: '{"roots":[]}' },
    { key: 'unknown', text: '{}' },
    { key: first, text: '{"a":1.0}' },
  ]);
  assert.deepEqual(texts(taken), [
    '{"jsonrpc":"2.0","id":1,"result":{"a":1.0}}',
    '{"jsonrpc":"2.0","id":"1","result":{"roots":[]}}',
  ]);
  assert.deepEqual(keysOf(inputs), [third]);
  assert.deepEqual(texts(inputs.take([{ key: first, text: '{}' }])), []);
});

test('so many bytes may be open together, and not one more', () => {
  const inputs = new OpenInputs();
  const params = `"${'x'.repeat(2 * 1024 * 1024 - 3)}"`;
  const large = { ...request('1'), params };
  assert.deepEqual([inputs.add(large), inputs.add(large), inputs.add(request('2'))], [true, true, false]);
  assert.equal(inputs.count, 2);
});

test('a key is never used again', () => {
  const inputs = new OpenInputs();
  inputs.add(request('1'));
  const [first] = keysOf(inputs);
  inputs.take([{ key: first as string, text: '{}' }]);
  inputs.add(request('2'));
  assert.notDeepEqual(keysOf(inputs), [first]);
});

test('no more than 32 are open', () => {
  const inputs = new OpenInputs();
  for (let id = 0; id < 32; id++) assert.ok(inputs.add(request(String(id))));
  assert.equal(inputs.add(request('32')), false);
  inputs.forget('7');
  assert.ok(inputs.add(request('32')));
  assert.equal(inputs.count, 32);
});

test('an end refuses all that is open, once', () => {
  const inputs = new OpenInputs();
  inputs.add(request('1'));
  const [answer] = texts(inputs.fail('Nobody came back.'));
  assertIsMcp('2025-11-25', 'JSONRPCErrorResponse', JSON.parse(answer ?? ''));
  assert.equal(JSON.parse(answer ?? '').error.message, 'Nobody came back.');
  assert.deepEqual([inputs.count, inputs.fail('x')], [0, []]);
});
