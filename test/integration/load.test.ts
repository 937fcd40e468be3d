// The load generator on mock upstreams and through a gateway: it counts what came back, and spares a slow target nothing.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { generateLoad, type LoadOptions } from '../../src/load/generate-load.ts';
import type { LoadReport } from '../../src/load/load-figures.ts';
import { MOCK_DEFAULTS, type MockUpstreamOptions } from '../../src/load/mock-options.ts';
import { MockUpstream } from '../../src/load/mock-upstream.ts';
import { openSession } from '../../src/load/open-session.ts';
import { toRpcRequest } from '../../src/load/rpc-request.ts';
import { eventually } from '../support/eventually.ts';
import { startGateway } from '../support/gateway.ts';
import { findDeadPort } from '../support/local-server.ts';

const DEFAULTS: MockUpstreamOptions = { ...MOCK_DEFAULTS, port: 0, era: 'modern', tools: 3 };

async function startUpstream(t: TestContext, options: Partial<MockUpstreamOptions> = {}) {
  const upstream = new MockUpstream({ ...DEFAULTS, ...options });
  const url = new URL(`http://127.0.0.1:${await upstream.listen()}/mcp`);
  t.after(() => upstream.close());
  return { upstream, url };
}

function load(url: URL, options: Partial<LoadOptions> = {}): Promise<LoadReport> {
  const request = toRpcRequest({ url, token: undefined, era: 'modern', tool: 'echo', args: '{}' });
  const times = { warmUpMs: 0, durationMs: 400, timeoutMs: 5_000 };
  return generateLoad({ url, request, rate: 200, pattern: 'even', connections: 16, ...times, ...options });
}

test('in an open loop as many requests are sent as are due, and all are answered', async (t) => {
  const { upstream, url } = await startUpstream(t);
  const { due, answered, problems, bytes, latencyUs } = await load(url);
  assert.deepEqual([due, answered, problems], [80, 80, {}]);
  assert.equal(upstream.calls, 80);
  assert.ok(bytes > 80 * 200);
  assert.ok(latencyUs.p50 > 0 && latencyUs.p50 <= latencyUs.p99 && latencyUs.p99 <= latencyUs.max);
});

test('what waits for a connection counts from when it was due: a slow target is not spared', async (t) => {
  const { url } = await startUpstream(t, { latency: { fromMs: 50, toMs: 50 } });
  const { due, answered, latencyUs } = await load(url, { connections: 1, rate: 100, durationMs: 200 });
  assert.deepEqual([due, answered], [20, 20]);
  // Twenty calls of 50 ms, one after the other, due within 200 ms: the last waits some 800 ms.
  assert.ok(latencyUs.max > 700_000, `${latencyUs.max}`);
});

test('throughput is what is answered while it is measured, and what waited for a connection is told apart', async (t) => {
  const { url } = await startUpstream(t, { latency: { fromMs: 50, toMs: 50 } });
  const { due, answered, waited, perSecond } = await load(url, { connections: 2, rate: 100, durationMs: 300 });
  assert.deepEqual([due, answered], [30, 30]);
  assert.ok(waited >= 15 && waited <= 28, `${waited} waited`);
  // Two connections of 20 calls a second each.
  assert.ok(perSecond > 0 && perSecond <= 40, `${perSecond}/s`);
});

test('an answer that comes after its time is none, also if nobody has looked since', async (t) => {
  const { url } = await startUpstream(t, { latency: { fromMs: 60, toMs: 60 } });
  const { due, answered, problems } = await load(url, { durationMs: 50, timeoutMs: 40 });
  assert.deepEqual([answered, problems], [0, { 'no answer in time': due }]);
});

test('in a closed loop every connection sends again as soon as it is answered', async (t) => {
  const { upstream, url } = await startUpstream(t, { latency: { fromMs: 20, toMs: 20 } });
  const { due, answered, latencyUs } = await load(url, { rate: undefined, connections: 4 });
  assert.deepEqual([due, answered], [upstream.calls, upstream.calls]);
  assert.ok(answered >= 4 && answered <= 4 * 21, `${answered}`);
  assert.ok(latencyUs.p50 >= 19_000);
});

