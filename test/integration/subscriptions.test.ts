// Clients of both eras are told of what changes upstream while nobody calls: their own lists, and the resources that they
// have subscribed to (2026-07-28 basic/patterns/subscriptions, 2025-11-25 server/resources#subscriptions).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { FeaturesClient } from '../support/features-clients.ts';
import { startFeaturesServer } from '../support/features-servers.ts';
import { type ConfigFileOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { Listening, listen } from '../support/listening-client.ts';
import { type Answer, mcpRequest, send } from '../support/mcp-http.ts';
import { connectHttp2, openHttp2 } from '../support/raw-http2.ts';
import { LegacySession } from '../support/session-client.ts';
import {
  type Asked,
  acknowledge,
  answer,
  beginStream,
  notificationOf,
  SUBSCRIPTION_ID,
  tell,
  WatchedUpstream,
} from '../support/watched-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
const EVERYTHING = { allowed_prompts: ['*'], allowed_resources: ['*'] };

suite('what changes upstream while nobody calls is told', { concurrency: 4 }, () => {
  for (const clientEra of ERAS) {
    for (const upstreamEra of ERAS) {
      test(`to a ${clientEra} SDK client of a ${upstreamEra} SDK server`, async (t) => {
        const server = await startFeaturesServer(upstreamEra);
        const gateway = await startGateway({ configs: [{ name: 'memo', url: server.url, more: EVERYTHING }] });
        const client = await FeaturesClient.connect(clientEra, gateway.mcpUrl, gateway.token());
        const direct = await FeaturesClient.connect(upstreamEra, server.url, 'nobody');
        t.after(async () => {
          await client.close();
          await direct.close();
          await gateway.close();
          await server.close();
        });
        for (const kind of ['tool', 'prompt', 'resource'] as const) await client.names(kind);
        await client.watchLists();
        await client.watchResource(server.stateUri);
        await eventually(async () => (await streams(gateway)) >= 1);
        const told = (method: string) => client.told.filter((got) => got.method === `notifications/${method}`);
        await direct.call('touch');
        await eventually(() => told('resources/updated').length > 0);
        assert.equal(told('resources/updated')[0]!.params.uri, server.stateUri);
        const kinds = ['tool', 'prompt', 'resource'] as const;
        for (const kind of kinds) await direct.call('grow', { kind, name: 'grown' });
        await eventually(() => kinds.every((kind) => told(`${kind}s/list_changed`).length > 0));
        for (const kind of kinds) {
          assert.ok((await client.names(kind)).some((name) => name.endsWith('grown')));
        }
      });
    }
  }
});

async function streams(gateway: TestGateway): Promise<number> {
  const { text } = await send(`${gateway.url}/metrics`, { method: 'GET' });
  return Number(/\nswitchboard_client_streams (\d+)\n/.exec(text)?.[1]);
}

interface Listed {
  tools: string[];
  prompts: string[];
  resources: string[];
}

interface Running {
  readonly upstream: WatchedUpstream;
  readonly gateway: TestGateway;
  readonly listed: Listed;
  /** The stream that the upstream tells on now. */
  stream(): Promise<Asked>;
  /** Tells of something on it. */
  say(method: string, params?: object): Promise<void>;
  reload(more: Partial<ConfigFileOptions> & { readonly policy?: Readonly<Record<string, unknown>> }): Promise<void>;
}

/** An upstream of which the test writes the stream; its lists are what `listed` says. */
async function start(
  t: TestContext,
  era: 'legacy' | 'modern' = 'modern',
  more: Partial<ConfigFileOptions> & { readonly script?: (asked: Asked) => boolean } = {},
): Promise<Running> {
  const listed: Listed = { tools: ['a'], prompts: ['p'], resources: ['m://1', 'm://2', 'm://dir/', 'x://1'] };
  const upstream = await new WatchedUpstream((asked) => {
    if (more.script?.(asked) !== true) serve(asked, era, listed);
  }).listen();
  const toFile = (
    policy: Readonly<Record<string, unknown>> = { ...EVERYTHING, allowed_resources: ['m://*'] },
  ): ConfigFileOptions => ({
    configs: [{ name: 'one', url: `${upstream.url}/mcp`, more: policy }],
    tokens: [{ name: 'agent' }, { name: 'other' }],
  });
  const gateway = await startGateway({ ...toFile(), ...more });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
  const isStream = ({ method, message, isOver }: Asked): boolean =>
    !isOver && (method === 'GET' || message?.method === 'subscriptions/listen');
  const stream = () => eventually(() => upstream.asked.findLast((asked) => isStream(asked)));
  return {
    upstream,
    gateway,
    listed,
    stream,
    say: async (method, params) => {
      const at = await stream();
      if (era === 'modern') tell(at, notificationOf(at, method, params));
      else tell(at, { jsonrpc: '2.0', method: `notifications/${method}`, params });
    },
    reload: ({ policy, ...rest }) => gateway.reload({ ...toFile(policy), ...rest }),
  };
}

function serve(asked: Asked, era: 'legacy' | 'modern', listed: Listed): void {
  const { method, message, response } = asked;
  const capabilities = {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
  };
  const about = { capabilities, serverInfo: { name: 'w', version: '1' } };
  const resultType = 'complete';
  const name = message?.method;
  if (method === 'GET' && era === 'legacy') beginStream(asked);
  else if (method !== 'POST') response.writeHead(405).end();
  else if (message.id === undefined) response.writeHead(202).end();
  else if (name === 'server/discover' && era === 'modern')
    answer(asked, {
      result: { ...about, supportedVersions: ['2026-07-28'], ttlMs: 0, cacheScope: 'private', resultType },
    });
  else if (name === 'initialize' && era === 'legacy') {
    response.setHeader('mcp-session-id', 'the-session');
    answer(asked, { result: { ...about, protocolVersion: '2025-11-25' } });
  } else if (name === 'subscriptions/listen' && era === 'modern') acknowledge(asked);
  else if (name === 'tools/list')
    answer(asked, {
      result: { tools: listed.tools.map((tool) => ({ name: tool, inputSchema: { type: 'object' } })), resultType },
    });
  else if (name === 'prompts/list')
    answer(asked, { result: { prompts: listed.prompts.map((prompt) => ({ name: prompt })), resultType } });
  else if (name === 'resources/list')
    answer(asked, { result: { resources: listed.resources.map((uri) => ({ uri, name: uri })), resultType } });
  else if (name === 'resources/templates/list') answer(asked, { result: { resourceTemplates: [], resultType } });
  else if (name === 'resources/subscribe' || name === 'resources/unsubscribe') answer(asked, { result: {} });
  else answer(asked, { error: { code: -32601, message: 'Method not found' } }, era === 'modern' ? 404 : 200);
}

/** A listen of a client that reads nothing until `readOn`; `text` is what it has read. */
async function listenUnread(t: TestContext, gateway: TestGateway, resourceSubscriptions: readonly string[]) {
  const { session } = await connectHttp2(gateway.url, { settings: { initialWindowSize: 0 } });
  t.after(() => session.destroy());
  const params = `"notifications":${JSON.stringify({ resourceSubscriptions })}`;
  const request = mcpRequest('subscriptions/listen', { era: 'modern', params });
  const stream = openHttp2(session, gateway.mcpUrl, { ...request, token: gateway.token() });
  const client = { text: '', readOn: () => session.settings({ initialWindowSize: 1_000_000 }) };
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    client.text += chunk;
  });
  await once(stream, 'response');
  return client;
}

