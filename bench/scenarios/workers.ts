// One gateway process against two on the same port: what a call costs, and how evenly calls are shared out.

import { Agent, get } from 'node:http';
import { json } from 'node:stream/consumers';
import { type CpuReading, cpuMsBetween, readCpu, rssBytes } from '../cpu.ts';
import type { Round } from '../figures.ts';
import { generateLoad, type LoadResult, loadAtRate } from '../load.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import type { RunningTarget } from '../targets.ts';

const CONNECTIONS = 64;
const COUNT = 2;
const CLIENTS = 16;
/** Of each process: V8 is not done with one that has answered fewer than some hundred thousand calls. */
const WARM_UP_SECONDS = 8;
const SATURATION_SECONDS = 2;
/** Connections on which the workers are asked for their counts, one after the other until each was found. */
const MOST_ASKED = 256;
const MEBIBYTE = 2 ** 20;

interface WorkersLane {
  readonly name: string;
  /** What each of so many loads goes to, of which two are what two workers get. */
  readonly loaded: readonly RunningTarget[];
  readonly rounds: Round[];
}

/** One of them; `seed` is its own. */
type Load = (target: RunningTarget, seed: number) => Promise<Pick<LoadResult, 'completed' | 'seconds'>>;

async function openLanes(context: Context): Promise<WorkersLane[]> {
  const era = 'modern';
  const upstream = await openUpstream(context, era);
  const open = async (lane: string, args: readonly string[], processes: number) => {
    const target = await openTarget(context, {
      lane,
      target: 'gateway',
      era,
      upstream,
      options: { gateway: { args } },
    });
    const load = { connections: CONNECTIONS };
    await generateLoad(context.generator, target.call, WARM_UP_SECONDS * processes, load);
    return target;
  };
  const one = await open('one-worker', [], 1);
  const other = await open('other', [], 1);
  const two = await open('two-workers', ['--workers', String(COUNT)], COUNT);
  return [
    { name: 'one-worker', loaded: [one], rounds: [] },
    { name: 'one-worker-all', loaded: [one, one], rounds: [] },
    { name: 'two-gateways', loaded: [one, other], rounds: [] },
    { name: 'two-workers', loaded: [two, two], rounds: [] },
  ];
}

async function runClosed(context: Context): Promise<Measured> {
  const lanes = await openLanes(context);
  const load: Load = ({ call }) =>
    generateLoad(context.generator, call, context.seconds, { connections: CONNECTIONS / COUNT });
  await interleave(context, lanes, (lane, round) => measure(lane, load, round));
  return { lanes };
}

async function runAtRate(context: Context): Promise<Measured> {
  const lanes = await openLanes(context);
  let perSecond = Number.POSITIVE_INFINITY;
  for (const { loaded } of lanes) {
    for (const { call } of new Set(loaded)) {
      const { completed, seconds } = await generateLoad('own', call, SATURATION_SECONDS);
      perSecond = Math.min(perSecond, completed / seconds);
    }
  }
  const rate = Math.round(perSecond / 2);
  // The generator prefers the connection that it used last: one client alone would keep to one worker's most of the time.
  const load: Load = async ({ call }, seed) => {
    const clients = CLIENTS / COUNT;
    const reports = await Promise.all(
      Array.from({ length: clients }, (_, client) =>
        loadAtRate(call, {
          rate: rate / CLIENTS,
          seconds: context.seconds,
          seed: context.seed + seed * clients + client,
          connections: CONNECTIONS / CLIENTS,
        }),
      ),
    );
    const completed = reports.reduce((sum, { answered }) => sum + answered, 0);
    return { completed, seconds: Math.max(...reports.map(({ seconds }) => seconds)) };
  };
  await interleave(context, lanes, (lane, round) => measure(lane, load, round));
  return { lanes, notes: [`The rate was ${rate} calls per second.`] };
}