test('errors, missing answers and dead ports are counted by their words', async (t) => {
  const failing = await startUpstream(t, { errorRate: 1 });
  const stalled = await startUpstream(t, { stallRate: 1 });
  const dead = new URL(`http://127.0.0.1:${await findDeadPort()}/mcp`);
  const short = { rate: 50, durationMs: 100 };
  const [errors, missing, refused] = await Promise.all([
    load(failing.url, short),
    load(stalled.url, { ...short, timeoutMs: 100 }),
    load(dead, short),
  ]);
  assert.deepEqual(errors.problems, { 'error -32000': 5 });
  assert.deepEqual(missing.problems, { 'no answer in time': 5 });
  assert.deepEqual(refused.problems, { ECONNREFUSED: 5 });
  for (const { answered, perSecond } of [errors, missing, refused]) assert.deepEqual([answered, perSecond], [0, 0]);
});

test('what fails once the warm-up is over is counted, also if it was due before', async (t) => {
  const { url } = await startUpstream(t, { stallRate: 1 });
  const report = await load(url, { rate: undefined, connections: 2, warmUpMs: 50, durationMs: 100, timeoutMs: 200 });
  const { due, answered, problems } = report;
  assert.deepEqual([due, answered, problems], [2, 0, { 'no answer in time': 2 }]);
});

test('the same seed fails the same calls', async (t) => {
  const counts = async () => {
    const { url } = await startUpstream(t, { errorRate: 0.3, seed: 5 });
    return (await load(url, { connections: 1, durationMs: 200 })).problems;
  };
  const first = await counts();
  assert.ok((first['error -32000'] ?? 0) > 0);
  assert.deepEqual(await counts(), first);
});

test('a load that is stopped gives up what is still open a second later', async (t) => {
  const { upstream, url } = await startUpstream(t, { stallRate: 1 });
  const stop = new AbortController();
  const options = { rate: 200, connections: 2, durationMs: 60_000, timeoutMs: 60_000, signal: stop.signal };
  const loaded = load(url, options);
  await eventually(() => upstream.calls === 2);
  stop.abort();
  const { due, answered, problems } = await loaded;
  assert.deepEqual([answered, problems], [0, { 'no answer when it was stopped': due }]);
});

test('an address in a URL of https is no name to be asked for: what fails is counted', async (t) => {
  const { url } = await startUpstream(t);
  const { due, answered, problems } = await load(new URL(url.href.replace('http:', 'https:')), { durationMs: 20 });
  assert.deepEqual([answered, Object.values(problems)], [0, [due]]);
});

test('a mock upstream refuses a body that is no request, and goes on', async (t) => {
  const { url } = await startUpstream(t);
  const truncated = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {';
  for (const body of ['garbage', '', 'null', '7', '[]', truncated, '"tools/call"', '{"method":"tools/call","id":1']) {
    const response = await fetch(url, { method: 'POST', body });
    const { id, error } = (await response.json()) as { id: unknown; error: { code: number } };
    assert.deepEqual([response.status, id, error.code], [400, null, -32700], body);
  }
  const { due, answered } = await load(url, { durationMs: 20 });
  assert.equal(answered, due);
});

for (const era of ['legacy', 'modern'] as const) {
  test(`through a gateway, with results by events and dense ones (${era})`, async (t) => {
    const events = await startUpstream(t, { era, answer: 'sse', progressEvents: 3 });
    const dense = await startUpstream(t, { era, shape: 'dense', resultBytes: 50_000 });
    const gateway = await startGateway({
      configs: [
        { name: 'events', url: events.url.href },
        { name: 'dense', url: dense.url.href },
      ],
    });
    t.after(() => gateway.close());
    const [url, token] = [new URL(gateway.mcpUrl), gateway.token()];
    const sessionId = era === 'legacy' ? await openSession(url, token) : undefined;
    for (const tool of ['events.echo', 'dense.echo', undefined]) {
      const request = toRpcRequest({ url, token, era, tool, args: '{"text":"hello"}', sessionId });
      const { due, answered, problems } = await load(url, { request, rate: 100, durationMs: 200 });
      assert.deepEqual([answered, problems], [due, {}], tool ?? 'tools/list');
    }
    assert.equal(events.upstream.calls, 20);
    assert.equal(dense.upstream.calls, 20);
  });
}
