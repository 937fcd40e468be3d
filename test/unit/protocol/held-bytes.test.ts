import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeldBytes } from '../../../src/protocol/held-bytes.ts';
import { heldMemoryBytes } from '../../support/held-memory.ts';

test('pieces of any sizes are held in their order, however often they are looked at', () => {
  const piece = fc.record({
    size: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 900, max: 3000 })),
    looks: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const held = new HeldBytes();
      let expected = Buffer.alloc(0);
      for (const [index, { size, looks }] of pieces.entries()) {
        const bytes = Buffer.alloc(size, index + 1);
        held.push(bytes);
        expected = Buffer.concat([expected, bytes]);
        if (looks) assert.ok(held.whole().equals(expected));
        assert.equal(held.length, expected.length);
      }
      assert.ok(held.whole().equals(expected));
      held.clear();
      assert.deepEqual([held.length, held.whole().length], [0, 0]);
    }),
  );
});

test('what comes in one piece is that piece', () => {
  const held = new HeldBytes();
  const piece = Buffer.from('{}');
  held.push(piece);
  assert.equal(held.whole(), piece);
});

test('pieces that are little of what they were cut from do not hold the rest', () => {
  const held = new HeldBytes();
  const before = heldMemoryBytes();
  for (let count = 0; count < 1_000; count++) held.push(Buffer.allocUnsafeSlow(64 * 1024).subarray(0, 2_000));
  assert.ok(heldMemoryBytes() - before < 6e6);
  assert.equal(held.whole().length, 2_000_000);
});

test('pieces of one byte take little more memory than their bytes', () => {
  const held = new HeldBytes();
  const chunk = Buffer.alloc(64 * 1024, 'x');
  const before = heldMemoryBytes();
  for (let count = 0; count < 2_000_000; count++) held.push(chunk.subarray(count % 1000, (count % 1000) + 1));
  // As Buffers of their own they would take four hundred megabytes.
  assert.ok(heldMemoryBytes() - before < 10e6);
  assert.equal(held.whole().length, 2_000_000);
});
