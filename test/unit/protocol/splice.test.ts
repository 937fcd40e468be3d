import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lengthOf, splice, splicePieces } from '../../../src/protocol/splice.ts';

const FILLER = Buffer.from('abcdefghij'.repeat(20_000));

test('a body in pieces is the body in one, in whatever places it is edited, and nothing long of it is copied', () => {
  const cuts = fc.uniqueArray(fc.integer({ min: 0, max: FILLER.length }), { maxLength: 10 });
  const length = fc.constantFrom(0, 100, 16_384, 16_385, 65_535, 65_536, 100_000, FILLER.length);
  fc.assert(
    fc.property(length, cuts, fc.string({ unit: 'grapheme-ascii', maxLength: 40 }), (bytes, places, text) => {
      const body = FILLER.subarray(0, bytes);
      const [...ends] = places.filter((place) => place <= bytes).sort((a, b) => a - b);
      const edits = [];
      for (let index = 0; index + 1 < ends.length; index += 2) {
        edits.push({ start: ends[index] ?? 0, end: ends[index + 1] ?? 0, text });
      }
      const whole = splice(body, edits);
      const pieces = splicePieces(body, edits);
      assert.equal(lengthOf(pieces), whole.length);
      assert.ok(whole.equals(Buffer.isBuffer(pieces) ? pieces : Buffer.concat(pieces)));
      if (Buffer.isBuffer(pieces)) assert.ok(bytes < 65_536);
      else for (const piece of pieces) assert.ok(piece.length < 45_000 || piece.buffer === FILLER.buffer);
    }),
  );
});
