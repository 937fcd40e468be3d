import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { editDistance, nearest } from '../../../src/domain/nearest.ts';

test('a slip of the keyboard finds the word that was meant', () => {
  const words = ['endpoint', 'allowed_tools', 'name', 'names'];
  assert.equal(nearest('endpiont', words), 'endpoint');
  assert.equal(nearest('allowedtools', words), 'allowed_tools');
  assert.equal(nearest('Name', words), 'name');
  assert.equal(nearest('nam', words), 'name');
  assert.equal(nearest('nonsense', words), undefined);
  assert.equal(nearest('x'.repeat(100_000), words), undefined);
});

test('swapping two neighbours is one step', () => {
  assert.equal(editDistance('evn', 'env'), 1);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(editDistance('kitten', 'sitting'), 3);
});

test('the distance is symmetric, zero only between equals, and at most the longer length', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (left, right) => {
      const distance = editDistance(left, right);
      assert.equal(distance, editDistance(right, left));
      assert.equal(distance === 0, left === right);
      assert.ok(distance <= Math.max(left.length, right.length));
    }),
    { numRuns: 200 },
  );
});