const ALL = '{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}';

suite('a listen', { concurrency: 20 }, () => {
  for (const id of ['7', '"7"', '"\\u00e9 \\"x\\""']) {
    test(`says its id ${id} on every message, as it was sent: acknowledgement, change, update and result`, async (t) => {
      const { gateway, listed, say } = await start(t);
      const filter = '{"toolsListChanged":true,"resourceSubscriptions":["m://1"]}';
      const client = listen(gateway.mcpUrl, gateway.token(), filter, id);
      await client.until(1);
      assert.ok(
        client.text.startsWith('event: message\ndata: {"jsonrpc":"2.0","method":"notifications/subscriptions/ack'),
      );
      await say('resources/updated', { uri: 'm://1', title: 'é' });
      await client.until(2);
      listed.tools.push('b');
      await say('tools/list_changed');
      await client.until(3);
      await gateway.close();
      const messages = await client.until(4);
      assert.deepEqual(client.told, [
        'subscriptions/acknowledged',
        'resources/updated m://1',
        'tools/list_changed',
        'answer',
      ]);
      const meta = `"_meta":{"${SUBSCRIPTION_ID}":${id}`;
      assert.equal(client.text.split(meta).length - 1, 4);
      assert.deepEqual(messages[3]!.id, JSON.parse(id));
      assert.equal(messages[3]!.result.resultType, 'complete');
      await eventually(() => client.isWhole);
    });
  }

  test('is acknowledged for what its view serves, and for resources that may be read', async (t) => {
    const { gateway, reload } = await start(t);
    const filter =
      '{"toolsListChanged":true,"promptsListChanged":false,"resourcesListChanged":true,"taskIds":["t"],"resourceSubscriptions":["m://1","x://1","m://nowhere","m://1"]}';
    const client = listen(gateway.mcpUrl, gateway.token(), filter);
    const [acknowledged] = await client.until(1);
    const { notifications } = acknowledged!.params as { notifications: object };
    assert.deepEqual(notifications, {
      toolsListChanged: true,
      resourcesListChanged: true,
      resourceSubscriptions: ['m://1'],
    });
    await reload({ policy: {} });
    const poor = listen(gateway.mcpUrl, gateway.token(), ALL.replace('"tools', '"x'));
    await eventually(() => poor.isOver);
    assert.deepEqual(poor.told, ['subscriptions/acknowledged', 'answer']);
    assert.deepEqual((poor.messages[0]!.params as { notifications: object }).notifications, {});
    assert.ok(poor.isWhole);
  });

  test('is not acknowledged before the upstream has acknowledged, and after two seconds in any case', async (t) => {
    const gate: Asked[] = [];
    const script = (asked: Asked): boolean => {
      const isListen = asked.message?.method === 'subscriptions/listen';
      if (isListen) gate.push(asked);
      return isListen;
    };
    const { gateway } = await start(t, 'modern', { script });
    const startedMs = performance.now();
    const client = listen(gateway.mcpUrl, gateway.token(), '{"resourceSubscriptions":["m://1"]}');
    await client.until(1);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs > 1_900 && tookMs < 4_000, `${tookMs}`);
    acknowledge(gate.at(-1)!);
    // What happened until then was not heard of.
    await client.until(2);
    assert.deepEqual(client.told, ['subscriptions/acknowledged', 'resources/updated m://1']);
  });

  test('is told of nothing that it has not asked for, nor of what others have asked for', async (t) => {
    const { gateway, listed, say } = await start(t);
    const prompts = listen(gateway.mcpUrl, gateway.token(), '{"promptsListChanged":true}');
    const one = listen(gateway.mcpUrl, gateway.token(), '{"resourceSubscriptions":["m://1"]}', '2');
    const other = listen(gateway.mcpUrl, gateway.token('other'), '{"resourceSubscriptions":["m://2"]}');
    for (const each of [prompts, one, other]) await each.until(1);
    listed.tools.push('b');
    listed.resources.push('m://3');
    listed.prompts.push('q');
    for (const list of ['tools', 'resources']) await say(`${list}/list_changed`);
    await say('message', { level: 'error', data: 'x' });
    await say('resources/updated', { uri: 'm://2' });
    await other.until(2);
    await say('resources/updated', { uri: 'm://1' });
    await one.until(2);
    await say('prompts/list_changed');
    await prompts.until(2);
    assert.deepEqual(prompts.told.slice(1), ['prompts/list_changed']);
    assert.deepEqual(one.told.slice(1), ['resources/updated m://1']);
    assert.deepEqual(other.told.slice(1), ['resources/updated m://2']);
  });

  test('is told of what is under a resource that it subscribed to, if it may read that', async (t) => {
    const { gateway, say } = await start(t);
    const client = listen(gateway.mcpUrl, gateway.token(), '{"resourceSubscriptions":["m://dir/","m://1"]}');
    await client.until(1);
    for (const uri of ['m://10', 'm://dirt/x', 'm://dir/x', 'm://1/x?y']) await say('resources/updated', { uri });
    await client.until(3);
    assert.deepEqual(client.told.slice(1), ['resources/updated m://dir/x', 'resources/updated m://1/x?y']);
  });

  test('is told of a list only when its own has changed, and once for a burst', async (t) => {
    const { gateway, listed, say, upstream } = await start(t);
    const client = listen(gateway.mcpUrl, gateway.token(), ALL);
    await client.until(1);
    const asks = () => upstream.of('resources/list').length;
    const before = asks();
    listed.resources.push('x://hidden');
    await say('resources/list_changed');
    await eventually(() => asks() > before);
    listed.resources.push('m://shown');
    for (let count = 0; count < 2_000; count++) await say('resources/list_changed');
    await client.until(2);
    await say('resources/updated', { uri: 'm://1' });
    assert.deepEqual(client.told.slice(1), ['resources/list_changed']);
    assert.ok(asks() - before < 6, `${asks() - before}`);
  });

  test('is told once for many updates of one resource', async (t) => {
    const { gateway, say } = await start(t);
    const client = listen(gateway.mcpUrl, gateway.token(), '{"resourceSubscriptions":["m://1","m://2"]}');
    await client.until(1);
    for (let count = 0; count < 500; count++) await say('resources/updated', { uri: 'm://1', count });
    await eventually(() => client.text.includes('"count":499'));
    assert.ok(client.messages.length < 10, `${client.messages.length}`);
    await say('resources/updated', { uri: 'm://2' });
    await eventually(() => client.told.at(-1) === 'resources/updated m://2');
  });

  test('is told after a gap what may have changed in it', async (t) => {
    const { gateway, listed, stream, upstream } = await start(t);
    const client = listen(gateway.mcpUrl, gateway.token(), `${ALL.slice(0, -1)},"resourceSubscriptions":["m://1"]}`);
    await client.until(1);
    listed.tools.push('b');
    const cut = await stream();
    cut.response.destroy();
    await client.until(3);
    assert.deepEqual(client.told.slice(1).sort(), ['resources/updated m://1', 'tools/list_changed']);
    assert.ok(upstream.of('subscriptions/listen').length >= 2);
  });

  test('is refused where it is wrong, by the place', async (t) => {
    const { gateway } = await start(t);
    const wrong = [
      [undefined, 'params.notifications is required'],
      ['[]', 'params.notifications is required'],
      ['{"toolsListChanged":true,"toolsListChanged":false}', 'params.notifications is required'],
      ['{"toolslistchanged":true}', 'params.notifications: "toolslistchanged"'],
      ['{"toolsListChanged":1}', 'params.notifications.toolsListChanged must be'],
      ['{"resourceSubscriptions":"m://1"}', 'params.notifications.resourceSubscriptions must be'],
      ['{"resourceSubscriptions":["m://1",2]}', 'params.notifications.resourceSubscriptions[1] must be'],
      [`{"resourceSubscriptions":[${Array(1_001).fill('"m://1"').join()}]}`, 'has more than 1000 URIs'],
    ] as const;
    for (const [filter, place] of wrong) {
      const params = filter === undefined ? '"x":1' : `"notifications":${filter}`;
      const request = mcpRequest('subscriptions/listen', { era: 'modern', params });
      const { message } = await send(gateway.mcpUrl, { ...request, token: gateway.token() });
      assert.equal(message.error?.code, -32602);
      assert.ok(message.error?.message.includes(place), message.error?.message);
    }
  });

  test('of a client that does not read is owed of each thing the last, and of many under one that one', async (t) => {
    const { gateway, say } = await start(t);
    const client = await listenUnread(t, gateway, ['m://1', 'm://dir/']);
    for (let count = 0; count < 300; count++) await say('resources/updated', { uri: 'm://1', count });
    for (let count = 0; count < 1_300; count++) await say('resources/updated', { uri: `m://dir/${count}` });
    const canary = listen(gateway.mcpUrl, gateway.token('other'), '{"resourceSubscriptions":["m://dir/"]}');
    await canary.until(1);
    await eventually(async () => {
      await say('resources/updated', { uri: 'm://dir/last' });
      return canary.told.includes('resources/updated m://dir/last');
    });
    client.readOn();
    await eventually(() => client.text.includes('"uri":"m://dir/"'));
    const { text } = client;
    assert.ok(text.includes('"count":299') && !text.includes('"count":298'));
    assert.ok(text.split('resources/updated').length <= 1_102);
  });

  test('wants an event stream, and is not known to legacy clients', async (t) => {
    const { gateway } = await start(t);
    const ask = (options: Parameters<typeof mcpRequest>[1]): Promise<Answer> => {
      const request = mcpRequest('subscriptions/listen', { params: `"notifications":${ALL}`, ...options });
      return send(gateway.mcpUrl, { ...request, token: gateway.token() });
    };
    const refused = await ask({ era: 'modern', accept: 'application/json' });
    assert.deepEqual([refused.status, refused.message.error?.code], [400, -32600]);
    assert.equal((await ask({})).message.error?.code, -32601);
  });

  test('counts among the streams of its token, and makes room when its client leaves', async (t) => {
    const { gateway } = await start(t, 'modern', { limits: { streams_per_token: 2 } });
    const [first, second] = [
      listen(gateway.mcpUrl, gateway.token(), ALL),
      listen(gateway.mcpUrl, gateway.token(), ALL, '2'),
    ];
    await first.until(1);
    await second.until(1);
    const refused = listen(gateway.mcpUrl, gateway.token(), ALL);
    await eventually(() => refused.isOver);
    assert.equal(refused.status, 429);
    first.cut();
    await eventually(async () => (await streams(gateway)) === 1);
    await listen(gateway.mcpUrl, gateway.token(), ALL).until(1);
  });

  test('ends in order with its token, and with the config that was all it saw', async (t) => {
    const { gateway, reload, upstream } = await start(t);
    const whole = listen(gateway.mcpUrl, gateway.token('other'), ALL);
    const view = listen(`${gateway.mcpUrl}/one`, gateway.token(), ALL);
    for (const each of [whole, view]) await each.until(1);
    const configs = ['one', 'two'].map((name) => ({ name, url: `${upstream.url}/mcp` }));
    await reload({ configs, tokens: [{ name: 'agent', grants: ['two'] }] });
    await eventually(() => whole.isWhole && view.isWhole, 1_500);
    assert.deepEqual([whole.told.at(-1), view.told.at(-1)], ['answer', 'answer']);
  });

  test('of a resource that may be read no more hears nothing of it, and hears of it again when it may', async (t) => {
    const { gateway, reload, say } = await start(t);
    const client = listen(gateway.mcpUrl, gateway.token(), '{"resourceSubscriptions":["m://1","m://2"]}');
    await client.until(1);
    await reload({ policy: { ...EVERYTHING, allowed_resources: ['m://2'] } });
    for (const uri of ['m://1', 'm://2']) await say('resources/updated', { uri });
    await client.until(2);
    assert.deepEqual(client.told.slice(1), ['resources/updated m://2']);
    await reload({ policy: { ...EVERYTHING } });
    await eventually(async () => {
      await say('resources/updated', { uri: 'm://1' });
      return client.told.includes('resources/updated m://1');
    });
  });

  test('of a client that was slow to read is not sent what it may not know any more', async (t) => {
    const { gateway, reload, say } = await start(t);
    const uris = ['m://1', 'm://2', 'm://dir/'];
    const client = await listenUnread(t, gateway, uris);
    const canary = listen(gateway.mcpUrl, gateway.token('other'), `{"resourceSubscriptions":${JSON.stringify(uris)}}`);
    await canary.until(1);
    for (const uri of ['m://1', 'm://dir/x', 'm://dir/y', 'm://2']) await say('resources/updated', { uri });
    await canary.until(5);
    await reload({ policy: { ...EVERYTHING, allowed_resources: ['m://2', 'm://dir/', 'm://dir/y'] } });
    client.readOn();
    await eventually(() => client.text.includes('"uri":"m://2"'));
    assert.deepEqual(client.text.match(/(?<="uri":")[^"]+/g), ['m://dir/y', 'm://2']);
  });

  test('is told of what may have changed while its upstream was asked with other credentials for the first time', async (t) => {
    const { gateway, reload, upstream } = await start(t);
    const client = listen(gateway.mcpUrl, gateway.token(), '{"resourceSubscriptions":["m://1"]}');
    await client.until(1);
    await reload({ policy: { ...EVERYTHING, custom_headers: [{ name: 'x-key', value: '1' }] } });
    await client.until(2);
    assert.deepEqual(client.told.slice(1), ['resources/updated m://1']);
    assert.ok(upstream.of('subscriptions/listen').some(({ headers }) => headers['x-key'] === '1'));
  });
});

