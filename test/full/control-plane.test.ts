// The control plane under many hands: 10,000 concurrent writes, 500 edits under calls, and 50 kills under writes.
// test/integration has a few of each: concurrent-writes, edits-in-force, write-storm.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertAllCounted, countTogether } from '../support/counting-writers.ts';
import { editUnderCalls } from '../support/edits-in-force.ts';
import { startServeRest } from '../support/serve-rest.ts';
import { stormWrites } from '../support/write-storm.ts';

const COUNTING = { writers: 32, counters: 8, writes: 10_000 };
const EDITS = 500;
const WITHIN_MS = 1_000;
const KILLS = 50;

test(`${COUNTING.writers} writers who count together lose none of ${COUNTING.writes} writes`, async (t) => {
  const { child, client } = await startServeRest();
  t.after(() => child.stop());
  t.after(() => client.close());
  const beganMs = performance.now();
  const counted = await countTogether(client, COUNTING);
  const seconds = (performance.now() - beganMs) / 1000;
  await assertAllCounted(client, child.storeFile, counted, COUNTING.writes);
  t.diagnostic(`${seconds.toFixed()} s; ${counted.refused} came too late and were begun again`);
});

test(`99 of 100 of ${EDITS} edits under calls are in force within a second, here and in another process, and wholly`, async (t) => {
  const seen = await editUnderCalls(t, { edits: EDITS, callsPerSecond: 300, elsewhereEvery: 2 });
  const describe = (sorted: readonly number[]) =>
    [50, 99, 100].map((percent) => `p${percent} ${percentile(sorted, percent).toFixed()} ms`).join(', ');
  t.diagnostic(`${seen.calls} calls and ${seen.lists} lists, each of one epoch`);
  t.diagnostic(`in force after ${describe(seen.enforcedMs)}; in the other process ${describe(seen.elsewhereMs)}`);
  for (const sorted of [seen.enforcedMs, seen.elsewhereMs]) assert.ok(percentile(sorted, 99) < WITHIN_MS);
});

test(`${KILLS} kills under writes lose no acknowledged write, do none by half and none twice`, async (t) => {
  const { acknowledged, replayed, repeated } = await stormWrites({ kills: KILLS, writers: 4 });
  t.diagnostic(`${acknowledged} acknowledged; of those unanswered ${replayed} had been done, ${repeated} not`);
});

/** By nearest rank. */
function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? Number.NaN;
}
