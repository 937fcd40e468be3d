// The strict scan of a request, by the shape of its arguments.

import { scanMessage } from '../../src/protocol/jsonrpc.ts';
import { LARGE_BYTES, legacyCall, modernCall, SHAPES, SMALL_ARGS } from './bodies.ts';
import type { MicroCase } from './measure.ts';

const SIZES = [
  ['4 KB', 4096],
  ['1 MB', LARGE_BYTES],
] as const;

export function scannerCases(): MicroCase[] {
  const shapes = Object.entries(SHAPES).flatMap(([shape, toArgs]) =>
    SIZES.map(([size, bytes]) => scanCase(`${shape}, ${size}`, legacyCall(toArgs(bytes)))),
  );
  return [
    scanCase('small legacy call', legacyCall(SMALL_ARGS)),
    scanCase('small modern call', modernCall(SMALL_ARGS)),
    ...shapes,
  ];
}

function scanCase(what: string, body: Buffer): MicroCase {
  const { kind } = scanMessage(body);
  if (kind !== 'request') throw new Error(`${what} is no request but a ${kind}`);
  return { name: `scan: ${what}`, bytes: body.length, run: () => scanMessage(body) };
}
