// One gateway process against two on the same port: what a call costs, and how evenly calls are shared out.

import { Agent, get } from 'node:http';
import { json } from 'node:stream/consumers';
import { cpuMsBetween, readCpu, rssBytes } from '../cpu.ts';
import type { Round } from '../figures.ts';
import { generateLoad, type LoadResult, loadAtRate } from '../load.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import type { RunningTarget } from '../targets.ts';

const CONNECTIONS = 64;
const COUNT = 2;
const CLIENTS = 16;
const WARM_UP_SECONDS = 4;
/** Connections on which the workers are asked for their counts, one after the other until each was found. */
const MOST_ASKED = 256;
const MEBIBYTE = 2 ** 20;

interface WorkersLane {
  readonly name: string;
  readonly target: RunningTarget;
  /** Of the load that two workers get. */
  readonly share: number;
  readonly rounds: Round[];
}

type Load = (lane: WorkersLane, round: number) => Promise<Pick<LoadResult, 'completed' | 'seconds'>>;

async function openLanes(context: Context): Promise<WorkersLane[]> {
  const era = 'modern';
  const upstream = await openUpstream(context, era);
  const open = (lane: string, args: readonly string[]) =>
    openTarget(context, { lane, target: 'gateway', era, upstream, options: { gateway: { args } } });
  const one = await open('one-worker', []);
  const two = await open('two-workers', ['--workers', String(COUNT)]);
  return [
    { name: 'one-worker', target: one, share: 1 / COUNT, rounds: [] },
    { name: 'one-worker-all', target: one, share: 1, rounds: [] },
    { name: 'two-workers', target: two, share: 1, rounds: [] },
  ];
}

async function runClosed(context: Context): Promise<Measured> {
  const lanes = await openLanes(context);
  const load: Load = ({ target, share }) =>
    generateLoad(context.generator, target.call, context.seconds, { connections: CONNECTIONS * share });
  for (const { target } of lanes) {
    await generateLoad(context.generator, target.call, WARM_UP_SECONDS, { connections: CONNECTIONS });
  }
  await interleave(context, lanes, async (lane, round) => void lane.rounds.push(await measure(lane, load, round)));
  return { lanes };
}

async function runAtRate(context: Context): Promise<Measured> {
  const lanes = await openLanes(context);
  let perSecond = Number.POSITIVE_INFINITY;
  for (const { target } of lanes) {
    const { completed, seconds } = await generateLoad('own', target.call, WARM_UP_SECONDS);
    perSecond = Math.min(perSecond, completed / seconds);
  }
  const rate = Math.round(perSecond / 2);
  // The generator prefers the connection that it used last: one client alone would keep to one worker's most of the time.
  const load: Load = async ({ target, share }, round) => {
    const reports = await Promise.all(
      Array.from({ length: CLIENTS }, (_, client) =>
        loadAtRate(target.call, {
          rate: (rate * share) / CLIENTS,
          seconds: context.seconds,
          seed: context.seed + round * CLIENTS + client,
          connections: CONNECTIONS / CLIENTS,
        }),
      ),
    );
    const completed = reports.reduce((sum, { answered }) => sum + answered, 0);
    return { completed, seconds: Math.max(...reports.map(({ seconds }) => seconds)) };
  };
  await interleave(context, lanes, async (lane, round) => void lane.rounds.push(await measure(lane, load, round)));
  return { lanes, notes: [`The rate was ${rate} calls per second.`] };
}

async function measure(lane: WorkersLane, load: Load, round: number): Promise<Round> {
  const { pid, endpoint } = lane.target;
  const callsBefore = await callsByWorker(endpoint.url);
  const cpuBefore = readCpu(pid);
  const { completed, seconds } = await load(lane, round);
  const cpuMs = cpuMsBetween(cpuBefore, readCpu(pid));
  const callsAfter = await callsByWorker(endpoint.url);
  const shares = [...callsAfter].map(([worker, calls]) => calls - (callsBefore.get(worker) ?? 0));
  return {
    cpuUsPerCall: (cpuMs * 1000) / completed,
    callsPerSecond: completed / seconds,
    rssMiB: rssBytes(pid) / MEBIBYTE,
    ...(shares.length < 2 ? {} : { unevenness: unevennessOf(shares) }),
  };
}

/** How far the one that is furthest off is from an even share, in percent of that. */
function unevennessOf(shares: readonly number[]): number {
  const even = shares.reduce((sum, share) => sum + share, 0) / shares.length;
  return Math.max(...shares.map((share) => (Math.abs(share - even) / even) * 100));
}

interface Detail {
  readonly worker?: { readonly number: number; readonly of: number; readonly calls: number };
}

/** What each worker has counted so far; empty of a gateway that is one process. Throws when not all are found. */
async function callsByWorker(url: string): Promise<ReadonlyMap<number, number>> {
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
  { words: 'Largest distance of a worker from an even share', lane: 'two-workers', figure: 'unevenness', atMost: 20 },
] as const;

export const WORKERS: readonly Scenario[] = [
  {
    name: 'workers-closed-loop',
    subject: 'workers',
    title: 'One worker and two, closed loop',
    method: `The small call, modern: ${CONNECTIONS} connections to \`serve --workers ${COUNT}\`, and to \`serve\` half of them or all. CPU is of all processes of the gateway. The busier a process is, the less a call costs, as it serves more of them in one turn; so the bound is over a process that is as busy. Load generator, upstream and workers share the machine's cores, and the system decides who runs.`,
    set: 'full',
    budgets: BUDGETS,
    run: runClosed,
  },
  {
    name: 'workers-at-a-rate',
    subject: 'workers',
    title: 'One worker and two, at one rate',
    method: `The small call, modern, of ${CLIENTS} clients with ${CONNECTIONS / CLIENTS} connections each, in Poisson arrivals: half of what one process bears to \`serve --workers ${COUNT}\`, and to \`serve\` half of that or all.`,
    set: 'full',
    budgets: BUDGETS,
    run: runAtRate,
  },
];
