// Clients of both eras that call, or are in the middle of a stream, and are gone: what a gateway process and its upstreams
// hold before and after.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type CanaryUpstream, type EchoArguments, startCanaryUpstream, type UpstreamKind } from './canary-upstream.ts';
import { eventually } from './eventually.ts';
import { BOTH, mcpRequest, type Sent, send, toolCall } from './mcp-http.ts';
import {
  assertNotMore,
  describeReading,
  PROBE_OPTIONS,
  type Reading,
  scrape,
  takeReading,
} from './process-readings.ts';
import { type ServeChild, startServe } from './serve-child.ts';
import { createHttp1Client } from './streaming-client.ts';
import { connectVanishing, type VanishingClient } from './vanishing-client.ts';

const KINDS: readonly UpstreamKind[] = ['stateful', 'stateless', 'modern'];
/** Clients that connect at the same time; all that have connected stay until all have. */
const WAVE = 50;
export interface VanishedOptions {
  /** Sessions and streams of each round. */
  readonly clients: number;
  /** After the first one, which fills what has a bound and is no leak. */
  readonly rounds: number;
  readonly sessionIdleMs: number;
  readonly callTimeoutMs: number;
  /** Sessions that are opened and used before and once more behind it all, so that the memory for sessions is full. */
  readonly rememberedSessions: number;
}

export async function proveNothingIsLeft(t: TestContext, options: VanishedOptions): Promise<void> {
  const { clients, rounds, rememberedSessions } = options;
  const upstreams = await Promise.all(KINDS.map((kind) => startCanaryUpstream(kind, 2_000)));
  t.after(() => Promise.all(upstreams.map((upstream) => upstream.close())));
  const gateway = await startServe(
    {
      configs: upstreams.map(({ kind, url }) => ({ name: kind, url })),
      limits: {
        session_idle_ms: options.sessionIdleMs,
        call_timeout_ms: options.callTimeoutMs,
        list_ttl_ms: 3_600_000,
        connections_per_credential: clients,
        calls_per_token: 2 * clients,
      },
    },
    { NODE_OPTIONS: PROBE_OPTIONS },
  );
  const look = async (name: string): Promise<Reading> => {
    await settled(gateway, upstreams);
    const reading = await takeReading(gateway);
    t.diagnostic(`${name}: ${describeReading(reading)}`);
    return reading;
  };
  await rememberSessions(gateway, rememberedSessions);
  await round(t, gateway, upstreams, clients);
  const before = await look('before');
  for (let done = 1; done <= rounds; done++) {
    await round(t, gateway, upstreams, clients);
    assertNotMore(await look(`after ${done} × ${clients} sessions and ${clients} streams`), before);
  }
  if (rememberedSessions > 0) {
    await rememberSessions(gateway, rememberedSessions);
    assertNotMore(await look(`after another ${rememberedSessions} sessions`), before);
  }
  const [stateful] = upstreams;
  const ends = [...stateful!.sessions.values()].map((session) => session.ends);
  t.diagnostic(
    `upstream sessions: ${ends.length} opened, ${ends.filter((count) => count === 1).length} ended by a DELETE`,
  );
  assert.deepEqual(new Set(ends), new Set([1]));
  assert.deepEqual(
    upstreams.flatMap(({ violations }) => violations),
    [],
  );
}

/** `clients` sessions and as many streams come, and are gone. */
async function round(
  t: TestContext,
  gateway: ServeChild,
  upstreams: readonly CanaryUpstream[],
  clients: number,
): Promise<void> {
  // Calls that no client waited for have timed out, and the circuit breakers may still be open for it.
  for (const kind of KINDS) await eventually(async () => (await callOnce(gateway, kind)).includes('canary-again'));
  const idle = await inWaves(clients, (index) => openSession(gateway, index, 'stateful'));
  assert.equal((await scrape(gateway)).client_connections, clients + 1);
  vanish(idle);
  const givenUpBefore = countGivenUp(upstreams);
  const streaming = await inWaves(clients, (index) => openStream(gateway, index));
  const { calls_in_flight: inFlight, client_connections: connections } = await scrape(gateway);
  t.diagnostic(`${inFlight} streams open on ${connections} connections when their clients vanish`);
  assert.equal(inFlight, clients);
  vanish(streaming);
  await settled(gateway, upstreams);
  assert.equal(countGivenUp(upstreams) - givenUpBefore, clients, 'every upstream was told, or cut off');
}

function countGivenUp(upstreams: readonly CanaryUpstream[]): number {
  return upstreams.reduce((sum, { givenUp }) => sum + givenUp.size, 0);
}

