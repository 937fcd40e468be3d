// One bad upstream hurts nobody else, at 500 calls a second and with latencies compared.

import { test } from 'node:test';
import { proveBadUpstream } from '../support/bad-upstream-proof.ts';

test('an upstream that is killed, hung, slow or restarted costs its neighbours no error and no latency', (t) =>
  proveBadUpstream(t, { perSecond: 500, faultMs: 10_000, quietMs: 10_000, comparesLatencies: true }));
