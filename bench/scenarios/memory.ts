// What the gateway's process grows by: for large results, for clients that read slowly, for sessions and for open streams,
// and what of it is left when they are gone. Each round has a gateway of its own, warmed up by small calls.

import { setTimeout as sleep } from 'node:timers/promises';
import { openSession } from '../../src/load/open-session.ts';
import type { Era } from '../../src/protocol/era.ts';
import { readProbe } from '../ask-probe.ts';
import { toCall } from '../calls.ts';
import { rssBytes } from '../cpu.ts';
import type { Round } from '../figures.ts';
import { hold, leave, many, openStream, streamsWithin } from '../held-clients.ts';
import { generateLoad } from '../load.ts';
import type { Budget, Context, Measured, Scenario } from '../scenario.ts';
import { interleave, openTarget, openUpstream } from '../stand.ts';
import { type RunningTarget, stopChild, type Upstream } from '../targets.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const WARM_UP_SECONDS = 2;
const RESULT_BYTES = 100_000_000;
const LOOK_MS = 5;
/** What has ended is noticed, and garbage collected, within this. */
const LEFT_MS = 3_000;
const LIMITS = { streams_per_token: 20_000, calls_per_token: 20_000 };

interface MemoryLane {
  readonly name: string;
  readonly era: Era;
  /** Of the upstream that is measured; a small one stands beside it for the warm-up. */
  readonly upstream?: readonly string[];
  readonly resultBytes?: number;
  readonly measure: (gateway: RunningTarget) => Promise<Round>;
}

async function runLanes(context: Context, specs: readonly MemoryLane[]): Promise<Measured> {
  const lanes = [];
  for (const spec of specs) {
    const { era, upstream = [], resultBytes } = spec;
    const small = await openUpstream(context, era);
    const large = await openUpstream(context, era, upstream, resultBytes);
    lanes.push({ ...spec, upstreams: [small, large] as const, rounds: [] as Round[] });
  }
  await interleave(context, lanes, async ({ name, era, upstreams, measure, rounds }, round) => {
    rounds.push(await onFreshGateway(context, `${name}-${round}`, era, upstreams, measure));
    context.say(`${name}, round ${round + 1} of ${context.rounds}`);
  });
  return { lanes };
}

async function onFreshGateway(
  context: Context,
  lane: string,
  era: Era,
  upstreams: readonly [Upstream, Upstream],
  measure: (gateway: RunningTarget) => Promise<Round>,
): Promise<Round> {
  const options = {
    upstreamUrls: upstreams.map(({ url }) => url),
    gateway: { limits: LIMITS, flags: ['--expose-gc'] },
  };
  const gateway = await openTarget(context, { lane, target: 'gateway', era, upstream: upstreams[0], options });
  try {
    await generateLoad('own', gateway.call, WARM_UP_SECONDS);
    return await measure(gateway);
  } finally {
    await stopChild(gateway.child);
  }
}

/** The call of the second upstream. */
function largeCall({ endpoint }: RunningTarget) {
  return toCall({ ...endpoint, tool: 'bench1.echo' });
}

async function heapMiB({ child }: RunningTarget): Promise<number> {
  return ((await readProbe(child, true))?.heapBytes ?? Number.NaN) / MIB;
}

/** Runs `work` and says what it added, and what is left of it: at most, also while it is given back. RSS in MiB. */
async function observe(gateway: RunningTarget, work: () => Promise<void>): Promise<Round> {
  const before = rssBytes(gateway.pid);
  const heapBefore = await heapMiB(gateway);
  const added = () => rssBytes(gateway.pid) - before;
  let most = 0;
  const look = setInterval(() => (most = Math.max(most, added())), LOOK_MS);
  try {
    await work();
    await sleep(LEFT_MS);
    const heapLeftMiB = (await heapMiB(gateway)) - heapBefore;
    const left = added();
    return { rssAddedMiB: Math.max(most, left) / MIB, rssLeftMiB: left / MIB, heapLeftMiB };
  } finally {
    clearInterval(look);
  }
}

function measureLarge(gateway: RunningTarget): Promise<Round> {
  return observe(gateway, async () => {
    const held = await hold(largeCall(gateway));
    while (held.bytes < RESULT_BYTES) await sleep(LOOK_MS);
    held.socket.destroy();
  });
}

const READERS = 100;
const READER_BYTES_PER_SECOND = 64 * KIB;
const READING_MS = 8_000;

async function measureSlow(gateway: RunningTarget): Promise<Round> {
  const round = await observe(gateway, async () => {
    const held = await many(READERS, () => hold(largeCall(gateway), READER_BYTES_PER_SECOND));
    await sleep(READING_MS);
    for (const { socket } of held) socket.destroy();
  });
  return { ...round, kibPerStream: ((round.rssAddedMiB ?? Number.NaN) * KIB) / READERS };
}

