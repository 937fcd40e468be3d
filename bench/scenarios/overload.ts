// Twice what the gateway can do, in an open loop: what becomes of the calls that it takes, and of the rest.

import { toRpcRequest } from '../../src/load/rpc-request.ts';
import { keepApart } from '../cores.ts';
import { rssBytes } from '../cpu.ts';
import { limitCpu } from '../cpu-share.ts';
import { type Round, tellable } from '../figures.ts';
import { benchToken } from '../gateway-config.ts';
import { generateLoad } from '../load.ts';
import { type Phase, type PhaseReport, runOpenLoop } from '../open-loop.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import { type RunningTarget, stopChild } from '../targets.ts';

const TOKENS = 4;
/** Half a second's work: where nothing is turned away, so many wait that all wait twice `delay_ms`. */
const CONNECTIONS = 2_000;
const SHARE = 0.3;
const WARM_UP_SECONDS = 3;
const MIB = 1024 * 1024;
/** More than it can do by far, and little for the generator. */
const SATURATING_RATE = 12_000;
/** What has no answer by then is given up, or the generator would go on for minutes. */
const TIMEOUT_MS = 5_000;
/** Half, then the load from its beginning, then the part of it that is reported, then half again. */
const PHASE_MS = { warmUp: 2_000, onset: 2_000, measured: 4_000, recovery: 2_000, after: 1_000 };
const MOST_ROUNDS = 3;
const TURNED_AWAY = /^switchboard_http_refusals_total\{reason="overloaded"\} (\d+)$/m;

async function run(context: Context): Promise<Measured> {
  const upstream = await openUpstream(context, 'legacy');
  const gateways = new Map<string, RunningTarget>();
  for (const name of ['on', 'off'] as const) {
    // One token's calls to the one upstream are not what is to run out here.
    const limits = { calls_per_upstream: 10_000, ...(name === 'off' ? { delay_ms: 0 } : {}) };
    const options = { gateway: { tokens: TOKENS, limits } };
    const gateway = await openTarget(context, { lane: name, target: 'gateway', era: 'legacy', upstream, options });
    // With all it can get, and with so many calls that wait at once: what is not compiled yet takes several times as long.
    await generateLoad('own', gateway.call, WARM_UP_SECONDS);
    await load(gateway, context.seed, [{ rate: SATURATING_RATE, ms: PHASE_MS.warmUp }]);
    const reason = limitCpu(gateway.pid, SHARE, context.cleanup);
    context.cleanup.defer(() => stopChild(gateway.child));
    if (reason !== undefined) return { lanes: [], skipped: [{ name: 'overload', reason }] };
    gateways.set(name, gateway);
  }
  const lane = (name: string, of: 'on' | 'off', factor: number) => {
    return { name, gateway: gateways.get(of) as RunningTarget, factor, rounds: [] as Round[] };
  };
  const lanes = [lane('half', 'on', 0.5), lane('twice', 'on', 2), lane('twice-off', 'off', 2)];
  const pids = [...gateways.values()].map(({ pid }) => pid);
  const cores = keepApart([...pids, upstream.child.pid ?? 0], context.cleanup);
  const off = gateways.get('off') as RunningTarget;
  const saturation: number[] = [];
  // Each of them takes as long as ten of others.
  const few = { ...context, rounds: Math.min(context.rounds, MOST_ROUNDS) };
  await interleave(few, lanes, async ({ gateway, factor, rounds }, round) => {
    const seed = context.seed + round;
    // What the machine gives changes from round to round.
    const perSecond = saturation[round] ?? (await saturate(off, seed));
    saturation[round] = perSecond;
    rounds.push(await measure(gateway, perSecond * factor, perSecond / 2, seed));
  });
  const notes = [`The gateway had ${SHARE} of a core. ${cores.words}`];
  const most = { name: 'saturation', rounds: saturation.map((callsPerSecond): Round => ({ callsPerSecond })) };
  return { lanes: [most, ...lanes], notes };
}

/** Calls per second of a gateway that turns nothing away, over as many connections. */
async function saturate(gateway: RunningTarget, seed: number): Promise<number> {
  const { onset, measured } = PHASE_MS;
  const [, steady] = await load(gateway, seed, [
    { rate: SATURATING_RATE, ms: onset },
    { rate: SATURATING_RATE, ms: measured },
  ]);
  return ((steady?.completed ?? 0) * 1000) / measured;
}

