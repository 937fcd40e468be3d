// What a call waits for: at half of what can be borne, beside slow upstreams, beside a tenant that takes all it can get.

import type { LoadReport } from '../../src/load/load-figures.ts';
import { MOCK_DEFAULTS } from '../../src/load/mock-options.ts';
import { MockUpstream } from '../../src/load/mock-upstream.ts';
import { toRpcRequest } from '../../src/load/rpc-request.ts';
import type { Era } from '../../src/protocol/era.ts';
import { toCall } from '../calls.ts';
import { closedLoop } from '../closed-loop.ts';
import { keepApart } from '../cores.ts';
import type { Round } from '../figures.ts';
import { benchToken } from '../gateway-config.ts';
import { generateLoad, loadAtRate } from '../load.ts';
import { runOpenLoop } from '../open-loop.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream, SMALL_RESULT_BYTES } from '../stand.ts';
import type { RunningTarget, UpstreamUrl } from '../targets.ts';

const WARM_UP_SECONDS = 3;
/** Rounds at a rate are longer: a thousandth of the calls should be more than a handful. */
const SECONDS_FACTOR = 2;
/**
 * A machine that others use as well stands still for milliseconds at a time, several times a second, and one such pause is
 * all of a round's p99. Of many short rounds the median one has few of them, and as many with each target.
 */
const AT_HALF = { roundsFactor: 4, warmUpMs: 150, ms: 400, connections: 64 };
const TIMEOUT_MS = 30_000;

function toRound({ latencyUs, lagP99Us }: LoadReport): Round {
  return { p50Us: latencyUs.p50, p99Us: latencyUs.p99, p999Us: latencyUs.p999, lagP99Us };
}

function atHalf(era: Era): Scenario {
  return {
    name: `half-of-saturation-${era}`,
    subject: 'latency',
    title: `At half of saturation, ${era}`,
    method:
      'The small call at half of the rate that the gateway bears in a closed loop of this rig, in which generator and upstream are one process with a core of its own: in Poisson arrivals over connections that are open beforehand; latency counts from when a call was due. Rounds are short, and four times as many as elsewhere.',
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

async function runAtHalf(era: Era, context: Context): Promise<Measured> {
  const upstream = await serveUpstream(context, era);
  const names = ['pipe', 'gateway-no-audit', 'gateway'] as const;
  const lanes: { name: string; target: RunningTarget; rounds: Round[] }[] = [];
  for (const name of names) {
    const target = name === 'pipe' ? 'pipe' : 'gateway';
    const options = { gateway: { audit: name !== 'gateway-no-audit' } };
    lanes.push({ name, target: await openTarget(context, { lane: name, target, era, upstream, options }), rounds: [] });
  }
  const cores = keepApart(
    lanes.map(({ target }) => target.pid),
    context.cleanup,
  );
  let perSecond = 0;
  for (const {
    target: { call },
  } of lanes) {
    const { completed, seconds } = await generateLoad('own', call, WARM_UP_SECONDS);
    perSecond = completed / seconds;
  }
  const rate = Math.round(perSecond / 2);
  const rounds = context.rounds * AT_HALF.roundsFactor;
  await interleave({ ...context, rounds }, lanes, async (lane, round) => {
    lane.rounds.push(await measureAtRate(lane.target, rate, context.seed + round));
  });
  return { lanes, notes: [`The rate was ${rate} calls per second. ${cores}`] };
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
async function measureAtRate({ endpoint, call }: RunningTarget, rate: number, seed: number): Promise<Round> {
  const { connections, warmUpMs, ms } = AT_HALF;
  const [, report] = await runOpenLoop({
    url: new URL(endpoint.url),
    requests: [toRpcRequest(call.request)],
    connections,
    phases: [
      { rate, ms: warmUpMs },
      { rate, ms },
    ],
    seed,
    timeoutMs: TIMEOUT_MS,
  });
  if (report === undefined || report.answered < report.due) throw new Error('calls failed at half of saturation');
  const { sinceDue, lag } = report;
  return {
    p50Us: sinceDue.percentile(50),
    p99Us: sinceDue.percentile(99),
    p999Us: sinceDue.percentile(99.9),
    lagP99Us: lag.percentile(99),
  };
}

const BACKGROUND_RATE = 100;
const MEASURED_RATE = 200;
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
    rounds.push(toRound(measured));
  });
  return { lanes, notes: [cores] };
}

const TENANTS = 10;
const TENANT_RATE = 50;
const NOISY_CONNECTIONS = 64;

async function runBesideNoisy(context: Context): Promise<Measured> {
  const era = 'modern';
  const upstream = await openUpstream(context, era);
  const options = { gateway: { tokens: TENANTS } };
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
    const shared = { seconds: context.seconds * SECONDS_FACTOR, rate: TENANT_RATE };
    const seedOf = (tenant: number) => context.seed + round * TENANTS + tenant;
    const quiet = Array.from({ length: TENANTS - 1 }, (_, index) =>
      loadAtRate(callOf(index + 1), { ...shared, seed: seedOf(index + 1) }),
    );
    const tenth = isNoisy
      ? generateLoad(context.generator, callOf(0), shared.seconds, { connections: NOISY_CONNECTIONS })
      : loadAtRate(callOf(0), { ...shared, seed: seedOf(0) });
    const reports = (await Promise.all([...quiet, tenth.then(() => undefined)])).flatMap((report) => report ?? []);
    // Of nine tenants the one that fares worst.
    const worst = (figure: 'p50' | 'p99' | 'p999') => Math.max(...reports.map(({ latencyUs }) => latencyUs[figure]));
    rounds.push({ p50Us: worst('p50'), p99Us: worst('p99'), p999Us: worst('p999') });
  });
  return { lanes, notes: [cores] };
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
    method: `Nine tenants of ${TENANT_RATE} calls/s each; the tenth does the same, or sends as fast as ${NOISY_CONNECTIONS} connections can. Latency is of the one of the nine that fares worst; the pipe, which knows no tenants, is shown beside it.`,
    set: 'full',
    budgets: [],
    run: runBesideNoisy,
  },
];
