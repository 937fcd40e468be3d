// The catalogue of a large account, when nothing of it has been put together yet.

import { setTimeout as delay } from 'node:timers/promises';
import { readProbe } from '../ask-probe.ts';
import { stopChild } from '../children.ts';
import type { Round } from '../figures.ts';
import type { Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import { timeList } from '../time-list.ts';

const ERA = 'modern';
const CONFIGS = 1_000;
const TOOLS = 100;
/** For the lists to be kept, and after a start for the upstreams to be asked again. */
const SETTLING_MS = 3_000;

async function runCold(context: Context): Promise<Measured> {
  const upstream = await openUpstream(context, ERA, ['--tools', String(TOOLS)]);
  const request = { lane: 'gateway', target: 'gateway', era: ERA, upstream } as const;
  const start = () => openTarget(context, { ...request, options: { gateway: { configs: CONFIGS } } });
  const [first, again]: [Round[], Round[]] = [[], []];
  const filling = await start();
  await timeList(filling, CONFIGS * TOOLS);
  await delay(SETTLING_MS);
  await stopChild(filling.child);
  await interleave(context, [undefined], async () => {
    const gateway = await start();
    await readProbe(gateway.child);
    const cold = await timeList(gateway, CONFIGS * TOOLS);
    await delay(SETTLING_MS);
    first.push({ ...cold, ...(await loopDelay(gateway.child)) });
    const warm = await timeList(gateway, CONFIGS * TOOLS);
    again.push({ ...warm, ...(await loopDelay(gateway.child)) });
    await stopChild(gateway.child);
  });
  return {
    lanes: [
      { name: 'first', rounds: first },
      { name: 'again', rounds: again },
    ],
  };
}

async function loopDelay(child: Parameters<typeof readProbe>[0]): Promise<Round> {
  const probe = await readProbe(child);
  return probe === undefined ? {} : { loopDelayMaxMs: probe.loopDelayMaxMs };
}

export const CATALOGUE: readonly Scenario[] = [
  {
    name: 'catalogue-cold',
    subject: 'lists',
    title: 'Catalogue of 1,000 configs with 100 tools each',
    method:
      'A gateway that kept the lists of its 1,000 upstreams is started for every round and asked for all 100,000 tools as soon as it serves, while it asks its upstreams again; then once more.',
    set: 'full',
    budgets: [
      { words: 'first list after a start', lane: 'first', figure: 'waitMs', atMost: 1000 },
      { words: 'longest event-loop delay meanwhile', lane: 'first', figure: 'loopDelayMaxMs', atMost: 50 },
    ],
    run: runCold,
  },
];
