// One upstream that refuses, one that never answers, one that works: each is told apart, and none holds up another.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { openStore } from '../../src/store/open-store.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import { eventually } from '../support/eventually.ts';
import { makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { closeServer, findDeadPort, listenLocally } from '../support/local-server.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { upstreamDetails } from '../support/readiness.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const LIST_WAIT_MS = 400;
/** What this machine may take on top, busy with other tests. */
const SLACK_MS = 300;
const HOUR_MS = 60 * 60 * 1000;
const STATES = 'mcp-switchboard/upstreams';

interface State {
  readonly service: string;
  readonly state: string;
  readonly reason?: string;
  readonly since?: string;
}

/** Takes connections and requests, and never says a word. */
async function startHanging(t: TestContext): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).resume());
  });
  t.after(() => closeServer(server, sockets));
  return `http://127.0.0.1:${await listenLocally(server)}/mcp`;
}

async function startThree(t: TestContext): Promise<{ gateway: TestGateway; live: RecordingUpstream }> {
  const live = await startRecordingUpstream({ era: 'modern' });
  t.after(() => live.close());
  const gateway = await startGateway({
    configs: [
      { name: 'dead-one', url: `http://127.0.0.1:${await findDeadPort()}/mcp` },
      { name: 'hanging-one', url: await startHanging(t) },
      { name: 'live-one', url: live.url },
    ],
    limits: { list_wait_ms: LIST_WAIT_MS },
  });
  t.after(() => gateway.close());
  return { gateway, live };
}

function list(gateway: TestGateway, options: CallOptions = {}): Promise<Answer> {
  return send(gateway.mcpUrl, { ...mcpRequest('tools/list', options), token: gateway.token() });
}

function call(gateway: TestGateway, name: string, options: CallOptions = {}): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall(name, options), token: gateway.token() });
}

function namesIn({ message }: Answer): string[] {
  return message.result.tools.map(({ name }: { name: string }) => name);
}

function statesIn({ message }: Answer): State[] {
  return message.result._meta?.[STATES] ?? [];
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; tookMs: number }> {
  const startedMs = performance.now();
  const value = await work();
  return { value, tookMs: performance.now() - startedMs };
}

suite('a dead, a hanging and a live upstream', { concurrency: 2 }, () => {
  for (const era of ['legacy', 'modern'] as const) {
    test(`a list comes within list_wait, with the live one's tools and a word on the others (${era})`, async (t) => {
      const { gateway } = await startThree(t);
      const { value, tookMs } = await timed(() => list(gateway, { era }));
      assert.ok(tookMs < LIST_WAIT_MS + SLACK_MS, `took ${tookMs} ms`);
      assert.deepEqual(namesIn(value), ['live.echo']);
      const [dead, hanging, ...others] = statesIn(value);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [dead!.service, dead!.state, dead!.reason, hanging!.service, hanging!.state],
        ['dead', 'unavailable', 'unreachable', 'hanging', 'starting'],
      );
      assert.ok(Math.abs(Date.parse(dead!.since!) - Date.now()) < 5_000);
      assert.equal(/127\.0\.0\.1|ECONNREFUSED/.test(value.text), false);
    });
  }

  test('a list waits for an upstream once, not each time', async (t) => {
    const { gateway } = await startThree(t);
    await list(gateway);
    const { value, tookMs } = await timed(() => list(gateway));
    assert.ok(tookMs < LIST_WAIT_MS / 2, `took ${tookMs} ms`);
    assert.deepEqual(
      statesIn(value).map(({ service }) => service),
      ['dead', 'hanging'],
    );
  });

  test('a call of the live one is not delayed, not even by a list that waits', async (t) => {
    const { gateway } = await startThree(t);
    const waiting = list(gateway);
    await eventually(async () => (await call(gateway, 'live.echo')).message.result !== undefined);
    for (let round = 0; round < 5; round++) {
      const { value, tookMs } = await timed(() => call(gateway, 'live.echo'));
      assert.equal(value.message.result.content[0].text, 'ok');
      assert.ok(tookMs < SLACK_MS, `took ${tookMs} ms`);
    }
    await waiting;
  });

  test('a name that may still belong to an upstream being asked is unknown after list_wait, and at once from then on', async (t) => {
    const { gateway } = await startThree(t);
    const first = await timed(() => call(gateway, 'hanging.anything'));
    assert.ok(first.tookMs < LIST_WAIT_MS + SLACK_MS, `took ${first.tookMs} ms`);
    const second = await timed(() => call(gateway, 'hanging.anything'));
    assert.ok(second.tookMs < LIST_WAIT_MS / 2, `took ${second.tookMs} ms`);
    for (const { value } of [first, second]) {
      assert.deepEqual(value.message.error, { code: -32602, message: 'Unknown tool: hanging.anything' });
    }
  });

  test('/readyz is ready, and its detail names what is wrong', async (t) => {
    const { gateway } = await startThree(t);
    await list(gateway);
    const ready = await send(`${gateway.url}/readyz`, { method: 'GET' });
    assert.deepEqual([ready.status, ready.text], [200, '{"status":"ready"}']);
    assert.deepEqual(
      (await upstreamDetails(gateway)).map(({ service, state, tools }) => [service, state, tools]),
      [
        ['dead', 'failing', null],
        ['hanging', 'starting', null],
        ['live', 'ok', 1],
      ],
    );
  });
});

