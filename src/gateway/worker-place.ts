// A gateway that is one of several processes on one port: what it is told of the others, and what it tells them.

import type { CallNamed } from '../data-plane/siblings.ts';
import type { ConnectionSource } from '../edge/port.ts';
import type { Limits } from '../settings/settings.ts';
import type { FamilySnapshot } from '../telemetry/metrics-snapshot.ts';

/** What one process asks of all others. */
export type Question =
  /** Answered with a `FamilySnapshot[]`. */
  | { readonly ask: 'metrics' }
  /** Answered when what another has written is in force here. */
  | { readonly ask: 'refresh' }
  /** Answered with a number. */
  | { readonly ask: 'count_calls'; readonly call: CallNamed }
  | { readonly ask: 'cancel_call'; readonly call: CallNamed };

export interface WorkerPlace {
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** One that only these processes can enter, with a socket of each. */
  readonly folder: string;
  /** The ports are bound elsewhere, and their connections come one by one. */
  readonly main: ConnectionSource;
  readonly admin: ConnectionSource;
  readonly isUp: (index: number) => boolean;
  /** Asks the others; who is not there, or does not answer in time, is left out. */
  ask(question: Question): Promise<readonly unknown[]>;
  /** Of all together, those that have ended included. */
  readMetrics(): Promise<readonly FamilySnapshot[]>;
}

/** The part of a limit that one of them keeps to; never nothing, for who is let in by nobody could not be served at all. */
export function shareOf(limit: number, count: number): number {
  return Math.ceil(limit / count);
}

/** All of them together keep to the limits that the operator has set. */
export function shareLimits(limits: Limits, count: number): Limits {
  const share = (limit: number): number => shareOf(limit, count);
  return {
    ...limits,
    calls: share(limits.calls),
    callsPerToken: share(limits.callsPerToken),
    callsPerUpstream: share(limits.callsPerUpstream),
    connectionsPerCredential: share(limits.connectionsPerCredential),
    streamsPerToken: share(limits.streamsPerToken),
    apiRequestsPerMinute: share(limits.apiRequestsPerMinute),
    // A token gets a quarter of it, into which a body must fit.
    bytesInFlight: Math.max(share(limits.bytesInFlight), 4 * limits.bodyBytes),
  };
}
