// Legacy sessions hear on the stream that they open by GET that their list of tools has changed: each one once, soon, and
// only when it is their own (2025-11-25 basic/transports#listening-for-messages-from-the-server).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { type ConfigFileOptions, type GatewayOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { type ListingUpstream, startListingUpstream, toolNamed } from '../support/listing-upstream.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { RawHttp1, toHttp1 } from '../support/raw-http1.ts';
import { connectHttp2, openHttp2 } from '../support/raw-http2.ts';
import { connectClient } from '../support/sdk-clients.ts';
import { startServe } from '../support/serve-child.ts';
import { LegacySession } from '../support/session-client.ts';

const LIST_CHANGED = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}';
const NAMES = ['a', 'b', 'c', 'd'];
const WITHIN_MS = 1_000;

/** An upstream that lists `names`, and says on every call that they have changed. */
async function listing(t: TestContext, names: readonly string[] | (() => readonly string[]) = NAMES) {
  const read = typeof names === 'function' ? names : () => names;
  const options = {
    era: 'modern',
    tools: NAMES.map((name) => toolNamed(name)),
    onCall: () => ({ sse: [LIST_CHANGED], result: '{"content":[],"resultType":"complete"}' }),
  } as const;
  const started = await startListingUpstream(
    options,
    () =>
      `{"tools":[${read()
        .map((name) => toolNamed(name))
        .join()}]}`,
  );
  t.after(() => started.upstream.close());
  return started;
}

interface Running {
  readonly gateway: TestGateway;
  /** Makes the allow-lists those of `allowed`, by config, and everything else what it was. */
  allow(allowed: Readonly<Record<string, readonly string[]>>): Promise<void>;
  session(token?: string): Promise<LegacySession>;
}

/** Config `one` is granted to the token `agent`, config `two` to the token `other`. Each allows `a` and `b`. */
async function start(
  t: TestContext,
  { upstream }: ListingUpstream,
  more: Partial<GatewayOptions> = {},
): Promise<Running> {
  const toFile = (allowed: Readonly<Record<string, readonly string[]>>): ConfigFileOptions => ({
    configs: ['one', 'two'].map((name) => ({ name, url: upstream.url, allowedTools: allowed[name] ?? ['[ab]'] })),
    tokens: [
      { name: 'agent', grants: ['one'] },
      { name: 'other', grants: ['two'] },
    ],
    ...more,
  });
  const gateway = await startGateway({ ...more, ...toFile({}) });
  t.after(() => gateway.close());
  // Lists that come for the first time are changes, too.
  for (const name of ['agent', 'other'])
    await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token(name) });
  return {
    gateway,
    allow: (allowed) => gateway.reload(toFile(allowed)),
    session: (token) => LegacySession.open(gateway.mcpUrl, gateway.token(token)),
  };
}

