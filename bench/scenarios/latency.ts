// What a call waits for: at half of what can be borne, beside slow upstreams, beside a tenant that takes all it can get.

import type { RecordableHistogram } from 'node:perf_hooks';
import { MOCK_DEFAULTS } from '../../src/load/mock-options.ts';
import { MockUpstream } from '../../src/load/mock-upstream.ts';
import { toRpcRequest } from '../../src/load/rpc-request.ts';
import type { Era } from '../../src/protocol/era.ts';
import { toCall } from '../calls.ts';
import { closedLoop } from '../closed-loop.ts';
import { keepApart } from '../cores.ts';
import { cpuMsBetween, readCpu } from '../cpu.ts';
import { type Round, tellable } from '../figures.ts';
import { benchToken } from '../gateway-config.ts';
import { type Call, generateLoad, loadAtRate } from '../load.ts';
import { histogram, type PhaseReport, runOpenLoop } from '../open-loop.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream, SMALL_RESULT_BYTES } from '../stand.ts';
import type { UpstreamUrl } from '../targets.ts';

const WARM_UP_SECONDS = 3;
const SATURATION_SECONDS = 2;
/** Rounds at a rate are longer: a hundredth of the calls should be more than a handful. */
const SECONDS_FACTOR = 2;
/**
 * A machine that others use as well stands still for milliseconds at a time, several times a second, and one such pause is
 * all of a round's p99. Of many short rounds the median one has few of them, and as many with each target.
 */
const AT_HALF = { roundsFactor: 4, warmUpMs: 150, ms: 400, calls: 1_200, connections: 64 };
const TIMEOUT_MS = 30_000;

function atHalf(era: Era): Scenario {
  return {
    name: `half-of-saturation-${era}`,
    subject: 'latency',
    title: `At half of saturation, ${era}`,
    method:
      'The small call at half of the rate that the gateway bears in a closed loop of this rig, in which generator and upstream are one process with a core of its own: in Poisson arrivals over connections that are open beforehand; latency counts from when a call was due. Rounds are short, and four times as many as elsewhere. `direct` is that one process calling itself; how much of a core a target took stands beside it, as the rig may be exhausted before the gateway is.',
    set: 'full',
    budgets: [
      {
        words: 'p99 added over the bare pipe',
        lane: 'gateway',
        figure: 'p99Us',
        over: 'pipe',
        by: 'difference',
        atMost: 500,
      },
    ],
    run: (context) => runAtHalf(era, context),
  };
}

interface HalfLane {
  readonly name: string;
  readonly call: Call;
  /** `undefined` of this process itself. */
  readonly pid?: number;
  readonly rounds: Round[];
  /** Of all rounds: the slowest of a thousand calls are too few in one. */
  readonly latencies: RecordableHistogram;
}

async function runAtHalf(era: Era, context: Context): Promise<Measured> {
  const upstream = await serveUpstream(context, era);
  const open = async (target: 'pipe' | 'gateway'): Promise<HalfLane> => {
    const { call, pid } = await openTarget(context, { lane: target, target, era, upstream });
    return { name: target, call, pid, rounds: [], latencies: histogram() };
  };
  const call = toCall({ ...upstream, era, tool: 'echo', token: benchToken(0) });
  const direct: HalfLane = { name: 'direct', call, rounds: [], latencies: histogram() };
  const gateway = await open('gateway');
  const lanes = [direct, await open('pipe'), gateway];
  const cores = keepApart(
    lanes.flatMap(({ pid }) => pid ?? []),
    context.cleanup,
  );
  for (const each of lanes) await generateLoad('own', each.call, WARM_UP_SECONDS);
  const { completed, seconds } = await generateLoad('own', gateway.call, SATURATION_SECONDS);
  const rate = Math.round(completed / seconds / 2);
  const rounds = context.rounds * AT_HALF.roundsFactor;
  await interleave({ ...context, rounds }, lanes, async (lane, round) => {
    lane.rounds.push(await measureAtRate(lane, rate, context.seed + round));
  });
  const slowest = ({ latencies }: HalfLane) => Math.round(latencies.percentile(99.9));
  const added = lanes
    .filter((lane) => lane !== direct)
    .map((lane) => `${lane.name} ${slowest(lane) - slowest(direct)} µs more`);
  return {
    lanes,
    notes: [
      `The rate was ${rate} calls per second. ${cores.words}`,
      `p99.9 of the calls of all rounds together: direct ${slowest(direct)} µs, ${added.join(', ')}.`,
    ],
  };
}