/** `half` of saturation, `rate`, and half again; the figures are of the rate once it has lasted a while. */
async function measure(gateway: RunningTarget, rate: number, half: number, seed: number): Promise<Round> {
  const { warmUp, onset, measured, recovery, after } = PHASE_MS;
  let rssMiB = 0;
  const phases = [
    { rate: half, ms: warmUp },
    { rate, ms: onset },
    { rate, ms: measured },
    { rate: half, ms: recovery },
    { rate: half, ms: after },
  ];
  const onPhase = () => {
    rssMiB = Math.max(rssMiB, rssBytes(gateway.pid) / MIB);
  };
  const turnedAwayBefore = await readTurnedAway(gateway);
  const reports = await load(gateway, seed, phases, onPhase);
  const turnedAway = (await readTurnedAway(gateway)) - turnedAwayBefore;
  const [, first, steady, , last] = reports;
  if (first === undefined || steady === undefined || last === undefined) throw new Error('a phase is missing');
  const allDue = reports.reduce((sum, { due }) => sum + due, 0);
  const { sinceDue, sinceSent, untilRefused, lag } = steady;
  return {
    callsPerSecond: (steady.completed * 1000) / measured,
    turnedAwayShare: (100 * turnedAway) / allDue,
    refusedShare: shareOf(steady.refused, steady),
    unansweredShare: shareOf(steady.unanswered, steady),
    ...tellable(sinceDue.count, { p50Us: sinceDue.percentile(50), p99Us: sinceDue.percentile(99) }),
    ...tellable(sinceSent.count, { sentP99Us: sinceSent.percentile(99) }),
    ...tellable(untilRefused.count, { refusalP99Us: untilRefused.percentile(99) }),
    ...tellable(first.sinceDue.count, { onsetP99Us: first.sinceDue.percentile(99) }),
    refusedAfterShare: shareOf(last.refused, last),
    ...tellable(lag.count, { lagP99Us: lag.percentile(99) }),
    rssMiB,
  };
}

async function load(
  { endpoint }: RunningTarget,
  seed: number,
  phases: readonly Phase[],
  onPhase: () => void = () => {},
): Promise<readonly PhaseReport[]> {
  const url = new URL(endpoint.url);
  const { era, tool } = endpoint;
  const requests = Array.from({ length: TOKENS }, (_, index) =>
    toRpcRequest({ url, token: benchToken(index), era, tool, args: '{"text":"hello"}' }),
  );
  const options = { url, requests, connections: CONNECTIONS, phases, seed, timeoutMs: TIMEOUT_MS, onPhase };
  const reports = await runOpenLoop(options);
  for (const { problems } of reports) {
    if (problems.size > 0) throw new Error([...problems].map(([words, count]) => `${count} × ${words}`).join(', '));
  }
  return reports;
}

function shareOf(count: number, { due }: PhaseReport): number {
  return (100 * count) / due;
}

async function readTurnedAway({ endpoint }: RunningTarget): Promise<number> {
  const metrics = await (await fetch(new URL('/metrics', endpoint.url))).text();
  return Number(TURNED_AWAY.exec(metrics)?.[1] ?? 0);
}

export const OVERLOAD: readonly Scenario[] = [
  {
    name: 'overload',
    subject: 'overload',
    title: 'Half of saturation, and twice',
    method: `The small call, legacy, by ${TOKENS} tokens over ${CONNECTIONS} connections that are open beforehand, to a gateway that has ${SHARE} of a core, as in a container with a CPU limit: generator and upstream have room to spare. Poisson arrivals at half and at twice of what it could do just before, where it turns nothing away (saturation); \`limits.delay_ms\` as it is by default, and 0 (off). Latency is of results, from when a call was due, which counts what waits in the generator for a connection, or from when it was sent; the first ${PHASE_MS.onset / 1000} s of the load stand apart. Turned away is of all calls of a round, by the gateway's own count, and so in the lane of that name at half of saturation only. Refused afterwards: at half of saturation, from ${PHASE_MS.recovery / 1000} s behind the load.`,
    set: 'full',
    budgets: [
      {
        words: 'requests turned away at half of saturation, by the own count of the gateway',
        lane: 'half',
        figure: 'turnedAwayShare',
        atMost: 0,
        isOwn: true,
      },
      {
        words: 'p99 of admitted calls at twice the saturation, over that at half',
        lane: 'twice',
        figure: 'p99Us',
        over: 'half',
        atMost: 2,
        isOwn: true,
      },
      {
        // What people take for at once.
        words: 'p99 until a refusal',
        lane: 'twice',
        figure: 'refusalP99Us',
        atMost: 100_000,
        isOwn: true,
      },
      {
        words: 'RSS at twice the saturation, over that at half',
        lane: 'twice',
        figure: 'rssMiB',
        over: 'half',
        atMost: 1.5,
        isOwn: true,
      },
      {
        words: 'requests refused two seconds after twice the saturation',
        lane: 'twice',
        figure: 'refusedAfterShare',
        atMost: 0,
        isOwn: true,
      },
      {
        words: 'calls answered at twice the saturation, over as many as can be where nothing is refused',
        lane: 'twice',
        figure: 'callsPerSecond',
        over: 'twice-off',
        atLeast: 0.6,
        isOwn: true,
      },
    ],
    run,
  },
];
