// Results and arguments of many sizes and two shapes.

import { toArguments } from '../calls.ts';
import { type ClosedLoop, closedLoop, type LaneSpec } from '../closed-loop.ts';
import type { Scenario } from '../scenario.ts';

const SMALL_LANES: readonly LaneSpec[] = [
  { name: 'pipe', target: 'pipe' },
  { name: 'gateway', target: 'gateway' },
];
/** Where Buffers are large and many, how the garbage collector counts them is a part of what a call costs. */
const LANES: readonly LaneSpec[] = [...SMALL_LANES, { name: 'pipe-flag', target: 'pipe-flag', isFullOnly: true }];
const FLAG_FROM = 100_000;
const KILOBYTE = 1000;
const MEGABYTE = 1000 * KILOBYTE;

interface ResultRow {
  readonly words: string;
  readonly bytes: number;
  readonly shape: 'string' | 'dense';
  readonly set: ClosedLoop['set'];
  readonly atMost?: number;
  readonly argumentBytes?: number;
}

const RESULTS: Readonly<Record<string, ResultRow>> = {
  'result-4kb': { words: 'Result of 4 KB', bytes: 4 * KILOBYTE, shape: 'string', set: 'full' },
  'call-4kb-16kb': {
    words: 'Arguments of 4 KB, result of 16 KB',
    bytes: 16 * KILOBYTE,
    shape: 'string',
    set: 'full',
    argumentBytes: 4 * KILOBYTE,
  },
  'result-100kb-string': {
    words: 'Result of 100 KB, one string',
    bytes: 100 * KILOBYTE,
    shape: 'string',
    set: 'quick',
    atMost: 1.1,
  },
  'result-100kb-dense': {
    words: 'Result of 100 KB, dense structure',
    bytes: 100 * KILOBYTE,
    shape: 'dense',
    set: 'full',
    atMost: 1.1,
  },
  'result-1mb-string': {
    words: 'Result of 1 MB, one string',
    bytes: MEGABYTE,
    shape: 'string',
    set: 'full',
    atMost: 1.1,
  },
  'result-1mb-dense': {
    words: 'Result of 1 MB, dense structure',
    bytes: MEGABYTE,
    shape: 'dense',
    set: 'full',
    atMost: 1.1,
  },
};

function toScenario([name, { words, bytes, shape, set, atMost, argumentBytes }]: [string, ResultRow]): Scenario {
  return closedLoop({
    name,
    subject: 'payloads',
    title: words,
    method: `\`tools/call\`, legacy, with a result of ${bytes / KILOBYTE} KB in JSON.`,
    set,
    era: 'legacy',
    resultBytes: bytes,
    upstream: ['--shape', shape],
    expected: { bytes: bytes * 0.98 },
    ...(argumentBytes === undefined ? {} : { call: { args: toArguments(argumentBytes, 'string') } }),
    lanes: bytes < FLAG_FROM ? SMALL_LANES : LANES,
    budgets:
      atMost === undefined
        ? []
        : [{ words: 'CPU per call over the bare pipe', lane: 'gateway', figure: 'cpuUsPerCall', over: 'pipe', atMost }],
  });
}

export const PAYLOADS: readonly Scenario[] = [
  ...Object.entries(RESULTS).map(toScenario),
  closedLoop({
    name: 'arguments-1mb-string',
    subject: 'payloads',
    title: 'Arguments of 1 MB, one string',
    method: '`tools/call`, legacy, with arguments that hold one text of 1 MB.',
    set: 'full',
    era: 'legacy',
    call: { args: toArguments(MEGABYTE, 'string') },
    lanes: LANES,
    bytesPerCall: MEGABYTE,
    budgets: [
      { words: 'CPU per call over the bare pipe', lane: 'gateway', figure: 'cpuUsPerCall', over: 'pipe', atMost: 1.15 },
    ],
  }),
  closedLoop({
    name: 'arguments-1mb-dense',
    subject: 'payloads',
    title: 'Arguments of 1 MB, dense structure',
    method: '`tools/call`, legacy, with arguments of 14,000 small records.',
    set: 'full',
    era: 'legacy',
    call: { args: toArguments(MEGABYTE, 'dense') },
    lanes: LANES,
    bytesPerCall: MEGABYTE,
    budgets: [
      {
        words: 'CPU per byte above the bare pipe',
        lane: 'gateway',
        figure: 'cpuNsPerByte',
        over: 'pipe',
        by: 'difference',
        atMost: 4,
      },
    ],
  }),
];
