// What clients of two tokens see of one another when all of them call at once: nothing.

import { test } from 'node:test';
import { proveIsolation } from '../support/isolation-storm.ts';

test(
  'of 100,000 calls at once with equal ids and progress tokens, nobody sees anything of another',
  { timeout: 900_000 },
  (t) => proveIsolation(t, { calls: 100_000, seed: 2 }),
);
