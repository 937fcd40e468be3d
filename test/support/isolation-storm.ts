// Many clients of two tokens at once through one gateway process, all with the same ids and progress tokens and one
// credential behind them: every call carries a canary of its own, and whoever hears of another's is found out.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type CanaryUpstream, type EchoArguments, startCanaryUpstream, type UpstreamKind } from './canary-upstream.ts';
import { assertForeignHandlesUnknown } from './foreign-handles.ts';
import { BOTH, type JsonRpcAnswer, type Sent, toolCall } from './mcp-http.ts';
import { type ServeChild, startServe } from './serve-child.ts';
import { CLIENTS, createStormClients, SESSIONLESS_SHARE, type StormClient, TOKENS } from './storm-clients.ts';
import type { Received } from './streaming-client.ts';

const KINDS: readonly UpstreamKind[] = ['stateful', 'stateless', 'modern'];
/** Calls of one client at once, so 128 in all. */
const LANES = 2;
const CANCELLED_SHARE = 0.3;
const STREAMED_SHARE = 0.5;
/** Of the streams of legacy upstreams, those that are ended on purpose and asked for again. */
const POLLED_SHARE = 0.1;
const STEPS = 2;
/** Rounds of trying one token's handles with the other. */
const HANDLE_ROUNDS = 10;
const SILENCE_MS = 30_000;
const CANARY_PATTERN = /canary-[a-z0-9]+-[0-9]+/g;

interface Call {
  readonly client: StormClient;
  readonly id: number;
  readonly args: EchoArguments;
  readonly service: UpstreamKind;
  /** So many milliseconds after it was sent, or with its first progress. */
  readonly cancelAt: number | 'progress' | 'never';
}

interface Storm {
  readonly gateway: ServeChild;
  readonly random: () => number;
  readonly clients: readonly StormClient[];
  /** Of calls that a client did, or would have, cancelled. */
  readonly cancelled: Set<string>;
  readonly violations: string[];
  /** What the ids of events begin with. */
  readonly streams: Set<string>;
  readonly counts: Record<string, number>;
}

export interface StormOptions {
  readonly calls: number;
  /** Decides everything that is left to chance but the order of events. */
  readonly seed: number;
}

/** Runs it and fails on the first sign that anybody saw anything of somebody else. */
export async function proveIsolation(t: TestContext, { calls, seed }: StormOptions): Promise<void> {
  const upstreams = await Promise.all(KINDS.map((kind) => startCanaryUpstream(kind, 30_000)));
  t.after(() => Promise.all(upstreams.map((upstream) => upstream.close())));
  const gateway = await startServe({
    configs: upstreams.map(({ kind, url }) => ({ name: kind, url, credential: 'the-one-credential' })),
    tokens: TOKENS.map((name) => ({ name })),
    limits: { list_page_tools: 4, list_ttl_ms: 3_600_000 },
  });
  const storm: Storm = {
    gateway,
    random: createRandom(seed),
    clients: await createStormClients(gateway),
    cancelled: new Set(),
    violations: [],
    streams: new Set(),
    counts: {},
  };
  t.after(() => {
    for (const { http } of storm.clients) http.close();
  });
  const startedMs = performance.now();
  await blow(storm, calls, upstreams);
  const seconds = (performance.now() - startedMs) / 1000;
  assert.deepEqual(
    [...storm.violations, ...upstreams.flatMap((upstream) => upstream.violations)].slice(0, 20),
    [],
    `seed ${seed}`,
  );
  const sessions = assertSessionsApart(storm, upstreams);
  const givenUp = upstreams.flatMap((upstream) => [...upstream.givenUp]);
  assert.deepEqual(
    givenUp.filter((canary) => !storm.cancelled.has(canary)),
    [],
    'a call was given up that its client did not cancel',
  );
  const { counts } = storm;
  assert.equal(counts.calls, calls);
  t.diagnostic(
    `${calls} calls of ${CLIENTS} clients in ${seconds.toFixed(1)} s (${Math.round(calls / seconds)}/s), seed ${seed}`,
  );
  t.diagnostic(
    `answered ${counts.answered}; cancelled ${counts.cancelled}, of these answered all the same ${counts.lateAnswers ?? 0} and given up at the upstream ${givenUp.length}`,
  );
  t.diagnostic(
    `streams ${counts.streams}, resumed ${upstreams.reduce((sum, { resumed }) => sum + resumed, 0)}; progress passed on ${counts.progress}; sessions at the stateful upstream ${sessions}`,
  );
  t.diagnostic(`foreign handles tried: ${counts.handles}, all answered as unknown ones; canaries seen by others: 0`);
}

