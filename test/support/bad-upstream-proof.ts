// Three upstreams under load, one of them bad in turn: what its neighbours see of it, what its own callers are told, and
// how soon it is back. `npm test` runs it with short windows; `npm run test:full` with long ones, and compares latencies.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { countOutcomes, Load, type LoadedTool, latencyPercentile, type Sample } from './load.ts';
import { startServe } from './serve-child.ts';
import { startUpstreamChild, type UpstreamChild } from './upstream-child.ts';

/** What an operator sets who wants failures in less than a second; the defaults suit tools that take their time. */
const LIMITS = { header_timeout_ms: 800, connect_timeout_ms: 500 };
const FAILS_WITHIN_MS = 1_000;
const RECOVERS_WITHIN_MS = 5_000;
const GOOD = ['a', 'b'];
const BAD = 'c';
const FAILURE = /^c (?:unreachable|timeout|broken_answer|breaker_open)$/;
/** Of a p99 that is compared: what the bad upstream may add to it, and what this machine's own mood may. */
const MAX_GROWTH = 1.1;
const MOOD_MS = 1;
const TRIES = 3;

interface Fault {
  readonly name: string;
  /** What would take the machine's time inside a window. */
  readonly prepare?: (bad: UpstreamChild) => Promise<void>;
  readonly begin: (bad: UpstreamChild) => Promise<void> | void;
  readonly end: (bad: UpstreamChild) => Promise<void> | void;
}

const FAULTS: readonly Fault[] = [
  { name: 'killed', prepare: (bad) => bad.prepare(), begin: (bad) => bad.kill(), end: (bad) => bad.listen() },
  { name: 'hung', begin: (bad) => bad.hang(), end: (bad) => bad.wake() },
  { name: 'slowed to 5 s', begin: (bad) => bad.delayCalls(5_000), end: (bad) => bad.delayCalls(0) },
];

export interface ProofOptions {
  readonly perSecond: number;
  /** Of a fault, and of the quiet before and after it. */
  readonly windowMs: number;
  /** Whether the windows are long enough to say something about a p99. */
  readonly comparesLatencies: boolean;
}

interface Window {
  readonly beginMs: number;
  readonly endMs: number;
}

export async function proveBadUpstream(t: TestContext, options: ProofOptions): Promise<void> {
  const { perSecond, windowMs, comparesLatencies } = options;
  const upstreams = {
    a: await startUpstreamChild('modern'),
    b: await startUpstreamChild('stateless', 'sse'),
    c: await startUpstreamChild('stateful'),
  };
  for (const upstream of Object.values(upstreams)) t.after(() => upstream.close());
  const gateway = await startServe({
    configs: Object.entries(upstreams).map(([name, { url }]) => ({ name, url })),
    limits: LIMITS,
  });
  t.after(() => gateway.stop());
  const load = new Load({ mcpUrl: gateway.mcpUrl, token: gateway.token(), perSecond, tools: toolsOf(['a', 'b', 'c']) });
  const bad = upstreams.c;

  await windowOf(windowMs);
  let before = await windowOf(windowMs);
  for (const fault of FAULTS) {
    for (let attempt = 1; ; attempt++) {
      const struck = await strike(fault, load, bad, windowMs);
      const after = await windowOf(windowMs);
      const growth = compare(load.samples, struck.window, [before, after]);
      before = after;
      t.diagnostic(`${fault.name}: ${describe(load.samples, struck)}`);
      t.diagnostic(`${fault.name}: ${growth.text}`);
      assertFailsFast(load.samples, struck);
      if (!comparesLatencies || growth.isSmall) break;
      assert.ok(attempt < TRIES, `${fault.name}: the p99 of a neighbour grew in each of ${TRIES} tries`);
    }
  }
  await restart(t, load, bad);
  const samples = await load.stop();
  t.diagnostic(`${samples.length} calls at ${perSecond}/s: ${JSON.stringify(countOutcomes(samples))}`);
  assert.deepEqual(Object.keys(countOutcomes(ofServices(samples, GOOD))), ['ok']);
  const slowest = Math.max(...ofServices(samples, [BAD]).map(({ dueMs, endMs }) => endMs - dueMs));
  assert.ok(slowest < FAILS_WITHIN_MS, `a call of the bad upstream took ${slowest} ms`);
}

/** Each service by each pair of era and HTTP version. */
function toolsOf(services: readonly string[]): LoadedTool[] {
  const pairs = (['http1', 'http2'] as const).flatMap((http) => [
    { http, era: 'legacy' as const },
    { http, era: 'modern' as const },
  ]);
  return pairs.flatMap((pair) => services.map((service) => ({ name: `${service}.echo`, ...pair })));
}

interface Struck {
  readonly window: Window;
  /** From the end of the fault to the end of the first call that was answered again. */
  readonly recoveryMs: number;
}

