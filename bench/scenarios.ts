// All scenarios, in the order of the report.

import type { Scenario } from './scenario.ts';
import { CALLS } from './scenarios/calls.ts';
import { CATALOGUE } from './scenarios/catalogue.ts';
import { FIRST_LISTS } from './scenarios/first-lists.ts';
import { LATENCY } from './scenarios/latency.ts';
import { LISTS } from './scenarios/lists.ts';
import { MEMORY } from './scenarios/memory.ts';
import { OVERLOAD } from './scenarios/overload.ts';
import { PAYLOADS } from './scenarios/payloads.ts';
import { SCALE } from './scenarios/scale.ts';
import { SESSIONS } from './scenarios/sessions.ts';
import { WORKERS } from './scenarios/workers.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...CALLS,
  ...PAYLOADS,
  ...LISTS,
  ...FIRST_LISTS,
  ...CATALOGUE,
  ...SCALE,
  ...LATENCY,
  ...SESSIONS,
  ...WORKERS,
  ...MEMORY,
  ...OVERLOAD,
];
