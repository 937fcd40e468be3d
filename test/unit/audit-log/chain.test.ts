import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Chain } from '../../../src/audit-log/chain.ts';
import { listChains } from '../../../src/audit-log/files.ts';
import { verifyCallLog } from '../../../src/audit-log/verify.ts';
import { appendCalls, auditFolder, CALL_KEYS, openChain, START_MS } from '../../support/audit-log.ts';

function segmentsOf(directory: string): string[] {
  return [...listChains(directory).values()].flat().map(({ path }) => path);
}

function recordsIn(directory: string): string[] {
  const lines = segmentsOf(directory).flatMap((path) => readFileSync(path, 'latin1').trimEnd().split('\n'));
  return lines.flatMap((line) => {
    const { tool, recovered } = JSON.parse(line);
    return tool ?? (recovered === undefined ? [] : 'recovered');
  });
}

function assertWhole(directory: string): void {
  assert.deepEqual(verifyCallLog(directory, CALL_KEYS).findings, []);
}

/** As if the process had been killed: everything stays as it is, and the holder of the claim is gone. */
function kill(directory: string): void {
  for (const name of readdirSync(directory).filter((each) => each.endsWith('.claim'))) {
    const holder = JSON.parse(readFileSync(join(directory, name), 'utf8'));
    writeFileSync(join(directory, name), JSON.stringify({ ...holder, pid: 2 ** 30, started: '1' }));
  }
}

/** A directory with a chain of two batches, whose process was killed. */
function killedLog(): { readonly directory: string; readonly chain: Chain; readonly path: string } {
  const directory = auditFolder();
  const chain = openChain({ directory });
  appendCalls(chain, ['a.1', 'a.2']);
  appendCalls(chain, ['a.3']);
  kill(directory);
  return { directory, chain, path: segmentsOf(directory)[0]! };
}

test('a segment is a head, records, and a seal behind each batch; only its owner can read it', () => {
  const directory = join(auditFolder(), 'deep', 'audit');
  const chain = openChain({ directory });
  appendCalls(chain, ['a.1', 'a.2']);
  const [path = ''] = segmentsOf(directory);
  const [head, first, second, seal, rest] = readFileSync(path, 'latin1').split('\n');
  assert.match(head ?? '', new RegExp(`^\\{"chain":"${chain.id}","first_batch":1,"previous":"[0-9a-f]{64}"\\}$`));
  assert.deepEqual([JSON.parse(first ?? '').tool, JSON.parse(second ?? '').tool], ['a.1', 'a.2']);
  assert.match(seal ?? '', /^\{"batch":1,"records":2,"previous":"[0-9a-f]{64}","mac":"[0-9a-f]{64}"\}$/);
  assert.equal(rest, '');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
});

test('the chain goes on over segments and over a restart', () => {
  const directory = auditFolder();
  const first = openChain({ directory, segmentBytes: 800 });
  for (const tool of ['a.1', 'a.2', 'a.3']) appendCalls(first, [tool, tool]);
  first.close();
  const second = openChain({ directory, segmentBytes: 800 });
  appendCalls(second, ['a.4']);
  assert.equal(second.id, first.id);
  assert.equal(second.head.batch, 4);
  assert.ok(segmentsOf(directory).length >= 3);
  assertWhole(directory);
});

test('a segment is a day old at most', () => {
  const directory = auditFolder();
  let nowMs = START_MS;
  const chain = openChain({ directory, now: () => nowMs });
  appendCalls(chain, ['a.1']);
  nowMs += 25 * 3_600_000;
  appendCalls(chain, ['a.2']);
  assert.equal(segmentsOf(directory).length, 2);
  assertWhole(directory);
});

test('two processes at once have a chain each', () => {
  const directory = auditFolder();
  const [first, second] = [openChain({ directory }), openChain({ directory })];
  appendCalls(first, ['a.1']);
  appendCalls(second, ['b.1']);
  assert.notEqual(first.id, second.id);
  assertWhole(directory);
});

test('the chain of a process that was killed is continued by the next', () => {
  const { directory, chain } = killedLog();
  const next = openChain({ directory });
  appendCalls(next, ['a.4']);
  assert.equal(next.id, chain.id);
  assert.deepEqual(recordsIn(directory), ['a.1', 'a.2', 'a.3', 'a.4']);
  assertWhole(directory);
});

test('a chain whose holder cannot be judged from here is left alone', () => {
  const { directory, chain } = killedLog();
  const [name = ''] = readdirSync(directory).filter((each) => each.endsWith('.claim'));
  const holder = JSON.parse(readFileSync(join(directory, name), 'utf8'));
  writeFileSync(join(directory, name), JSON.stringify({ ...holder, host: 'another', world: 'another' }));
  assert.notEqual(openChain({ directory }).id, chain.id);
});