suite('a session is told that its list has changed', { concurrency: 6 }, () => {
  for (const kind of ['v1', 'v2 legacy'] as const) {
    test(`once for a burst of edits, within a second (SDK client ${kind})`, async (t) => {
      const { gateway, allow } = await start(t, await listing(t));
      let told = 0;
      const client = await connectClient(kind, gateway.mcpUrl, gateway.token(), () => told++);
      t.after(() => client.close());
      await eventually(() => isStreaming(gateway, 1));
      assert.deepEqual(await client.toolNames(), ['one.a', 'one.b']);
      await allow({ one: ['a'] });
      await eventually(() => told > 0, WITHIN_MS);
      // There is a second for these, also where writing a file takes long.
      for (const names of [['c'], ['b', 'c'], ['d'], ['a'], ['a', 'd']]) await allow({ one: names });
      await eventually(() => told > 1);
      assert.deepEqual(await client.toolNames(), ['one.a', 'one.d']);
      assert.equal(told, 2);
    });
  }

  test('by edits of others, and by edits without effect, never', async (t) => {
    const { allow, session } = await start(t, await listing(t));
    const [mine, foreign] = [await (await session()).listen(), await (await session('other')).listen()];
    await allow({ two: ['a'] });
    await eventually(() => foreign.told === 1);
    // Other words for the same tools; the other session shows that this was looked at.
    await allow({ one: ['{a,b}', 'nothing*'], two: ['b'] });
    await eventually(() => foreign.told === 2);
    assert.equal(mine.told, 0);
  });

  test('when its upstream lists other tools, and not when it lists the same again', async (t) => {
    const names = ['a'];
    const upstream = await listing(t, () => names);
    const { gateway, session } = await start(t, upstream, { limits: { list_ttl_ms: 3_600_000 } });
    const mine = await session();
    assert.deepEqual(await mine.toolNames(), ['one.a']);
    const stream = await mine.listen();
    const call = () => send(gateway.mcpUrl, { ...toolCall('one.a'), token: gateway.token() });
    const before = upstream.asked.length;
    await call();
    await eventually(() => upstream.asked.length > before);
    names.push('b');
    await call();
    await eventually(() => stream.told === 1);
    assert.deepEqual(await mine.toolNames(), ['one.a', 'one.b']);
  });

  test('when an upstream that was never seen answers at last', async (t) => {
    const gate = Promise.withResolvers<string>();
    const late = await startListingUpstream({ era: 'modern' }, () => gate.promise);
    t.after(() => late.upstream.close());
    const { session } = await start(t, late, { limits: { list_wait_ms: 50 } });
    const mine = await session();
    const stream = await mine.listen();
    assert.deepEqual(await mine.toolNames(), []);
    gate.resolve(`{"tools":[${toolNamed('a')}]}`);
    await eventually(() => stream.told === 1, WITHIN_MS);
    assert.deepEqual(await mine.toolNames(), ['one.a']);
  });

  test('when the spelling of its token is edited, unless its URL says another', async (t) => {
    const { upstream } = await listing(t);
    const toFile = (names: 'dot' | 'underscore'): ConfigFileOptions => ({
      configs: [{ name: 'one', url: upstream.url }],
      tokens: [{ name: 'agent', names }],
    });
    const gateway = await startGateway(toFile('dot'));
    t.after(() => gateway.close());
    const open = async (url: string) => (await LegacySession.open(url, gateway.token())).listen();
    const [plain, spelled] = [await open(gateway.mcpUrl), await open(`${gateway.mcpUrl}?names=bare`)];
    await gateway.reload(toFile('underscore'));
    await eventually(() => plain.told === 1, WITHIN_MS);
    assert.equal(spelled.told, 0);
  });

  test('when it opens its stream, if that was while it had none', async (t) => {
    const { allow, session } = await start(t, await listing(t));
    const [listed, ignorant] = [await session(), await session()];
    await listed.toolNames();
    await allow({ one: ['a'] });
    const streams = [await listed.listen(), await ignorant.listen()] as const;
    await eventually(() => streams[0].told === 1, WITHIN_MS);
    assert.equal(streams[1].told, 0, 'which has no list that could have changed');
  });

  test('not when it has listed since', async (t) => {
    const { allow, session } = await start(t, await listing(t));
    const mine = await session();
    const [listed, canary] = [await mine.listen(), await (await session('other')).listen()];
    await allow({ two: ['a'] });
    await eventually(() => canary.told === 1);
    // The next look is most of a second away.
    await allow({ one: ['a'], two: ['b'] });
    assert.deepEqual(await mine.toolNames(), ['one.a']);
    await eventually(() => canary.told === 2);
    assert.equal(listed.told, 0);
  });

  test('through REST as well, and a token that is revoked there loses its stream', async (t) => {
    const { upstream } = await listing(t);
    const settings = { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } };
    const gateway = await startGateway({ configs: [], tokens: [], settings });
    t.after(() => gateway.close());
    const post = poster(gateway);
    const config = await post('/v1/mcp-configs', { name: 'one', endpoint: upstream.url, allowed_tools: ['a'] });
    const grants = [{ mcp_config: 'one' }];
    const [token, kept] = [
      await post('/v1/mcp-tokens', { name: 'x', grants }),
      await post('/v1/mcp-tokens', { name: 'y', grants }),
    ];
    const session = await LegacySession.open(gateway.mcpUrl, token.token);
    assert.deepEqual(await session.toolNames(), ['one.a']);
    const streams = [
      await session.listen(),
      await (await LegacySession.open(gateway.mcpUrl, kept.token)).listen(),
    ] as const;
    await post(`/v1/mcp-configs/${config.id}`, { allowed_tools: ['b'] });
    await eventually(() => streams.every(({ told }) => told === 1), WITHIN_MS);
    assert.deepEqual(await session.toolNames(), ['one.b']);
    await post(`/v1/mcp-tokens/${token.id}/revoke`, {});
    await eventually(() => streams[0].isOver, WITHIN_MS);
    assert.equal(streams[1].isOver, false);
  });

  test('and 199 others with it, each once, while 50 of another token hear nothing', async (t) => {
    const { gateway, allow, session } = await start(t, await listing(t));
    const { session: connection } = await connectHttp2(gateway.url);
    t.after(() => connection.destroy());
    const open = async (count: number, token: string) => {
      const sessions = await Promise.all(Array.from({ length: count }, () => session(token)));
      return Promise.all(sessions.map((each, index) => (index % 2 === 0 ? each.listen() : each.listen2(connection))));
    };
    const [mine, others] = [await open(200, 'agent'), await open(50, 'other')];
    assert.ok(await isStreaming(gateway, 250));
    await allow({ one: ['c'] });
    await eventually(() => mine.every(({ told }) => told === 1), WITHIN_MS);
    await allow({ one: ['c', 'a'], two: ['c'] });
    await eventually(() => others.every(({ told }) => told === 1));
    await eventually(() => mine.every(({ told }) => told === 2));
  });
});

