import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { AuditLog, type AuditLogOptions } from '../../../src/audit-log/audit-log.ts';
import { toSubjectText } from '../../../src/audit-log/call-record.ts';
import { readCheckpoint } from '../../../src/audit-log/checkpoint.ts';
import { verifyCallLog } from '../../../src/audit-log/verify.ts';
import type { AccountId } from '../../../src/domain/mcp-config.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { renderMetrics } from '../../../src/telemetry/metrics-snapshot.ts';
import { createTelemetry, type Telemetry } from '../../../src/telemetry/telemetry.ts';
import { AUDIT_KEY, auditFolder, CALL_END, CALL_KEYS } from '../../support/audit-log.ts';
import { eventually } from '../../support/eventually.ts';

const ACCOUNT = 'acct_default' as AccountId;
const PENDING_BYTES = 100_000;

interface TestLog {
  readonly log: AuditLog;
  readonly directory: string;
  readonly telemetry: Telemetry;
  readonly logged: string[];
}

function openLog(options: Partial<AuditLogOptions> = {}): TestLog {
  const directory = options.directory ?? join(auditFolder(), 'audit');
  const telemetry = createTelemetry();
  const logged: string[] = [];
  const log = new AuditLog({
    calls: true,
    checkpointFile: undefined,
    onOverflow: 'drop',
    segmentBytes: 1_000_000,
    keepDays: 0,
    keepBytes: 0,
    key: AUDIT_KEY,
    now: Date.now,
    log: createLogger({ level: 'info', destination: { write: (line) => logged.push(line) } }),
    telemetry,
    maxPendingBytes: PENDING_BYTES,
    ...options,
    directory,
  });
  after(() => log.close());
  return { log, directory, telemetry, logged };
}

function recordCalls(log: AuditLog, count: number, name = 'tool'): void {
  for (let index = 0; index < count; index++) {
    const subject = { accountId: ACCOUNT, tokenId: 'tok_1', tool: `${name}.${index}`, config: null };
    const text = toSubjectText({ ...subject, pattern: null, narrowingPattern: null, epoch: 1 });
    log.record(ACCOUNT, text, CALL_END);
  }
}

function metricOf(telemetry: Telemetry, name: string): number {
  return Number(new RegExp(`^switchboard_${name} (\\d+)$`, 'm').exec(renderMetrics(telemetry.metrics.snapshot()))?.[1]);
}

test('a call that has ended is the first that is read, and all are sealed when the log is closed', async () => {
  const { log, directory } = openLog({ maxPendingBytes: 8_000_000 });
  recordCalls(log, 1000);
  const { calls } = await log.read({ account: ACCOUNT }, null, 1);
  assert.equal(calls.length === 1 && 'tool' in calls[0]! && calls[0].tool, 'tool.999');
  recordCalls(log, 10);
  await log.close();
  const { records, findings, notes } = verifyCallLog(directory, CALL_KEYS);
  assert.deepEqual([records, findings, notes], [1010, [], []]);
});

test('a foreign cursor is refused in words for the caller', async () => {
  const { log } = openLog();
  await assert.rejects(log.read({ account: ACCOUNT }, 'x', 1), { code: 'invalid_argument' });
});

test('records that nothing follows are written after a moment', async () => {
  const { log, directory } = openLog();
  recordCalls(log, 3);
  await eventually(() => verifyCallLog(directory, CALL_KEYS).records === 3);
});

/** A log whose directory cannot be made, filled to its limit. */
async function fullLog(onOverflow: 'block' | 'drop'): Promise<TestLog> {
  const directory = join(auditFolder(), 'audit');
  writeFileSync(directory, 'no directory');
  const opened = openLog({ directory, onOverflow });
  recordCalls(opened.log, 1000);
  await opened.log.flush();
  assert.equal((opened.log.describe() as { readonly state: string }).state, 'full');
  return opened;
}

function makeRoom({ directory }: TestLog): void {
  rmSync(directory);
}

suite('a log that cannot be written', { concurrency: true }, () => {
  test('drop: what does not fit is left out and counted, calls go on, and the log says how many are missing', async () => {
    const full = await fullLog('drop');
    const { log, telemetry } = full;
    const before = metricOf(telemetry, 'audit_dropped_total');
    recordCalls(log, 50, 'late');
    assert.equal(log.admits(ACCOUNT), true);
    assert.equal(metricOf(telemetry, 'audit_dropped_total'), before + 50);
    assert.equal(metricOf(telemetry, 'audit_failing'), 1);
    makeRoom(full);
    await eventually(() => (log.describe() as { readonly state: string }).state === 'ok');
    recordCalls(log, 1, 'next');
    const { calls } = await log.read({ account: ACCOUNT }, null, 2);
    assert.deepEqual(
      calls.map((call) => ('outcome' in call ? call.tool : call.dropped)),
      ['next.0', before + 50],
    );
    assert.equal(metricOf(telemetry, 'audit_failing'), 0);
  });

  test('block: no call begins that could not be recorded, those under way still are, and the log says how many were refused', async () => {
    const full = await fullLog('block');
    const { log, telemetry, directory } = full;
    for (let refused = 0; refused < 7; refused++) assert.equal(log.admits(ACCOUNT), false);
    recordCalls(log, 5, 'under-way');
    makeRoom(full);
    await eventually(() => log.admits(ACCOUNT));
    await log.close();
    const { records, findings } = verifyCallLog(directory, CALL_KEYS);
    assert.deepEqual([records, findings], [1006, []]);
    assert.equal(metricOf(telemetry, 'audit_dropped_total'), 0);
  });

  test('an operator sees that the log cannot be written, why, since when, and that it can be again', async () => {
    const full = await fullLog('drop');
    const { log, logged } = full;
    const { reason, since } = log.describe() as { readonly reason: string; readonly since: string };
    assert.equal(reason, 'EEXIST');
    assert.match(since, /^\d{4}-/);
    makeRoom(full);
    await eventually(() => (log.describe() as { readonly state: string }).state === 'ok');
    for (const event of [
      'audit log not written',
      'audit log full',
      'audit log goes on',
      'audit log is written again',
    ]) {
      assert.equal(logged.filter((line) => line.includes(`"${event}"`)).length, 1, event);
    }
  });

  test('records that never could be written are said to be lost', async () => {
    const { log, logged } = await fullLog('drop');
    await log.close();
    assert.match(logged.at(-1) ?? '', /"count":\d+.*"event":"audit records lost"/);
  });
});

test('changes of the configuration are in the checkpoint, also where calls are not recorded', async () => {
  const checkpointFile = join(auditFolder(), 'checkpoint.json');
  const { log } = openLog({ calls: false, checkpointFile });
  await log.start();
  log.noteChange(ACCOUNT, { sequence: 3, mac: 'a'.repeat(64) });
  await log.close();
  assert.equal(readCheckpoint(checkpointFile, CALL_KEYS)?.changes[ACCOUNT]?.sequence, 3);
});

test('a log that is used for nothing starts no thread, and a closed one takes no more', async () => {
  const { log, directory } = openLog({ calls: false });
  await log.start();
  log.noteChange(ACCOUNT, { sequence: 3, mac: 'a'.repeat(64) });
  await log.close();
  await log.close();
  recordCalls(log, 1);
  assert.equal(verifyCallLog(directory, CALL_KEYS).chains, 0);
});
