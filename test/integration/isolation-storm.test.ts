// What clients of two tokens see of one another when all of them call at once: nothing. The short version; test/full has
// fifty times the calls.

import { test } from 'node:test';
import { proveIsolation } from '../support/isolation-storm.ts';

test(
  'of 2,000 calls at once with equal ids and progress tokens, nobody sees anything of another',
  { timeout: 120_000 },
  (t) => proveIsolation(t, { calls: 2_000, seed: 1 }),
);