async function subscribe(session: LegacySession, uri: string, method = 'subscribe'): Promise<Answer> {
  const request = mcpRequest(`resources/${method}`, {
    params: `"uri":${JSON.stringify(uri)}`,
    headers: session.headers,
  });
  return send(session.mcpUrl, { ...request, token: session.token });
}

suite('a legacy session', { concurrency: 6 }, () => {
  test('is told of what it has subscribed to, however often, until it unsubscribes', async (t) => {
    const { gateway, say, upstream } = await start(t, 'legacy');
    const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
    const stream = new Listening(gateway.mcpUrl, session.streamRequest);
    for (let count = 0; count < 2; count++) assert.deepEqual((await subscribe(session, 'm://1')).message.result, {});
    assert.equal(upstream.of('resources/subscribe').length, 1);
    await say('resources/updated', { uri: 'm://2' });
    await say('resources/updated', { uri: 'm://1', n: 1.5 });
    await stream.until(1);
    assert.deepEqual(stream.messages[0]!.params, { uri: 'm://1', n: 1.5 });
    for (let count = 0; count < 2; count++)
      assert.deepEqual((await subscribe(session, 'm://1', 'unsubscribe')).message.result, {});
    await eventually(() => upstream.of('resources/unsubscribe').length === 1);
    await subscribe(session, 'm://2');
    for (const uri of ['m://1', 'm://2']) await say('resources/updated', { uri });
    await stream.until(2);
    assert.deepEqual(stream.told, ['resources/updated m://1', 'resources/updated m://2']);
  });

  test('is refused what it may not read, as when it reads it, and what has no session or no URI', async (t) => {
    const { gateway } = await start(t, 'legacy');
    const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
    const read = mcpRequest('resources/read', { params: '"uri":"x://1"', headers: session.headers });
    const { message } = await send(session.mcpUrl, { ...read, token: session.token });
    assert.deepEqual((await subscribe(session, 'x://1')).message.error, message.error);
    assert.equal(message.error?.code, -32002);
    const bare = mcpRequest('resources/subscribe', { params: '"uri":"m://1"' });
    const sessionless = await send(session.mcpUrl, { ...bare, token: session.token });
    assert.match(sessionless.message.error!.message, /session/);
    const nothing = await send(session.mcpUrl, {
      ...mcpRequest('resources/subscribe', { headers: session.headers }),
      token: session.token,
    });
    assert.equal(nothing.message.error?.code, -32602);
  });

  test('that ends is unsubscribed upstream', async (t) => {
    const { gateway, upstream } = await start(t, 'legacy');
    const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
    await subscribe(session, 'm://1');
    await session.end();
    await eventually(() => upstream.of('resources/unsubscribe').length === 1);
  });

  test('whose stream broke is told what came since, once, and goes on', async (t) => {
    const { gateway, say, listed } = await start(t, 'modern');
    const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
    await session.toolNames();
    const first = new Listening(gateway.mcpUrl, session.streamRequest);
    for (const uri of ['m://1', 'm://2']) await subscribe(session, uri);
    await say('resources/updated', { uri: 'm://1' });
    await first.until(1);
    const [primed] = first.ids;
    first.cut();
    await eventually(async () => (await streams(gateway)) === 0);
    for (const uri of ['m://2', 'm://2', 'm://1']) await say('resources/updated', { uri });
    listed.tools.push('b');
    await say('tools/list_changed');
    const { headers } = session.streamRequest;
    const resume = (id: string): Listening =>
      new Listening(gateway.mcpUrl, { ...session.streamRequest, headers: { ...headers, 'last-event-id': id } });
    const second = resume(first.ids.at(-1)!);
    await second.until(3);
    assert.deepEqual(second.told.toSorted(), [
      'resources/updated m://1',
      'resources/updated m://2',
      'tools/list_changed',
    ]);
    await say('resources/updated', { uri: 'm://2' });
    await second.until(4);
    const third = resume(primed!);
    await third.until(3);
    await eventually(() => second.isOver);
    assert.equal(
      new Set([...first.ids, ...second.ids]).size,
      new Set([...first.ids, ...second.ids, ...third.ids]).size,
    );
  });
});
