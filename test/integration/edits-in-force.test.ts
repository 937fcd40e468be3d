// From the answer to an edit until it is enforced. test/full/control-plane.test.ts makes 500 edits.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editUnderCalls } from '../support/edits-in-force.ts';

const EDITS = 20;
const WITHIN_MS = 1_000;

test(`each of ${EDITS} edits under calls is in force within a second, here and in another process, and wholly`, async (t) => {
  const seen = await editUnderCalls(t, { edits: EDITS, callsPerSecond: 200, elsewhereEvery: 5 });
  const [here, elsewhere] = [seen.enforcedMs.at(-1)!, seen.elsewhereMs.at(-1)!];
  t.diagnostic(
    `${seen.calls} calls, ${seen.lists} lists; the slowest after ${here.toFixed()} ms, elsewhere ${elsewhere.toFixed()} ms`,
  );
  assert.ok(here < WITHIN_MS);
  assert.ok(elsewhere < WITHIN_MS);
});
