// `tools/list`: what the gateway answers itself.

import { closedLoop } from '../closed-loop.ts';
import type { Budget, Scenario, ScenarioSet } from '../scenario.ts';

function cachedList(tools: number, set: ScenarioSet, budgets: readonly Budget[] = []): Scenario {
  return closedLoop({
    name: `list-${tools}`,
    subject: 'lists',
    title: `Cached list of ${tools.toLocaleString('en')} tools`,
    method: '`tools/list`, legacy, from one grant, against `node:http` that answers the same bytes from memory.',
    set,
    era: 'legacy',
    upstream: ['--tools', String(tools)],
    call: { method: 'tools/list' },
    expected: { tools },
    lanes: [
      { name: 'gateway', target: 'gateway' },
      { name: 'static', target: 'static' },
    ],
    budgets,
  });
}

export const LISTS: readonly Scenario[] = [
  cachedList(20, 'full'),
  cachedList(200, 'quick', [
    {
      words: 'CPU per list over a static answer of the same size',
      lane: 'gateway',
      figure: 'cpuUsPerCall',
      over: 'static',
      atMost: 1.3,
    },
  ]),
  cachedList(2000, 'full'),
];
