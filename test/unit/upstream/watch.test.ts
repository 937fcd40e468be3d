// On real sockets: a watch is what it says on them, and what it makes of what comes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { suite, type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Pool } from 'undici';
import type { UpstreamAbout } from '../../../src/upstream/about.ts';
import type { Link } from '../../../src/upstream/handshake.ts';
import { UpstreamWatch } from '../../../src/upstream/watch.ts';
import type { WatchSink } from '../../../src/upstream/watch-sink.ts';
import { eventually } from '../../support/eventually.ts';
import {
  type Asked,
  acknowledge,
  answer,
  beginStream,
  notificationOf,
  SUBSCRIPTION_ID,
  tell,
  WatchedUpstream,
} from '../../support/watched-upstream.ts';

const PACE = {
  lingerMs: 50,
  firstRetryMs: 10,
  longestRetryMs: 40,
  stableMs: 30_000,
  unsupportedRetryMs: 60_000,
  updateMs: 5,
};
const LISTEN = 'subscriptions/listen';
const ALL = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };

interface Started {
  readonly upstream: WatchedUpstream;
  readonly watch: UpstreamWatch;
  /** What its sink was told, in words. */
  readonly told: string[];
  readonly sink: WatchSink;
  readonly outages: string[];
  /** Sessions that were opened, forgotten, and are held. */
  readonly links: { opened: number; forgotten: number; held: number; taken: number };
}

async function start(
  t: TestContext,
  era: 'modern' | 'legacy' | 'stateless',
  script: (asked: Asked) => void,
  about: Partial<UpstreamAbout> | undefined = undefined,
  pace: Partial<typeof PACE> = {},
): Promise<Started> {
  const upstream = await new WatchedUpstream(script).listen();
  const pool = new Pool(upstream.url, { bodyTimeout: 0, connections: 8, pipelining: 1 });
  const links = { opened: 0, forgotten: 0, held: 0, taken: 0 };
  const outages: string[] = [];
  let link: Link | undefined;
  let ids = 0;
  const watch = new UpstreamWatch({
    pool,
    path: '/mcp',
    clientInfo: '{"name":"t","version":"1"}',
    timeoutMs: 2_000,
    mintId: () => `id-${++ids}`,
    about: () => about as UpstreamAbout | undefined,
    connect: async () => {
      link ??= openLink(era, ++links.opened);
      links.held++;
      links.taken++;
      return link;
    },
    release: () => links.held--,
    forget: () => {
      links.forgotten++;
      link = undefined;
    },
    onOutage: (message) => outages.push(message),
    pace: { ...PACE, ...pace },
    random: () => 1,
  });
  t.after(async () => {
    watch.destroy();
    pool.destroy().catch(() => undefined);
    await upstream.close();
  });
  const told: string[] = [];
  const sink: WatchSink = {
    onListChanged: (list) => told.push(list),
    onResourceUpdated: (uri, params) => told.push(`${uri} ${params}`),
    onGap: () => told.push('gap'),
  };
  return { upstream, watch, told, sink, outages, links };
}

function openLink(era: 'modern' | 'legacy' | 'stateless', count: number): Link {
  const sessionId = era === 'legacy' ? `session-${count}` : undefined;
  const headers = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
  if (sessionId !== undefined) headers.push('mcp-session-id', sessionId);
  const common = { revision: '', sessionId, headers, calls: 0, usedAtMs: 0, capabilities: '' };
  return { ...common, era: era === 'modern' ? 'modern' : 'legacy' };
}

/** When each request came. */
function times({ asked }: WatchedUpstream): number[] {
  return asked.map(({ atMs }) => atMs);
}

const LIST_CHANGED = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' };

