import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { classifyBearer, hashToken, isOperatorSuppliedToken, mintToken } from '../../../src/identity/tokens.ts';

describe('a minted token', () => {
  test('has its kind, an id, 256 bits of secret and a checksum, all in base62', () => {
    for (const kind of ['agt', 'key'] as const) {
      const { id, text } = mintToken(kind);
      assert.match(text, new RegExp(`^swb_${kind}_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$`));
      assert.equal(id, `${kind === 'agt' ? 'tok' : 'key'}_${text.slice(8, 20)}`);
      assert.deepEqual(classifyBearer(text), { form: kind === 'agt' ? 'token' : 'key', id });
      assert.ok(isOperatorSuppliedToken(text));
    }
  });

  test('is never minted twice', () => {
    assert.equal(new Set(Array.from({ length: 2000 }, () => mintToken('agt').text)).size, 2000);
  });

  test('with any one character changed, dropped, doubled or swapped with its neighbour is seen to be damaged', () => {
    const { text } = mintToken('agt');
    for (let i = 'swb_agt_'.length; i < text.length; i++) {
      const [head, here, next, tail] = [text.slice(0, i), text[i]!, text[i + 1] ?? '', text.slice(i + 1)];
      const other = here === 'x' ? 'y' : 'x';
      const swapped = head + next + here + text.slice(i + 2);
      for (const damaged of [head + other + tail, head + tail, head + here + here + tail, swapped, head]) {
        if (damaged !== text) assert.deepEqual(classifyBearer(damaged), { form: 'bad_checksum', kind: 'agt' }, damaged);
      }
    }
  });
});

describe('a bearer value', () => {
  test('that stands for a variable is recognised in every common notation', () => {
    const variables = [
      '$' + '{TOKEN}',
      '$' + '{env:SWB_TOKEN}',
      '$' + '{TOKEN:-}',
      '$TOKEN',
      '<token>',
      '<your-token-here>',
      '{{token}}',
      '%TOKEN%',
    ];
    for (const text of [...variables, 'swb_agt_$' + '{ID}'])
      assert.deepEqual(classifyBearer(text), { form: 'variable' }, text);
  });

  test('of another product is foreign, and so is anything else', () => {
    for (const text of [
      '',
      'ghp_abcdefghijklmnop',
      'swb_',
      'swb_adm_x',
      'SWB_AGT_x',
      ' swb_agt_',
      'a$b',
      '<a',
      'constructor',
    ]) {
      assert.deepEqual(classifyBearer(text), { form: 'foreign' }, text);
    }
  });

  test('of any text is classified without an error, and only whole ones of ours as ours', () => {
    const ours = fc
      .tuple(fc.constantFrom('swb_agt_', 'swb_key_', ''), fc.string({ maxLength: 80 }))
      .map((parts) => parts.join(''));
    fc.assert(fc.property(ours, (text) => !['token', 'key'].includes(classifyBearer(text).form)));
  });
});

describe('the hash of a token', () => {
  test('depends on the pepper and on every character', () => {
    const pepper = randomBytes(32);
    const { text } = mintToken('agt');
    assert.match(hashToken(pepper, text), /^[0-9a-f]{64}$/);
    assert.equal(hashToken(pepper, text), hashToken(Buffer.from(pepper), text));
    assert.notEqual(hashToken(pepper, text), hashToken(randomBytes(32), text));
    assert.notEqual(hashToken(pepper, text), hashToken(pepper, text.slice(0, -1)));
  });
});

test('an operator may bring 32 to 256 visible ASCII characters', () => {
  for (const text of ['x'.repeat(32), '!'.repeat(256), '~,"\\'.repeat(8)])
    assert.ok(isOperatorSuppliedToken(text), text);
  const refused = [
    '',
    'x'.repeat(31),
    'x'.repeat(257),
    `${'x'.repeat(40)} y`,
    `${'x'.repeat(40)}\n`,
    `${'x'.repeat(40)}é`,
    `${'x'.repeat(40)}\x7f`,
  ];
  for (const text of refused) assert.ok(!isOperatorSuppliedToken(text), text);
});