/** Posts to the REST API. */
function poster(gateway: TestGateway) {
  return async (path: string, body: object) => {
    const headers = { authorization: `Bearer ${gateway.apiKey}`, 'content-type': 'application/json' };
    const response = await fetch(gateway.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.equal(response.status, 200);
    return (await response.json()) as { id: string; token: string };
  };
}

/** As `/metrics` says it. */
async function isStreaming(gateway: TestGateway, count: number): Promise<boolean> {
  const { text } = await send(`${gateway.url}/metrics`, { method: 'GET' });
  return text.includes(`\nswitchboard_client_streams ${count}\n`);
}

suite('a stream', { concurrency: 6 }, () => {
  test('is opened by GET for a session, and for nothing else', async (t) => {
    const { gateway, session } = await start(t, await listing(t));
    const [mine, foreign, ended] = [await session(), await session('other'), await session()];
    await ended.end();
    const SSE = { accept: 'text/event-stream' };
    const refusals: readonly [what: string, headers: Record<string, string>, status: number][] = [
      ['no session', SSE, 405],
      ['a session, and no wish for events', { ...mine.headers, accept: 'application/json' }, 405],
      ['the modern era', { ...SSE, ...mine.headers, 'mcp-protocol-version': '2026-07-28' }, 405],
      ['a revision that is not served', { ...SSE, ...mine.headers, 'mcp-protocol-version': '2024-10-07' }, 400],
      ['a session that was never opened', { ...SSE, 'mcp-session-id': 'guess' }, 404],
      ["another token's session", { ...SSE, ...foreign.headers }, 404],
      ['a session that was ended', { ...SSE, ...ended.headers }, 404],
    ];
    const withBody = await send(gateway.mcpUrl, { ...mine.streamRequest, body: toolCall('one.a').body });
    assert.equal(withBody.status, 405);
    for (const [what, headers, status] of refusals) {
      const answer = await send(gateway.mcpUrl, { method: 'GET', token: gateway.token(), headers });
      assert.deepEqual([answer.status, answer.kind], [status, 'json'], what);
      if (status === 405) assert.equal(answer.headers.allow, 'POST, DELETE', what);
    }
    const unknown = await send(gateway.mcpUrl, { method: 'GET', headers: { ...SSE, ...mine.headers } });
    assert.equal(unknown.status, 401);
    const head = await send(gateway.mcpUrl, { ...mine.streamRequest, method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.allow], [405, 'GET, POST, DELETE']);
    assert.equal((await mine.listen()).status, 200);
  });

  test('is declared to clients of both eras', async (t) => {
    const { gateway } = await start(t, await listing(t));
    const params = '"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
    const asks = [mcpRequest('initialize', { params }), mcpRequest('server/discover', { era: 'modern' })];
    const [legacy, modern] = await Promise.all(
      asks.map((ask) => send(gateway.mcpUrl, { ...ask, token: gateway.token() })),
    );
    for (const { message } of [legacy!, modern!]) {
      assert.deepEqual(message.result.capabilities, { tools: { listChanged: true }, logging: {} });
    }
  });

  test('takes the place of the one that its session had, on whichever HTTP version', async (t) => {
    const { gateway, allow, session } = await start(t, await listing(t));
    const { session: connection } = await connectHttp2(gateway.url);
    t.after(() => connection.destroy());
    const mine = await session();
    const first = await mine.listen();
    const second = await mine.listen2(connection);
    await eventually(() => first.isOver);
    assert.ok(await isStreaming(gateway, 1));
    await allow({ one: ['a'] });
    await eventually(() => second.told === 1, WITHIN_MS);
    assert.equal(first.told, 0);
    const third = await mine.listen();
    await eventually(() => second.isOver);
    assert.equal(third.isOver, false);
  });

  test('over streams_per_token is 429, others are served, and one that ends makes room', async (t) => {
    const { gateway, session } = await start(t, await listing(t), { limits: { streams_per_token: 2 } });
    const sessions = [await session(), await session(), await session()] as const;
    await sessions[0].listen();
    await sessions[1].listen();
    const refused = await send(gateway.mcpUrl, sessions[2].streamRequest);
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '1']);
    await (await session('other')).listen();
    await sessions[0].listen();
    await sessions[0].end();
    assert.equal((await sessions[2].listen()).status, 200);
  });

  test('ends with its session, and alone', async (t) => {
    const { gateway, session } = await start(t, await listing(t));
    const { session: connection } = await connectHttp2(gateway.url);
    t.after(() => connection.destroy());
    const [first, second, kept] = [await session(), await session(), await session()];
    const streams = [await first.listen(), await second.listen2(connection), await kept.listen()] as const;
    await first.end();
    await second.end();
    await eventually(() => streams[0].isOver && streams[1].isOver);
    assert.equal(streams[2].isOver, false);
    assert.ok(await isStreaming(gateway, 1));
  });

  test('ends with its client, and half of a client is one', async (t) => {
    const { gateway, allow, session } = await start(t, await listing(t));
    const { session: connection } = await connectHttp2(gateway.url);
    await (await session()).listen2(connection);
    const [leaving, halfClosed] = [await RawHttp1.connect(gateway.url), await RawHttp1.connect(gateway.url)];
    for (const client of [leaving, halfClosed]) {
      t.after(() => client.socket.destroy());
      client.write(toHttp1(gateway.mcpUrl, (await session()).streamRequest).head);
      await eventually(() => client.text.includes(':\n\n'));
    }
    assert.ok(await isStreaming(gateway, 3));
    halfClosed.socket.end();
    leaving.socket.destroy();
    connection.destroy();
    await eventually(() => isStreaming(gateway, 1));
    await allow({ one: ['a'] });
    await eventually(() => halfClosed.text.includes('list_changed'), WITHIN_MS);
  });

  test('ends with its token: deleted, given another value, or expired by an edit or by the clock', async (t) => {
    let nowMs = Date.parse('2026-01-01');
    const { upstream } = await listing(t);
    const toFile = (...tokens: NonNullable<ConfigFileOptions['tokens']>): ConfigFileOptions => ({
      configs: [{ name: 'one', url: upstream.url }],
      tokens: [{ name: 'kept' }, ...tokens],
    });
    const all = ['gone', 'edited', 'expiring'].map((name) => ({ name, expiresAt: '2026-01-03' }));
    const gateway = await startGateway({ ...toFile(...all), now: () => nowMs });
    t.after(() => gateway.close());
    const open = async (token: string) => (await LegacySession.open(gateway.mcpUrl, gateway.token(token))).listen();
    const [gone, edited, expiring] = [await open('gone'), await open('edited'), await open('expiring')];
    await gateway.reload(toFile({ name: 'edited', expiresAt: '2025-12-31' }, all[2]!));
    await eventually(() => gone.isOver && edited.isOver, WITHIN_MS);
    assert.equal(expiring.isOver, false);
    nowMs = Date.parse('2026-01-03');
    const kept = await open('kept');
    await eventually(() => expiring.isOver, 2_000);
    assert.equal(kept.isOver, false);
    nowMs = Date.parse('2026-01-05');
    await eventually(() => kept.isOver, 2_000);
  });

  test('ends with the value of its token that opened it, when the token has been given another', async (t) => {
    let nowMs = Date.now();
    const { upstream } = await listing(t);
    const gateway = await startGateway({ configs: [{ name: 'one', url: upstream.url }], now: () => nowMs });
    t.after(() => gateway.close());
    const post = poster(gateway);
    const { id, token } = await post('/v1/mcp-tokens', { name: 'x', grants: [{ mcp_config: 'one' }] });
    const open = async (value: string) => (await LegacySession.open(gateway.mcpUrl, value)).listen();
    const before = await open(token);
    const rotated = await post(`/v1/mcp-tokens/${id}/rotate`, { overlap_seconds: 60 });
    const [late, after] = [await open(token), await open(rotated.token)];
    assert.equal(before.isOver, false);
    nowMs += 60_000;
    await eventually(() => before.isOver && late.isOver);
    assert.equal(after.isOver, false);
    await post(`/v1/mcp-tokens/${id}/rotate`, { overlap_seconds: 0 });
    await eventually(() => after.isOver, WITHIN_MS);
  });
});

