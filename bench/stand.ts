// What scenarios start, stopped when they are over.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Era } from '../src/protocol/era.ts';
import type { Context } from './scenario.ts';
import {
  type RunningTarget,
  startTarget,
  startUpstream,
  stopChild,
  type TargetName,
  type TargetOptions,
  type Upstream,
  type UpstreamUrl,
} from './targets.ts';

export const SMALL_RESULT_BYTES = 200;

/** `more` are further options of `switchboard mock-upstream`. */
export async function openUpstream(
  { cleanup }: Context,
  era: Era,
  more: readonly string[] = [],
  resultBytes = SMALL_RESULT_BYTES,
): Promise<Upstream> {
  const upstream = await startUpstream(era, resultBytes, more);
  cleanup.defer(() => stopChild(upstream.child));
  return upstream;
}

export interface TargetRequest {
  /** Of the lane: its folder is called so. */
  readonly lane: string;
  readonly target: TargetName;
  readonly era: Era;
  readonly upstream: UpstreamUrl;
  readonly options?: TargetOptions;
}

export async function openTarget(context: Context, request: TargetRequest): Promise<RunningTarget> {
  const { lane, target, era, upstream, options } = request;
  const directory = join(context.directory, lane);
  mkdirSync(directory, { recursive: true });
  const running = await startTarget(target, era, upstream, directory, options);
  if (target !== 'direct') context.cleanup.defer(() => stopChild(running.child));
  return running;
}

/** Rotated from round to round, so that a machine that slows down slows each of the lanes. */
export async function interleave<T>(
  { rounds, say }: Context,
  lanes: readonly T[],
  measure: (lane: T, round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const first = round % lanes.length;
    for (const lane of [...lanes.slice(first), ...lanes.slice(0, first)]) await measure(lane, round);
    say(`round ${round + 1} of ${rounds}`);
  }
}
