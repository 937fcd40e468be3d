// What a gateway process still holds of clients that are gone without a word: nothing. The short version; test/full has
// twenty times the clients.

import { test } from 'node:test';
import { proveNothingIsLeft } from '../support/vanished-clients.ts';

test(
  'of 50 sessions and 50 streams whose clients vanish nothing is left after the idle time',
  { timeout: 120_000 },
  (t) =>
    proveNothingIsLeft(t, { clients: 50, rounds: 1, sessionIdleMs: 500, callTimeoutMs: 1_500, rememberedSessions: 0 }),
);
