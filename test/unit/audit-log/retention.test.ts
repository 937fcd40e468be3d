import assert from 'node:assert/strict';
import { copyFileSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Chain } from '../../../src/audit-log/chain.ts';
import { listChains } from '../../../src/audit-log/files.ts';
import { retain } from '../../../src/audit-log/retention.ts';
import { verifyCallLog } from '../../../src/audit-log/verify.ts';
import { appendCalls, auditFolder, CALL_KEYS, openChain, START_MS } from '../../support/audit-log.ts';

const DAY_MS = 24 * 3_600_000;

function namesIn(directory: string): string[] {
  return [...listChains(directory).values()].flat().map(({ name }) => name);
}

/** A chain of six segments of a batch each; segment n was written n days after the start. */
function sixSegments(directory = auditFolder()): { readonly directory: string; readonly chain: Chain } {
  const chain = openChain({ directory, segmentBytes: 100 });
  for (let day = 0; day < 6; day++) {
    appendCalls(chain, [`tool.day_${day}`]);
    const at = new Date(START_MS + day * DAY_MS);
    utimesSync(join(directory, chain.segment ?? ''), at, at);
  }
  return { directory, chain };
}

function run(
  { directory, chain }: { readonly directory: string; readonly chain: Chain | undefined },
  limits: { keepDays?: number; keepBytes?: number; nowMs?: number },
): string[] {
  const { keepDays = 0, keepBytes = 0, nowMs = START_MS + 6 * DAY_MS } = limits;
  const own = { chain: chain?.id ?? '', segment: chain?.segment };
  return retain({ directory, keys: CALL_KEYS, keepDays, keepBytes, now: () => nowMs, own });
}

function findingsIn(directory: string): readonly unknown[] {
  return verifyCallLog(directory, CALL_KEYS).findings;
}

test('by age, whole segments are deleted, and what is left is whole', () => {
  const log = sixSegments();
  const names = namesIn(log.directory);
  assert.deepEqual(run(log, { keepDays: 3 }), names.slice(0, 3));
  assert.deepEqual(namesIn(log.directory), names.slice(3));
  assert.deepEqual(findingsIn(log.directory), []);
  assert.deepEqual(run(log, { keepDays: 1, nowMs: START_MS + 7 * DAY_MS }), names.slice(3, 5), 'not the one in use');
  assert.deepEqual(findingsIn(log.directory), []);
  appendCalls(log.chain, ['tool.next']);
  assert.deepEqual(findingsIn(log.directory), []);
});

test('by size, the oldest segments go, of whatever chain they are', () => {
  const directory = auditFolder();
  const [first, second] = [sixSegments(directory), sixSegments(directory)];
  first.chain.close();
  const bytes = namesIn(directory).map((name) => statSync(join(directory, name)).size);
  const total = bytes.reduce((sum, each) => sum + each, 0);
  const deleted = run(second, { keepBytes: total - 3 * bytes[0]! });
  assert.equal(deleted.length, 3);
  for (const { chain } of [first, second]) assert.ok(deleted.some((name) => name.includes(chain.id)));
  assert.deepEqual(findingsIn(directory), []);
});

test('nothing is deleted where everything is to be kept', () => {
  assert.deepEqual(run(sixSegments(), {}), []);
});

test('a chain that another process has is left to it', () => {
  const directory = auditFolder();
  const first = sixSegments(directory);
  const second = sixSegments(directory);
  const deleted = run(second, { keepDays: 3 });
  assert.deepEqual(
    deleted.filter((name) => name.includes(first.chain.id)),
    [],
  );
  assert.equal(deleted.length, 3);
});

test('a chain of which nothing is left is continued where it ended', () => {
  const log = sixSegments();
  log.chain.close();
  assert.equal(run({ ...log, chain: undefined }, { keepDays: 1, nowMs: START_MS + 99 * DAY_MS }).length, 6);
  assert.deepEqual(findingsIn(log.directory), []);
  const next = openChain({ directory: log.directory });
  assert.deepEqual([next.id, next.head], [log.chain.id, log.chain.head]);
  appendCalls(next, ['tool.next']);
  assert.deepEqual(findingsIn(log.directory), []);
  const checkpoint = { calls: { [next.id]: log.chain.head }, changes: {} };
  assert.deepEqual(verifyCallLog(log.directory, CALL_KEYS, checkpoint).findings, []);
});

test('first segments that somebody else has deleted are found, and retention does not cover that up', () => {
  const log = sixSegments();
  const names = namesIn(log.directory);
  for (const name of names.slice(0, 2)) rmSync(join(log.directory, name));
  assert.equal(findingsIn(log.directory).length, 1);
  assert.deepEqual(run(log, { keepDays: 1 }), []);
  assert.equal(findingsIn(log.directory).length, 1);
});

test('a segment that was changed is kept: it is evidence', () => {
  const log = sixSegments();
  const [first = ''] = namesIn(log.directory).map((name) => join(log.directory, name));
  writeFileSync(first, readFileSync(first, 'latin1').replace('day_0', 'day_9'));
  utimesSync(first, new Date(START_MS), new Date(START_MS));
  assert.deepEqual(run(log, { keepDays: 3 }), []);
  assert.equal(findingsIn(log.directory).length, 1);
});

test('the note of what was deleted cannot be forged, deleted, or taken from earlier', () => {
  const log = sixSegments();
  const note = join(log.directory, `calls-${log.chain.id}.retained.json`);
  run(log, { keepDays: 5 });
  copyFileSync(note, `${note}.earlier`);
  run(log, { keepDays: 3 });
  const text = readFileSync(note, 'latin1');
  for (const change of [
    () => rmSync(note),
    () => writeFileSync(note, text.replace('"after_batch":3', '"after_batch":4')),
    () => copyFileSync(`${note}.earlier`, note),
  ]) {
    change();
    assert.notDeepEqual(findingsIn(log.directory), []);
    writeFileSync(note, text);
    assert.deepEqual(findingsIn(log.directory), []);
  }
});

test('a crash between the note and the deletion leaves a log that is whole, and the rest goes next time', () => {
  const log = sixSegments();
  const kept = auditFolder();
  const names = namesIn(log.directory);
  for (const name of names) copyFileSync(join(log.directory, name), join(kept, name));
  run(log, { keepDays: 3 });
  for (const name of names.slice(1, 3)) copyFileSync(join(kept, name), join(log.directory, name));
  for (const name of names.slice(1, 3)) utimesSync(join(log.directory, name), new Date(START_MS), new Date(START_MS));
  assert.deepEqual(findingsIn(log.directory), []);
  assert.deepEqual(run(log, { keepDays: 3 }), names.slice(1, 3));
  assert.deepEqual(findingsIn(log.directory), []);
});

test('what was cut off after a crash goes with its age', () => {
  const log = sixSegments();
  const torn = join(log.directory, `${log.chain.segment}.torn-1`);
  writeFileSync(torn, 'x');
  utimesSync(torn, new Date(START_MS), new Date(START_MS));
  run(log, { keepDays: 30 });
  assert.ok(readdirSync(log.directory).some((name) => name.includes('.torn-')));
  run(log, { keepDays: 3 });
  assert.ok(!readdirSync(log.directory).some((name) => name.includes('.torn-')));
});
