import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Inventories } from '../../../src/catalog/inventories.ts';
import { DEFAULT_ACCOUNT, type StoredToolList } from '../../../src/store/store.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { eventually } from '../../support/eventually.ts';
import { startRecordingUpstream } from '../../support/recording-upstream.ts';
import { anUpstream } from '../../support/upstreams.ts';

type Results = Record<string, string | undefined>;

const RESULTS: Results = {
  'tools/list': '{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}',
  'prompts/list': '{"prompts":[{"name":"b"}]}',
  'resources/list': '{"resources":[{"uri":"c:","name":"c"}]}',
  'resources/templates/list': '{"resourceTemplates":[{"uriTemplate":"d:{x}","name":"d"}]}',
};

/**
 * A modern upstream whose answers are `results`; what is missing there is an error. The store waits with each write for
 * `taken`.
 */
async function start(t: TestContext, stored: StoredToolList[] = [], taken?: Promise<void>) {
  const results: Results = { ...RESULTS };
  const about =
    '{"supportedVersions":["2026-07-28"],"capabilities":{"prompts":{},"resources":{}},"instructions":"Ask."}';
  const asked: string[] = [];
  const recording = await startRecordingUpstream({
    era: 'modern',
    intercept: ({ body }, response) => {
      const { id, method } = JSON.parse(body.toString());
      asked.push(method);
      const result = method === 'server/discover' ? about : results[method];
      const outcome = result === undefined ? '"error":{"code":-32603,"message":"no"}' : `"result":${result}`;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},${outcome}}`);
      return true;
    },
  });
  const clock = { nowMs: 1_000_000 };
  const upstream = anUpstream(recording.url, { service: 's', connections: 8, now: () => clock.nowMs });
  let changes = 0;
  const inventories = new Inventories({
    store: {
      readToolLists: async () => stored,
      putToolList: async (_account, list) => {
        await taken;
        stored.unshift(list);
      },
      deleteToolLists: async () => {},
    },
    ttlMs: 5_000,
    now: () => clock.nowMs,
    log: createLogger({ level: 'silent' }),
    onChange: () => void changes++,
  });
  t.after(async () => {
    inventories.close();
    await upstream.close(0);
    await recording.close();
  });
  await inventories.restore(DEFAULT_ACCOUNT);
  const refresh = async (laterMs = 0) => {
    clock.nowMs += laterMs;
    await inventories.refresh(DEFAULT_ACCOUNT, upstream);
    return shown();
  };
  const shown = () => {
    const inventory = inventories.get(upstream);
    if (inventory === undefined) return undefined;
    const { tools, prompts, resources, templates } = inventory;
    return [tools, prompts, resources, templates].map((list) => [...list.keys()].join()).join(' ');
  };
  return { inventories, upstream, results, stored, asked, clock, refresh, shown, changes: () => changes };
}

describe('an inventory', () => {
  test('keeps what was last known of a list that fails alone, and asks for it with the next fetch', async (t) => {
    const { refresh, results, changes, upstream } = await start(t);
    assert.equal(await refresh(), 'a b c: d:{x}');
    results['prompts/list'] = undefined;
    results['resources/list'] = '{"resources":[{"uri":"new:","name":"c"}]}';
    assert.equal(await refresh(5_000), 'a b new: d:{x}');
    assert.equal(upstream.failure, undefined);
    assert.equal(changes(), 2);
    results['prompts/list'] = '{"prompts":[]}';
    assert.equal(await refresh(5_000), 'a  new: d:{x}');
    assert.equal(changes(), 3);
    await refresh(5_000);
    assert.equal(changes(), 3);
  });

  test('is kept whole when the tools fail', async (t) => {
    const { refresh, results, upstream } = await start(t);
    await refresh();
    results['tools/list'] = undefined;
    results['prompts/list'] = '{"prompts":[]}';
    assert.equal(await refresh(5_000), 'a b c: d:{x}');
    assert.equal(upstream.failure?.reason, 'broken_answer');
  });

  test('survives a restart, with what the upstream said of itself', async (t) => {
    const before = await start(t);
    await before.refresh();
    const { shown, inventories, upstream } = await start(t, before.stored);
    assert.equal(shown(), 'a b c: d:{x}');
    assert.equal(inventories.get(upstream)?.about?.instructions, 'Ask.');
    assert.equal(inventories.isUnconfirmed(upstream), true);
  });

  test('waits for no store, and writes what it is when that is there again', async (t) => {
    const store = Promise.withResolvers<void>();
    const { refresh, results, stored } = await start(t, [], store.promise);
    for (const name of ['x', 'y', 'z']) {
      results['prompts/list'] = `{"prompts":[{"name":"${name}"}]}`;
      assert.equal(await refresh(5_000), `a ${name} c: d:{x}`);
    }
    store.resolve();
    await eventually(() => stored.length === 2);
    assert.deepEqual(
      stored.map(({ tools }) => /"(?:x|y|z)"/.exec(tools.toString())?.[0]),
      ['"z"', '"x"'],
    );
  });

  test('that an earlier version has stored is its tools', async (t) => {
    const tools = Buffer.from('[{"name":"old","inputSchema":{"type":"object"}}]');
    const { shown, refresh } = await start(t, [{ key: 'k', tools, fetchedAtMs: 1_000_000 }]);
    assert.equal(shown(), 'old   ');
    assert.equal(await refresh(), 'a b c: d:{x}');
  });

  test('is asked for anew, as a whole, when any of its lists is said to have changed', async (t) => {
    const { refresh, inventories, upstream, results, shown, asked, clock } = await start(t);
    await refresh();
    clock.nowMs += 2_000;
    results['prompts/list'] = '{"prompts":[{"name":"n"}]}';
    const before = asked.length;
    inventories.noteChange(upstream, 'prompts');
    await eventually(() => shown() === 'a n c: d:{x}');
    assert.deepEqual(asked.slice(before).sort(), Object.keys(RESULTS).sort());
  });
});