async function inWaves(count: number, open: (index: number) => Promise<VanishingClient>): Promise<VanishingClient[]> {
  const opened: VanishingClient[] = [];
  for (let from = 0; from < count; from += WAVE) {
    const wave = Array.from({ length: Math.min(WAVE, count - from) }, (_, index) => open(from + index));
    opened.push(...(await Promise.all(wave)));
  }
  return opened;
}

/** Half of them by a reset. */
function vanish(clients: readonly VanishingClient[]): void {
  for (const [index, client] of clients.entries()) client.vanish((index >> 1) % 2 === 0);
}

/** A legacy client that has opened a session and called once; every fourth on HTTP/2. */
async function openSession(gateway: ServeChild, index: number, kind: UpstreamKind): Promise<VanishingClient> {
  const client = await connectVanishing(gateway.mcpUrl, index % 4 === 3 ? 2 : 1);
  const token = gateway.token();
  const headers = await initialize(gateway, client);
  const initialized = { body: '{"jsonrpc":"2.0","method":"notifications/initialized"}', headers, token };
  await client.ask(initialized, / 202 [\s\S]*\r\n\r\n/);
  await client.ask(
    echo(gateway, kind, { canary: `canary-idle-${index}`, steps: 0, holdMs: 0 }, headers),
    /canary-idle/,
  );
  return client;
}

/** A client of either era in the middle of a stream that its upstream does not end. */
async function openStream(gateway: ServeChild, index: number): Promise<VanishingClient> {
  const client = await connectVanishing(gateway.mcpUrl, index % 4 === 3 ? 2 : 1);
  const isModern = (index >> 2) % 2 === 0;
  const headers = isModern ? undefined : await initialize(gateway, client);
  const args = { canary: `canary-open-${index}-${performance.now()}`, steps: 1 };
  await client.ask(echo(gateway, KINDS[index % KINDS.length]!, args, headers), /canary-open/);
  return client;
}

async function initialize(gateway: ServeChild, client: VanishingClient): Promise<Record<string, string>> {
  const answer = await client.ask(
    { ...mcpRequest('initialize', { params: INITIALIZE }), token: gateway.token() },
    /"result"/,
  );
  const sessionId = /^mcp-session-id: (\S+)/im.exec(answer)?.[1];
  return { accept: BOTH, 'mcp-session-id': String(sessionId), 'mcp-protocol-version': '2025-11-25' };
}

const INITIALIZE = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"gone","version":"1"}';

/** Modern without `headers`. */
function echo(
  gateway: ServeChild,
  kind: UpstreamKind,
  args: Omit<EchoArguments, 'caller'>,
  headers?: Record<string, string>,
): Sent {
  const params = `"arguments":${JSON.stringify({ caller: 'anybody', ...args })}`;
  const call = { params, meta: '"progressToken":1' };
  const era = headers === undefined ? 'modern' : 'legacy';
  return { ...toolCall(`${kind}.echo`, { ...call, era, headers: headers ?? {} }), token: gateway.token() };
}

async function callOnce(gateway: ServeChild, kind: UpstreamKind): Promise<string> {
  return (await send(gateway.mcpUrl, echo(gateway, kind, { canary: 'canary-again', steps: 0, holdMs: 0 }))).text;
}

/** Sessions that are opened and used without an upstream; the gateway remembers so many of them and no more. */
async function rememberSessions(gateway: ServeChild, count: number): Promise<void> {
  const client = createHttp1Client(gateway.mcpUrl, WAVE);
  const token = gateway.token();
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun++ < count) {
      const opened = await client.send({ ...mcpRequest('initialize', { params: INITIALIZE }), token }).received;
      const sessionId = /"mcp-session-id":"([^"]+)"/.exec(opened.text)?.[1];
      const pinged = await client.send({
        ...mcpRequest('ping', { headers: { 'mcp-session-id': String(sessionId) } }),
        token,
      }).received;
      assert.equal(pinged.status, 200);
    }
  };
  await Promise.all(Array.from({ length: WAVE }, lane));
  client.close();
}

/** Resolves when, by its metrics and in the eyes of its upstreams, the gateway has nothing left to do or to wait for. */
async function settled(gateway: ServeChild, upstreams: readonly CanaryUpstream[]): Promise<void> {
  await eventually(
    async () => {
      const { calls_in_flight, upstream_sessions, pool_connections, client_connections } = await scrape(gateway);
      const isIdle = calls_in_flight === 0 && upstream_sessions === 0 && pool_connections === 0;
      // One is the scrape's own.
      return isIdle && client_connections === 1 && upstreams.every((each) => each.openCalls + each.openSessions === 0);
    },
    30_000,
    // A scrape costs both processes more than what they wait for.
    100,
  );
}
