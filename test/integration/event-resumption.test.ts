// A legacy client whose connection broke takes its streams up again: what it has missed comes once, from the stream that
// it names and from no other (2025-11-25 basic/transports#resumability-and-redelivery).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { Listening } from '../support/listening-client.ts';
import { closeServer, listenLocally } from '../support/local-server.ts';
import { mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { LegacySession } from '../support/session-client.ts';

const RESULT = '{"content":[{"type":"text","text":"done"}]}';

/** What the upstream says of a call, as the test lets it. */
class Script {
  readonly #waiting: ((event: string | undefined) => void)[] = [];
  readonly #said: (string | undefined)[] = [];

  say(event: string | undefined): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#said.push(event);
    else waiting(event);
  }

  progress(progress: number, message = ''): void {
    this.say(
      `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":TOKEN,"progress":${progress},"message":"${message}"}}`,
    );
  }

  answer(): void {
    this.say(undefined);
  }

  async *events(token: string): AsyncIterable<string> {
    for (;;) {
      const event =
        this.#said.length > 0
          ? this.#said.shift()
          : await new Promise<string | undefined>((resolve) => this.#waiting.push(resolve));
      if (event === undefined) return;
      yield event.replace('TOKEN', token);
    }
  }
}

interface Running {
  readonly upstream: RecordingUpstream;
  readonly gateway: TestGateway;
  readonly script: Script;
  readonly session: LegacySession;
}

async function start(t: TestContext, result = RESULT): Promise<Running> {
  const script = new Script();
  const upstream = await startRecordingUpstream({
    era: 'legacy',
    reply: 'sse',
    onCall: ({ body }) => {
      const { _meta } = JSON.parse(body.toString()).params;
      return { sse: script.events(JSON.stringify(_meta?.progressToken)), result };
    },
  });
  const gateway = await startGateway({
    configs: [{ name: 'rec', url: upstream.url }],
    tokens: [{ name: 'agent' }, { name: 'other' }],
  });
  t.after(async () => {
    await gateway.close();
    await upstream.close();
  });
  const session = await LegacySession.open(gateway.mcpUrl, gateway.token());
  return { upstream, gateway, script, session };
}

function call(session: LegacySession, headers: Readonly<Record<string, string>> = session.headers): Listening {
  const request = toolCall('rec.echo', { id: '"c"', meta: '"progressToken":"p"', headers });
  return new Listening(session.mcpUrl, { ...request, token: session.token });
}

function resumption(session: LegacySession, id: string): Sent {
  const { headers } = session.streamRequest;
  return { ...session.streamRequest, headers: { ...headers, 'last-event-id': id } };
}

function resume(session: LegacySession, id: string): Listening {
  return new Listening(session.mcpUrl, resumption(session, id));
}

const steps = ({ messages }: Listening): unknown[] =>
  messages.map(({ params, result }) => (result === undefined ? (params as { progress: number }).progress : 'answer'));

suite('a call whose connection broke', { concurrency: 8 }, () => {
  test('begins with an id to come back with, goes on, and its rest is had by that id', async (t) => {
    const { script, session, upstream } = await start(t);
    const first = call(session);
    await eventually(() => first.ids.length === 1);
    assert.match(first.text, /^id: [\w-]{22}-0\nretry: 1000\ndata: \n\n/);
    script.progress(1);
    script.progress(2);
    await first.until(2);
    first.cut();
    script.progress(3);
    await eventually(() => upstream.calls.length === 1);
    const second = resume(session, first.ids[1]!);
    await second.until(2);
    assert.deepEqual(steps(second), [2, 3]);
    script.progress(4);
    await second.until(3);
    script.answer();
    await eventually(() => second.isWhole);
    assert.deepEqual(steps(second), [2, 3, 4, 'answer']);
    assert.deepEqual(second.messages.at(-1)!.id, 'c');
    assert.deepEqual(second.messages.at(-1)!.result, JSON.parse(RESULT));
    assert.equal(upstream.calls.length, 1);
    // Also when it is over, and from the beginning.
    const third = resume(session, first.ids[0]!);
    await eventually(() => third.isWhole);
    assert.deepEqual(steps(third), [1, 2, 3, 4, 'answer']);
    assert.deepEqual(third.ids, [...first.ids.slice(1), ...second.ids.slice(1)]);
  });

  test('is taken up on a connection that is open still, which is ended', async (t) => {
    const { script, session } = await start(t);
    const first = call(session);
    script.progress(1);
    await first.until(1);
    const second = resume(session, first.ids.at(-1)!);
    await eventually(() => first.isOver && second.status === 200);
    script.answer();
    await eventually(() => second.isWhole);
    assert.deepEqual(steps(second), ['answer']);
    assert.deepEqual(steps(first), [1]);
  });

  test('is found by its own session alone, and every other id is an error that ends nothing', async (t) => {
    const { script, session, gateway } = await start(t);
    const first = call(session);
    script.progress(1);
    await first.until(1);
    const [id = ''] = first.ids;
    const sibling = await LegacySession.open(gateway.mcpUrl, gateway.token());
    const foreign = await LegacySession.open(gateway.mcpUrl, gateway.token('other'));
    const wrong: readonly [string, LegacySession, string][] = [
      ['another session', sibling, id],
      ['another token', foreign, id],
      ['a guess', session, `${'A'.repeat(22)}-1`],
      ['an event that is yet to come', session, id.replace(/0$/, '7')],
      ['no id of ours', session, 'x'],
      ['a long one', session, 'x'.repeat(4_000)],
    ];
    for (const [what, who, lastEventId] of wrong) {
      const answer = await send(who.mcpUrl, resumption(who, lastEventId));
      assert.equal(answer.status, 400, what);
      assert.match(answer.message.error!.message, /Last-Event-ID is unknown/, what);
    }
    const stolen = { ...resumption(session, id), token: gateway.token('other') };
    assert.equal((await send(session.mcpUrl, stolen)).status, 404);
    script.answer();
    await eventually(() => first.isWhole);
    assert.deepEqual(steps(first), [1, 'answer']);
  });

  test('that had too much to be kept is unknown, and goes on for who is there', async (t) => {
    const { script, session } = await start(t);
    const first = call(session);
    for (let step = 1; step <= 5; step++) script.progress(step, 'x'.repeat(64 * 1024));
    await first.until(5);
    assert.equal((await send(session.mcpUrl, resumption(session, first.ids[0]!))).status, 400);
    script.answer();
    await eventually(() => first.isWhole);
    assert.equal(steps(first).at(-1), 'answer');
  });

  test('ends with its session: nothing of it is had any more', async (t) => {
    const { script, session } = await start(t);
    const first = call(session);
    script.progress(1);
    await first.until(1);
    await session.end();
    assert.equal((await send(session.mcpUrl, resumption(session, first.ids[0]!))).status, 404);
    script.answer();
  });

  test('that is cancelled ends where it was taken up', async (t) => {
    const { script, session } = await start(t);
    const first = call(session);
    script.progress(1);
    await first.until(1);
    const second = resume(session, first.ids.at(-1)!);
    await eventually(() => second.status === 200);
    const { headers } = session;
    const body = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"c"}}';
    assert.equal((await send(session.mcpUrl, { body, headers, token: session.token })).status, 202);
    await eventually(() => second.isWhole);
    assert.deepEqual(steps(second), []);
  });

  test('of an earlier revision has ids, and no event without data; of no session, and of the modern era, has neither', async (t) => {
    const { script, gateway, session } = await start(t);
    const params = '"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
    const { headers } = await send(gateway.mcpUrl, { ...mcpRequest('initialize', { params }), token: gateway.token() });
    const old = { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': '2025-06-18' };
    const asOld = call(session, old);
    script.progress(1);
    await asOld.until(1);
    assert.match(asOld.text, /^id: [\w-]{22}-1\nevent: message\ndata: \{/);
    script.answer();
    await eventually(() => asOld.isWhole);
    for (const era of ['legacy', 'modern'] as const) {
      const request = toolCall('rec.echo', { era, meta: '"progressToken":"p"' });
      const plain = new Listening(gateway.mcpUrl, { ...request, token: gateway.token() });
      script.progress(1);
      await plain.until(1);
      script.answer();
      await eventually(() => plain.isWhole);
      assert.deepEqual(plain.ids, []);
    }
  });
});

test('the SDK client gets the answer of a call whose connection was cut', async (t) => {
  const { script, gateway } = await start(t);
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(Number(new URL(gateway.url).port), '127.0.0.1');
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          client.destroy();
          server.destroy();
        });
    }
    client.pipe(server).pipe(client);
  });
  const url = new URL(gateway.mcpUrl);
  url.port = String(await listenLocally(proxy));
  t.after(() => closeServer(proxy, sockets));
  const client = new Client({ name: 't', version: '1' });
  const transport = new StreamableHTTPClientTransport(url, {
    requestInit: { headers: { authorization: `Bearer ${gateway.token()}` } },
    reconnectionOptions: {
      initialReconnectionDelay: 10,
      maxReconnectionDelay: 10,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 5,
    },
  });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  t.after(() => client.close());
  const progress: number[] = [];
  const onprogress = (step: { progress: number }): void => void progress.push(step.progress);
  const result = client.callTool({ name: 'rec.echo' }, undefined, { onprogress, timeout: 8_000 });
  script.progress(1);
  await eventually(() => progress.length === 1);
  const cut = [...sockets].map((socket) => (socket.destroyed ? undefined : once(socket, 'close')));
  for (const socket of sockets) socket.destroy();
  await Promise.all(cut);
  script.progress(2);
  script.answer();
  assert.deepEqual((await result).content, JSON.parse(RESULT).content);
  assert.deepEqual(progress, [1, 2]);
});