suite('a modern upstream', { concurrency: 8 }, () => {
  test('is listened to once, and is there when it has acknowledged', async (t) => {
    const { upstream, watch, sink } = await start(t, 'modern', () => undefined);
    const { ready } = watch.open(sink);
    let isReady = false;
    void ready.then(() => {
      isReady = true;
    });
    const listen = await eventually(() => upstream.of(LISTEN)[0]);
    assert.deepEqual(listen.message.params.notifications, ALL);
    assert.equal(listen.headers['mcp-method'], LISTEN);
    assert.equal(isReady, false);
    acknowledge(listen);
    await ready;
    assert.equal(upstream.asked.length, 1);
  });

  test('is asked for nothing that it does not declare', async (t) => {
    const about = { tools: true, prompts: false, resources: false, subscribes: false };
    const { upstream, watch, sink } = await start(t, 'modern', (asked) => acknowledge(asked), about);
    const opened = watch.open(sink);
    opened.subscribe('a:1');
    await opened.ready;
    assert.deepEqual(upstream.of(LISTEN)[0]!.message.params.notifications, { toolsListChanged: true });
    assert.equal(opened.isRefused('a:1'), true);
  });

  test('passes on what it tells under the id of the listen, byte for byte but for that id', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'modern', (asked) => acknowledge(asked));
    const opened = watch.open(sink);
    opened.subscribe('a:1');
    await opened.ready;
    const listen = upstream.of(LISTEN).at(-1)!;
    const id = JSON.stringify(listen.message.id);
    tell(listen, { ...LIST_CHANGED, params: { _meta: { [SUBSCRIPTION_ID]: 'another' } } });
    tell(listen, LIST_CHANGED);
    for (const list of ['tools', 'prompts', 'resources']) tell(listen, notificationOf(listen, `${list}/list_changed`));
    tell(listen, notificationOf(listen, 'message', { level: 'info', data: 1 }));
    const updated = (params: string) =>
      tell(listen, `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":${params}}`);
    updated(`{"n":1.0, "_meta":{"${SUBSCRIPTION_ID}":${id}},"uri":"a:1"}`);
    updated(`{"uri":"a:\\u0031","_meta":{"x":9007199254740993,"${SUBSCRIPTION_ID}":${id}}}`);
    await eventually(() => told.length === 5);
    assert.deepEqual(told, [
      'tools',
      'prompts',
      'resources',
      'a:1 {"n":1.0, "uri":"a:1"}',
      'a:1 {"uri":"a:\\u0031","_meta":{"x":9007199254740993}}',
    ]);
  });

  test('of which other URIs are wanted acknowledges another listen before the one in use is ended', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'modern', (asked) => {
      if (upstream.asked.length === 1) acknowledge(asked);
    });
    const opened = watch.open(sink);
    await opened.ready;
    for (const uri of ['a:1', 'a:2', 'a:1']) opened.subscribe(uri);
    const [first, second] = await eventually(() => upstream.of(LISTEN).length === 2 && upstream.of(LISTEN));
    assert.deepEqual(second!.message.params.notifications.resourceSubscriptions, ['a:1', 'a:2']);
    tell(first!, notificationOf(first!, 'tools/list_changed'));
    await eventually(() => told.length === 1);
    assert.equal(first!.isOver, false);
    acknowledge(second!, { ...ALL, resourceSubscriptions: ['a:2'] });
    await opened.ready;
    await eventually(() => first!.isOver);
    assert.deepEqual([opened.isRefused('a:1'), opened.isRefused('a:2')], [true, false]);
    assert.deepEqual(told, ['tools']);
  });

  test('that refuses another listen is heard on the one in use', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'modern', (asked) => {
      if (upstream.asked.length === 1) acknowledge(asked);
      else answer(asked, { error: { code: -32603, message: 'limit' } });
    });
    const opened = watch.open(sink);
    await opened.ready;
    opened.subscribe('a:1');
    await opened.ready;
    const [first] = upstream.of(LISTEN);
    tell(first!, notificationOf(first!, 'tools/list_changed'));
    await eventually(() => told.length === 1);
  });

  test('that will not tell of a resource beside others has refused that one, and is told so no more', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'modern', (asked) => {
      const { resourceSubscriptions: uris = [] } = asked.message.params.notifications;
      if (uris.includes('a:no')) answer(asked, { error: { code: -32602, message: 'no' } });
      else acknowledge(asked);
    });
    const opened = watch.open(sink);
    opened.subscribe('a:1');
    await opened.ready;
    opened.subscribe('a:no');
    await opened.ready;
    assert.deepEqual([opened.isRefused('a:1'), opened.isRefused('a:no')], [false, true]);
    opened.unsubscribe('a:no');
    opened.subscribe('a:2');
    await opened.ready;
    assert.equal(opened.isRefused('a:2'), false);
    // It was not heard of while it was asked for in vain.
    await eventually(() => told.includes('gap'));
    await eventually(() => upstream.of(LISTEN).filter(({ isOver }) => !isOver).length === 1);
  });

  test('that ends a listen, in order or not, is listened to again, and everything may have changed', async (t) => {
    const { upstream, watch, sink, told, outages } = await start(t, 'modern', (asked) => acknowledge(asked));
    await watch.open(sink).ready;
    const [first] = upstream.of(LISTEN);
    tell(first!, { jsonrpc: '2.0', id: first!.message.id, result: { resultType: 'complete' } });
    await eventually(() => told.length === 1);
    upstream.of(LISTEN)[1]!.response.destroy();
    await eventually(() => told.length === 2);
    assert.deepEqual(told, ['gap', 'gap']);
    assert.equal(outages.length, 2);
  });

  test('that is down is asked again after pauses that double, and the outage is told once', async (t) => {
    const times: number[] = [];
    const { upstream, watch, sink, told, outages } = await start(t, 'modern', (asked) => {
      times.push(performance.now());
      if (times.length < 5) asked.response.writeHead(503).end();
      else acknowledge(asked);
    });
    await watch.open(sink).ready;
    await eventually(() => told.length === 1);
    const pauses = times.slice(1).map((time, index) => time - times[index]!);
    for (const [index, least] of [10, 20, 40, 40].entries()) assert.ok(pauses[index]! >= least - 2, `${pauses}`);
    assert.deepEqual(outages, ['it answered HTTP 503 and no event stream']);
    assert.equal(upstream.asked.length, 5);
    assert.deepEqual(told, ['gap']);
  });

  for (const [what, script] of [
    ['does not know the method', (asked: Asked) => answer(asked, { error: { code: -32601, message: 'no' } }, 404)],
    ['does not know it, and says so with 200', (asked: Asked) => answer(asked, { error: { code: -32601 } })],
    [
      'acknowledges nothing, and ends',
      (asked: Asked) => {
        acknowledge(asked, {});
        tell(asked, { jsonrpc: '2.0', id: asked.message.id, result: { resultType: 'complete' } });
      },
    ],
  ] as const) {
    test(`that ${what} is not asked again soon, and is no outage`, async (t) => {
      const pace = { unsupportedRetryMs: 150 };
      const { upstream, watch, sink, outages } = await start(t, 'modern', script, undefined, pace);
      await watch.open(sink).ready;
      await eventually(() => upstream.asked.length === 2);
      const [first, second] = times(upstream);
      assert.ok(second! - first! >= 140);
      assert.deepEqual(outages, []);
    });
  }

  test('that tells before it acknowledges, or acknowledges another id, or too much at once, is not heard', async (t) => {
    const scripts: ((asked: Asked) => void)[] = [
      (asked) => tell(asked, notificationOf(asked, 'tools/list_changed')),
      (asked) => tell(asked, { jsonrpc: '2.0', id: 'other', result: {} }),
      (asked) => asked.response.write(`data: ${'x'.repeat(5 * 1024 * 1024)}`),
      (asked) => acknowledge(asked),
    ];
    const { upstream, watch, sink, told } = await start(t, 'modern', (asked) => {
      const index = upstream.asked.length - 1;
      if (index < 3) beginStream(asked);
      scripts[index]?.(asked);
    });
    watch.open(sink);
    await eventually(() => upstream.asked.length === 4 && told.length > 0);
    assert.deepEqual(told, ['gap']);
    await eventually(() => upstream.asked.slice(0, 3).every(({ isOver }) => isOver));
  });

  test('that tells without end is read at four thousand lines a second, and nothing of it is held', async (t) => {
    const { upstream, watch, sink } = await start(t, 'modern', (asked) => acknowledge(asked));
    let count = 0;
    await watch.open({ ...sink, onListChanged: () => count++ }).ready;
    const [listen] = upstream.of(LISTEN);
    const event = `data: ${JSON.stringify(notificationOf(listen!, 'tools/list_changed'))}\n\n`;
    const startedMs = performance.now();
    listen!.response.write(event.repeat(20_000));
    await eventually(() => count > 3_000);
    assert.ok(performance.now() - startedMs > 950, `${count}`);
    assert.ok(count < 6_000, `${count}`);
  });

  test('is let go a while after the last who was interested, and not while there is another', async (t) => {
    const { upstream, watch, sink, links } = await start(t, 'modern', (asked) => acknowledge(asked), undefined, {
      lingerMs: 100,
    });
    const first = watch.open(sink);
    await first.ready;
    first.close();
    const second = watch.open(sink);
    await second.ready;
    assert.equal(upstream.asked.length, 1);
    const startedMs = performance.now();
    second.close();
    await eventually(() => upstream.of(LISTEN)[0]!.isOver && links.held === 0);
    assert.ok(performance.now() - startedMs >= 95);
    assert.equal(watch.isActive, false);
    await watch.open(sink).ready;
    assert.equal(upstream.asked.length, 2);
  });

  test('that changes while nobody is there to be told is a gap for the next', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'modern', (asked) => acknowledge(asked), undefined, {
      lingerMs: 60_000,
    });
    const first = watch.open(sink);
    await first.ready;
    first.close();
    const [listen] = upstream.of(LISTEN);
    // One that comes while the next is there is no gap.
    await eventually(async () => {
      tell(listen!, notificationOf(listen!, 'tools/list_changed'));
      await nextTurn();
      const next = watch.open(sink);
      await nextTurn();
      next.close();
      return told.includes('gap');
    });
  });

  test('that was not heard for a moment while nobody was there to be told is a gap for the next', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'modern', () => undefined, undefined, { lingerMs: 60_000 });
    const first = watch.open(sink);
    first.subscribe('a:1');
    acknowledge(await eventually(() => upstream.of(LISTEN)[0]));
    await first.ready;
    // No URI is wanted any more: another listen is opened, and the one in use ends before that is acknowledged.
    first.close();
    const second = await eventually(() => upstream.of(LISTEN)[1]);
    const { response } = upstream.of(LISTEN)[0]!;
    const socket = response.socket!;
    response.end();
    socket.end();
    await once(socket, 'close');
    acknowledge(second);
    await watch.ready;
    watch.open(sink);
    await eventually(() => told.includes('gap'));
  });

  test('is asked for a thousand URIs and not for one more, until one is given up', async (t) => {
    const { upstream, watch, sink } = await start(t, 'modern', (asked) => acknowledge(asked));
    const opened = watch.open(sink);
    for (let index = 0; index < 1_000; index++) opened.subscribe(`a:${index}`);
    opened.subscribe('a:more');
    await opened.ready;
    assert.deepEqual([opened.isRefused('a:999'), opened.isRefused('a:more')], [false, true]);
    assert.equal(upstream.of(LISTEN).at(-1)!.message.params.notifications.resourceSubscriptions.length, 1_000);
    opened.unsubscribe('a:0');
    opened.subscribe('a:more');
    await opened.ready;
    assert.equal(opened.isRefused('a:more'), false);
    opened.unsubscribe('a:1');
    const long = `a:${'x'.repeat(2 ** 20)}`;
    opened.subscribe(long);
    assert.equal(opened.isRefused(long), true);
  });
});

