// A list that is given in pages: all of it, in order, to who began it and to nobody else.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, type TestContext, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { withoutUpstreamBytes } from '../support/corpus.ts';
import { eventually } from '../support/eventually.ts';
import { type GatewayOptions, makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { toolNamed } from '../support/listing-upstream.ts';
import { type Answer, mcpRequest, send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { connectClient } from '../support/sdk-clients.ts';

const ERAS = ['legacy', 'modern'] as const;
const LIFETIME_MS = 15 * 60 * 1000;
const UNKNOWN = 'params.cursor is unknown, or has expired. Ask again without a cursor.';
const CHANGED = 'The list has changed since this cursor was given. Ask again without a cursor.';

interface ListOptions {
  readonly era?: (typeof ERAS)[number];
  readonly token?: string;
  readonly query?: string;
  /** Raw JSON. */
  readonly cursor?: string | undefined;
}

async function startUpstream(t: TestContext, names: readonly string[]): Promise<RecordingUpstream> {
  const tools = names.map((name) => toolNamed(name, ',"description":"é \\u00e9","x":1.0'));
  const upstream = await startRecordingUpstream({ era: 'modern', tools });
  t.after(() => upstream.close());
  return upstream;
}

async function start(t: TestContext, pageTools: number, names: readonly string[], more: Partial<GatewayOptions> = {}) {
  const upstream = await startUpstream(t, names);
  const configs = [{ name: 'rec', url: upstream.url }];
  const tokens = [{ name: 'agent' }, { name: 'other' }];
  const { limits, ...options } = more;
  const gateway = await startGateway({
    configs,
    tokens,
    ...options,
    limits: { list_page_tools: pageTools, ...limits },
  });
  t.after(() => gateway.close());
  return { gateway, upstream, configs, tokens };
}

function list(gateway: TestGateway, { era = 'legacy', token, query = '', cursor }: ListOptions = {}): Promise<Answer> {
  const params = cursor === undefined ? {} : { params: `"cursor":${cursor}` };
  return send(gateway.mcpUrl + query, { ...mcpRequest('tools/list', { era, ...params }), token: gateway.token(token) });
}

const cursorIn = ({ message }: Answer): string | undefined =>
  message.result.nextCursor === undefined ? undefined : JSON.stringify(message.result.nextCursor);
const namesIn = ({ message }: Answer): string[] => message.result.tools.map(({ name }: { name: string }) => name);
const toolsIn = ({ text }: Answer): string =>
  /"tools":\[(.*?)\](?:,"nextCursor"|,"resultType"|,"_meta"|\}\})/s.exec(text)![1]!;

/** From the page behind `cursor` to the last. */
async function follow(gateway: TestGateway, options: ListOptions = {}): Promise<Answer[]> {
  const pages = [await list(gateway, options)];
  for (let cursor = cursorIn(pages[0]!); cursor !== undefined; cursor = cursorIn(pages.at(-1)!)) {
    pages.push(await list(gateway, { ...options, cursor }));
  }
  return pages;
}

function assertRefused(answer: Answer, message: string): void {
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.message.error, { code: -32602, message });
}

const NAMES = Array.from({ length: 11 }, (_, index) => `t${index}`);
const EXPOSED = NAMES.map((name) => `rec.${name}`);