suite('an upstream that dies after it was listed', { concurrency: 2 }, () => {
  for (const era of ['legacy', 'modern'] as const) {
    test(`stays listed, and its calls are told service, reason and since when (${era})`, async (t) => {
      const { gateway, live } = await startThree(t);
      assert.deepEqual(namesIn(await list(gateway, { era })), ['live.echo']);
      await live.close();
      const { value, tookMs } = await timed(() => call(gateway, 'live.echo', { era, id: '"c"' }));
      assert.ok(tookMs < SLACK_MS, `took ${tookMs} ms`);
      assert.equal(value.status, 200);
      assert.equal(value.message.id, 'c');
      const { code, message, data } = value.message.error!;
      assert.equal(code, -32603);
      assert.match(message, /'live'.*unreachable.*since \d{4}-/);
      assert.deepEqual(Object.keys(data!), ['source', 'service', 'reason', 'since', 'retry_after_ms']);
      const { since, ...rest } = data!;
      assert.deepEqual(rest, { source: 'gateway', service: 'live', reason: 'unreachable', retry_after_ms: 1000 });
      const later = await call(gateway, 'live.echo', { era });
      assert.equal(later.message.error!.data!.since, since);
      const after = await list(gateway, { era });
      assert.deepEqual(namesIn(after), ['live.echo']);
      assert.deepEqual(
        statesIn(after).find(({ service }) => service === 'live'),
        { service: 'live', mcp_config: 'live-one', state: 'unavailable', reason: 'unreachable', since },
      );
    });
  }

  test('is well again with its first answered call', async (t) => {
    let isBroken = true;
    const upstream = await startRecordingUpstream({
      era: 'legacy',
      intercept: ({ body }, response) => {
        if (!isBroken || !body.includes('"tools/call"')) return false;
        response.writeHead(503).end();
        return true;
      },
    });
    t.after(() => upstream.close());
    const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
    t.after(() => gateway.close());
    await list(gateway);
    const broken = await call(gateway, 'rec.echo');
    assert.equal(broken.message.error!.data!.reason, 'bad_status');
    isBroken = false;
    assert.equal((await call(gateway, 'rec.echo')).message.error, undefined);
    assert.deepEqual(statesIn(await list(gateway)), []);
  });

  test('is still listed after a restart of the gateway', async (t) => {
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true, force: true }));
    const live = await startRecordingUpstream({ era: 'modern', tools: ['one', 'two'].map(toTool) });
    const options = { folder, configs: [{ name: 'live', url: live.url }], limits: { list_wait_ms: LIST_WAIT_MS } };
    const first = await startGateway(options);
    const before = await list(first);
    await first.close();
    await live.close();
    const second = await startGateway(options);
    t.after(() => second.close());
    const { value, tookMs } = await timed(() => list(second));
    assert.ok(tookMs < LIST_WAIT_MS / 2, `took ${tookMs} ms`);
    assert.deepEqual(value.message.result.tools, before.message.result.tools);
    assert.equal((await call(second, 'live.two')).message.error!.data!.reason, 'unreachable');
    assert.equal(statesIn(await list(second))[0]?.state, 'unavailable');
  });

  test('is forgotten when its config points elsewhere', async (t) => {
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true, force: true }));
    const live = await startRecordingUpstream({ era: 'modern' });
    const limits = { list_wait_ms: LIST_WAIT_MS };
    const first = await startGateway({ folder, limits, configs: [{ name: 'live', url: live.url }] });
    await list(first);
    await first.close();
    await live.close();
    const url = `http://127.0.0.1:${await findDeadPort()}/mcp`;
    const second = await startGateway({ folder, limits, configs: [{ name: 'live', url }] });
    t.after(() => second.close());
    assert.deepEqual(namesIn(await list(second)), []);
  });
});

test('tools are known for 24 hours from when their upstream last confirmed them', async (t) => {
  const folder = await makeFolder();
  t.after(() => rm(folder, { recursive: true, force: true }));
  const live = await startRecordingUpstream({ era: 'modern' });
  let nowMs = Date.now();
  const now = () => nowMs;
  const options = { folder, now, configs: [{ name: 'live', url: live.url }], limits: { list_wait_ms: LIST_WAIT_MS } };
  const first = await startGateway(options);
  await list(first);
  nowMs += 23 * HOUR_MS;
  // Unchanged, but asked for again because it is stale.
  await list(first);
  const store = await openStore(`sqlite:${join(folder, 'store', 'switchboard.db')}`);
  await eventually(async () => (await store.readToolLists(DEFAULT_ACCOUNT))[0]?.fetchedAtMs === nowMs);
  await store.close();
  await first.close();
  await live.close();
  for (const [laterMs, names] of [
    [23 * HOUR_MS, ['live.echo']],
    [2 * HOUR_MS, []],
  ] as const) {
    nowMs += laterMs;
    const next = await startGateway(options);
    assert.deepEqual(namesIn(await list(next)), names);
    await next.close();
  }
});

suite('an upstream that was dead when the gateway started', () => {
  test('is listed soon after it comes up, without anybody doing anything', async (t) => {
    let isDown = true;
    const upstream = await startRecordingUpstream({
      era: 'modern',
      intercept: (_request, response) => {
        if (isDown) response.destroy();
        return isDown;
      },
    });
    t.after(() => upstream.close());
    const gateway = await startGateway({
      configs: [{ name: 'late', url: upstream.url }],
      limits: { list_wait_ms: LIST_WAIT_MS },
    });
    t.after(() => gateway.close());
    const early = await list(gateway);
    assert.deepEqual([namesIn(early), statesIn(early)[0]?.state], [[], 'unavailable']);
    isDown = false;
    await eventually(async () => namesIn(await list(gateway)).includes('late.echo'));
    assert.deepEqual(statesIn(await list(gateway)), []);
  });
});

function toTool(name: string): string {
  return `{"name":"${name}","inputSchema":{"type":"object"}}`;
}
