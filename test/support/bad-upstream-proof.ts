// Three upstreams under load, one of them bad in turn: what its neighbours see of it, what its own callers are told, and
// how soon it is back. `npm test` runs it with short windows; `npm run test:full` with long ones, and compares latencies.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { eventually } from './eventually.ts';
import { countOutcomes, Load, type LoadedTool, latencyPercentile, type Sample } from './load.ts';
import { startServe } from './serve-child.ts';
import { startUpstreamChild, type UpstreamChild } from './upstream-child.ts';

/**
 * What an operator sets who wants failures in less than a second; the defaults suit tools that take their time. A call is
 * given up at most a tenth of a second late, and the rest is for this machine.
 */
const LIMITS = { header_timeout_ms: 700, connect_timeout_ms: 500 };
const FAILS_WITHIN_MS = 1_000;
const RECOVERS_WITHIN_MS = 5_000;
const GOOD = ['a', 'b'];
const BAD = 'c';
const OUTCOME = /^(?:ok|c (?:unreachable|timeout|broken_answer|breaker_open))$/;
/** Of a p99 that is compared: what the bad upstream may add to it, and what this machine's own mood may. */
const MAX_GROWTH = 1.1;
const MOOD_MS = 1;
const TRIES = 3;
/**
 * One hiccup of a shared machine is the p99 of ten seconds. So a p99 is that of a second, in the median over the seconds of
 * all windows so far, and a growth is believed after this many.
 */
const WINDOWS = 4;
const SECOND_MS = 1_000;
/** A machine that stands still for so long says nothing about calls that are to fail in less than a second. */
const STALL_MS = 150;
const WARM_MS = 300;
/** Between a window whose latencies are compared and what takes the machine's time: starts of processes, and our own sums. */
const SETTLE_MS = 300;

interface Fault {
  readonly name: string;
  readonly prepare?: (bad: UpstreamChild) => Promise<void>;
  readonly begin: (bad: UpstreamChild) => Promise<void> | void;
  readonly end: (bad: UpstreamChild) => Promise<void> | void;
  /** What its callers are told while it lasts. */
  readonly assert: (samples: readonly Sample[], struck: Struck) => void;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'killed',
    prepare: (bad) => bad.prepare(),
    begin: (bad) => bad.kill(),
    end: (bad) => bad.listen(),
    assert: assertFails,
  },
  { name: 'hung', begin: (bad) => bad.hang(), end: (bad) => bad.wake(), assert: assertFails },
  {
    name: 'slowed to 5 s',
    begin: (bad) => bad.delayCalls(5_000),
    end: (bad) => bad.delayCalls(0),
    assert: assertFails,
  },
  {
    name: 'restarted',
    // So that there are calls in flight to lose.
    prepare: (bad) => bad.delayCalls(100),
    begin: (bad) => bad.restart(),
    end: (bad) => bad.delayCalls(0),
    assert: assertAnswers,
  },
];

interface Struck {
  readonly window: Window;
  /** When the fault was there, `performance.now()`: of calls that were due before, some may have been in flight. */
  readonly begunMs: number;
  /** From the end of the fault to the end of the first call that was answered again. */
  readonly recoveryMs: number;
}

export interface ProofOptions {
  readonly perSecond: number;
  readonly faultMs: number;
  /** Before and after each fault. */
  readonly quietMs: number;
  /** Whether the windows are long enough to say something about a p99. */
  readonly comparesLatencies: boolean;
}

interface Window {
  readonly beginMs: number;
  readonly endMs: number;
}

export async function proveBadUpstream(t: TestContext, options: ProofOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const running = await start(options.perSecond);
    try {
      return await prove(t, running, options);
    } catch (error) {
      const longestStallMs = await running.longestStallMs();
      if (attempt === TRIES || longestStallMs < STALL_MS) throw error;
      t.diagnostic(`tried again, for this machine stood still for ${longestStallMs.toFixed()} ms: ${error}`);
    } finally {
      await running.close();
    }
  }
}

interface Running {
  readonly bad: UpstreamChild;
  readonly load: Load;
  /** Of the load and of the upstreams that nothing is done to. */
  longestStallMs(): Promise<number>;
  close(): Promise<void>;
}

async function start(perSecond: number): Promise<Running> {
  const [a, b, c] = await Promise.all([
    startUpstreamChild('modern', 'sse'),
    startUpstreamChild('stateless'),
    startUpstreamChild('stateful'),
  ]);
  const upstreams = { a, b, c };
  const gateway = await startServe({
    configs: Object.entries(upstreams).map(([name, { url }]) => ({ name, url })),
    limits: LIMITS,
  });
  const load = new Load({ mcpUrl: gateway.mcpUrl, token: gateway.token(), perSecond, tools: toolsOf(['a', 'b', 'c']) });
  return {
    bad: upstreams.c,
    load,
    longestStallMs: async () =>
      Math.max(load.longestStallMs, await upstreams.a.longestStallMs(), await upstreams.b.longestStallMs()),
    close: async () => {
      await load.stop();
      await gateway.stop();
      for (const upstream of Object.values(upstreams)) await upstream.close();
    },
  };
}

