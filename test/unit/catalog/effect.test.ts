import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareNames } from '../../../src/catalog/effect.ts';

const uris = (count: number, length: number) =>
  Array.from({ length: count }, (_, index) => `docs://${index}/${'é'.repeat(length)}`);

describe('what a write is recorded to give and take', () => {
  test('is each name that is on one side only, once and in order', () => {
    const { added, removed, addedCount, removedCount } = compareNames(['a.b', 'a.c', 'a.b'], ['a.d', 'a.c', 'a.e']);
    assert.deepEqual([added, removed, addedCount, removedCount], [['a.d', 'a.e'], ['a.b'], 2, 1]);
  });

  test('is counted whole, and named up to a thousand names', () => {
    const { added, addedCount } = compareNames([], uris(1_001, 1));
    assert.deepEqual([added.length, addedCount], [1_000, 1_001]);
  });

  test('is named up to 64 KiB, however long the URIs of an upstream are', () => {
    const long = uris(400, 4_000);
    const { added, removed, removedCount } = compareNames(long, []);
    assert.deepEqual([added, removed, removedCount], [[], long.slice(0, 8), 400]);
    assert.ok(Buffer.byteLength(removed.join('')) <= 64 * 1024);
  });
});