const GET = 'GET';

function accept(asked: Asked): void {
  if (asked.method === GET) beginStream(asked);
  else if (asked.message.method === undefined) asked.response.writeHead(202).end();
  else answer(asked, { result: {} });
}

suite('a legacy upstream', { concurrency: 8 }, () => {
  test('tells on the GET stream of the session, and what is asked there is answered for nobody', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'legacy', accept);
    await watch.open(sink).ready;
    const [stream] = upstream.of(GET);
    assert.equal(stream!.headers['mcp-session-id'], 'session-1');
    tell(stream!, LIST_CHANGED);
    tell(stream!, { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } });
    tell(stream!, { jsonrpc: '2.0', id: 7, method: 'ping' });
    tell(stream!, { jsonrpc: '2.0', id: 'e', method: 'elicitation/create', params: {} });
    tell(stream!, { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'a:1' } });
    await eventually(() => told.length === 2);
    assert.deepEqual(told, ['tools', 'a:1 {"uri":"a:1"}']);
    const answers = await eventually(() => {
      const posted = upstream.asked.filter(({ message }) => message !== '' && message.method === undefined);
      return posted.length === 2 && posted.map(({ message }) => message);
    });
    assert.deepEqual(answers.find(({ id }) => id === 7).result, {});
    assert.equal(answers.find(({ id }) => id === 'e').error.code, -32601);
  });

  test('is subscribed once to a URI however often it is wanted, and to none when the watch is closed', async (t) => {
    const { upstream, watch, sink } = await start(t, 'legacy', accept, undefined, { lingerMs: 60_000 });
    const opened = watch.open(sink);
    for (const uri of ['a:1', 'a:2', 'a:1', 'a:3']) opened.subscribe(uri);
    await opened.ready;
    const uris = (method: string) => upstream.of(method).map(({ message }) => message.params.uri);
    assert.deepEqual(uris('resources/subscribe').sort(), ['a:1', 'a:2', 'a:3']);
    opened.unsubscribe('a:1');
    await opened.ready;
    assert.deepEqual(uris('resources/unsubscribe'), ['a:1']);
    opened.close();
    await eventually(() => upstream.of('resources/unsubscribe').length === 3);
    assert.equal(upstream.of('resources/subscribe').length, 3);
  });

  test('that forgets the session is subscribed again on another, and everything may have changed', async (t) => {
    const { upstream, watch, sink, told, links } = await start(t, 'legacy', (asked) => {
      if (asked.headers['mcp-session-id'] === 'session-1' && isForgotten) asked.response.writeHead(404).end();
      else accept(asked);
    });
    let isForgotten = false;
    const opened = watch.open(sink);
    opened.subscribe('a:1');
    await opened.ready;
    isForgotten = true;
    upstream.of(GET)[0]!.response.end();
    await eventually(() => told.length === 1);
    await opened.ready;
    assert.deepEqual(told, ['gap']);
    assert.deepEqual(links, { opened: 2, forgotten: 1, held: 1, taken: 3 });
    // The gap is told as soon as the stream is there; the subscriptions follow.
    const subscribed = await eventually(() => {
      const asked = upstream.of('resources/subscribe');
      return asked.length === 2 && asked;
    });
    assert.deepEqual(
      subscribed.map(({ headers }) => headers['mcp-session-id']),
      ['session-1', 'session-2'],
    );
  });

  test('that ends a stream with event ids is asked for the rest, after the pause it wants, and nothing is a gap', async (t) => {
    const { upstream, watch, sink, told, outages } = await start(t, 'legacy', accept);
    await watch.open(sink).ready;
    const [first] = upstream.of(GET);
    tell(first!, LIST_CHANGED, 'e-1');
    first!.response.end('id: e-2\nretry: 120\ndata:\n\n');
    const endedMs = performance.now();
    const second = await eventually(() => upstream.of(GET)[1]);
    assert.ok(performance.now() - endedMs >= 100);
    assert.equal(second.headers['last-event-id'], 'e-2');
    tell(second, LIST_CHANGED, 'e-3');
    await eventually(() => told.length === 2);
    assert.deepEqual([told, outages], [['tools', 'tools'], []]);
  });

  test('that does not know the event id is asked for a stream from now on, which is a gap', async (t) => {
    const { upstream, watch, sink, told } = await start(t, 'legacy', (asked) => {
      if (asked.headers['last-event-id'] === undefined) accept(asked);
      else asked.response.writeHead(400).end('{"error":{"message":"Invalid event ID"}}');
    });
    await watch.open(sink).ready;
    upstream.of(GET)[0]!.response.end('id: e\nretry: 1\ndata:\n\n');
    await eventually(() => told.length === 1);
    assert.deepEqual(told, ['gap']);
    assert.equal(upstream.of(GET).length, 3);
  });

  test('that knows no GET at all is not taken for forgetful again and again', async (t) => {
    const script = ({ response }: Asked) => response.writeHead(404).end();
    const { upstream, watch, sink, links } = await start(t, 'legacy', script, undefined, { unsupportedRetryMs: 200 });
    await watch.open(sink).ready;
    await eventually(() => upstream.asked.length === 3);
    assert.deepEqual([links.opened, links.forgotten], [2, 1]);
    const [, second, third] = times(upstream);
    assert.ok(third! - second! >= 190);
  });

  for (const [era, status] of [
    ['legacy', 405],
    ['stateless', 0],
  ] as const) {
    test(`without a stream (${era}) is not asked again soon`, async (t) => {
      const script = ({ response }: Asked) => response.writeHead(status).end();
      const pace = { unsupportedRetryMs: 150 };
      const { upstream, watch, sink, outages, links } = await start(t, era, script, undefined, pace);
      const startedMs = performance.now();
      const opened = watch.open(sink);
      opened.subscribe('a:1');
      await opened.ready;
      assert.equal(opened.isRefused('a:1'), true);
      await eventually(() => links.taken === 2);
      assert.ok(performance.now() - startedMs >= 140);
      assert.ok(upstream.asked.length <= (era === 'stateless' ? 0 : 2));
      assert.deepEqual(outages, []);
    });
  }

  test('that refuses a subscription is not asked for it again, and it is known', async (t) => {
    const { upstream, watch, sink } = await start(t, 'legacy', (asked) => {
      if (asked.message.params?.uri === 'a:no') answer(asked, { error: { code: -32602, message: 'no' } });
      else accept(asked);
    });
    const opened = watch.open(sink);
    opened.subscribe('a:no');
    opened.subscribe('a:1');
    await opened.ready;
    assert.deepEqual([opened.isRefused('a:no'), opened.isRefused('a:1')], [true, false]);
    opened.subscribe('a:2');
    await opened.ready;
    assert.equal(upstream.of('resources/subscribe').length, 3);
  });
});

test('a watch that is destroyed ends its stream, and those who wait for it', async (t) => {
  const { upstream, watch, sink, links } = await start(t, 'modern', () => undefined);
  const { ready } = watch.open(sink);
  const listen = await eventually(() => upstream.of(LISTEN)[0]);
  watch.destroy();
  await ready;
  await eventually(() => listen.isOver);
  assert.equal(links.held, 0);
});
