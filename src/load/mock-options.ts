// What a mock upstream can be told, and what it is unless it is told otherwise: one that answers everything at once.

import type { Era } from '../protocol/era.ts';
import type { Shape } from './mock-result.ts';

/** How long a call takes, in milliseconds: anywhere between the two, evenly. */
export interface LatencyRange {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface MockUpstreamOptions {
  readonly host: string;
  readonly port: number;
  readonly era: Era;
  readonly tools: number;
  readonly resultBytes: number;
  readonly shape: Shape;
  /** `sse`: the answer is the last event of a stream, behind so many progress events. */
  readonly answer: 'json' | 'sse';
  readonly progressEvents: number;
  readonly latency: LatencyRange;
  /** Shares from 0 to 1 of the calls that are answered with an error, and of those that are never answered. */
  readonly errorRate: number;
  readonly stallRate: number;
  readonly seed: number;
}

export const MOCK_DEFAULTS: MockUpstreamOptions = {
  host: '127.0.0.1',
  port: 8090,
  era: 'legacy',
  tools: 10,
  resultBytes: 200,
  shape: 'string',
  answer: 'json',
  progressEvents: 0,
  latency: { fromMs: 0, toMs: 0 },
  errorRate: 0,
  stallRate: 0,
  seed: 1,
};
