import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readCheckpoint } from '../../../src/audit-log/checkpoint.ts';
import { listChains } from '../../../src/audit-log/files.ts';
import type { Batch } from '../../../src/audit-log/messages.ts';
import { verifyCallLog } from '../../../src/audit-log/verify.ts';
import { appendCalls, auditFolder, CALL_KEYS, callLine, createWriter, openChain } from '../../support/audit-log.ts';

const MAC = 'a'.repeat(64);

function batchOf(...tools: readonly string[]): Batch {
  const bytes = new TextEncoder().encode(tools.map((tool) => callLine(tool)).join(''));
  return { buffer: bytes.buffer, bytes: bytes.length, records: tools.length };
}

test('what cannot be written waits, is told of, and is written once it can be', () => {
  const directory = join(auditFolder(), 'audit');
  writeFileSync(directory, 'no directory');
  const { writer, told } = createWriter({ directory });
  writer.start();
  writer.add(batchOf('a.1'));
  writer.add(batchOf('a.2', 'a.3'));
  writer.tick();
  const states = () => told.flatMap((message) => (message.kind === 'state' ? [message.state.log] : []));
  assert.deepEqual(states(), ['EEXIST', 'EEXIST'], 'told when it happens, and at the start');
  rmSync(directory);
  writer.tick();
  assert.equal(states().at(-1), null);
  assert.deepEqual(
    told.flatMap((message) => (message.kind === 'written' ? [message.batch.records] : [])),
    [1, 2],
  );
  assert.equal(writer.close(), 0);
  assert.deepEqual(
    [verifyCallLog(directory, CALL_KEYS).records, verifyCallLog(directory, CALL_KEYS).findings],
    [3, []],
  );
});

test('what cannot be written to the end is counted as lost', () => {
  const directory = join(auditFolder(), 'audit');
  writeFileSync(directory, 'no directory');
  const { writer } = createWriter({ directory });
  writer.add(batchOf('a.1', 'a.2'));
  assert.equal(writer.close(), 2);
});

test('the checkpoint is there from the start, follows at every tick, and holds the changes it is told of', () => {
  const folder = auditFolder();
  const checkpointFile = join(folder, 'checkpoint.json');
  const { writer } = createWriter({ directory: join(folder, 'audit'), checkpointFile });
  const heads = () => Object.values(readCheckpoint(checkpointFile, CALL_KEYS)?.calls ?? {}).map(({ batch }) => batch);
  writer.start();
  assert.deepEqual(heads(), [0]);
  writer.add(batchOf('a.1'));
  assert.deepEqual(heads(), [0]);
  writer.tick();
  assert.deepEqual(heads(), [1]);
  writer.noteChanges({ acct_1: { sequence: 4, mac: MAC } });
  writer.add(batchOf('a.2'));
  writer.close();
  assert.deepEqual(heads(), [2]);
  assert.deepEqual(readCheckpoint(checkpointFile, CALL_KEYS)?.changes, { acct_1: { sequence: 4, mac: MAC } });
});

test('where calls are not recorded there is a checkpoint of the changes, and no chain', () => {
  const folder = auditFolder();
  const checkpointFile = join(folder, 'checkpoint.json');
  const { writer } = createWriter({ directory: join(folder, 'audit'), checkpointFile, recordsCalls: false });
  writer.start();
  writer.noteChanges({ acct_1: { sequence: 4, mac: MAC } });
  writer.close();
  assert.equal(listChains(join(folder, 'audit')).size, 0);
  assert.equal(readCheckpoint(checkpointFile, CALL_KEYS)?.changes.acct_1?.sequence, 4);
});

test('an end that was cut off while the gateway was down stays found: the chain is not continued, its head is kept', () => {
  const folder = auditFolder();
  const directory = join(folder, 'audit');
  const checkpointFile = join(folder, 'checkpoint.json');
  const first = createWriter({ directory, checkpointFile }).writer;
  first.start();
  for (const tool of ['a.1', 'a.2']) first.add(batchOf(tool));
  first.close();
  const [{ path = '' } = {}] = [...listChains(directory).values()].flat();
  const text = readFileSync(path, 'latin1');
  writeFileSync(path, text.slice(0, text.indexOf('\n', text.indexOf('{"batch":1')) + 1));
  const { writer, told } = createWriter({ directory, checkpointFile });
  writer.start();
  writer.add(batchOf('a.3'));
  writer.close();
  const notices = told.flatMap((message) => (message.kind === 'notice' ? [`${message.level} ${message.event}`] : []));
  assert.deepEqual(notices, ['error audit log was changed, and is not continued']);
  const { findings } = verifyCallLog(directory, CALL_KEYS, readCheckpoint(checkpointFile, CALL_KEYS));
  assert.match(findings[0]?.message ?? '', /ends at batch 1; the checkpoint has seen batch 2/);
});

test('a checkpoint that is not ours is told of', () => {
  const folder = auditFolder();
  const checkpointFile = join(folder, 'checkpoint.json');
  writeFileSync(checkpointFile, 'forged');
  const { writer, told } = createWriter({ directory: join(folder, 'audit'), checkpointFile });
  writer.start();
  writer.close();
  assert.ok(told.some((message) => message.kind === 'notice' && message.level === 'error'));
});

test('retention looks at the log at the start and once an hour', () => {
  const directory = auditFolder();
  const old = openChain({ directory, segmentBytes: 100 });
  appendCalls(old, ['a.1']);
  appendCalls(old, ['a.2']);
  old.close();
  let nowMs = Date.now();
  const { writer, told } = createWriter({ directory, keepDays: 1, now: () => nowMs });
  const deleted = () => told.filter((message) => message.kind === 'notice' && message.level === 'info').length;
  writer.start();
  assert.equal(deleted(), 0);
  nowMs += 2 * 24 * 3_600_000;
  writer.tick();
  assert.equal(deleted(), 2, 'the segment in use is old, and nobody has called since');
  writer.add(batchOf('a.3'));
  writer.close();
  assert.deepEqual(verifyCallLog(directory, CALL_KEYS).findings, []);
});
