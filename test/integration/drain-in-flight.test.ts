// SIGTERM with 500 calls in flight on both HTTP versions; test/full/drain.test.ts does it fifty times.

import { test } from 'node:test';
import { drainUnderLoad } from '../support/drain-proof.ts';

test('SIGTERM with 500 calls in flight fails none of them, and closes what is idle', async (t) => {
  const { answered, lastAnswerMs, exitMs, idleClosedMs } = await drainUnderLoad(t, 700);
  const [last, exit, closed] = [lastAnswerMs, exitMs, idleClosedMs].map((ms) => ms.toFixed());
  t.diagnostic(`${answered} answered within ${last} ms, exit ${exit} ms later, idle closed after ${closed} ms`);
});
