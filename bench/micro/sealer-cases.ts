// Handles that a client carries for the gateway: made, opened, and refused.

import { createSealer } from '../../src/vault/sealer.ts';
import type { MicroCase } from './measure.ts';

export function sealerCases(): MicroCase[] {
  const sealer = createSealer(Buffer.alloc(32, 7), 'bench');
  const payload = Buffer.from(
    JSON.stringify({ revision: '2025-11-25', nonce: 'x'.repeat(22), expires: 1_800_000_000 }),
  );
  const context = 'tok_bench';
  const sealed = sealer.seal(payload, context);
  if (sealer.open(sealed, context)?.equals(payload) !== true) throw new Error('what was sealed does not open');
  return [
    { name: 'seal', run: () => sealer.seal(payload, context) },
    { name: 'open', run: () => sealer.open(sealed, context) },
    { name: 'open: sealed for another', run: () => sealer.open(sealed, 'tok_other') },
  ];
}