async function strike(fault: Fault, load: Load, bad: UpstreamChild, windowMs: number): Promise<Struck> {
  await fault.prepare?.(bad);
  const beginMs = performance.now();
  await fault.begin(bad);
  const window = await windowOf(beginMs + windowMs - performance.now(), beginMs);
  await fault.end(bad);
  const seen = load.samples.length;
  const first = await eventually(
    () =>
      load.samples.slice(seen).find(({ tool, outcome, dueMs }) => {
        return serviceOf(tool) === BAD && outcome === 'ok' && dueMs > window.endMs;
      }),
    2 * RECOVERS_WITHIN_MS,
  );
  return { window, recoveryMs: first.endMs - window.endMs };
}

/** Waits that long, while the load runs. */
async function windowOf(ms: number, beginMs = performance.now()): Promise<Window> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return { beginMs, endMs: performance.now() };
}

function assertFailsFast(samples: readonly Sample[], { window, recoveryMs }: Struck): void {
  const recoveredMs = window.endMs + recoveryMs;
  const bad = ofServices(samples, [BAD]);
  for (const { outcome, dueMs, endMs } of bad) {
    if (outcome === 'ok') continue;
    assert.match(outcome, FAILURE);
    assert.ok(endMs - dueMs < FAILS_WITHIN_MS, `${outcome} after ${endMs - dueMs} ms`);
  }
  const during = within(bad, window).filter(({ dueMs }) => dueMs > window.beginMs + FAILS_WITHIN_MS);
  assert.ok(during.length > 0);
  assert.deepEqual(
    during.filter(({ outcome }) => outcome === 'ok'),
    [],
  );
  const later = bad.filter(({ dueMs }) => dueMs > recoveredMs);
  assert.deepEqual(Object.keys(countOutcomes(later)), ['ok']);
  assert.ok(recoveryMs < RECOVERS_WITHIN_MS, `it was back after ${recoveryMs} ms`);
}

/** With calls in flight, each of which may be lost; none that began after may be. */
async function restart(t: TestContext, load: Load, bad: UpstreamChild): Promise<void> {
  await bad.delayCalls(100);
  await windowOf(1_000);
  const beginMs = performance.now();
  await bad.restart();
  const { endMs } = await windowOf(1_000, performance.now());
  await bad.delayCalls(0);
  await windowOf(500);
  const ofBad = ofServices(load.samples, [BAD]);
  const cut = ofBad.filter((sample) => sample.dueMs < beginMs && sample.endMs > beginMs);
  const after = ofBad.filter(({ dueMs }) => dueMs > beginMs + 20 && dueMs < endMs);
  t.diagnostic(
    `restarted: in flight ${JSON.stringify(countOutcomes(cut))}, after ${JSON.stringify(countOutcomes(after))}`,
  );
  assert.deepEqual(Object.keys(countOutcomes(after)), ['ok']);
}

interface Growth {
  readonly isSmall: boolean;
  readonly text: string;
}

/** Compares the p99 of each neighbour in the window of a fault with that of the quiet around it. */
function compare(samples: readonly Sample[], window: Window, around: readonly Window[]): Growth {
  const rows = GOOD.map((service) => {
    const own = ofServices(samples, [service]);
    const p99 = latencyPercentile(within(own, window), 99);
    const quiet = latencyPercentile(
      around.flatMap((each) => within(own, each)),
      99,
    );
    const apart = around.map((each) => latencyPercentile(within(own, each), 99).toFixed(2));
    return {
      isSmall: p99 <= quiet * MAX_GROWTH + MOOD_MS,
      text: `p99 of ${service} ${p99.toFixed(2)} ms, quiet ${quiet.toFixed(2)} (${apart.join(', ')})`,
    };
  });
  return { isSmall: rows.every(({ isSmall }) => isSmall), text: rows.map(({ text }) => text).join('; ') };
}

function describe(samples: readonly Sample[], { window, recoveryMs }: Struck): string {
  const during = within(ofServices(samples, [BAD]), window);
  const [p50, max] = [50, 100].map((percent) => latencyPercentile(during, percent).toFixed(1));
  return `${JSON.stringify(countOutcomes(during))}, p50 ${p50} ms, slowest ${max} ms, back after ${recoveryMs.toFixed()} ms`;
}

function serviceOf({ name }: LoadedTool): string {
  return name.split('.')[0]!;
}

function ofServices(samples: readonly Sample[], services: readonly string[]): Sample[] {
  return samples.filter(({ tool }) => services.includes(serviceOf(tool)));
}

function within(samples: readonly Sample[], { beginMs, endMs }: Window): Sample[] {
  return samples.filter(({ dueMs }) => dueMs >= beginMs && dueMs < endMs);
}
