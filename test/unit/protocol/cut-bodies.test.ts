// In a file of its own, and so a process: what other tests have scanned has made V8's code what it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonScanner } from '../../../src/protocol/json-scan.ts';

test('bodies that are cut off do not make the scan of later ones slower', () => {
  const text = JSON.stringify({
    jsonrpc: '2.0',
    id: 7,
    params: { name: 'echo', arguments: { text: 'x'.repeat(300) } },
  });
  const bytes = Buffer.from(text);
  const scan = (body: Buffer): number => new JsonScanner(body).readMembers(0, 0, []);
  const fastest = (): number => {
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 15; round++) {
      const startMs = performance.now();
      for (let count = 0; count < 5_000; count++) assert.equal(scan(bytes), bytes.length);
      best = Math.min(best, performance.now() - startMs);
    }
    return best;
  };
  fastest();
  const before = fastest();
  for (let count = 0; count < 100; count++) for (const cut of [5, 30, 60, 100, 200]) scan(bytes.subarray(0, cut));
  const after = fastest();
  assert.ok(after < 1.6 * before, `${after} ms instead of ${before} ms`);
});
