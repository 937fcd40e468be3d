// Much of everything: grants, configs, tokens. A call should not notice.

import { closedLoop } from '../closed-loop.ts';
import type { Scenario } from '../scenario.ts';

export const SCALE: readonly Scenario[] = [
  closedLoop({
    name: 'grants-50',
    subject: 'scale',
    title: '1 and 50 grants per token',
    method:
      'The small call, modern, with a token of one grant on 10 tools and with a token of 50 grants on 5,000 tools.',
    set: 'full',
    era: 'modern',
    upstream: ['--tools', '100'],
    lanes: [
      { name: 'grants-1', target: 'gateway', gateway: { allowedTools: ['echo', 'tool_?'] } },
      { name: 'grants-50', target: 'gateway', gateway: { configs: 50 } },
    ],
    budgets: [
      {
        words: 'CPU per call with 50 grants over 1',
        lane: 'grants-50',
        figure: 'cpuUsPerCall',
        over: 'grants-1',
        atMost: 1.05,
      },
    ],
  }),
  closedLoop({
    name: 'configs-1000',
    subject: 'scale',
    title: '1 and 1,000 configs of 100 tools',
    method: 'The small call, modern, through a gateway with one McpConfig and with 1,000, all of them granted.',
    set: 'full',
    era: 'modern',
    upstream: ['--tools', '100'],
    lanes: [
      { name: 'configs-1', target: 'gateway', gateway: { configs: 1 } },
      { name: 'configs-1000', target: 'gateway', gateway: { configs: 1000 } },
    ],
    budgets: [],
  }),
  closedLoop({
    name: 'tokens-10000',
    subject: 'scale',
    title: '1 and 10,000 tokens',
    method: 'The small call, modern, by one token and by 10,000 that take turns.',
    set: 'full',
    era: 'modern',
    lanes: [
      { name: 'tokens-1', target: 'gateway', gateway: { tokens: 1 } },
      { name: 'tokens-10000', target: 'gateway', gateway: { tokens: 10_000 } },
    ],
    budgets: [],
  }),
];
