import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Checkpoint } from '../../../src/audit-log/checkpoint.ts';
import { deriveCallLogKeys } from '../../../src/audit-log/format.ts';
import { verifyCallLog } from '../../../src/audit-log/verify.ts';
import { appendCalls, auditFolder, CALL_KEYS, openChain } from '../../support/audit-log.ts';

type Files = Readonly<Record<string, readonly string[]>>;

interface Log {
  readonly directory: string;
  readonly checkpoint: Checkpoint;
}

/** Chains of batches as they are given, each a number of records, over segments of about two batches. */
function writeLog(chains: readonly (readonly number[])[]): Log {
  const directory = auditFolder();
  const opened = chains.map((batches, index) => {
    const chain = openChain({ directory, segmentBytes: 1200 });
    batches.forEach((records, batch) => {
      appendCalls(
        chain,
        Array.from({ length: records }, (_, record) => `tool.${index}_${batch}_${record}`),
      );
    });
    return chain;
  });
  const calls = Object.fromEntries(opened.map(({ id, head }) => [id, head]));
  for (const chain of opened) chain.close();
  return { directory, checkpoint: { calls, changes: {} } };
}

/** The lines of every segment. */
function readFiles(directory: string): Files {
  const names = readdirSync(directory).filter((name) => name.endsWith('.jsonl'));
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(directory, name), 'latin1').split(/(?<=\n)/)]),
  );
}

function writeFiles(log: Log, files: Files): Log {
  const directory = auditFolder();
  for (const name of readdirSync(log.directory).filter((each) => each.endsWith('.claim'))) {
    copyFileSync(join(log.directory, name), join(directory, name));
  }
  for (const [name, lines] of Object.entries(files)) writeFileSync(join(directory, name), lines.join(''));
  return { ...log, directory };
}

const manyChains = fc.array(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 2,
});

/** Every way to change one thing; `a`, `b` and `c` choose where. Those that change nothing are not tried. */
const CHANGES: Readonly<Record<string, (lines: string[], a: number, b: number, c: number) => string[]>> = {
  'a byte is edited': (lines, a, b, c) => {
    const line = lines[a % lines.length]!;
    const at = b % (line.length - 1);
    const byte = String.fromCharCode(32 + (c % 95));
    return lines.with(a % lines.length, line.slice(0, at) + byte + line.slice(at + 1));
  },
  'a line is deleted': (lines, a) => lines.toSpliced(a % lines.length, 1),
  'a line is repeated': (lines, a, b) => lines.toSpliced(b % (lines.length + 1), 0, lines[a % lines.length]!),
  'two lines are exchanged': (lines, a, b) => {
    const [first, second] = [a % lines.length, b % lines.length];
    return lines.with(first, lines[second]!).with(second, lines[first]!);
  },
  'a batch is deleted': (lines, a) => {
    const seals = lines.flatMap((line, index) => (line.startsWith('{"batch"') ? [index] : []));
    const chosen = a % seals.length;
    const from = chosen === 0 ? 1 : seals[chosen - 1]! + 1;
    return lines.toSpliced(from, seals[chosen]! + 1 - from);
  },
  'the end is cut off': (lines, a) => {
    const text = lines.join('');
    return [text.slice(0, a % text.length)];
  },
  'bytes are inserted': (lines, a, b) => {
    const text = lines.join('');
    const at = a % (text.length + 1);
    return [text.slice(0, at) + '{"time":"now"}\n'.slice(b % 15) + text.slice(at)];
  },
};