test('a gateway with streams ends at once, also with those of clients that read nothing', async (t) => {
  const { upstream } = await listing(t);
  const child = await startServe({ configs: [{ name: 'one', url: upstream.url }], limits: { drain_ms: 30_000 } });
  t.after(() => child.stop('SIGKILL'));
  const { session: connection } = await connectHttp2(child.url);
  t.after(() => connection.destroy());
  const sessions = await Promise.all(Array.from({ length: 30 }, () => LegacySession.open(child.mcpUrl, child.token())));
  const streams = await Promise.all(
    sessions.splice(0, 20).map((session, index) => (index % 2 === 0 ? session.listen() : session.listen2(connection))),
  );
  const { session: stuck } = await connectHttp2(child.url, { settings: { initialWindowSize: 0 } });
  t.after(() => stuck.destroy());
  for (const { streamRequest } of sessions.splice(0, 5)) {
    // The headers are here, and the rest waits for a window that never opens.
    await once(openHttp2(stuck, child.mcpUrl, streamRequest), 'response');
  }
  for (const { streamRequest } of sessions.splice(0, 5)) {
    const client = await RawHttp1.connect(child.url);
    t.after(() => client.socket.destroy());
    client.write(toHttp1(child.mcpUrl, streamRequest).head);
    await eventually(() => client.bytesReceived > 0);
    client.socket.pause();
  }
  const startedMs = performance.now();
  const { code } = await child.stop('SIGTERM');
  assert.equal(code, 0);
  assert.ok(performance.now() - startedMs < 2_000, `${performance.now() - startedMs} ms`);
  await eventually(() => streams.every(({ isOver }) => isOver));
});