describe('the pages of a list', () => {
  for (const pageTools of [1, 2, 4, 10, 11, 12, 1_000_000]) {
    test(`of ${pageTools} tools make up the list of one page, byte for byte`, async (t) => {
      const { gateway, configs, tokens } = await start(t, pageTools, NAMES);
      const whole = await startGateway({ configs, tokens });
      t.after(() => whole.close());
      for (const era of ERAS) {
        const pages = await follow(gateway, { era });
        assert.equal(pages.length, Math.ceil(NAMES.length / pageTools));
        for (const page of pages.slice(0, -1)) assert.equal(namesIn(page).length, pageTools);
        const [one, ...others] = await follow(whole, { era });
        assert.deepEqual(others, []);
        assert.deepEqual(namesIn(one!), EXPOSED);
        assert.equal(pages.map(toolsIn).join(), toolsIn(one!));
      }
    });
  }

  test('are one, and an empty one, for a token that may use nothing', async (t) => {
    const { gateway } = await start(t, 2, []);
    for (const era of ERAS) assert.deepEqual((await follow(gateway, { era })).map(namesIn), [[]]);
  });

  test('say all that a whole list says, each of them', async (t) => {
    const { gateway } = await start(t, 4, NAMES);
    const [first, ...others] = await follow(gateway, { era: 'modern' });
    const { tools, nextCursor, ...rest } = first!.message.result;
    assert.deepEqual(Object.keys(rest), ['resultType', 'ttlMs', 'cacheScope', '_meta']);
    assert.equal(others.length, 2);
    for (const { message } of others) {
      const { tools, nextCursor, ...same } = message.result;
      assert.deepEqual(same, rest);
    }
    const legacy = await list(gateway);
    assert.deepEqual(Object.keys(legacy.message.result), ['tools', 'nextCursor']);
  });

  test('are followed by clients of SDK v2 of either era', async (t) => {
    const { gateway } = await start(t, 4, NAMES);
    for (const kind of ['v2 legacy', 'v2 pinned'] as const) {
      const client = await connectClient(kind, gateway.mcpUrl, gateway.token());
      assert.deepEqual(await client.toolNames(), EXPOSED);
      await client.close();
    }
  });

  test('are followed by clients of SDK v1, which see an error of their own code behind a bad cursor', async (t) => {
    const { gateway } = await start(t, 4, NAMES);
    const client = new Client({ name: 'c', version: '1' });
    const requestInit = { headers: { authorization: `Bearer ${gateway.token()}` } };
    const transport = new StreamableHTTPClientTransport(new URL(gateway.mcpUrl), { requestInit });
    await client.connect(transport as Parameters<typeof client.connect>[0]);
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.listTools(cursor === undefined ? {} : { cursor });
      names.push(...page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assert.deepEqual(names, EXPOSED);
    await assert.rejects(client.listTools({ cursor: 'x' }), { code: -32602 });
    await client.close();
  });
});

describe('a cursor', () => {
  test('is unknown to another token, in another era and in another spelling, and no upstream hears of it', async (t) => {
    const { gateway, upstream } = await start(t, 4, NAMES);
    const cursor = cursorIn(await list(gateway))!;
    await list(gateway, { token: 'other' });
    await withoutUpstreamBytes([upstream], async () => {
      assertRefused(await list(gateway, { cursor, token: 'other' }), UNKNOWN);
      assertRefused(await list(gateway, { cursor, era: 'modern' }), UNKNOWN);
      assertRefused(await list(gateway, { cursor, query: '?names=underscore' }), UNKNOWN);
      assert.deepEqual(namesIn(await list(gateway, { cursor })), EXPOSED.slice(4, 8));
      assert.deepEqual(namesIn(await list(gateway, { cursor })), EXPOSED.slice(4, 8), 'it may be used again');
    });
  });

  test('is unknown when it was changed anywhere, cut, or never given', async (t) => {
    // A clock that stands still: the list does not grow old and is not asked for again.
    const { gateway, upstream } = await start(t, 4, NAMES, { now: () => Date.UTC(2026, 10, 20) });
    const text: string = JSON.parse(cursorIn(await list(gateway))!);
    const initialize = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}';
    const opened = await send(gateway.mcpUrl, {
      ...mcpRequest('initialize', { params: initialize }),
      token: gateway.token(),
    });
    const flipped = [...text].map((char, at) => text.slice(0, at) + (char === 'A' ? 'B' : 'A') + text.slice(at + 1));
    const others = [
      '',
      ' ',
      '0',
      'after-4',
      'é',
      '\ud800',
      text.slice(1),
      text.slice(0, -1),
      `${text}A`,
      ` ${text}`,
      `${text}=`,
    ];
    await withoutUpstreamBytes([upstream], async () => {
      for (const cursor of [...flipped, ...others, 'A'.repeat(1_000_000), String(opened.headers['mcp-session-id'])]) {
        for (const era of ERAS) assertRefused(await list(gateway, { era, cursor: JSON.stringify(cursor) }), UNKNOWN);
      }
    });
  });

  test('that is no string is refused as such', async (t) => {
    const { gateway } = await start(t, 4, NAMES);
    for (const cursor of ['null', '4', 'true', '{}', '["a"]']) {
      for (const era of ERAS) {
        const { status, message } = await list(gateway, { era, cursor });
        assert.equal(status, 400);
        assert.deepEqual(message.error, { code: -32602, message: 'params.cursor must be a string.' });
      }
    }
  });

  test('is unknown to a gateway whose list is one page, if it did not come from one with several', async (t) => {
    const { gateway } = await start(t, 0, NAMES);
    assert.equal(cursorIn(await list(gateway)), undefined);
    for (const cursor of ['""', '"x"']) assertRefused(await list(gateway, { cursor }), UNKNOWN);
  });

  test('expires after a quarter of an hour', async (t) => {
    let nowMs = Date.now();
    const { gateway } = await start(t, 4, NAMES, { now: () => nowMs });
    const cursor = cursorIn(await list(gateway))!;
    nowMs += LIFETIME_MS - 1;
    assert.deepEqual(namesIn(await list(gateway, { cursor })), EXPOSED.slice(4, 8));
    nowMs += 1;
    assertRefused(await list(gateway, { cursor }), UNKNOWN);
  });
});

