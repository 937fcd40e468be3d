// One bad upstream hurts nobody else; test/full/bad-upstream.test.ts looks longer, and compares latencies.

import { test } from 'node:test';
import { proveBadUpstream } from '../support/bad-upstream-proof.ts';

test('an upstream that is killed, hung, slow or restarted fails fast and alone, and comes back', (t) =>
  proveBadUpstream(t, { perSecond: 60, faultMs: 1_200, quietMs: 100, comparesLatencies: false }));
