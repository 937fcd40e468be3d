// Lists that are not there yet: the first one after a start, and the first one after an edit.

import { stopChild } from '../children.ts';
import { EDITED_TOOLS, EditedGateway } from '../edited-gateway.ts';
import type { Round } from '../figures.ts';
import type { Budget, Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import { timeList } from '../time-list.ts';

const ERA = 'modern';
const WARM_UPS = 3;

function coldList(tools: number): Scenario {
  return {
    name: `list-cold-${tools}`,
    subject: 'lists',
    title: `First list of ${tools.toLocaleString('en')} tools`,
    method:
      'A gateway is started for every round and asked for its list as soon as it serves: once with an empty store, once again, and once after a restart.',
    set: 'full',
    budgets: [],
    run: (context) => runColdList(tools, context),
  };
}

async function runColdList(tools: number, context: Context): Promise<Measured> {
  const upstream = await openUpstream(context, ERA, ['--tools', String(tools)]);
  const [direct, cold, again, restarted] = ['direct', 'cold', 'again', 'restarted'].map((name) => ({
    name,
    rounds: [] as Round[],
  })) as [Lane, Lane, Lane, Lane];
  const plain = await openTarget(context, { lane: 'direct', target: 'direct', era: ERA, upstream });
  await timeList(plain, tools);
  await interleave(context, [undefined], async (_, round) => {
    const request = { lane: `round-${round}`, target: 'gateway', era: ERA, upstream } as const;
    const first = await openTarget(context, request);
    direct.rounds.push(await timeList(plain, tools));
    cold.rounds.push(await timeList(first, tools));
    again.rounds.push(await timeList(first, tools));
    await stopChild(first.child);
    const second = await openTarget(context, request);
    restarted.rounds.push(await timeList(second, tools));
    await stopChild(second.child);
  });
  return { lanes: [direct, cold, again, restarted] };
}

interface Lane {
  readonly name: string;
  readonly rounds: Round[];
}

async function runEdits(
  context: Context,
  configs: readonly number[],
  edit: (gateway: EditedGateway) => Promise<Round>,
): Promise<Measured> {
  const upstream = await openUpstream(context, ERA, ['--tools', String(EDITED_TOOLS)]);
  const lanes: { name: string; gateway: EditedGateway; rounds: Round[] }[] = [];
  for (const count of configs) {
    const name = `configs-${count}`;
    lanes.push({ name, gateway: await EditedGateway.open(context, name, upstream, count), rounds: [] });
  }
  for (const { gateway } of lanes) for (let warmUp = 0; warmUp < WARM_UPS; warmUp++) await edit(gateway);
  await interleave(context, lanes, async ({ gateway, rounds }) => {
    rounds.push(await edit(gateway));
  });
  return { lanes };
}

function editBounds(words: string): Budget[] {
  const lane = 'configs-1000';
  return [
    { words, lane, figure: 'waitMs', atMost: 20 },
    { words: 'longest event-loop delay meanwhile', lane, figure: 'loopDelayMaxMs', atMost: 50 },
  ];
}

export const FIRST_LISTS: readonly Scenario[] = [
  coldList(200),
  coldList(2000),
  {
    name: 'list-after-edit',
    subject: 'lists',
    title: 'List after an edit',
    method: `An allow-list is edited over REST, then the list is asked for: until it has come, of a token with 1, 50 and 1,000 grants on configs of ${EDITED_TOOLS} tools.`,
    set: 'full',
    budgets: editBounds('from the edit to the list that shows it'),
    run: (context) => runEdits(context, [1, 50, 1000], (gateway) => gateway.editAndList()),
  },
  {
    name: 'call-after-edit',
    subject: 'lists',
    title: 'Call after an edit',
    method: `An allow-list is edited over REST, then a tool is called that it has just taken or given: until the call is refused or answered, of a token with 1 and 1,000 grants on configs of ${EDITED_TOOLS} tools.`,
    set: 'full',
    budgets: editBounds('from the edit to the call that shows it'),
    run: (context) => runEdits(context, [1, 1000], (gateway) => gateway.editAndCall()),
  },
];