async function prove(t: TestContext, { bad, load }: Running, options: ProofOptions): Promise<void> {
  const { perSecond, faultMs, quietMs, comparesLatencies } = options;
  // Of five processes that have just begun, all of whose code is still to be compiled: two cores are too few for that.
  const { endMs: warmMs } = await windowOf(Math.max(quietMs, WARM_MS));
  let before = await windowOf(quietMs);
  for (const fault of FAULTS) {
    const struckWindows: Window[] = [];
    const quietWindows = [before];
    for (;;) {
      const struck = await strike(fault, load, bad, { faultMs, settleMs: comparesLatencies ? SETTLE_MS : quietMs });
      const after = await windowOf(quietMs);
      t.diagnostic(`${fault.name}: ${describe(load.samples, struck)}`);
      fault.assert(ofServices(load.samples, [BAD]), struck);
      assertRecovers(ofServices(load.samples, [BAD]), struck);
      before = after;
      if (!comparesLatencies) break;
      struckWindows.push(struck.window);
      quietWindows.push(after);
      const growth = compare(ofServices(load.samples, GOOD), struckWindows, quietWindows);
      t.diagnostic(`${fault.name}: ${growth.text}`);
      if (growth.isSmall) break;
      assert.ok(
        struckWindows.length < WINDOWS,
        `${fault.name}: the p99 of the neighbours grew over ${WINDOWS} windows`,
      );
    }
  }
  const samples = (await load.stop()).filter(({ dueMs }) => dueMs >= warmMs);
  t.diagnostic(`${samples.length} calls at ${perSecond}/s: ${JSON.stringify(countOutcomes(samples))}`);
  assert.deepEqual(Object.keys(countOutcomes(ofServices(samples, GOOD))), ['ok']);
  const ofBad = ofServices(samples, [BAD]);
  for (const outcome of Object.keys(countOutcomes(ofBad))) assert.match(outcome, OUTCOME);
  const slowest = latencyPercentile(ofBad, 100);
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

async function strike(
  fault: Fault,
  load: Load,
  bad: UpstreamChild,
  { faultMs, settleMs }: { readonly faultMs: number; readonly settleMs: number },
): Promise<Struck> {
  await fault.prepare?.(bad);
  await windowOf(settleMs);
  const beginMs = performance.now();
  await fault.begin(bad);
  const begunMs = performance.now();
  const window = await windowOf(beginMs + faultMs - performance.now(), beginMs);
  await fault.end(bad);
  const seen = load.samples.length;
  const first = await eventually(
    () =>
      load.samples.slice(seen).find(({ tool, outcome, dueMs }) => {
        return serviceOf(tool) === BAD && outcome === 'ok' && dueMs > window.endMs;
      }),
    2 * RECOVERS_WITHIN_MS,
  );
  await windowOf(settleMs);
  return { window, begunMs, recoveryMs: first.endMs - window.endMs };
}

/** Waits that long, while the load runs. */
async function windowOf(ms: number, beginMs = performance.now()): Promise<Window> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return { beginMs, endMs: performance.now() };
}

/** Every call that began when the fault was a second old. */
function assertFails(samples: readonly Sample[], { window, begunMs }: Struck): void {
  const during = within(samples, { beginMs: begunMs + FAILS_WITHIN_MS, endMs: window.endMs });
  assert.ok(during.length > 0);
  assert.deepEqual(countOutcomes(during).ok, undefined);
}

/** Every call that began when it had happened. */
function assertAnswers(samples: readonly Sample[], { window, begunMs }: Struck): void {
  const during = within(samples, { beginMs: begunMs, endMs: window.endMs });
  assert.deepEqual(Object.keys(countOutcomes(during)), ['ok']);
}

function assertRecovers(samples: readonly Sample[], { window, recoveryMs }: Struck): void {
  assert.ok(recoveryMs < RECOVERS_WITHIN_MS, `it was back after ${recoveryMs} ms`);
  const later = samples.filter(({ dueMs }) => dueMs > window.endMs + recoveryMs);
  assert.deepEqual(Object.keys(countOutcomes(later)), ['ok']);
}

interface Growth {
  readonly isSmall: boolean;
  readonly text: string;
}

/** Compares the p99 of the neighbours in the windows of a fault with that of the quiet around them. */
function compare(samples: readonly Sample[], struck: readonly Window[], quiet: readonly Window[]): Growth {
  const p99Of = (windows: readonly Window[]) =>
    median(windows.flatMap(toSeconds).map((second) => latencyPercentile(within(samples, second), 99)));
  const [during, around] = [p99Of(struck), p99Of(quiet)];
  const each = (windows: readonly Window[]) => windows.map((window) => p99Of([window]).toFixed(1)).join(', ');
  return {
    isSmall: during <= around * MAX_GROWTH + MOOD_MS,
    text: `p99 of the neighbours ${during.toFixed(1)} ms (${each(struck)}), without the fault ${around.toFixed(1)} ms (${each(quiet)})`,
  };
}

function toSeconds({ beginMs, endMs }: Window): Window[] {
  const seconds = Math.floor((endMs - beginMs) / SECOND_MS);
  return Array.from({ length: seconds }, (_, index) => {
    const startMs = beginMs + index * SECOND_MS;
    return { beginMs: startMs, endMs: startMs + SECOND_MS };
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function describe(samples: readonly Sample[], { window, recoveryMs }: Struck): string {
  const ofBad = ofServices(samples, [BAD]);
  const during = ofBad.filter(({ dueMs, endMs }) => endMs > window.beginMs && dueMs < window.endMs);
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
