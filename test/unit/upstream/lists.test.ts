import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { UpstreamError } from '../../../src/upstream/failure.ts';
import type { Upstream } from '../../../src/upstream/upstream.ts';
import { type OnList, startListingUpstream, toolNamed } from '../../support/listing-upstream.ts';
import { type RecordingUpstreamOptions, startRecordingUpstream } from '../../support/recording-upstream.ts';
import { anUpstream } from '../../support/upstreams.ts';

interface Options {
  readonly era?: RecordingUpstreamOptions['era'];
  readonly timeoutMs?: number;
}

async function start(t: TestContext, onList: OnList, { era = 'modern', timeoutMs = 5_000 }: Options = {}) {
  const { upstream: recording, asked } = await startListingUpstream({ era }, onList);
  t.after(() => recording.close());
  return { upstream: upstreamAt(t, recording.url, timeoutMs), asked };
}

function upstreamAt(t: TestContext, url: string, timeoutMs: number, now: () => number = Date.now): Upstream {
  const upstream = anUpstream(url, { service: 'rec', timeoutMs, now });
  t.after(() => upstream.close(0));
  return upstream;
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
    const { tools } = await upstream.listAll();
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
    assert.deepEqual((await upstream.listAll()).tools, []);
    assert.deepEqual(asked, cursors);
  });

  test('end with a nextCursor that is null', async (t) => {
    const { upstream } = await start(t, () => `{"tools":[${toolNamed('a')}],"nextCursor": null }`);
    assert.equal((await upstream.listAll()).tools.length, 1);
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
      await assert.rejects(upstream.listAll(), { reason: 'broken_answer', stage: 'list', message });
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
    await assert.rejects(upstream.listAll(), { reason: 'timeout', message: /tool list within 300 ms/ });
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
    return (await (await start(t, onList, { era })).upstream.listAll()).ttlMs;
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

describe('the lists of one upstream', () => {
  const DECLARED = '"prompts":{},"resources":{}';
  /** What a modern upstream answers by method; anything else is refused, and what is `undefined` never answered. */
  async function startAll(t: TestContext, capabilities: string, results: Readonly<Record<string, string | undefined>>) {
    const asked: string[] = [];
    const recording = await startRecordingUpstream({
      era: 'modern',
      intercept: ({ body }, response) => {
        const { id, method } = JSON.parse(body.toString());
        asked.push(method);
        const discovered = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{${capabilities}},"instructions":"Ask."}`;
        const result = method === 'server/discover' ? discovered : results[method];
        if (result === undefined && method in results) return true;
        const body2 = result === undefined ? '"error":{"code":-32603,"message":"no"}' : `"result":${result}`;
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},${body2}}`);
        return true;
      },
    });
    t.after(() => recording.close());
    return { upstream: upstreamAt(t, recording.url, 150), asked };
  }

  const RESULTS = {
    'tools/list': '{"tools":[{"name":"a"}],"ttlMs":9000}',
    'prompts/list': '{"prompts":[{"name":"b"},{ "name":"c" }],"ttlMs":700}',
    'resources/list': '{"resources":[{"uri":"d"}]}',
    'resources/templates/list': '{"resourceTemplates":[{"uriTemplate":"e"}]}',
  };
  const text = (list: unknown) => (list as Buffer[]).map(String);

  /** An upstream, with a session if it is legacy, of one prompt and one resource; what else is asked it refuses. */
  async function startFew(t: TestContext, era: 'legacy' | 'modern', status: number, code: number, tools?: string) {
    const capabilities = `{"prompts":{},"resources":{}${tools === undefined ? '' : ',"tools":{}'}}`;
    const results: Readonly<Record<string, string | undefined>> = {
      initialize: `{"protocolVersion":"2025-11-25","capabilities":${capabilities},"serverInfo":{"name":"s","version":"1"}}`,
      'server/discover':
        era === 'legacy' ? undefined : `{"supportedVersions":["2026-07-28"],"capabilities":${capabilities}}`,
      'notifications/initialized': '{}',
      'tools/list': tools,
      'prompts/list': '{"prompts":[{"name":"b"}]}',
      'resources/list': '{"resources":[{"uri":"d"}]}',
    };
    const recording = await startRecordingUpstream({
      era,
      intercept: ({ body }, response) => {
        const { id = null, method } = JSON.parse(body.toString() || '{}');
        const result = results[method];
        const answer = result === undefined ? `"error":{"code":${code},"message":"no"}` : `"result":${result}`;
        const headers = { 'content-type': 'application/json', 'mcp-session-id': 's' };
        response.writeHead(result === undefined ? status : 200, headers);
        response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},${answer}}`);
        return true;
      },
    });
    t.after(() => recording.close());
    return { upstream: upstreamAt(t, recording.url, 2_000) };
  }

  test('are asked for together, and hold the bytes that came', async (t) => {
    const { upstream, asked } = await startAll(t, DECLARED, RESULTS);
    const { tools, prompts, resources, templates, ttlMs, about } = await upstream.listAll();
    assert.deepEqual([tools, prompts, resources, templates].map(text), [
      ['{"name":"a"}'],
      ['{"name":"b"}', '{ "name":"c" }'],
      ['{"uri":"d"}'],
      ['{"uriTemplate":"e"}'],
    ]);
    assert.equal(ttlMs, 700);
    assert.equal(about, upstream.about);
    assert.equal(about?.instructions, 'Ask.');
    assert.deepEqual(asked.sort(), ['server/discover', ...Object.keys(RESULTS)].sort());
  });

  for (const era of ['legacy', 'modern'] as const) {
    test(`are of what a ${era} upstream without sessions has become, a minute later`, async (t) => {
      let nowMs = 0;
      let capabilities = '{}';
      const recording = await startRecordingUpstream({
        era,
        intercept: ({ body }, response) => {
          const { id, method } = JSON.parse(body.toString());
          const results: Readonly<Record<string, string>> = {
            initialize: `{"protocolVersion":"2025-11-25","capabilities":${capabilities},"serverInfo":{"name":"s","version":"1"}}`,
            'server/discover': `{"supportedVersions":["2026-07-28"],"capabilities":${capabilities}}`,
            'tools/list': '{"tools":[]}',
            'prompts/list': '{"prompts":[{"name":"new"}]}',
          };
          const result = method === 'server/discover' && era === 'legacy' ? undefined : results[method];
          response.writeHead(result === undefined ? 400 : 200, { 'content-type': 'application/json' });
          response.end(result && `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`);
          return true;
        },
      });
      t.after(() => recording.close());
      const upstream = upstreamAt(t, recording.url, 2_000, () => nowMs);
      const prompts = async () => text((await upstream.listAll()).prompts);
      assert.deepEqual(await prompts(), []);
      capabilities = '{"prompts":{}}';
      nowMs = 60_000;
      assert.deepEqual(await prompts(), []);
      nowMs = 60_001;
      assert.deepEqual(await prompts(), ['{"name":"new"}']);
      const before = recording.requests.length;
      assert.deepEqual(await prompts(), ['{"name":"new"}']);
      assert.equal(recording.requests.length, before + 2);
      nowMs = 0;
      await prompts();
      assert.ok(recording.requests.length > before + 4, 'it is greeted again when the clock was set back');
    });
  }

  test('are those that it declares, and its tools in any case', async (t) => {
    const { upstream, asked } = await startAll(t, '"prompts":{}', RESULTS);
    const { tools, prompts, resources, templates } = await upstream.listAll();
    assert.deepEqual(
      [tools, prompts, resources, templates].map(text).map(({ length }) => length),
      [1, 2, 0, 0],
    );
    assert.deepEqual(asked, ['server/discover', 'tools/list', 'prompts/list']);
  });

  for (const [how, failing, reason] of [
    ['answers with an error', {}, 'broken_answer'],
    ['never comes', { 'prompts/list': undefined }, 'timeout'],
    ['is broken', { 'prompts/list': '{"prompts":{}}' }, 'broken_answer'],
  ] as const) {
    test(`fail alone when one ${how}, and cost nobody the tools`, async (t) => {
      const { 'prompts/list': _, ...others } = RESULTS;
      const { upstream } = await startAll(t, DECLARED, { ...others, ...failing });
      const { tools, prompts, resources } = await upstream.listAll();
      assert.deepEqual(text(tools), ['{"name":"a"}']);
      assert.deepEqual(text(resources), ['{"uri":"d"}']);
      assert.ok(prompts instanceof UpstreamError);
      assert.equal(prompts.reason, reason);
      assert.equal(upstream.failure, undefined);
    });
  }

  for (const [era, status] of [
    ['legacy', 200],
    ['legacy', 404],
    ['modern', 404],
  ] as const) {
    test(`need no tools of a ${era} upstream that declares none and says so with HTTP ${status}`, async (t) => {
      const { upstream } = await startFew(t, era, status, -32601);
      const { tools, prompts, resources, templates } = await upstream.listAll();
      assert.deepEqual([tools, prompts, resources, templates].map(text), [[], ['{"name":"b"}'], ['{"uri":"d"}'], []]);
      assert.equal(upstream.failure, undefined);
    });
  }

  test('fail alone when one is answered as a lost session is, and the tools are not', async (t) => {
    const { upstream } = await startFew(t, 'legacy', 400, -32600, '{"tools":[{"name":"a"}]}');
    const { tools, prompts, templates } = await upstream.listAll();
    assert.deepEqual([tools, prompts].map(text), [['{"name":"a"}'], ['{"name":"b"}']]);
    assert.ok(templates instanceof UpstreamError);
    assert.equal(upstream.failure, undefined);
  });

  test('fail together when the tools do', async (t) => {
    const { 'tools/list': _, ...others } = RESULTS;
    const { upstream } = await startAll(t, DECLARED, others);
    await assert.rejects(upstream.listAll(), { reason: 'broken_answer', stage: 'list', message: /tools\/list/ });
    assert.equal(upstream.failure?.reason, 'broken_answer');
  });
});
