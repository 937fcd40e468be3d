// When upstreams are asked for their tools again: as often as they want, never more than once a second, and without
// anybody's waiting for it.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type ListingUpstream, type OnList, startListingUpstream, toolNamed } from '../support/listing-upstream.ts';
import { type Answer, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import type { RecordingUpstreamOptions } from '../support/recording-upstream.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
const LIST_TTL_MS = 60_000;
const LIST_CHANGED = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}';

async function listing(
  t: TestContext,
  onList: OnList,
  options: Partial<RecordingUpstreamOptions> = {},
): Promise<ListingUpstream> {
  const started = await startListingUpstream({ era: 'modern', ...options }, onList);
  t.after(() => started.upstream.close());
  return started;
}

/** A gateway whose clock stands still unless it is moved. */
async function start(t: TestContext, upstreams: readonly ListingUpstream[]) {
  const clock = { nowMs: START_MS };
  const gateway = await startGateway({
    configs: upstreams.map(({ upstream }, index) => ({ name: `rec${index}`, url: upstream.url })),
    limits: { list_ttl_ms: LIST_TTL_MS },
    now: () => clock.nowMs,
  });
  t.after(() => gateway.close());
  return { gateway, clock };
}

function list(gateway: TestGateway, era: 'legacy' | 'modern' = 'modern'): Promise<Answer> {
  return send(gateway.mcpUrl, { ...mcpRequest('tools/list', { era }), token: gateway.token() });
}

const namesIn = ({ message }: Answer): string[] => message.result.tools.map(({ name }: { name: string }) => name);
const ttlOf = async (gateway: TestGateway): Promise<number> => (await list(gateway)).message.result.ttlMs;
const withTtl =
  (raw: string): OnList =>
  () =>
    `{"tools":[${toolNamed('a')}]${raw === '' ? '' : `,"ttlMs":${raw},"cacheScope":"public"`}}`;

describe('how long a client may keep a list', () => {
  test('is as long as its upstream still lets it be kept, and private', async (t) => {
    const upstream = await listing(t, withTtl('5000'));
    const { gateway, clock } = await start(t, [upstream]);
    const { message } = await list(gateway);
    assert.deepEqual([message.result.ttlMs, message.result.cacheScope], [5_000, 'private']);
    clock.nowMs += 3_000;
    assert.equal(await ttlOf(gateway), 2_000);
    assert.equal(upstream.asked.length, 1);
    clock.nowMs += 2_500;
    assert.equal(await ttlOf(gateway), 0, 'the known list, at once');
    await eventually(async () => (await ttlOf(gateway)) === 5_000);
    assert.equal(upstream.asked.length, 2);
  });

  test('is as long as the most hurried of its upstreams says', async (t) => {
    const upstreams = [
      await listing(t, withTtl('30000')),
      await listing(t, withTtl('')),
      await listing(t, withTtl('7000')),
    ];
    const { gateway } = await start(t, upstreams);
    assert.equal(await ttlOf(gateway), 7_000);
  });

  test('is as long as the gateway uses it, where an upstream says more, nothing or nonsense', async (t) => {
    const words = ['3600000', '', '-1', '1e400', '"9"', 'null', '0.5'];
    const upstreams = await Promise.all(words.map((word) => listing(t, withTtl(word))));
    const { gateway } = await start(t, upstreams);
    assert.equal(await ttlOf(gateway), LIST_TTL_MS);
  });

  test('is as long as the gateway uses it for a legacy upstream, whatever it says', async (t) => {
    const { gateway } = await start(t, [await listing(t, withTtl('7'), { era: 'legacy' })]);
    assert.equal(await ttlOf(gateway), LIST_TTL_MS);
  });

  test('is nothing while an upstream has not answered for the first time', async (t) => {
    const silent = await listing(t, () => undefined);
    const gateway = await startGateway({
      configs: [
        { name: 'rec', url: (await listing(t, withTtl(''))).upstream.url },
        { name: 'silent', url: silent.upstream.url },
      ],
      limits: { list_wait_ms: 50 },
    });
    t.after(() => gateway.close());
    assert.equal(await ttlOf(gateway), 0);
  });
});

