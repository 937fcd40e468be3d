import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..', '..');

/**
 * With threads beside it chance decides over one collection more or less, and a process that ends while one of them
 * compiles may wait for itself forever (nodejs/node#54918).
 */
const WITHOUT_CHANCE = '--single-threaded';

async function collectionsOf(...command: string[]): Promise<number> {
  const probe = join(root, 'test', 'support', 'collections-probe.ts');
  const args = [WITHOUT_CHANCE, '--import', probe, ...command];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  // A flag that V8 does not know shows there.
  assert.equal(stderr, '');
  return Number(/^collections (\d+)$/m.exec(stdout)?.[1]);
}

test('a gigabyte of Buffers that come and go costs the gateway a third of the whole collections it costs Node, or less', async () => {
  const [ours, plain] = await Promise.all([
    collectionsOf('src/switchboard.cjs', '--version'),
    collectionsOf('--eval', '0'),
  ]);
  assert.ok(plain >= 3 && ours <= plain / 3, `${ours} of ${plain}`);
});
