// Scenarios as data: one call sent in a closed loop to several targets, in interleaved rounds.

import type { Era } from '../src/protocol/era.ts';
import { readProbe } from './ask-probe.ts';
import { type CallOptions, type Expected, verifyCall } from './calls.ts';
import { cpuMsBetween, readCpu, rssBytes } from './cpu.ts';
import { type Round, tellable } from './figures.ts';
import { benchToken, type GatewayOptions } from './gateway-config.ts';
import { CONNECTIONS, generateLoad, type LoadResult } from './load.ts';
import { type Context, type Lane, type Measured, type Scenario, type Skipped, toReason } from './scenario.ts';
import { interleave, openTarget, openUpstream } from './stand.ts';
import { openStatic } from './static-answer.ts';
import { type RunningTarget, type TargetName, type Upstream, whyNot } from './targets.ts';

export interface LaneSpec {
  readonly name: string;
  /** `static` answers what the lane before it has answered, from memory. */
  readonly target: TargetName | 'static';
  readonly gateway?: GatewayOptions;
  /** Opened ahead; legacy only. */
  readonly inSession?: boolean;
  /** Not in the quick run. */
  readonly isFullOnly?: boolean;
}

export interface ClosedLoop extends Omit<Scenario, 'run'> {
  readonly era: Era;
  readonly lanes: readonly LaneSpec[];
  readonly call?: CallOptions;
  readonly expected?: Expected;
  /** Of a result of the mock upstream. */
  readonly resultBytes?: number;
  /** Further options of `switchboard mock-upstream`. */
  readonly upstream?: readonly string[];
  readonly connections?: number;
  /** What CPU per byte is counted by; none where it is absent. */
  readonly bytesPerCall?: number;
}

/** A target with what is measured of it. */
interface OpenLane {
  readonly spec: LaneSpec;
  readonly target: RunningTarget;
  readonly tokens: readonly string[] | undefined;
  readonly rounds: Round[];
}

/** Compiled code and open connections, not counted. */
const WARM_UP_ROUNDS = 3;
const OWN: readonly LaneSpec['target'][] = ['gateway', 'pipe', 'direct', 'static'];
const MEBIBYTE = 2 ** 20;

export function closedLoop(loop: ClosedLoop): Scenario {
  return { ...loop, run: (context) => run(loop, context) };
}

async function run(loop: ClosedLoop, context: Context): Promise<Measured> {
  const wanted = loop.lanes.filter((lane) => isWanted(lane, context));
  if (wanted.length === 0) throw new Error(`its lanes are ${loop.lanes.map(({ name }) => name).join(', ')}`);
  const upstream = await openUpstream(context, loop.era, loop.upstream, loop.resultBytes);
  const skipped: Skipped[] = [];
  const lanes: OpenLane[] = [];
  for (const spec of wanted) {
    const reason = whyNotLane(spec, loop.era, context);
    if (reason !== undefined) skipped.push({ name: spec.name, reason });
    else
      await keepFailure(skipped, spec, async () => {
        const lane = await openLane(loop, context, upstream, spec, lanes.at(-1));
        for (let round = 0; round < WARM_UP_ROUNDS; round++) await measure(loop, context, upstream, lane);
        lanes.push(lane);
      });
  }
  await interleave(context, lanes, async (lane) => {
    if (skipped.some(({ name }) => name === lane.spec.name)) return;
    await keepFailure(
      skipped,
      lane.spec,
      async () => void lane.rounds.push(await measure(loop, context, upstream, lane)),
    );
  });
  return { lanes: lanes.map(({ spec, rounds }): Lane => ({ name: spec.name, rounds })), skipped };
}

/** A program of others that fails is a result as well; without the gateway or its baselines there is none. */
async function keepFailure(skipped: Skipped[], { name, target }: LaneSpec, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (OWN.includes(target)) throw error;
    skipped.push({ name, reason: `it failed: ${toReason(error)}` });
  }
}

