import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { digestOf } from '../../../src/settings/read-bytes.ts';
import { watchConfigFile } from '../../../src/settings/watch-config-file.ts';

const POLL_ONLY_MS = 20;

async function watched(
  context: TestContext,
  digest: string,
  prepare?: (directory: string) => Promise<void>,
  awayMs = 60_000,
) {
  const directory = await mkdtemp(join(tmpdir(), 'switchboard-watch-'));
  const file = join(directory, 'config.yaml');
  await (prepare ? prepare(directory) : writeFile(file, 'one'));
  const changes = new EventTarget();
  let count = 0;
  const stop = watchConfigFile(
    file,
    () => {
      count++;
      changes.dispatchEvent(new Event('change'));
    },
    { intervalMs: POLL_ONLY_MS, awayMs, loadedDigest: digest },
  );
  context.after(async () => {
    stop();
    await rm(directory, { recursive: true });
  });
  // The deadline also keeps the process alive: the watch itself must not.
  const next = () => once(changes, 'change', { signal: AbortSignal.timeout(5000) });
  return { directory, file, next, stop, count: () => count };
}

const ONE = digestOf(Buffer.from('one'));

test('writing the file in place is noticed', async (context) => {
  const { file, next } = await watched(context, ONE);
  const change = next();
  await writeFile(file, 'two');
  await change;
});

test('an editor that renames over the file is noticed, again and again', async (context) => {
  const { directory, file, next } = await watched(context, ONE);
  for (const content of ['two', 'six']) {
    const change = next();
    await writeFile(join(directory, '.swap'), content);
    await rename(join(directory, '.swap'), file);
    await change;
  }
});

test('a Kubernetes symlink swap is noticed', async (context) => {
  const { directory, next } = await watched(context, ONE, async (at) => {
    for (const [version, content] of Object.entries({ v1: 'one', v2: 'two' })) {
      await mkdir(join(at, version));
      await writeFile(join(at, version, 'config.yaml'), content);
    }
    await symlink('v1', join(at, '..data'));
    await symlink(join('..data', 'config.yaml'), join(at, 'config.yaml'));
  });
  const change = next();
  await symlink('v2', join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), join(directory, '..data'));
  await change;
});

test('a change made between loading and watching is noticed', async (context) => {
  const { next } = await watched(context, digestOf(Buffer.from('zero')));
  await next();
});

test('a file that stays away is a change, once, and another when it is back, be it as it was', async (context) => {
  const { file, next, count } = await watched(context, ONE, undefined, 2 * POLL_ONLY_MS);
  for (const [from, to] of [
    [file, `${file}.away`],
    [`${file}.away`, file],
  ] as const) {
    const change = next();
    await rename(from, to);
    await change;
  }
  assert.equal(count(), 2);
});

test('a file that soon comes back unchanged is no change', async (context) => {
  const { file, next, count } = await watched(context, ONE);
  await rm(file);
  await writeFile(file, 'one');
  const change = next();
  await writeFile(file, 'two');
  await change;
  assert.equal(count(), 1);
});
