import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Upstream } from '../../../src/upstream/upstream.ts';
import { type OnList, startListingUpstream, toolNamed } from '../../support/listing-upstream.ts';
import type { RecordingUpstreamOptions } from '../../support/recording-upstream.ts';

interface Options {
  readonly era?: RecordingUpstreamOptions['era'];
  readonly timeoutMs?: number;
}

async function start(t: TestContext, onList: OnList, { era = 'modern', timeoutMs = 5_000 }: Options = {}) {
  const { upstream: recording, asked } = await startListingUpstream({ era }, onList);
  const upstream = new Upstream({
    key: 'k',
    service: 'rec',
    endpoint: new URL(recording.url),
    policy: { allowHttp: true, allowCidrs: ['127.0.0.0/8'] },
    credentialHeaders: [],
    limits: { connections: 4, connectTimeoutMs: 2_000, headersTimeoutMs: timeoutMs, idleTimeoutMs: timeoutMs },
    clientInfo: '{"name":"t","version":"1"}',
    now: Date.now,
    onFailure: () => {},
  });
  t.after(async () => {
    await upstream.close(0);
    await recording.close();
  });
  return { upstream, asked };
}

const namesIn = (tools: readonly Buffer[]): string[] => tools.map((tool) => JSON.parse(tool.toString()).name);

/** One tool a page, and cursors 1, 2, 3 … up to `last`. */
const numbered =
  (last: number): OnList =>
  (cursor = '0') =>
    `{"tools":[${toolNamed(`t${cursor}`)}]${Number(cursor) < last ? `,"nextCursor":"${Number(cursor) + 1}"` : ''}}`;

describe('the pages of a list', () => {
  test('are drained up to the hundredth', async (t) => {
    const { upstream } = await start(t, numbered(99));
    const { tools } = await upstream.listTools();
    assert.deepEqual(
      namesIn(tools),
      Array.from({ length: 100 }, (_, index) => `t${index}`),
    );
  });

  test('are followed through any string, an empty one included', async (t) => {
    const cursors = [undefined, '', ' ', '\u0000é"\\', '\ud800', '0'];
    const { upstream, asked } = await start(t, (cursor) => {
      const next = cursors[cursors.indexOf(cursor) + 1];
      return `{"tools":[]${next === undefined ? '' : `,"nextCursor":${JSON.stringify(next)}`}}`;
    });
    assert.deepEqual((await upstream.listTools()).tools, []);
    assert.deepEqual(asked, cursors);
  });

  test('end with a nextCursor that is null', async (t) => {
    const { upstream } = await start(t, () => `{"tools":[${toolNamed('a')}],"nextCursor": null }`);
    assert.equal((await upstream.listTools()).tools.length, 1);
  });

  const many = `[${Array.from({ length: 10_001 }, () => '{}')}]`;
  const large = toolNamed('a', `,"description":"${'x'.repeat(17_000_000)}"`);
  const broken: readonly (readonly [title: string, onList: OnList, message: RegExp])[] = [
    ['more than a hundred', numbered(100), /more than 100 pages/],
    ['one cursor over and over', () => '{"tools":[],"nextCursor":"a"}', /repeats a cursor/],
    ['an empty cursor over and over', () => '{"tools":[],"nextCursor":""}', /repeats a cursor/],
    [
      'cursors in a circle',
      (cursor) => `{"tools":[],"nextCursor":"${cursor === 'a' ? 'b' : 'a'}"}`,
      /repeats a cursor/,
    ],
    ['a cursor that is a number', () => '{"tools":[],"nextCursor":7}', /'nextCursor' that is no string/],
    ['a cursor that is no text', () => '{"tools":[],"nextCursor":"\\q"}', /'nextCursor' that is no string/],
    ['too many tools on one page', () => `{"tools":${many}}`, /more than 10000 tools/],
    [
      'too many tools on two',
      (cursor) => `{"tools":${many.replace('{},{},', '')}${cursor === undefined ? ',"nextCursor":"a"' : ''}}`,
      /more than 10000 tools/,
    ],
    [
      'too many bytes',
      (cursor) => `{"tools":[${large}]${cursor === undefined ? ',"nextCursor":"a"' : ''}}`,
      /larger than 33554432 bytes/,
    ],
    ['no tools on the third', (cursor) => (cursor === '2' ? '{}' : numbered(5)(cursor)), /without 'tools'/],
    ['half an array on the third', (cursor) => (cursor === '2' ? '{"tools":[{}' : numbered(5)(cursor)), /tools\/list/],
  ];
  for (const [title, onList, message] of broken) {
    test(`are no list with ${title}`, async (t) => {
      const { upstream } = await start(t, onList);
      await assert.rejects(upstream.listTools(), { reason: 'broken_answer', stage: 'list', message });
    });
  }

  test('have the time of two requests together, however many come just in time', async (t) => {
    const { upstream, asked } = await start(
      t,
      async (cursor) => {
        await new Promise((resolve) => setTimeout(resolve, 60));
        return numbered(99)(cursor);
      },
      { timeoutMs: 150 },
    );
    const startedMs = performance.now();
    await assert.rejects(upstream.listTools(), { reason: 'timeout', message: /tool list within 300 ms/ });
    assert.ok(performance.now() - startedMs < 2_000);
    assert.ok(asked.length <= 6, `${asked.length} pages`);
  });
});

describe('how long a list may be used', () => {
  const ttlOf = async (t: TestContext, pages: readonly string[], era: 'legacy' | 'modern' = 'modern') => {
    const onList: OnList = (cursor = '0') => {
      const page = Number(cursor);
      return `{"tools":[]${pages[page]}${page + 1 < pages.length ? `,"nextCursor":"${page + 1}"` : ''}}`;
    };
    return (await (await start(t, onList, { era })).upstream.listTools()).ttlMs;
  };

  test('is what a modern upstream says', async (t) => {
    assert.equal(await ttlOf(t, [',"ttlMs":5000,"cacheScope":"public"']), 5_000);
    assert.equal(await ttlOf(t, [',"ttlMs": 0 ']), 0);
  });

  test('is what the shortest of its pages says', async (t) => {
    assert.equal(await ttlOf(t, [',"ttlMs":9000', ',"ttlMs":300', '', ',"ttlMs":4000']), 300);
  });

  test('is not read from a legacy upstream', async (t) => {
    assert.equal(await ttlOf(t, [',"ttlMs":5000'], 'legacy'), undefined);
  });

  for (const raw of ['-1', '1e400', '1.5', '"5000"', 'null', '[1]', '{}', 'true', '1e3', `1${'0'.repeat(300)}`]) {
    test(`is not ${raw.slice(0, 20)}`, async (t) => {
      assert.equal(await ttlOf(t, [`,"ttlMs":${raw}`]), undefined);
    });
  }
});
