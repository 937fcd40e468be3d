import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..', '..');

/** One more or less in a run is chance. */
const RUNS = 5;
/** A process that ends while code is being compiled may wait for itself forever (nodejs/node#54918). */
const UNCOMPILED = ['--no-opt', '--no-maglev'];

async function collectionsOf(entry: string): Promise<number> {
  const probe = join(root, 'test', 'support', 'collections-probe.ts');
  const args = [...UNCOMPILED, '--import', probe, entry, '--version'];
  let collections = 0;
  for (let run = 0; run < RUNS; run++) {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
    // A flag that V8 does not know shows there.
    assert.equal(stderr, '');
    collections += Number(/^collections (\d+)$/m.exec(stdout)?.[1]);
  }
  return collections;
}

test('a gigabyte of Buffers that come and go costs half of the whole collections it costs without our flag, or less', async () => {
  const [ours, plain] = await Promise.all([collectionsOf('src/switchboard.cjs'), collectionsOf('src/main.ts')]);
  assert.ok(plain >= RUNS && ours <= plain / 2, `${ours} of ${plain}`);
});
