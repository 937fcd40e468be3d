import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Checkpoint, mergeIntoCheckpoint, readCheckpoint } from '../../../src/audit-log/checkpoint.ts';
import { deriveCallLogKeys } from '../../../src/audit-log/format.ts';
import { auditFolder, CALL_KEYS, START_MS } from '../../support/audit-log.ts';

const MAC = 'a'.repeat(64);
const NONE: Checkpoint = { calls: {}, changes: {} };

function headsOf(batch: number, sequence: number): Checkpoint {
  return { calls: { c1: { batch, mac: MAC } }, changes: { acct_1: { sequence, mac: MAC } } };
}

test('heads of several processes come together, and an older one never takes the place of a newer', () => {
  const file = join(auditFolder(), 'elsewhere', 'audit.json');
  assert.equal(readCheckpoint(file, CALL_KEYS), undefined);
  mergeIntoCheckpoint(file, CALL_KEYS, headsOf(5, 2), START_MS);
  mergeIntoCheckpoint(file, CALL_KEYS, headsOf(4, 3), START_MS);
  mergeIntoCheckpoint(file, CALL_KEYS, { calls: { c2: { batch: 1, mac: MAC } }, changes: {} }, START_MS);
  const { calls, changes } = readCheckpoint(file, CALL_KEYS) ?? NONE;
  assert.deepEqual(calls, { c1: { batch: 5, mac: MAC }, c2: { batch: 1, mac: MAC } });
  assert.deepEqual(changes, { acct_1: { sequence: 3, mac: MAC } });
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('a checkpoint that was edited, or signed with another key, is refused', () => {
  const file = join(auditFolder(), 'audit.json');
  mergeIntoCheckpoint(file, CALL_KEYS, headsOf(5, 2), START_MS);
  const text = readFileSync(file, 'utf8');
  for (const edited of [
    text.replace('"batch":5', '"batch":4'),
    text.replace('"mac":"a', '"mac":"b'),
    `${text}\n`,
    '{}',
    '',
  ]) {
    writeFileSync(file, edited);
    assert.throws(() => readCheckpoint(file, CALL_KEYS), { code: 'invalid_argument' });
  }
  mergeIntoCheckpoint(`${file}2`, deriveCallLogKeys(Buffer.alloc(32)), headsOf(5, 2), START_MS);
  assert.throws(() => readCheckpoint(`${file}2`, CALL_KEYS), /was not signed with this master key/);
});

test('one that is not ours is moved aside and not overwritten', () => {
  const folder = auditFolder();
  const file = join(folder, 'audit.json');
  writeFileSync(file, 'forged');
  mergeIntoCheckpoint(file, CALL_KEYS, headsOf(1, 1), START_MS);
  assert.equal(readFileSync(join(folder, `audit.json.refused-${START_MS}`), 'utf8'), 'forged');
  assert.equal(readCheckpoint(file, CALL_KEYS)?.calls.c1?.batch, 1);
});

test('while another process writes it nothing is written, unless that process has died over it', () => {
  const folder = auditFolder();
  const file = join(folder, 'audit.json');
  writeFileSync(`${file}.lock`, '');
  assert.equal(mergeIntoCheckpoint(file, CALL_KEYS, headsOf(1, 1), START_MS), false);
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(`${file}.lock`, longAgo, longAgo);
  assert.equal(mergeIntoCheckpoint(file, CALL_KEYS, headsOf(1, 1), START_MS), true);
  assert.deepEqual(readdirSync(folder), ['audit.json']);
});
