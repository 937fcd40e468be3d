import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { GatewayError } from '../../../src/domain/errors.ts';
import type { AccountId } from '../../../src/domain/mcp-config.ts';
import { deriveKeys } from '../../../src/vault/keys.ts';
import { MasterKey } from '../../../src/vault/master-key.ts';
import { type SecretRef, Vault } from '../../../src/vault/vault.ts';

const keysOf = (byte: number) => deriveKeys(new MasterKey(Buffer.alloc(32, byte)));
const vault = new Vault(keysOf(1));
const ref: SecretRef = { accountId: 'acct_a' as AccountId, secretId: 'sec_1', name: 'GITHUB_TOKEN', version: 1 };

function refused(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'internal');
    assert.match(error.message, /^The secret GITHUB_TOKEN cannot be opened/);
    assert.match(error.message, pattern);
    assert.doesNotMatch(inspect(error), /hunter2/);
    return true;
  };
}

describe('the vault', () => {
  test('opens what it sealed, after a restart too, as a Secret', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (value) => {
        assert.equal(new Vault(keysOf(1)).open(ref, vault.seal(ref, value)).reveal(), value);
      }),
    );
    assert.equal(String(vault.open(ref, vault.seal(ref, 'hunter2'))), '[redacted]');
  });

  test('a sealed record shows neither the value nor that two values are equal', () => {
    const [one, two] = [vault.seal(ref, 'hunter2'), vault.seal(ref, 'hunter2')];
    assert.notEqual(one, two);
    assert.doesNotMatch(one, /hunter2/);
    assert.doesNotMatch(one, new RegExp(Buffer.from('hunter2').toString('base64url')));
  });

  test('a record put into another row does not open: account, id, name and version are all bound', () => {
    const sealed = vault.seal({ ...ref, name: 'OTHER' }, 'hunter2');
    const others: Partial<SecretRef>[] = [
      { accountId: 'acct_b' as AccountId },
      { secretId: 'sec_2' },
      { version: 2 },
      {},
    ];
    for (const other of others)
      assert.throws(() => vault.open({ ...ref, ...other }, sealed), refused(/was changed, or belongs/));
    const own = vault.seal(ref, 'hunter2');
    for (const other of others.slice(0, 3)) {
      assert.throws(() => vault.open({ ...ref, ...other }, own), refused(/was changed, or belongs/));
    }
  });

  test('the value of one record does not open under the wrapped key of another', () => {
    const [, id, key] = vault.seal(ref, 'one').split('.');
    const value = vault.seal(ref, 'two').split('.')[3];
    assert.throws(() => vault.open(ref, ['v1', id, key, value].join('.')), refused(/was changed/));
    assert.throws(() => vault.open(ref, ['v1', id, key, key].join('.')), refused(/was changed/));
  });

  test('a record does not open under another master key, and the error names both keys', () => {
    const sealed = vault.seal(ref, 'hunter2');
    const other = new Vault(keysOf(2));
    const ids = `${keysOf(1).fingerprint.slice(0, 16)}.*${keysOf(2).fingerprint.slice(0, 16)}`;
    assert.throws(() => other.open(ref, sealed), refused(new RegExp(`${ids}.*Start with that master key`)));
    const relabelled = sealed.replace(keysOf(1).fingerprint.slice(0, 16), keysOf(2).fingerprint.slice(0, 16));
    assert.throws(() => other.open(ref, relabelled), refused(/was changed/));
  });

  test('a record with any character changed, added or cut off does not open', () => {
    const sealed = vault.seal(ref, 'hunter2');
    for (let i = 0; i < sealed.length; i++) {
      for (const replacement of ['', 'A', 'B', '.', '=', sealed[i]!.repeat(2)]) {
        const changed = sealed.slice(0, i) + replacement + sealed.slice(i + 1);
        if (changed !== sealed)
          assert.throws(() => vault.open(ref, changed), refused(/Write the secret|write the secret/));
      }
      assert.throws(() => vault.open(ref, sealed.slice(0, i)), refused(/the secret's value again/));
    }
  });

  test('a record cut to a shorter tag does not open', () => {
    const [format, id, key, value] = vault.seal(ref, 'a value long enough to lose some bytes').split('.');
    const cut = (text: string | undefined, bytes: number) =>
      Buffer.from(text ?? '', 'base64url')
        .subarray(0, -bytes)
        .toString('base64url');
    for (const bytes of [4, 8, 12]) {
      assert.throws(() => vault.open(ref, [format, id, key, cut(value, bytes)].join('.')), refused(/was changed/));
      assert.throws(() => vault.open(ref, [format, id, cut(key, bytes), value].join('.')), refused(/was changed/));
    }
  });
});