describe('a list that changes while it is read', () => {
  const OTHERS = ['a', 'b', 'c'].map((name) => toolNamed(name));

  test('is read to its end as it was', async (t) => {
    const { gateway, upstream } = await start(t, 4, NAMES, { limits: { list_ttl_ms: 1 } });
    const cursor = cursorIn(await list(gateway))!;
    upstream.setTools(OTHERS);
    await eventually(async () => namesIn(await list(gateway))[0] === 'rec.a');
    const rest = await follow(gateway, { cursor });
    assert.deepEqual(rest.flatMap(namesIn), EXPOSED.slice(4));
  });

  test('is read on at another gateway of the same key that has the same list, and only there', async (t) => {
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true, force: true }));
    const { gateway, upstream, configs, tokens } = await start(t, 4, NAMES, { folder });
    const cursor = cursorIn(await list(gateway, { era: 'modern' }))!;
    await gateway.close();
    const again = { configs, tokens, folder, limits: { list_page_tools: 5, list_ttl_ms: 1 } };
    const replica = await startGateway(again);
    t.after(() => replica.close());
    const page = await list(replica, { era: 'modern', cursor });
    assert.deepEqual(namesIn(page), EXPOSED.slice(4, 9));
    assert.deepEqual(namesIn(await list(replica, { era: 'modern', cursor: cursorIn(page)! })), EXPOSED.slice(9));
    upstream.setTools(OTHERS);
    await eventually(async () => namesIn(await list(replica))[0] === 'rec.a');
    await replica.close();
    const changed = await startGateway(again);
    t.after(() => changed.close());
    assertRefused(await list(changed, { era: 'modern', cursor }), CHANGED);
  });

  test('shows nothing any more that an edit of the configuration has taken away', async (t) => {
    const { gateway, configs, tokens } = await start(t, 4, NAMES);
    const cursor = cursorIn(await list(gateway))!;
    const limits = { list_page_tools: 4 };
    await gateway.reload({ configs: configs.map((config) => ({ ...config, allowedTools: ['t1'] })), tokens, limits });
    assertRefused(await list(gateway, { cursor }), CHANGED);
    assert.deepEqual(namesIn(await list(gateway)), ['rec.t1']);
  });
});