/** All calls, and the handles of one token tried with the other while they run. */
async function blow(storm: Storm, calls: number, upstreams: readonly CanaryUpstream[]): Promise<void> {
  const { clients, gateway } = storm;
  let begun = 0;
  const lane = async (client: StormClient): Promise<void> => {
    // The first sign is enough; what follows from it would only take time.
    while (begun < calls && storm.violations.length === 0) {
      const number = ++begun;
      await callOnce(storm, client);
      if (number % Math.ceil(calls / HANDLE_ROUNDS) !== 0) continue;
      const [owner = '', other = ''] = TOKENS.toSorted(() => (number % 2 === 0 ? 1 : -1));
      const lastEventId = upstreams[0]!.lastEventId;
      count(storm, 'handles', await assertForeignHandlesUnknown({ gateway, owner, other, lastEventId }));
    }
  };
  await Promise.all(clients.flatMap((client) => Array.from({ length: LANES }, () => lane(client)))).finally(() => {
    begun = calls;
  });
}

async function callOnce(storm: Storm, client: StormClient): Promise<void> {
  const call = plan(storm, client);
  const { canary } = call.args;
  count(storm, 'calls');
  if (call.args.steps > 0) count(storm, 'streams');
  if (call.cancelAt !== 'never') storm.cancelled.add(canary);
  const cancels = call.cancelAt === 'never' ? undefined : createCancel(storm, call);
  const sending = client.http.send(toSent(storm, call), () => cancels?.onMessage());
  cancels?.begin(sending.cut);
  const received = await withinReason(sending.received);
  const cancel = cancels && (await withinReason(cancels.end()));
  if (cancel !== undefined && cancel.status !== 202) storm.violations.push(`${canary}: cancel got ${cancel.status}`);
  judge(storm, call, received);
}

function plan({ random }: Storm, client: StormClient): Call {
  const id = client.nextId++;
  const service = KINDS[Math.floor(random() * KINDS.length)]!;
  const isStreamed = random() < STREAMED_SHARE;
  const isCancelled = client.kind !== 'sessionless' && random() < CANCELLED_SHARE / (1 - SESSIONLESS_SHARE);
  const cancelAt = !isCancelled ? 'never' : isStreamed && random() < 0.5 ? 'progress' : Math.floor(random() * 20);
  const args: EchoArguments = {
    canary: `canary-${client.name}-${id}`,
    caller: client.caller,
    steps: isStreamed ? STEPS : 0,
    isPolled: isStreamed && service !== 'modern' && random() < POLLED_SHARE,
    // The one that is certainly running when it is cancelled ends by nothing else; others race with their answers.
    ...(cancelAt === 'progress' ? {} : { holdMs: Math.floor(random() * (isCancelled ? 20 : 4)) }),
  };
  return { client, id, args, service, cancelAt };
}

function toSent({ gateway }: Storm, { client, id, args, service }: Call): Sent {
  const sent = toolCall(`${service}.echo`, {
    era: client.kind === 'modern' ? 'modern' : 'legacy',
    id: String(id),
    params: `"arguments":${JSON.stringify(args)}`,
    meta: `"progressToken":${id}`,
    headers: client.headers,
  });
  return { ...sent, token: gateway.token(client.token) };
}

interface Cancel {
  begin(cut: () => void): void;
  onMessage(): void;
  /** The call has ended. Resolves with what a legacy cancellation was answered, be it too late or not. */
  end(): Promise<Received | undefined>;
}

