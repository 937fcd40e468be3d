import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createSealer } from '../../../src/vault/sealer.ts';
import { CODE_POINT } from '../../support/code-points.ts';

const key = randomBytes(32);
const sealer = createSealer(key, 'session');

describe('a sealer', () => {
  test('opens what it sealed, and writes visible ASCII only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.string(), (payload, context) => {
        const text = sealer.seal(Buffer.from(payload), context);
        assert.match(text, /^[\x21-\x7e]+$/);
        assert.deepEqual(createSealer(key, 'session').open(text, context), Buffer.from(payload));
      }),
    );
  });

  test('gives undefined for another context, purpose or key', () => {
    const text = sealer.seal(Buffer.from('x'), 'tok_1');
    assert.equal(sealer.open(text, 'tok_2'), undefined);
    assert.equal(createSealer(key, 'cursor').open(text, 'tok_1'), undefined);
    assert.equal(createSealer(randomBytes(32), 'session').open(text, 'tok_1'), undefined);
  });

  test('gives undefined for arbitrary text, and throws for none', () => {
    fc.assert(
      fc.property(fc.string({ unit: CODE_POINT, maxLength: 200 }), (text) => sealer.open(text, '') === undefined),
    );
    fc.assert(fc.property(fc.base64String({ maxLength: 200 }), (text) => sealer.open(text, '') === undefined));
  });

  test('has one spelling for each handle: padding, spaces and other alphabets are refused', () => {
    for (let i = 0; i < 64; i++) {
      const text = sealer.seal(randomBytes(31), 'c');
      const last = text.at(-1)!;
      const spellings = [
        `${text}=`,
        ` ${text}`,
        `${text}\n`,
        text.slice(0, -1),
        text.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1),
      ];
      if (/[-_]/.test(text)) spellings.push(text.replaceAll('-', '+').replaceAll('_', '/'));
      for (const spelling of spellings) assert.equal(sealer.open(spelling, 'c'), undefined);
    }
  });
});