test('one that was taken for dead and wakes up does not have its chain any more', () => {
  const { directory, chain } = killedLog();
  assert.equal(openChain({ directory }).id, chain.id);
  assert.equal(chain.isHeld(), true, 'it is not asked every time');
  let nowMs = START_MS;
  const other = auditFolder();
  const sleeper = openChain({ directory: other, now: () => nowMs });
  kill(other);
  openChain({ directory: other });
  nowMs += 60_000;
  assert.equal(sleeper.isHeld(), false);
});

test('wherever a crash cuts the last batch, what was sealed before stays, and the log says what was cut', () => {
  const { directory, path } = killedLog();
  const whole = readFileSync(path);
  const sealed = whole.indexOf('\n', whole.indexOf('{"batch":1')) + 1;
  const template = auditFolder();
  cpSync(directory, template, { recursive: true });
  for (let length = sealed + 1; length < whole.length; length += 13) {
    const copy = auditFolder();
    cpSync(template, copy, { recursive: true });
    truncateSync(segmentsOf(copy)[0]!, length);
    assertWhole(copy);
    const cuts: { readonly bytes: number }[] = [];
    const next = openChain({ directory: copy, onCut: (cut) => cuts.push(cut) });
    appendCalls(next, ['a.4']);
    assert.deepEqual(recordsIn(copy), ['a.1', 'a.2', 'recovered', 'a.4']);
    assert.deepEqual(
      cuts.map(({ bytes }) => bytes),
      [length - sealed],
    );
    const torn = readdirSync(copy).filter((name) => name.includes('.torn-'));
    assert.deepEqual(readFileSync(join(copy, torn[0]!)), whole.subarray(sealed, length));
    assertWhole(copy);
    rmSync(copy, { recursive: true });
  }
});

test('a crash in the first batch of a segment costs that segment alone', () => {
  for (const isHeadWhole of [true, false]) {
    const directory = auditFolder();
    const chain = openChain({ directory, segmentBytes: 500 });
    appendCalls(chain, ['a.1', 'a.2']);
    appendCalls(chain, ['a.3']);
    kill(directory);
    const last = segmentsOf(directory).at(-1)!;
    const text = readFileSync(last);
    truncateSync(last, isHeadWhole ? text.indexOf('\n') + 1 : 20);
    const next = openChain({ directory });
    assert.equal(next.head.batch, isHeadWhole ? 1 : 2, 'a cut is a record, too');
    appendCalls(next, ['a.4']);
    assert.deepEqual(recordsIn(directory), ['a.1', 'a.2', ...(isHeadWhole ? [] : ['recovered']), 'a.4']);
    assertWhole(directory);
  }
});

test('a log that was changed is not continued: that would make the change lawful', () => {
  const changes: readonly [what: string, change: (path: string) => void][] = [
    ['an edited record', (path) => writeFileSync(path, readFileSync(path, 'latin1').replace('a.2', 'a.9'))],
    ['an edited last record', (path) => writeFileSync(path, readFileSync(path, 'latin1').replace('a.3', 'a.9'))],
    ['a deleted seal', (path) => writeFileSync(path, readFileSync(path, 'latin1').replace(/\{"batch":1.*\n/, ''))],
    [
      'another head',
      (path) => writeFileSync(path, readFileSync(path, 'latin1').replace('"first_batch":1', '"first_batch":2')),
    ],
  ];
  for (const [what, change] of changes) {
    const { directory, chain, path } = killedLog();
    change(path);
    const before = readFileSync(path);
    const broken: string[] = [];
    const next = openChain({ directory, onBroken: ({ file }) => broken.push(file) });
    assert.notEqual(next.id, chain.id, what);
    assert.equal(broken.length, 1, what);
    assert.deepEqual(readFileSync(path), before, what);
    assert.notDeepEqual(verifyCallLog(directory, CALL_KEYS).findings, [], what);
  }
});

test('a chain that a checkpoint has seen further on is not continued', () => {
  const { directory, chain, path } = killedLog();
  const text = readFileSync(path, 'latin1');
  writeFileSync(path, text.slice(0, text.indexOf('\n', text.indexOf('{"batch":1')) + 1));
  const checkpoint = { calls: { [chain.id]: chain.head }, changes: {} };
  assert.notEqual(openChain({ directory, checkpoint }).id, chain.id);
});

test('a segment that is deleted or lengthened under the writer takes nothing of what follows with it', () => {
  for (const disturb of [
    (path: string) => rmSync(path),
    (path: string) => writeFileSync(path, 'more\n', { flag: 'a' }),
  ]) {
    const directory = auditFolder();
    const chain = openChain({ directory });
    appendCalls(chain, ['a.1']);
    disturb(segmentsOf(directory)[0]!);
    appendCalls(chain, ['a.2']);
    assert.equal(JSON.parse(readFileSync(segmentsOf(directory).at(-1)!, 'latin1').split('\n')[1]!).tool, 'a.2');
    assert.notDeepEqual(verifyCallLog(directory, CALL_KEYS).findings, []);
  }
});