/** By leaving, or by a notification on another connection. */
function createCancel({ gateway }: Storm, { client, id, cancelAt }: Call): Cancel {
  const done = Promise.withResolvers<Received | undefined>();
  let cut = (): void => undefined;
  let isSent = false;
  const cancel = (): void => {
    if (isSent) return;
    isSent = true;
    if (client.kind === 'modern') {
      cut();
      done.resolve(undefined);
      return;
    }
    const body = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}}}`;
    const headers = { accept: BOTH, ...client.headers };
    client.http.send({ body, headers, token: gateway.token(client.token) }).received.then(done.resolve, done.reject);
  };
  return {
    begin: (end) => {
      cut = end;
      if (cancelAt === 0) cancel();
      else if (cancelAt !== 'progress') setTimeout(cancel, Number(cancelAt));
    },
    onMessage: cancel,
    end: () => {
      if (cancelAt === 'progress' && !isSent) done.resolve(undefined);
      return done.promise;
    },
  };
}

/** The streams that the event ids in a text name. */
function streamsOf(text: string): Set<string> {
  return new Set([...text.matchAll(/^id: (.*?)(-\d+)?$/gm)].map(([, stream = '']) => stream));
}

/** What its client received must be its own: one answer, unless it was cancelled, and progress under its own token. */
function judge(storm: Storm, { client, id, args, cancelAt }: Call, received: Received | undefined): void {
  const { canary, steps } = args;
  const blame = (what: string): number =>
    storm.violations.push(`${canary} (${client.kind}, steps ${steps}, cancelled ${cancelAt}): ${what}`);
  if (received === undefined) {
    blame(`no end within ${SILENCE_MS} ms`);
    return;
  }
  const { status, text, messages, isWhole } = received;
  for (const [seen] of text.matchAll(CANARY_PATTERN)) if (seen !== canary) blame(`saw ${seen}`);
  for (const stream of streamsOf(text)) {
    // The gateway's own, and one for each call; the upstream's would be its session's.
    if (client.kind !== 'session' || storm.streams.has(stream)) blame(`was given an event of the stream ${stream}`);
    storm.streams.add(stream);
  }
  const answers = messages.filter((message) => message.method === undefined);
  const progress = messages.filter((message) => message.method !== undefined);
  for (const message of progress) if (!isProgressOf(message, id, canary)) blame(`got ${JSON.stringify(message)}`);
  for (const answer of answers) if (!isAnswerTo(answer, id, canary)) blame(`got ${JSON.stringify(answer)}`);
  count(storm, 'progress', progress.length);
  if (answers.length > 1) blame(`was answered ${answers.length} times`);
  if (cancelAt !== 'never') {
    count(storm, 'cancelled');
    count(storm, 'lateAnswers', answers.length);
    if (!isWhole && client.kind !== 'modern') blame('its answer was cut off');
    return;
  }
  count(storm, 'answered', answers.length);
  if (status !== 200 || !isWhole || answers.length !== 1)
    blame(`status ${status}, whole ${isWhole}: ${text.slice(-300)}`);
  if (progress.length !== steps) blame(`heard of ${progress.length} steps`);
}

function isAnswerTo({ id, result }: JsonRpcAnswer, expected: number, canary: string): boolean {
  return id === expected && result?.content?.[0]?.text === canary;
}

function isProgressOf({ method, params }: JsonRpcAnswer, token: number, canary: string): boolean {
  const { progressToken, message } = (params ?? {}) as { progressToken?: unknown; message?: unknown };
  return method === 'notifications/progress' && progressToken === token && message === canary;
}

/** 1:1 between downstream conversations and upstream sessions. Returns how many there are. */
function assertSessionsApart({ clients }: Storm, upstreams: readonly CanaryUpstream[]): number {
  const used = upstreams
    .flatMap(({ sessions }) => [...sessions.values()].map(({ callers }) => [...callers]))
    .filter((callers) => callers.length > 0);
  const expected = [...new Set(clients.map(({ caller }) => caller))].sort();
  assert.deepEqual(used.map((callers) => callers.join(' and ')).sort(), expected);
  return used.length;
}

async function withinReason<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, SILENCE_MS, undefined);
  });
  return await Promise.race([promise, tooLate]).finally(() => clearTimeout(timer));
}

function count({ counts }: Storm, what: string, by = 1): void {
  counts[what] = (counts[what] ?? 0) + by;
}

/** Numbers in [0, 1) that a seed repeats: a 32-bit linear congruence, of which the upper bits are good enough here. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
