import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasOtherType, mayBeIncomplete } from '../../../src/protocol/result-type.ts';

const answerOf = (result: string) => Buffer.from(`{"jsonrpc":"2.0","id":"i","result":${result}}`);
const looks = (result: string) => [
  mayBeIncomplete(answerOf(result), undefined),
  mayBeIncomplete(answerOf(result), answerOf(result).toString('latin1')),
];

test('complete results, those without a type and errors are not looked into', () => {
  for (const result of [
    '{"resultType":"complete"}',
    '{"content":[],"resultType":"complete"}',
    '{"content":[]}',
    '{}',
  ]) {
    assert.deepEqual(looks(result), [false, false], result);
  }
  assert.equal(mayBeIncomplete(Buffer.from('{"error":{"code":-1,"message":"no"}}'), undefined), false);
});

test('a result of another type, or one that is written otherwise, is', () => {
  for (const type of ['"input_required"', '"task"', '"input\\u005frequired"', ' "complete"', 'null']) {
    assert.deepEqual(looks(`{"resultType":${type}}`), [true, true], type);
  }
});

test('every type that a result is said to have counts, and none inside it', () => {
  for (const result of ['{"resultType":"complete"}', '{}', '{"structuredContent":{"resultType":"task"}}', '[]']) {
    assert.equal(hasOtherType(answerOf(result)), false, result);
  }
  for (const type of ['"input_required"', '"input\\u005frequired"', '"task"', '"Complete"', 'null', '7', '{}']) {
    assert.equal(hasOtherType(answerOf(`{"a":1,"resultType":${type}}`)), true, type);
    assert.equal(hasOtherType(answerOf(`{"resultType":"complete","resultType":${type}}`)), true, type);
    assert.equal(hasOtherType(answerOf(`{"resultType":${type},"resultType":"complete"}`)), true, type);
  }
});

test('what is asked for gives an answer away whose type is still to come', () => {
  const begun = Buffer.from('{"jsonrpc":"2.0","id":"i","result":{"inputRequests":{"a":');
  assert.equal(mayBeIncomplete(begun, undefined), true);
});

test('whatever an answer holds, one that is incomplete at its top is looked into', () => {
  const json = fc.json({ maxDepth: 2 });
  fc.assert(
    fc.property(json, json, fc.constantFrom('input_required', 'task'), (before, behind, type) => {
      const result = `{"content":${before},"resultType":"${type}","more":${behind}}`;
      const isDecoy = before.includes('"resultType":"complete"');
      assert.ok(isDecoy || looks(result).every((look) => look), result);
    }),
    { numRuns: 100 },
  );
});