describe('verification', () => {
  test('a log as it was written has no finding, with a checkpoint of now, of earlier, and without', () => {
    fc.assert(
      fc.property(manyChains, (chains) => {
        const { directory, checkpoint } = writeLog(chains);
        const early = Object.entries(checkpoint.calls).map(([chain]) => [chain, earlierHead(directory, chain)]);
        for (const seen of [checkpoint, { calls: Object.fromEntries(early), changes: {} }, undefined]) {
          const { findings, records, batches } = verifyCallLog(directory, CALL_KEYS, seen);
          assert.deepEqual(findings, []);
          assert.equal(batches, chains.flat().length);
          assert.equal(
            records,
            chains.flat().reduce((sum, each) => sum + each, 0),
          );
        }
      }),
      { numRuns: 20 },
    );
  });

  for (const [what, change] of Object.entries(CHANGES)) {
    test(`it is found when ${what}`, () => {
      const seed = fc.nat();
      fc.assert(
        fc.property(manyChains, seed, seed, seed, seed, (chains, file, a, b, c) => {
          const log = writeLog(chains);
          const files = readFiles(log.directory);
          const name = Object.keys(files)[file % Object.keys(files).length]!;
          const changed = change([...files[name]!], a, b, c);
          fc.pre(changed.join('') !== files[name]!.join(''));
          const { directory, checkpoint } = writeFiles(log, { ...files, [name]: changed });
          assert.notDeepEqual(verifyCallLog(directory, CALL_KEYS, checkpoint).findings, []);
        }),
        { numRuns: 15 },
      );
    });
  }

  test('it is found when a whole segment, or a whole chain, is deleted', () => {
    const log = writeLog([[4, 4, 4, 4], [4]]);
    const files = readFiles(log.directory);
    assert.ok(Object.keys(files).length > 3);
    for (const name of Object.keys(files)) {
      const { [name]: _deleted, ...rest } = files;
      const { directory, checkpoint } = writeFiles(log, rest);
      assert.notDeepEqual(verifyCallLog(directory, CALL_KEYS, checkpoint).findings, [], name);
    }
    const empty = join(auditFolder(), 'empty');
    mkdirSync(empty);
    assert.equal(verifyCallLog(empty, CALL_KEYS, log.checkpoint).findings.length, 2);
    assert.deepEqual(verifyCallLog(empty, CALL_KEYS).findings, []);
  });

  test('it is found when two segments are exchanged, or one is passed off as another', () => {
    const log = writeLog([[4, 4, 4, 4], [4]]);
    const files = readFiles(log.directory);
    const names = Object.keys(files);
    for (const first of names) {
      for (const second of names.filter((name) => name !== first)) {
        const exchanged = { ...files, [first]: files[second]!, [second]: files[first]! };
        const copied = { ...files, [first]: files[second]! };
        for (const changed of [exchanged, copied]) {
          const { directory, checkpoint } = writeFiles(log, changed);
          assert.notDeepEqual(verifyCallLog(directory, CALL_KEYS, checkpoint).findings, []);
        }
      }
    }
  });

  test('a log that somebody has made with another key is found, also under the same names', () => {
    const { directory } = writeLog([[2, 2]]);
    const other = deriveCallLogKeys(Buffer.alloc(32, 8));
    assert.notDeepEqual(verifyCallLog(directory, other).findings, []);
  });

  test('a finding names the file and the line, and what follows is judged by itself', () => {
    const log = writeLog([[2, 2, 2]]);
    const files = readFiles(log.directory);
    const [name = ''] = Object.keys(files);
    const lines = [...files[name]!];
    const { directory } = writeFiles(log, {
      ...files,
      [name]: lines.with(2, lines[2]!.replace('answered', 'cancelled')),
    });
    const { findings } = verifyCallLog(directory, CALL_KEYS);
    assert.equal(findings.length, 1);
    assert.equal(findings[0]?.file, join(directory, name));
    assert.equal(findings[0]?.line, 2);
    assert.match(findings[0]?.message ?? '', /^batch 1 \(lines 2 to 4\) was changed/);
  });
});

/** The seal of a chain's first batch. */
function earlierHead(directory: string, chain: string): { batch: number; mac: string } {
  const [, lines = []] = Object.entries(readFiles(directory)).find(([name]) => name.includes(chain)) ?? [];
  const { batch, mac } = JSON.parse(lines.find((line) => line.startsWith('{"batch"')) ?? '{}');
  return { batch, mac };
}
