// Small calls: what the gateway costs where nothing else does, in both eras and both kinds of answer.

import { closedLoop, type LaneSpec } from '../closed-loop.ts';
import type { Budget, Scenario } from '../scenario.ts';

const DIRECT: LaneSpec = { name: 'direct', target: 'direct' };
const PIPE: LaneSpec = { name: 'pipe', target: 'pipe' };
const GATEWAY: LaneSpec = { name: 'gateway', target: 'gateway' };
const UNRECORDED: LaneSpec = { name: 'gateway-no-audit', target: 'gateway', gateway: { audit: false } };
const IN_SESSION: LaneSpec = { name: 'gateway-session', target: 'gateway', inSession: true, isFullOnly: true };
const NGINX: LaneSpec = { name: 'nginx', target: 'nginx' };
const HAPROXY: LaneSpec = { name: 'haproxy', target: 'haproxy' };

/** Gateways made of the SDK, by the name of the lane, and what they are called in bounds. */
const OTHERS = {
  'sdk-proxy': 'the SDK used as a proxy',
  'sdk-proxy-stateless': 'the SDK used as a proxy, without sessions',
  'mcp-proxy': 'mcp-proxy',
  'mcp-proxy-stateless': 'mcp-proxy, without sessions',
  supergateway: 'supergateway',
} as const;
type Other = keyof typeof OTHERS;

const LEGACY_OTHERS = Object.keys(OTHERS) as readonly Other[];
const MODERN_OTHERS: readonly Other[] = ['sdk-proxy', 'mcp-proxy'];

function toLane(name: Other): LaneSpec {
  return { name, target: name };
}

const IN_ALL: readonly Budget[] = [
  {
    words: 'CPU per call over the bare pipe, calls not recorded',
    lane: 'gateway-no-audit',
    figure: 'cpuUsPerCall',
    over: 'pipe',
    atMost: 1.2,
  },
  {
    words: 'CPU per call over the bare pipe, every call recorded',
    lane: 'gateway',
    figure: 'cpuUsPerCall',
    over: 'pipe',
    atMost: 1.3,
  },
];

function timesLess(name: Other): Budget {
  return {
    words: `CPU per call of ${OTHERS[name]} over the gateway's, neither recording calls`,
    lane: name,
    figure: 'cpuUsPerCall',
    over: 'gateway-no-audit',
    atLeast: 20,
  };
}

const IN_EVENTS: readonly Budget[] = [
  {
    words: 'CPU per call over the bare pipe, calls not recorded',
    lane: 'gateway-no-audit',
    figure: 'cpuUsPerCall',
    over: 'pipe',
    atMost: 1.3,
  },
  {
    words: 'CPU per call over the bare pipe, every call recorded',
    lane: 'gateway',
    figure: 'cpuUsPerCall',
    over: 'pipe',
    atMost: 1.3,
  },
];

export const CALLS: readonly Scenario[] = [
  closedLoop({
    name: 'small-call-legacy',
    subject: 'calls',
    title: 'Small call, legacy client and upstream',
    method:
      '`tools/call` of 0.1 KB with a result of 0.2 KB in JSON, revision 2025-11-25, without a session unless the lane says so or the target serves none without.',
    set: 'quick',
    era: 'legacy',
    lanes: [DIRECT, PIPE, UNRECORDED, GATEWAY, IN_SESSION],
    budgets: IN_ALL,
  }),
  closedLoop({
    name: 'small-call-modern',
    subject: 'calls',
    title: 'Small call, modern client and upstream',
    method: '`tools/call` of 0.4 KB with a result of 0.2 KB in JSON, revision 2026-07-28.',
    set: 'quick',
    era: 'modern',
    lanes: [{ ...DIRECT, isFullOnly: true }, PIPE, UNRECORDED, GATEWAY],
    budgets: IN_ALL,
  }),
  closedLoop({
    name: 'others-legacy',
    subject: 'calls',
    title: 'Small call through other proxies and gateways, legacy',
    method:
      'The small call, legacy. nginx and HAProxy pass bytes; the others are gateways, which are called in sessions unless their lane says otherwise.',
    set: 'full',
    era: 'legacy',
    lanes: [PIPE, UNRECORDED, NGINX, HAPROXY, ...LEGACY_OTHERS.map(toLane)],
    budgets: LEGACY_OTHERS.map(timesLess),
  }),
  closedLoop({
    name: 'others-modern',
    subject: 'calls',
    title: 'Small call through other gateways, modern',
    method: 'The small call, modern.',
    set: 'full',
    era: 'modern',
    lanes: [PIPE, UNRECORDED, ...MODERN_OTHERS.map(toLane)],
    budgets: MODERN_OTHERS.map(timesLess),
  }),
  closedLoop({
    name: 'events-1',
    subject: 'calls',
    title: 'Answer as a stream of one event',
    method: 'The small call, legacy, answered with `text/event-stream` that holds the result alone.',
    set: 'quick',
    era: 'legacy',
    upstream: ['--answer', 'sse'],
    lanes: [PIPE, UNRECORDED, { ...GATEWAY, isFullOnly: true }],
    budgets: IN_EVENTS,
  }),
  closedLoop({
    name: 'events-1-modern',
    subject: 'calls',
    title: 'Answer as a stream of one event, modern',
    method: 'The small call, modern, answered with `text/event-stream` that holds the result alone.',
    set: 'full',
    era: 'modern',
    upstream: ['--answer', 'sse'],
    lanes: [PIPE, UNRECORDED, GATEWAY],
    budgets: IN_EVENTS,
  }),
  closedLoop({
    name: 'events-20',
    subject: 'calls',
    title: 'Answer as a stream with 20 progress events',
    method: 'The small call, legacy, that asks for progress and is told of it 20 times before its result.',
    set: 'full',
    era: 'legacy',
    upstream: ['--answer', 'sse', '--progress-events', '20'],
    call: { hasProgress: true },
    expected: { progressEvents: 20 },
    lanes: [PIPE, UNRECORDED, GATEWAY],
    budgets: [],
  }),
];
