// Editing the config file under load (must show 6), and revoking a token from another process: what is in force changes
// within a second, nothing that is still allowed fails, and a broken edit changes nothing.

import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { suite, type TestContext, test } from 'node:test';
import { backUp, restore } from '../../src/store/backup.ts';
import { eventually } from '../support/eventually.ts';
import type { ConfigFileOptions, ConfigOption } from '../support/gateway.ts';
import { type Answer, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import {
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';
import { connectClient } from '../support/sdk-clients.ts';
import { type ServeChild, startServe } from '../support/serve-child.ts';

const ENFORCED_WITHIN_MS = 1_000;
const CALLS_PER_SECOND = 200;
const LOAD_CALLS = 3 * CALLS_PER_SECOND;
const ROUNDS = 6;
const TOOLS = ['steady', 'toggle', 'slow'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);

async function start(
  t: TestContext,
  options: Partial<RecordingUpstreamOptions> & { readonly allowedTools?: readonly string[] } = {},
): Promise<{ upstream: RecordingUpstream; child: ServeChild; file: (...allowed: string[]) => ConfigFileOptions }> {
  const { allowedTools = ['steady'], ...rest } = options;
  const upstream = await startRecordingUpstream({ era: 'modern', tools: TOOLS, ...rest });
  t.after(() => upstream.close());
  const file = (...allowed: string[]): ConfigFileOptions => ({
    configs: [{ name: 'rec', url: upstream.url, allowedTools: allowed }],
  });
  const child = await startServe(file(...allowedTools));
  t.after(() => child.stop());
  return { upstream, child, file };
}

function call(child: ServeChild, name: string, token = child.token()): Promise<Answer> {
  return send(child.mcpUrl, { ...toolCall(name), token });
}

async function isCallable(child: ServeChild, name: string): Promise<boolean> {
  const { message } = await call(child, name);
  if (message.error === undefined) return true;
  assert.deepEqual(message.error, { code: -32602, message: `Unknown tool: ${name}` });
  return false;
}

async function isListed(child: ServeChild, name: string): Promise<boolean> {
  const { text } = await send(child.mcpUrl, { ...mcpRequest('tools/list'), token: child.token() });
  return text.includes(`"${name}"`);
}

/** Milliseconds from the end of `change` to when `condition` holds; fails if that takes a second. */
async function enforcedAfter(change: () => Promise<unknown>, condition: () => Promise<boolean>): Promise<number> {
  await change();
  const startedMs = performance.now();
  await eventually(condition, 5 * ENFORCED_WITHIN_MS);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < ENFORCED_WITHIN_MS, `enforced after ${tookMs} ms`);
  return tookMs;
}

interface Load {
  readonly begun: () => number;
  stop(): Promise<{ readonly calls: number; readonly failures: readonly unknown[] }>;
}

/** Calls `rec.steady` at a steady rate until stopped, with a real client; resolves with how many calls ended how. */
async function startLoad(child: ServeChild): Promise<Load> {
  const client = await connectClient('v2 pinned', child.mcpUrl, child.token());
  const calls: Promise<unknown>[] = [];
  const failures: unknown[] = [];
  const startedMs = performance.now();
  const timer = setInterval(() => {
    // As many as are due by now: a timer of a busy process comes late.
    while (calls.length < ((performance.now() - startedMs) / 1000) * CALLS_PER_SECOND) {
      calls.push(client.call('rec.steady').catch((error: unknown) => failures.push(error)));
    }
  }, 5);
  return {
    begun: () => calls.length,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(calls);
      await client.close();
      return { calls: calls.length, failures };
    },
  };
}

interface ReloadDetail {
  readonly ok: boolean;
  readonly problems: readonly string[];
}

async function reloadDetail(child: ServeChild): Promise<ReloadDetail> {
  const { message } = await send(`${child.url}/readyz?detail`, { method: 'GET' });
  return message.config_file as ReloadDetail;
}

async function metric(child: ServeChild, name: string): Promise<number> {
  const { text } = await send(`${child.url}/metrics`, { method: 'GET' });
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
}

/** Edits that must not take effect: what is wrong, the file, and what is said of it. */
const BROKEN: readonly ((
  good: string,
  file: (...allowed: string[]) => ConfigFileOptions,
) => readonly [string, string, RegExp])[] = [
  (good) => ['broken YAML', good.slice(0, -2), /switchboard\.json:\d+:\d+ /],
  (_good, file) => [
    'an unknown key',
    JSON.stringify({ mcp_config: file('steady', 'toggle').configs }),
    /switchboard\.json:1:2 mcp_config is not a known key \(did you mean mcp_configs\?\)/,
  ],
  () => ['an empty file', '', /switchboard\.json:1:1 is empty/],
];

