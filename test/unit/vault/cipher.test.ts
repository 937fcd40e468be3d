import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { deriveKey, open, seal, toAad } from '../../../src/vault/cipher.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const key = randomBytes(32);
const aad = toAad(['a', 'b']);

describe('the cipher', () => {
  test('opens what it sealed, whatever it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const plaintext = Buffer.from(bytes);
        assert.deepEqual(open(key, seal(key, plaintext, aad), aad), plaintext);
      }),
    );
  });

  test('never gives the same bytes twice', () => {
    assert.notDeepEqual(seal(key, Buffer.from('x'), aad), seal(key, Buffer.from('x'), aad));
  });

  test('does not open with any bit flipped', () => {
    const sealed = seal(key, Buffer.from('value'), aad);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const flipped = Buffer.from(sealed);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(open(key, flipped, aad), undefined);
    }
  });

  test('does not open with a tag cut to 12, 8 or 4 bytes, though the short tag is right', () => {
    for (const authTagLength of [12, 8, 4]) {
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength });
      cipher.setAAD(aad);
      // 16 bytes of ciphertext, so that the record is long enough to be looked at.
      const body = Buffer.concat([cipher.update('sixteen bytes ..'), cipher.final()]);
      assert.equal(open(key, Buffer.concat([iv, body, cipher.getAuthTag()]), aad), undefined);
      assert.equal(open(key, seal(key, body, aad).subarray(0, authTagLength - 16), aad), undefined);
    }
  });

  test('does not open what is too short to be sealed', () => {
    for (let length = 0; length < 28; length++) assert.equal(open(key, Buffer.alloc(length), aad), undefined);
  });

  test('does not open with another key or another AAD', () => {
    const sealed = seal(key, Buffer.from('value'), aad);
    assert.equal(open(randomBytes(32), sealed, aad), undefined);
    assert.equal(open(key, sealed, toAad(['ab'])), undefined);
  });

  test('two different lists of fields never make the same AAD', () => {
    const fields = fc.array(fc.string({ unit: CODE_POINT, maxLength: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(fields, fields, (a, b) => {
        assert.equal(toAad(a).equals(toAad(b)), JSON.stringify(a) === JSON.stringify(b));
      }),
    );
    assert.ok(!toAad(['ab', 'c']).equals(toAad(['a', 'bc'])));
  });

  test('a derived key depends on its name and on nothing else', () => {
    assert.deepEqual(deriveKey(key, 'a'), deriveKey(key, 'a'));
    assert.notDeepEqual(deriveKey(key, 'a'), deriveKey(key, 'b'));
  });
});
