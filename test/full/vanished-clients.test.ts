// What a gateway process still holds of clients that are gone without a word: nothing.

import { test } from 'node:test';
import { proveNothingIsLeft } from '../support/vanished-clients.ts';

const OPTIONS = { clients: 1_000, rounds: 3, sessionIdleMs: 2_000, callTimeoutMs: 10_000, rememberedSessions: 21_000 };

test(
  'of 1,000 sessions and 1,000 streams whose clients vanish nothing is left after the idle time',
  { timeout: 600_000 },
  (t) => proveNothingIsLeft(t, OPTIONS),
);
