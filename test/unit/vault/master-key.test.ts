import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { GatewayError } from '../../../src/domain/errors.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { assertMasterKey, deriveKeys } from '../../../src/vault/keys.ts';
import { MasterKey, readMasterKey } from '../../../src/vault/master-key.ts';

const directory = mkdtempSync(join(tmpdir(), 'switchboard-key-'));
after(() => rmSync(directory, { recursive: true }));

const bytes = randomBytes(32);
const passphrase = 'correct horse battery staple, and on';

function refused(...patterns: readonly RegExp[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'invalid_argument');
    for (const pattern of patterns) assert.match(error.message, pattern);
    return true;
  };
}

function keyFile(name: string, text: string, mode = 0o600): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

describe('the master key', () => {
  test('32 bytes in hex, base64 or base64url are those bytes, with white space around them or not', () => {
    for (const text of [
      bytes.toString('hex'),
      bytes.toString('hex').toUpperCase(),
      bytes.toString('base64'),
      bytes.toString('base64url'),
    ]) {
      assert.deepEqual(readMasterKey({ value: text }).reveal(), bytes);
      assert.deepEqual(readMasterKey({ value: ` ${text}\n` }).reveal(), bytes);
    }
  });

  test('a passphrase of 32 characters gives the same key everywhere', () => {
    const key = readMasterKey({ value: passphrase }).reveal();
    assert.equal(key.length, 32);
    assert.deepEqual(readMasterKey({ value: passphrase }).reveal(), key);
    assert.notDeepEqual(readMasterKey({ value: `${passphrase}.` }).reveal(), key);
  });

  test('a short value is refused, saying its length, what is expected, and not the value', () => {
    for (const value of ['', 'hunter2-hunter3', bytes.toString('hex').slice(0, 31)]) {
      assert.throws(
        () => readMasterKey({ value }),
        (error) => {
          assert.ok(error instanceof GatewayError && (value === '' || !error.message.includes(value)));
          return refused(new RegExp(`has ${value.length} characters`), /openssl rand -base64 32/)(error);
        },
      );
    }
  });

  test('a placeholder of repeated characters is refused in every form', () => {
    for (const value of ['0'.repeat(64), 'A'.repeat(43), 'changeme'.repeat(5).replaceAll('m', 'c'), 'ab'.repeat(32)]) {
      assert.throws(() => readMasterKey({ value }), refused(/can be guessed/));
    }
  });

  test('a file is read by the same rule', () => {
    assert.deepEqual(readMasterKey({ file: keyFile('good', `${bytes.toString('base64')}\n`) }).reveal(), bytes);
    assert.deepEqual(readMasterKey({ file: keyFile('read-only', bytes.toString('hex'), 0o400) }).reveal(), bytes);
    assert.throws(() => readMasterKey({ file: keyFile('empty', '') }), refused(/empty has 0 characters/));
  });

  test('a file that group or others can touch is refused with the chmod that closes it', () => {
    for (const mode of [0o640, 0o604, 0o644, 0o660, 0o666, 0o620, 0o601]) {
      const file = keyFile(`open-${mode.toString(8)}`, bytes.toString('hex'), mode);
      assert.throws(
        () => readMasterKey({ file }),
        refused(new RegExp(`mode 0${mode.toString(8)}`), new RegExp(`chmod 600 ${file}$`)),
      );
    }
  });

  test('a file that is missing or a directory is refused by name', () => {
    assert.throws(() => readMasterKey({ file: join(directory, 'absent') }), refused(/absent cannot be read/));
    assert.throws(() => readMasterKey({ file: directory }), refused(/is open to other users|cannot be read/));
  });

  test('two sources at once, and none, are refused', () => {
    assert.throws(
      () => readMasterKey({ value: bytes.toString('hex'), file: 'x' }),
      refused(/both as a value and as a file/),
    );
    assert.throws(() => readMasterKey({}), refused(/SWITCHBOARD_MASTER_KEY/));
  });

  test('without a source it is made once, 0600, beside the store, leaving nothing else there', () => {
    const beside = join(directory, 'fresh', 'master.key');
    const first = readMasterKey({ beside });
    assert.equal((statSync(beside).mode & 0o777).toString(8), '600');
    assert.deepEqual(readdirSync(join(directory, 'fresh')), ['master.key']);
    assert.deepEqual(readMasterKey({ beside }).reveal(), first.reveal());
    assert.notDeepEqual(readMasterKey({ beside: join(directory, 'fresh', 'other.key') }).reveal(), first.reveal());
    chmodSync(beside, 0o644);
    assert.throws(() => readMasterKey({ beside }), refused(/chmod 600/));
  });

  test('processes that start together agree on the key', async () => {
    const beside = join(directory, 'race', 'master.key');
    const module = JSON.stringify(new URL('../../../src/vault/master-key.ts', import.meta.url).href);
    const program = `
      import { readMasterKey } from ${module};
      process.stdout.write(readMasterKey({ beside: ${JSON.stringify(beside)} }).reveal().toString('base64url') + '\\n');`;
    const outputs = await Promise.all(
      [0, 1, 2, 3].map(async () => {
        const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let output = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
        await once(child, 'close');
        return output;
      }),
    );
    assert.deepEqual(new Set(outputs), new Set([readFileSync(beside, 'utf8')]));
  });

  test('does not show when it is printed', () => {
    const key = new MasterKey(Buffer.from('hunter2hunter2hunter2hunter2hunt'));
    assert.doesNotMatch(inspect(key, { showHidden: true }) + JSON.stringify(key), /hunter2|68 75 6e|104,117/);
  });
});

describe('the derived keys', () => {
  test('are all different, the same at every start, and named by a fingerprint that is none of them', () => {
    const keys = deriveKeys(new MasterKey(bytes));
    const { fingerprint, ...buffers } = keys;
    const hex = Object.values(buffers).map((key: Buffer) => key.toString('hex'));
    assert.equal(new Set([...hex, bytes.toString('hex')]).size, 5);
    assert.match(fingerprint, /^[0-9a-f]{32}$/);
    assert.ok(hex.every((key) => !key.includes(fingerprint)));
    assert.deepEqual(deriveKeys(new MasterKey(Buffer.from(bytes))), keys);
  });

  test('are part of the format: those of a known master key do not change between versions', () => {
    const { fingerprint, tokenPepper } = deriveKeys(new MasterKey(Buffer.alloc(32, 7)));
    assert.equal(fingerprint, 'ad9565da8598f5eadbf7daa29cb7de38');
    assert.equal(tokenPepper.toString('hex'), '345d6daec90a755da2b2dee06d2187b75d97b08100e64c18b357a0682f574b6f');
  });

  test('of another master key are refused by a store that was made with the first', async () => {
    const store = await openSqliteStore({ file: join(directory, 'pinned.db') });
    await assertMasterKey(store, deriveKeys(new MasterKey(bytes)));
    await assertMasterKey(store, deriveKeys(new MasterKey(bytes)));
    await assert.rejects(
      assertMasterKey(store, deriveKeys(new MasterKey(randomBytes(32)))),
      refused(/not the one this store was made with/, /Start with the first key: SWITCHBOARD_MASTER_KEY/),
    );
    await store.close();
  });
});
