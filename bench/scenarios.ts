// All scenarios, in the order of the report.

import type { Scenario } from './scenario.ts';
import { CALLS } from './scenarios/calls.ts';
import { LISTS } from './scenarios/lists.ts';
import { PAYLOADS } from './scenarios/payloads.ts';
import { SCALE } from './scenarios/scale.ts';

export const SCENARIOS: readonly Scenario[] = [...CALLS, ...PAYLOADS, ...LISTS, ...SCALE];