describe('an upstream is asked again', { concurrency: true }, () => {
  test('as soon as it wants, but not twice in a second', async (t) => {
    const upstream = await listing(t, withTtl('0'));
    const { gateway, clock } = await start(t, [upstream]);
    for (let count = 0; count < 20; count++) assert.equal(await ttlOf(gateway), 0);
    clock.nowMs += 999;
    await list(gateway);
    assert.equal(upstream.asked.length, 1);
    clock.nowMs += 1;
    await list(gateway);
    await eventually(() => upstream.asked.length === 2);
  });

  test('after a storm of three thousand notifications, a few times and once behind the last', async (t) => {
    let version = 0;
    const onCall: RecordingUpstreamOptions['onCall'] = () => ({
      sse: (function* () {
        for (let count = 0; count < 1_000; count++) {
          version++;
          yield LIST_CHANGED;
        }
      })(),
      result: '{"content":[],"resultType":"complete"}',
    });
    const options = { tools: [toolNamed('a')], onCall };
    const upstream = await listing(t, () => `{"tools":[${toolNamed('a')},${toolNamed(`v${version}`)}]}`, options);
    const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.upstream.url }] });
    t.after(() => gateway.close());
    assert.deepEqual(namesIn(await list(gateway)), ['rec.a', 'rec.v0']);
    const startedMs = performance.now();
    const call = () => send(gateway.mcpUrl, { ...toolCall('rec.a', { era: 'modern' }), token: gateway.token() });
    const answers = await Promise.all([call(), call(), call()]);
    for (const { datas } of answers) assert.ok(datas.at(-1)?.includes('"resultType":"complete"'));
    const known = await list(gateway);
    assert.ok(namesIn(known).includes('rec.a'), 'the known list is there all the while');
    await eventually(async () => namesIn(await list(gateway)).includes('rec.v3000'));
    const seconds = (performance.now() - startedMs) / 1_000;
    assert.ok(upstream.asked.length <= 2 + seconds, `${upstream.asked.length} times in ${seconds} s`);
  });

  test('once more when its list changes while it is being asked', async (t) => {
    const first = Promise.withResolvers<string>();
    const upstream = await listing(
      t,
      (() => {
        const answers = [`{"tools":[${toolNamed('a')}]}`, first.promise];
        return () => answers.shift() ?? `{"tools":[${toolNamed('a')},${toolNamed('new')}]}`;
      })(),
      {
        tools: [toolNamed('a')],
        onCall: () => ({ sse: [LIST_CHANGED], result: '{"content":[],"resultType":"complete"}' }),
      },
    );
    const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.upstream.url }] });
    t.after(() => gateway.close());
    assert.equal(await ttlOf(gateway), LIST_TTL_MS);
    const call = () => send(gateway.mcpUrl, { ...toolCall('rec.a', { era: 'modern' }), token: gateway.token() });
    await call();
    await eventually(() => upstream.asked.length === 2);
    await call();
    assert.deepEqual(namesIn(await list(gateway)), ['rec.a'], 'the known list, at once');
    assert.equal(await ttlOf(gateway), 0, 'which nobody should keep');
    first.resolve(`{"tools":[${toolNamed('a')},${toolNamed('stale')}]}`);
    await eventually(async () => namesIn(await list(gateway)).includes('rec.new'));
    assert.equal(upstream.asked.length, 3);
    assert.equal(await ttlOf(gateway), LIST_TTL_MS);
  });
});

describe('a list that breaks on its third page', { concurrency: true }, () => {
  const page = (cursor: string): string =>
    `{"tools":[${toolNamed(`t${cursor}`)}]${cursor === '4' ? '' : `,"nextCursor":"${Number(cursor) + 1}"`}}`;
  const WHOLE = ['0', '1', '2', '3', '4'].map((cursor) => `rec0.t${cursor}`);
  const breaks: Readonly<Record<string, string>> = {
    'has no tools': '{"nextCursor":"3"}',
    'is no list': '{"tools":{}}',
    'ends in the middle': '{"tools":[{',
    'goes round': '{"tools":[],"nextCursor":"1"}',
  };
  for (const [title, third] of Object.entries(breaks)) {
    test(`and ${title} leaves the last known one in use, whole`, async (t) => {
      let isBroken = false;
      const upstream = await listing(t, (cursor = '0') => {
        if (isBroken && cursor === '0') return `{"tools":[${toolNamed('half')}],"nextCursor":"1"}`;
        return isBroken && cursor === '2' ? third : page(cursor);
      });
      const { gateway, clock } = await start(t, [upstream]);
      assert.deepEqual(namesIn(await list(gateway)), WHOLE);
      isBroken = true;
      clock.nowMs += LIST_TTL_MS;
      const states = async () => (await list(gateway)).message.result._meta['mcp-switchboard/upstreams'];
      const [state] = await eventually(states);
      assert.deepEqual([state.state, state.reason], ['unavailable', 'broken_answer']);
      assert.deepEqual(namesIn(await list(gateway)), WHOLE);
      isBroken = false;
      await eventually(async () => (await states()) === undefined);
      assert.deepEqual(namesIn(await list(gateway)), WHOLE);
    });
  }
});

test('a list that comes again unchanged changes no catalog, and a tool of 10 MB costs only itself', async (t) => {
  const large = toolNamed('large', `,"description":"${'x'.repeat(10_000_000)}"`);
  const upstream = await listing(t, () => `{"tools":[${toolNamed('a')},${large},${toolNamed('b')}],"ttlMs":1000}`);
  const { gateway, clock } = await start(t, [upstream]);
  const first = await list(gateway);
  assert.deepEqual(namesIn(first), ['rec0.a', 'rec0.b']);
  clock.nowMs += 1_000;
  await list(gateway);
  await eventually(() => upstream.asked.length === 2);
  await eventually(async () => (await ttlOf(gateway)) === 1_000);
  assert.equal((await list(gateway)).text, first.text);
});