// Two at a time, each with a gateway of its own: the one that waits for a locked store does nothing meanwhile.
suite('what is in force', { concurrency: 1 }, () => {
  // Alone: it is the one whose load takes the machine's time.
  suite('an edit of the config file under load', () => {
    test('is enforced within a second, without a failed call; a broken one changes nothing', async (t) => {
      const { child, file } = await start(t);
      const load = await startLoad(child);
      t.after(load.stop);
      const took: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        for (const isAllowed of [true, false]) {
          const next = isAllowed ? file('steady', 'toggle') : file('steady');
          took.push(
            await enforcedAfter(
              () => child.edit(next),
              async () => (await isCallable(child, 'rec.toggle')) === isAllowed,
            ),
          );
          assert.equal(await isListed(child, 'rec.toggle'), isAllowed);
        }
        const [what, broken, problem] = BROKEN[round % BROKEN.length]!(JSON.stringify(file('steady', 'toggle')), file);
        await child.edit(broken);
        await eventually(async () => !(await reloadDetail(child)).ok);
        const { problems } = await reloadDetail(child);
        assert.equal(problems.length, 1, what);
        assert.match(problems[0]!, problem);
        assert.equal(await metric(child, 'switchboard_config_last_reload_ok'), 0);
        assert.equal(await isCallable(child, 'rec.toggle'), false);
        assert.equal(await isCallable(child, 'rec.steady'), true);
      }
      await child.edit(file('steady'));
      await eventually(async () => (await reloadDetail(child)).ok);
      assert.equal(await metric(child, 'switchboard_config_last_reload_ok'), 1);
      assert.equal(await metric(child, 'switchboard_config_reload_failures_total'), ROUNDS);
      await eventually(() => load.begun() > LOAD_CALLS);
      const { calls, failures } = await load.stop();
      assert.deepEqual(failures, []);
      t.diagnostic(`${calls} calls; enforced after ${took.map((ms) => ms.toFixed()).join(', ')} ms`);
    });
  });

  suite('an edit of the config file', { concurrency: 2 }, () => {
    test('is not lost to a store that is locked for a while: it is in force once the lock is gone', async (t) => {
      const { child, file } = await start(t, { allowedTools: ['steady', 'toggle'] });
      assert.equal(await isCallable(child, 'rec.toggle'), true);
      const other = new DatabaseSync(child.storeFile);
      t.after(() => other.isOpen && other.close());
      other.exec('BEGIN IMMEDIATE');
      await child.edit(file('steady'));
      // A write gives up after 5 seconds.
      const { problems } = await eventually(async () => {
        const detail = await reloadDetail(child);
        return !detail.ok && detail;
      }, 15_000);
      assert.match(problems.join(), /The store did not take part: .*locked/);
      assert.equal(await isCallable(child, 'rec.toggle'), true);
      other.exec('COMMIT');
      other.close();
      await enforcedAfter(
        () => Promise.resolve(),
        async () => !(await isCallable(child, 'rec.toggle')),
      );
      assert.equal(await isCallable(child, 'rec.steady'), true);
      await eventually(async () => (await reloadDetail(child)).ok);
      assert.equal(await metric(child, 'switchboard_config_reload_failures_total'), 1);
    });

    test('that is not there when it is asked for is used when it is, be it as it was', async (t) => {
      const { child } = await start(t);
      const path = join(dirname(dirname(child.storeFile)), 'switchboard.json');
      await rename(path, `${path}.away`);
      process.kill(child.pid, 'SIGHUP');
      const { problems } = await eventually(async () => {
        const detail = await reloadDetail(child);
        return !detail.ok && detail;
      });
      assert.match(problems.join(), /switchboard\.json:1:1 is not there/);
      await rename(`${path}.away`, path);
      await eventually(async () => (await reloadDetail(child)).ok);
      assert.equal(await metric(child, 'switchboard_config_reload_failures_total'), 1);
    });

    test('that the store did not take gives way to a newer one', async (t) => {
      const { child, file } = await start(t, { allowedTools: ['steady'] });
      await rename(child.storeFile, `${child.storeFile}.away`);
      await child.edit(file('steady', 'toggle'));
      const { problems } = await eventually(async () => {
        const detail = await reloadDetail(child);
        return !detail.ok && detail;
      });
      assert.match(problems.join(), /store .* was deleted or replaced/);
      assert.equal(await isCallable(child, 'rec.steady'), true);
      await child.edit(file('steady', 'slow'));
      await rename(`${child.storeFile}.away`, child.storeFile);
      await eventually(() => isCallable(child, 'rec.slow'));
      assert.equal(await isCallable(child, 'rec.toggle'), false);
      assert.equal((await reloadDetail(child)).ok, true);
    });

    test('lets a call finish whose tool it takes away', async (t) => {
      const answer = Promise.withResolvers<string>();
      const { child, file, upstream } = await start(t, {
        allowedTools: ['slow'],
        onCall: ({ name }) => (name === 'slow' ? answer.promise : '{}'),
      });
      const slow = call(child, 'rec.slow');
      await eventually(() => upstream.calls.length === 1);
      await enforcedAfter(
        () => child.edit(file('steady')),
        () => isCallable(child, 'rec.steady'),
      );
      assert.equal(await isCallable(child, 'rec.slow'), false);
      answer.resolve('{"late":true}');
      assert.deepEqual((await slow).message.result, { late: true });
    });

    test('may move a config to another upstream, add one and take a token away', async (t) => {
      const { child, file, upstream } = await start(t);
      const other = await startRecordingUpstream({ era: 'legacy', sessions: true });
      t.after(() => other.close());
      assert.equal(await isCallable(child, 'rec.steady'), true);
      const added: ConfigOption = { name: 'other', url: other.url };
      await enforcedAfter(
        () => child.edit({ configs: [...file('steady').configs, added] }),
        () => isCallable(child, 'other.echo'),
      );
      await enforcedAfter(
        () => child.edit({ configs: [{ name: 'rec', url: other.url }, added] }),
        () => isCallable(child, 'rec.echo'),
      );
      assert.equal(await isCallable(child, 'rec.steady'), false);
      const before = upstream.requests.length;
      await enforcedAfter(
        () => child.edit({ ...file('steady'), tokens: [] }),
        async () => (await call(child, 'rec.steady')).status === 401,
      );
      assert.equal(upstream.requests.length, before);
    });
  });

  suite('another process', { concurrency: false }, () => {
    test('makes a token that works within a second, and revokes it within a second', async (t) => {
      const { child } = await start(t);
      const token = (await child.command('tokens', 'create', 'box', '--grant', 'rec')).trim();
      await eventually(async () => (await call(child, 'rec.steady', token)).status === 200, ENFORCED_WITHIN_MS);
      await enforcedAfter(
        () => child.command('tokens', 'revoke', 'box'),
        async () => (await call(child, 'rec.steady', token)).status === 401,
      );
      const { text } = await call(child, 'rec.steady', token);
      assert.match(text, /\\"box\\".*was revoked on \d{4}-/);
    });

    test('restores a backup, and what the file has said since is in force again', async (t) => {
      const { child, file } = await start(t, { allowedTools: ['steady', 'toggle'] });
      const backup = `${child.storeFile}.backup`;
      await backUp(`sqlite:${child.storeFile}`, backup);
      await enforcedAfter(
        () => child.edit(file('steady')),
        async () => !(await isCallable(child, 'rec.toggle')),
      );
      await restore(`sqlite:${child.storeFile}`, backup, { replaces: true });
      // What was restored is one epoch, and what the file says another.
      await eventually(async () => (await metric(child, 'switchboard_epoch')) > 1_000_000);
      assert.equal(await isCallable(child, 'rec.toggle'), false);
      assert.equal(await isCallable(child, 'rec.steady'), true);
    });

    test('revokes a token of the file, and no later edit revives it', async (t) => {
      const { child, file } = await start(t);
      await enforcedAfter(
        () => child.command('tokens', 'revoke', 'agent'),
        async () => (await call(child, 'rec.steady')).status === 401,
      );
      const { configs } = file('steady');
      const tokens = [{ name: 'agent', names: 'underscore' as const }];
      const epoch = await metric(child, 'switchboard_epoch');
      await child.edit({ configs: configs.map((config) => ({ ...config, allowedTools: ['*'] })), tokens });
      await eventually(async () => (await metric(child, 'switchboard_epoch')) > epoch);
      assert.equal((await call(child, 'rec.steady')).status, 401);
    });
  });
});