const SESSIONS = 1_000;

async function measureSessions(gateway: RunningTarget): Promise<Round> {
  const { endpoint } = gateway;
  return observe(gateway, async () => {
    await many(SESSIONS, async () => {
      const sessionId = await openSession(new URL(endpoint.url), endpoint.token);
      for (const options of [{ method: 'tools/list' }, {}] as const) {
        const { url, headers, body } = toCall({ ...endpoint, sessionId }, options);
        const answer = await fetch(url, { method: 'POST', headers, body });
        if (!answer.ok) throw new Error(`a session was answered HTTP ${answer.status}`);
        await answer.text();
      }
    });
  });
}

const WANTED_STREAMS = 10_000;

async function measureStreams(gateway: RunningTarget): Promise<Round> {
  // Code that runs for the first time is no cost of a stream.
  await leave(gateway.endpoint, await many(100, () => openStream(gateway.endpoint)));
  const streams = streamsWithin(WANTED_STREAMS);
  const round = await observe(gateway, async () => {
    const held = await many(streams, () => openStream(gateway.endpoint));
    await sleep(LEFT_MS);
    await leave(gateway.endpoint, held);
  });
  return { ...round, streams, kibPerStream: ((round.rssAddedMiB ?? Number.NaN) * KIB) / streams };
}

function atMost(lane: string, words: string, figure: Budget['figure'], bound: number): Budget {
  return { words, lane, figure, atMost: bound };
}

/** Asked for without a number: 5 MiB are a twelfth of what 1,000 idle sessions may take. */
function heapGivenBack(lane: string): Budget {
  return { ...atMost(lane, 'heap left afterwards', 'heapLeftMiB', 5), isOwn: true };
}

/** As much as one large result may add while it passes. */
function rssGivenBack(lane: string): Budget {
  return { ...atMost(lane, 'RSS left afterwards', 'rssLeftMiB', 64), isOwn: true };
}

const LARGE = { era: 'legacy', resultBytes: RESULT_BYTES } as const;

export const MEMORY: readonly Scenario[] = [
  {
    name: 'result-100mb',
    subject: 'memory',
    title: 'One result of 100 MB',
    method:
      'A legacy call whose result is one string of 100 MB, as JSON and as an event, to a client that reads as fast as it can.',
    set: 'full',
    budgets: ['json', 'sse'].flatMap((lane) => [atMost(lane, 'RSS added', 'rssAddedMiB', 64), heapGivenBack(lane)]),
    run: (context) =>
      runLanes(context, [
        { name: 'json', ...LARGE, measure: measureLarge },
        { name: 'sse', ...LARGE, upstream: ['--answer', 'sse'], measure: measureLarge },
      ]),
  },
  {
    name: 'slow-readers',
    subject: 'memory',
    title: '100 results of 100 MB to slow readers',
    method: `${READERS} such calls at once, by clients that read 64 KiB/s, for ${READING_MS / 1000} s; then the clients leave.`,
    set: 'full',
    budgets: ['json', 'sse'].flatMap((lane) => [
      atMost(lane, 'RSS per slow reader', 'kibPerStream', 8 * KIB),
      heapGivenBack(lane),
      rssGivenBack(lane),
    ]),
    run: (context) =>
      runLanes(context, [
        { name: 'json', ...LARGE, measure: measureSlow },
        { name: 'sse', ...LARGE, upstream: ['--answer', 'sse'], measure: measureSlow },
      ]),
  },
  {
    name: 'idle-sessions',
    subject: 'memory',
    title: '1,000 idle sessions',
    method: `Legacy: ${SESSIONS} sessions, each opened, given its list and used for one call, and then left alone.`,
    set: 'full',
    budgets: [atMost('sessions', 'RSS added', 'rssAddedMiB', 60), heapGivenBack('sessions')],
    run: (context) => runLanes(context, [{ name: 'sessions', era: 'legacy', measure: measureSessions }]),
  },
  {
    name: 'open-streams',
    subject: 'memory',
    title: 'Open streams',
    method: `As many as descriptors allow, ${WANTED_STREAMS} at most: GET streams of legacy sessions, and modern listens, all told of the same upstream.`,
    set: 'full',
    budgets: ['legacy', 'modern'].flatMap((lane) => [
      atMost(lane, 'RSS per open stream', 'kibPerStream', 48),
      heapGivenBack(lane),
    ]),
    run: (context) =>
      runLanes(context, [
        { name: 'legacy', era: 'legacy', measure: measureStreams },
        { name: 'modern', era: 'modern', measure: measureStreams },
      ]),
  },
];