/** In this process: on two cores the target has one for itself then, and nobody waits for his turn. */
async function serveUpstream({ cleanup }: Context, era: Era): Promise<UpstreamUrl> {
  const options = { ...MOCK_DEFAULTS, port: 0, era, tools: 1, resultBytes: SMALL_RESULT_BYTES };
  const upstream = new MockUpstream(options);
  const port = await upstream.listen();
  cleanup.defer(() => upstream.close());
  return { url: `http://127.0.0.1:${port}/mcp` };
}

/** Over connections that are open beforehand: what opening them costs is another figure. */
async function measureAtRate({ call, pid, latencies }: HalfLane, rate: number, seed: number): Promise<Round> {
  const { connections, warmUpMs, calls } = AT_HALF;
  // Fewer have no p99 to speak of.
  const ms = Math.max(AT_HALF.ms, Math.ceil((1_000 * calls) / rate));
  const phases = [
    { rate, ms: warmUpMs },
    { rate, ms },
  ];
  const before = pid === undefined ? undefined : readCpu(pid);
  const [, report] = await runOpenLoop({
    url: new URL(call.url),
    requests: [toRpcRequest(call.request)],
    connections,
    phases,
    seed,
    timeoutMs: TIMEOUT_MS,
  });
  const cpuMs = pid === undefined || before === undefined ? undefined : cpuMsBetween(before, readCpu(pid));
  if (report === undefined) throw new Error('a phase is missing');
  latencies.add(report.sinceDue);
  return {
    ...answeredRound(report),
    ...(cpuMs === undefined ? {} : { coreShare: (100 * cpuMs) / (warmUpMs + ms) }),
  };
}

/** Throws when a call failed: latency is of calls that all came back. */
function answeredRound({ due, answered, sinceDue, lag }: PhaseReport): Round {
  if (answered < due) throw new Error(`${due - answered} of ${due} calls failed`);
  return {
    ...tellable(answered, {
      p50Us: sinceDue.percentile(50),
      p99Us: sinceDue.percentile(99),
      p999Us: sinceDue.percentile(99.9),
    }),
    ...tellable(lag.count, { lagP99Us: lag.percentile(99) }),
  };
}

const BACKGROUND_RATE = 100;
const MEASURED_RATE = 600;
const SLOW_MS = 1000;

async function runBesideSlow(context: Context): Promise<Measured> {
  const era = 'modern';
  const upstreams = [
    await openUpstream(context, era),
    await openUpstream(context, era),
    await openUpstream(context, era),
    await openUpstream(context, era, ['--latency', String(SLOW_MS)]),
  ] as const;
  const options = { upstreamUrls: upstreams.map(({ url }) => url) };
  const gateway = await openTarget(context, {
    lane: 'gateway',
    target: 'gateway',
    era,
    upstream: upstreams[0],
    options,
  });
  const cores = keepApart([gateway.pid, ...upstreams.map(({ child }) => child.pid ?? 0)], context.cleanup);
  const callOf = (config: string) => toCall({ ...gateway.endpoint, tool: `${config}.echo` });
  const lanes = [
    { name: 'three-fast', third: callOf('bench2'), rounds: [] as Round[] },
    { name: 'one-slow', third: callOf('bench3'), rounds: [] as Round[] },
  ];
  await generateLoad('own', gateway.call, WARM_UP_SECONDS);
  await interleave(context, lanes, async ({ third, rounds }, round) => {
    const shared = { seconds: context.seconds * SECONDS_FACTOR, seed: context.seed + round };
    const [measured] = await Promise.all([
      loadAtRate(callOf('bench'), { ...shared, rate: MEASURED_RATE }),
      loadAtRate(callOf('bench1'), { ...shared, rate: BACKGROUND_RATE }),
      loadAtRate(third, { ...shared, rate: BACKGROUND_RATE }),
    ]);
    const { answered, latencyUs, lagP99Us } = measured;
    const { p50, p99, p999 } = latencyUs;
    rounds.push(tellable(answered, { p50Us: p50, p99Us: p99, p999Us: p999, lagP99Us }));
  });
  return { lanes, notes: [cores.words] };
}

const QUIET = 9;
const TENANT_RATE = 70;
const QUIET_CONNECTIONS = 8;
const NOISY_CONNECTIONS = 64;