function isWanted({ name, isFullOnly = false }: LaneSpec, { set, lanes }: Context): boolean {
  return lanes === undefined ? set === 'full' || !isFullOnly : lanes.includes(name);
}

function whyNotLane({ target, gateway }: LaneSpec, era: Era, { generator }: Context): string | undefined {
  if ((gateway?.tokens ?? 1) > 1 && generator !== 'wrk') return 'wrk, which lets tokens take turns, is not installed';
  return target === 'static' ? undefined : whyNot(target, era);
}

async function openLane(
  loop: ClosedLoop,
  context: Context,
  upstream: Upstream,
  spec: LaneSpec,
  before: OpenLane | undefined,
): Promise<OpenLane> {
  const { gateway = {}, target: name, inSession = false } = spec;
  const { call = {}, era } = loop;
  const target =
    name === 'static'
      ? await openStatic(context, before?.target)
      : await openTarget(context, {
          lane: spec.name,
          target: name,
          era,
          upstream,
          options: { call, gateway, inSession },
        });
  const count = gateway.tokens ?? 1;
  const tokens = count > 1 ? Array.from({ length: count }, (_, index) => benchToken(index)) : undefined;
  return { spec, target, tokens, rounds: [] };
}

async function measure(loop: ClosedLoop, context: Context, upstream: Upstream, lane: OpenLane): Promise<Round> {
  const { target, tokens, spec } = lane;
  const { connections = CONNECTIONS, expected = {} } = loop;
  await verifyCall(spec.name, target.call, expected);
  const callsBefore = await upstreamCalls(upstream);
  const probeBefore = await readProbe(target.child);
  const cpuBefore = readCpu(target.pid);
  const hasOwnIds = target.endpoint.sessionId !== undefined;
  const load = { connections, hasOwnIds, ...(tokens === undefined ? {} : { tokens }) };
  const result = await generateLoad(context.generator, target.call, context.seconds, load);
  const cpuMs = cpuMsBetween(cpuBefore, readCpu(target.pid));
  const probe = await readProbe(target.child);
  const calls = (await upstreamCalls(upstream)) - callsBefore;
  judge(lane, result, calls, connections, loop.call?.method !== 'tools/list' && target.usesUpstream);
  return {
    cpuUsPerCall: (cpuMs * 1000) / result.completed,
    ...(loop.bytesPerCall === undefined ? {} : { cpuNsPerByte: (cpuMs * 1e6) / result.completed / loop.bytesPerCall }),
    callsPerSecond: result.completed / result.seconds,
    ...tellable(result.completed, { p50Us: result.p50Us, p99Us: result.p99Us, p999Us: result.p999Us }),
    rssMiB: rssBytes(target.pid) / MEBIBYTE,
    ...(probe === undefined || probeBefore === undefined
      ? {}
      : {
          heapMiB: probe.heapBytes / MEBIBYTE,
          allocatedPerCall: (probe.allocatedBytes - probeBefore.allocatedBytes) / 1024 / result.completed,
          loopDelayP99Ms: probe.loopDelayP99Ms,
        }),
  };
}

async function upstreamCalls(upstream: Upstream): Promise<number> {
  return Number(await (await fetch(new URL('/calls', upstream.url))).text());
}

/** A round with failed calls, or with answers that did not come from the upstream, is no measurement. */
function judge({ spec }: OpenLane, result: LoadResult, calls: number, connections: number, isCounted: boolean): void {
  const { completed, errors } = result;
  if (errors > 0 || completed === 0) throw new Error(`${spec.name}: ${errors} of ${completed + errors} calls failed`);
  // Calls in flight when a round ends reach the upstream, then or in the next round, without being counted as completed.
  const uncounted = calls - completed;
  if (isCounted && (uncounted < 0 || uncounted > 2 * connections)) {
    throw new Error(`${spec.name}: ${completed} answers, but the upstream saw ${calls} calls`);
  }
}