async function measure({ loaded, rounds }: WorkersLane, load: Load, round: number): Promise<void> {
  const targets = [...new Set(loaded)];
  const callsBefore = await callsByWorker(targets);
  const cpuBefore = targets.map(({ pid }) => readCpu(pid));
  const results = await Promise.all(loaded.map((target, index) => load(target, round * COUNT + index)));
  const cpuMs = targets.reduce(
    (sum, { pid }, index) => sum + cpuMsBetween(cpuBefore[index] as CpuReading, readCpu(pid)),
    0,
  );
  const callsAfter = await callsByWorker(targets);
  const shares = [...callsAfter].map(([worker, calls]) => calls - (callsBefore.get(worker) ?? 0));
  const completed = results.reduce((sum, result) => sum + result.completed, 0);
  rounds.push({
    cpuUsPerCall: (cpuMs * 1000) / completed,
    callsPerSecond: completed / Math.max(...results.map(({ seconds }) => seconds)),
    rssMiB: targets.reduce((sum, { pid }) => sum + rssBytes(pid), 0) / MEBIBYTE,
    ...(shares.length < 2 ? {} : { unevenness: unevennessOf(shares) }),
  });
}

/** How far the one that is furthest off is from an even share, in percent of that. */
function unevennessOf(shares: readonly number[]): number {
  const even = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return Math.max(...shares.map((share) => (Math.abs(share - even) / even) * 100));
}

interface Detail {
  readonly worker?: { readonly number: number; readonly of: number; readonly calls: number };
}

/** What each worker has counted so far; empty of gateways that are one process each. Throws when not all are found. */
async function callsByWorker(targets: readonly RunningTarget[]): Promise<ReadonlyMap<number, number>> {
  const [target, other] = targets;
  if (target === undefined || other !== undefined) return new Map();
  const { url } = target.endpoint;
  const agents: Agent[] = [];
  const calls = new Map<number, number>();
  try {
    // Each connection stays open, so that the next ones go to the others.
    while (agents.length < MOST_ASKED) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      const { worker } = await readDetail(new URL('/readyz?detail', url), agent);
      if (worker === undefined) return calls;
      calls.set(worker.number, worker.calls);
      if (calls.size === worker.of) return calls;
    }
    throw new Error('not every worker was found');
  } finally {
    for (const agent of agents) agent.destroy();
  }
}

function readDetail(url: URL, agent: Agent): Promise<Detail> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => resolve(json(response) as Promise<Detail>)).once('error', reject);
  });
}

const BUDGETS = [
  {
    words: 'CPU per call, over one worker that has as much to do as each of the two',
    lane: 'two-workers',
    figure: 'cpuUsPerCall',
    over: 'one-worker',
    atMost: 1.1,
  },
  {
    words: 'CPU per call, over two gateways of one worker that have half of the load each',
    lane: 'two-workers',
    figure: 'cpuUsPerCall',
    over: 'two-gateways',
    atMost: 1.1,
    isOwn: true,
  },
  { words: 'Largest distance of a worker from an even share', lane: 'two-workers', figure: 'unevenness', atMost: 20 },
] as const;

export const WORKERS: readonly Scenario[] = [
  {
    name: 'workers-closed-loop',
    subject: 'workers',
    title: 'One worker and two, closed loop',
    method: `The small call, modern: ${CONNECTIONS} connections to \`serve --workers ${COUNT}\`, to \`serve\` half of them or all, and half each to two processes of \`serve\` at the same time. CPU is of all processes of the gateway. The busier a process is, the less a call costs, as it serves more of them in one turn: the bound is over a process that is as busy. The more processes share the cores, the more it costs as well; two that know nothing of each other show how much of it that is.`,
    set: 'full',
    budgets: BUDGETS,
    run: runClosed,
  },
  {
    name: 'workers-at-a-rate',
    subject: 'workers',
    title: 'One worker and two, at one rate',
    method: `The small call, modern, of ${CLIENTS} clients with ${CONNECTIONS / CLIENTS} connections each, in Poisson arrivals: half of what one process bears to \`serve --workers ${COUNT}\`, to \`serve\` half of that or all, and half of it each to two processes of \`serve\`.`,
    set: 'full',
    budgets: BUDGETS,
    run: runAtRate,
  },
];