async function runBesideNoisy(context: Context): Promise<Measured> {
  const era = 'modern';
  const upstream = await openUpstream(context, era);
  const options = { gateway: { tokens: QUIET + 1 } };
  const gateway = await openTarget(context, { lane: 'gateway', target: 'gateway', era, upstream, options });
  const pipe = await openTarget(context, { lane: 'pipe', target: 'pipe', era, upstream });
  const lanes = [
    { name: 'gateway-quiet', target: gateway, isNoisy: false, rounds: [] as Round[] },
    { name: 'gateway-noisy', target: gateway, isNoisy: true, rounds: [] as Round[] },
    { name: 'pipe-quiet', target: pipe, isNoisy: false, rounds: [] as Round[] },
    { name: 'pipe-noisy', target: pipe, isNoisy: true, rounds: [] as Round[] },
  ];
  const cores = keepApart([gateway.pid, pipe.pid, upstream.child.pid ?? 0], context.cleanup);
  for (const { call } of [gateway, pipe]) await generateLoad('own', call, WARM_UP_SECONDS);
  await interleave(context, lanes, async ({ target, isNoisy, rounds }, round) => {
    const callOf = (tenant: number) => toCall({ ...target.endpoint, token: benchToken(tenant) });
    const seconds = context.seconds * SECONDS_FACTOR;
    const seed = context.seed + round;
    const quiet = runOpenLoop({
      url: new URL(target.endpoint.url),
      requests: Array.from({ length: QUIET }, (_, index) => toRpcRequest(callOf(index + 1).request)),
      connections: QUIET * QUIET_CONNECTIONS,
      phases: [{ rate: QUIET * TENANT_RATE, ms: seconds * 1000 }],
      seed,
      timeoutMs: TIMEOUT_MS,
    });
    const { besideTargets } = cores;
    const tenth = isNoisy
      ? generateLoad(context.generator, callOf(0), seconds, {
          connections: NOISY_CONNECTIONS,
          startedBy: besideTargets,
        })
      : loadAtRate(callOf(0), { seconds, rate: TENANT_RATE, seed: seed + context.rounds });
    const [[report]] = await Promise.all([quiet, tenth]);
    if (report === undefined) throw new Error('a phase is missing');
    rounds.push(answeredRound(report));
  });
  const tenant = context.generator === 'wrk' ? ' So did the tenth tenant where it is noisy.' : '';
  return { lanes, notes: [`${cores.words}${tenant}`] };
}

function behind(latencyMs: number): Scenario {
  return closedLoop({
    name: `upstream-${latencyMs}ms`,
    subject: 'latency',
    title: `Upstream that takes ${latencyMs} ms, 1,000 calls at once`,
    method: `The small call, modern, over 1,000 connections before an upstream that answers after ${latencyMs} ms. The gateway may open 1,024 connections to it, as the pipe may any number, and turns nothing away however long requests wait, which the pipe does not, either.`,
    set: 'full',
    era: 'modern',
    upstream: ['--latency', String(latencyMs)],
    connections: 1000,
    lanes: [
      { name: 'pipe', target: 'pipe' },
      {
        name: 'gateway',
        target: 'gateway',
        gateway: { limits: { connections_per_credential: 1024, calls_per_token: 2000, delay_ms: 0 } },
      },
    ],
    budgets: [],
  });
}

export const LATENCY: readonly Scenario[] = [
  atHalf('legacy'),
  atHalf('modern'),
  behind(10),
  behind(100),
  {
    name: 'slow-upstream',
    subject: 'latency',
    title: 'One slow upstream of three',
    method: `Calls to one upstream at ${MEASURED_RATE}/s, beside ${BACKGROUND_RATE}/s each to two others, of which one takes no time or ${SLOW_MS} ms. Latency is of the first.`,
    set: 'full',
    budgets: [],
    run: runBesideSlow,
  },
  {
    name: 'noisy-tenant',
    subject: 'latency',
    title: 'One noisy tenant of ten',
    method: `Nine tenants of ${TENANT_RATE} calls/s each; the tenth does the same, or sends as fast as ${NOISY_CONNECTIONS} connections can. Latency is of the calls of the nine; the pipe, which knows no tenants, is shown beside it.`,
    set: 'full',
    budgets: [],
    run: runBesideNoisy,
  },
];
