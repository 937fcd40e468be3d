// Twice what the gateway can do, in an open loop: what becomes of the calls that it takes, and of the rest.

import { generateLoad as generate } from '../../src/load/generate-load.ts';
import { toRpcRequest } from '../../src/load/rpc-request.ts';
import { rssBytes } from '../cpu.ts';
import type { Round } from '../figures.ts';
import { benchToken } from '../gateway-config.ts';
import { generateLoad } from '../load.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import type { RunningTarget } from '../targets.ts';

const TOKENS = 4;
const CONNECTIONS = 3_000;
const MIB = 1024 * 1024;
const SATURATION_SECONDS = 3;
/** Until the connections are open, and the gateway has noticed. */
const WARM_UP_MS = 4_000;
const MEASURED_MS = 4_000;
/** What has no answer by then is given up, or the generator would go on for minutes. */
const TIMEOUT_MS = 5_000;

async function run(context: Context): Promise<Measured> {
  const era = 'legacy';
  const upstream = await openUpstream(context, era);
  const names = ['on', 'off'] as const;
  const gateways = new Map<string, RunningTarget>();
  for (const name of names) {
    const options = { gateway: { tokens: TOKENS, ...(name === 'off' ? { limits: { delay_ms: 0 } } : {}) } };
    gateways.set(name, await openTarget(context, { lane: name, target: 'gateway', era, upstream, options }));
  }
  const lane = (name: string, of: (typeof names)[number], factor: number) => {
    return { name, gateway: gateways.get(of) as RunningTarget, factor, rounds: [] as Round[] };
  };
  const lanes = [lane('half', 'on', 0.5), lane('twice', 'on', 2), lane('twice-off', 'off', 2)];
  let perSecond = 0;
  for (const { call } of gateways.values()) {
    await generateLoad('own', call, SATURATION_SECONDS);
    const { completed, seconds } = await generateLoad('own', call, SATURATION_SECONDS);
    perSecond = completed / seconds;
  }
  await interleave(context, lanes, async ({ gateway, factor, rounds }, round) => {
    rounds.push(await measure(gateway, perSecond * factor, context.seed + round));
  });
  return { lanes, notes: [`Saturation was ${Math.round(perSecond)} calls per second.`] };
}

async function measure({ endpoint, pid }: RunningTarget, rate: number, seed: number): Promise<Round> {
  const url = new URL(endpoint.url);
  const { era, tool } = endpoint;
  const reports = await Promise.all(
    Array.from({ length: TOKENS }, (_, index) =>
      generate({
        url,
        request: toRpcRequest({ url, token: benchToken(index), era, tool, args: '{"text":"hello"}' }),
        rate: rate / TOKENS,
        connections: CONNECTIONS / TOKENS,
        seed: seed * TOKENS + index,
        warmUpMs: WARM_UP_MS,
        durationMs: MEASURED_MS,
        timeoutMs: TIMEOUT_MS,
      }),
    ),
  );
  const sum = (of: (report: (typeof reports)[number]) => number) => reports.reduce((all, each) => all + of(each), 0);
  const due = sum((report) => report.due);
  const answered = sum((report) => report.answered);
  return {
    callsPerSecond: (answered * 1000) / MEASURED_MS,
    refusedShare: (100 * (due - answered)) / due,
    p50Us: Math.max(...reports.map(({ latencyUs }) => latencyUs.p50)),
    p99Us: Math.max(...reports.map(({ latencyUs }) => latencyUs.p99)),
    lagP99Us: Math.max(...reports.map(({ lagP99Us }) => lagP99Us)),
    rssMiB: rssBytes(pid) / MIB,
  };
}

export const OVERLOAD: readonly Scenario[] = [
  {
    name: 'overload',
    subject: 'overload',
    title: 'Half of saturation, and twice',
    method: `The small call, legacy, by ${TOKENS} tokens over at most ${CONNECTIONS} connections, in Poisson arrivals at half and at twice the rate of a closed loop; \`limits.delay_ms\` as it is by default, and 0 (off). Latency is of what was answered with a result, from when it was due: what waits in the generator for a connection counts. Generator, gateway and upstream share the machine.`,
    set: 'full',
    budgets: [],
    run,
  },
];
