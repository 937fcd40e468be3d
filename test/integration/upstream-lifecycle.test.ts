// The life of an upstream beside its calls: how it is let go of, how it is replaced, when its sessions end, when it is
// left alone because it fails, and what it may answer to the gateway's own requests.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import net from 'node:net';
import { suite, type TestContext, test } from 'node:test';
import { UpstreamError } from '../../src/upstream/failure.ts';
import type { Upstream } from '../../src/upstream/upstream.ts';
import { eventually } from '../support/eventually.ts';
import { type ConfigOption, type GatewayOptions, startGateway, type TestGateway } from '../support/gateway.ts';
import { listenLocally } from '../support/local-server.ts';
import { type Answer, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import {
  type RecordedRequest,
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';
import { anUpstream, type UpstreamSetup } from '../support/upstreams.ts';

/** Longer than an upstream that is granted no more is kept for calls that were routed to it. */
const RETIREMENT_MS = 10_000;
const OTHER: ConfigOption = { name: 'other', url: 'http://127.0.0.1:1/mcp' };

async function record(t: TestContext, options: Partial<RecordingUpstreamOptions> = {}): Promise<RecordingUpstream> {
  const upstream = await startRecordingUpstream({ era: 'legacy', sessions: true, ...options });
  t.after(() => upstream.close());
  return upstream;
}

async function serve(t: TestContext, options: GatewayOptions): Promise<TestGateway> {
  const gateway = await startGateway(options);
  t.after(() => gateway.close());
  return gateway;
}

/** An upstream without a gateway around it. */
function direct(t: TestContext, url: string, setup: UpstreamSetup = {}): Upstream {
  const upstream = anUpstream(url, { service: 'rec', ...setup });
  t.after(() => upstream.close(0));
  return upstream;
}

function call(gateway: TestGateway, name = 'rec.echo'): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall(name), token: gateway.token() });
}

function list(gateway: TestGateway): Promise<Answer> {
  return send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
}

function sends({ body }: RecordedRequest, method: string): boolean {
  return body.includes(`"method":"${method}"`);
}

function endedSessions({ requests }: RecordingUpstream): string[] {
  return requests.filter(({ method }) => method === 'DELETE').map(({ headers }) => String(headers['mcp-session-id']));
}

/** Makes the change and lets the time pass after which an upstream that it took away is closed. */
async function retire(t: TestContext, change: () => Promise<void>): Promise<void> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await change();
  t.mock.timers.tick(RETIREMENT_MS);
  t.mock.timers.reset();
}

suite('an upstream that is granted no more', () => {
  const changes: readonly (readonly [string, (rec: ConfigOption) => readonly ConfigOption[]])[] = [
    ['its config is removed', () => [OTHER]],
    ['its endpoint is edited', (rec) => [{ ...rec, url: `${rec.url}?v=2` }, OTHER]],
    ['its credential is edited', (rec) => [{ ...rec, credential: 'second' }, OTHER]],
  ];
  for (const [what, change] of changes) {
    test(`finishes the calls that run on it before it ends their session, when ${what}`, async (t) => {
      const answer = Promise.withResolvers<string>();
      const upstream = await record(t, { onCall: () => answer.promise });
      const rec = { name: 'rec', url: upstream.url, credential: 'first' };
      const gateway = await serve(t, { configs: [rec, OTHER] });
      const running = call(gateway);
      const { headers, signal } = await eventually(() => upstream.calls[0]);
      const session = String(headers['mcp-session-id']);
      await retire(t, () => gateway.reload({ configs: change(rec) }));
      // What is sent too early has come by the time that requests sent later have.
      const probe = await startRecordingUpstream({ era: 'legacy' });
      await gateway.reload({ configs: [{ name: 'probe', url: probe.url }] });
      await eventually(() => probe.requests.some((request) => sends(request, 'tools/list')));
      await probe.close();
      assert.equal(endedSessions(upstream).includes(session), false);
      assert.equal(signal.aborted, false);
      answer.resolve('{"content":[{"type":"text","text":"late"}]}');
      assert.equal((await running).message.result.content[0].text, 'late');
      await eventually(() => endedSessions(upstream).includes(session));
    });
  }

  test('is cut with the gateway, if a call still hangs on it', async (t) => {
    const upstream = await record(t, { onCall: () => new Promise(() => {}) });
    const configs = [{ name: 'rec', url: upstream.url }, OTHER];
    const limits = { drain_ms: 50 };
    const gateway = await startGateway({ configs, limits });
    const hanging = call(gateway).catch(() => undefined);
    const { signal } = await eventually(() => upstream.calls[0]);
    await retire(t, () => gateway.reload({ configs: [OTHER], limits }));
    await gateway.close();
    await hanging;
    await eventually(() => signal.aborted, 3_000);
  });
});

suite('an upstream whose credential has a new version', () => {
  test('keeps its tools callable, with the new credential, before it has listed them again', async (t) => {
    const held: ServerResponse[] = [];
    const upstream = await record(t, {
      intercept: (request, response) => {
        const isHeld = request.headers.authorization === 'Bearer second' && sends(request, 'tools/list');
        if (isHeld) held.push(response);
        return isHeld;
      },
    });
    const rec = { name: 'rec', url: upstream.url, credential: 'first' };
    const gateway = await serve(t, { configs: [rec] });
    assert.equal((await call(gateway)).message.error, undefined);
    await gateway.reload({ configs: [{ ...rec, credential: 'second' }] });
    const { message } = await call(gateway);
    assert.equal(message.error, undefined);
    assert.equal(upstream.calls.at(-1)!.headers.authorization, 'Bearer second');
    assert.deepEqual(namesIn(await list(gateway)), ['rec.echo']);
    await eventually(() => held.length === 1);
  });

  test('is asked for its tools at once, and then has those', async (t) => {
    const upstream = await record(t);
    const rec = { name: 'rec', url: upstream.url, credential: 'first' };
    const gateway = await serve(t, { configs: [rec] });
    await list(gateway);
    upstream.setTools(['{"name":"newer","inputSchema":{"type":"object"}}']);
    await gateway.reload({ configs: [{ ...rec, credential: 'second' }] });
    await eventually(async () => (await call(gateway, 'rec.newer')).message.error === undefined);
    assert.deepEqual(namesIn(await list(gateway)), ['rec.newer']);
  });

  test('hands nothing down to an upstream elsewhere', async (t) => {
    const upstream = await record(t);
    const elsewhere = await record(t, { tools: ['{"name":"foreign","inputSchema":{"type":"object"}}'] });
    const gateway = await serve(t, { configs: [{ name: 'rec', url: upstream.url }] });
    await list(gateway);
    await gateway.reload({ configs: [{ name: 'rec', url: elsewhere.url }] });
    assert.equal((await call(gateway)).message.error!.message, 'Unknown tool: rec.echo');
  });
});

test('one tool that cannot be read is left out of the list, and the others stay', async (t) => {
  const deep = `${'['.repeat(70)}${']'.repeat(70)}`;
  const schema = '"inputSchema":{"type":"object"}';
  const upstream = await record(t, {
    tools: [
      `{"name":"echo",${schema}}`,
      `{"name":"deep",${schema},"x":${deep}}`,
      `{"name":"broken",${schema},"x":tru}`,
      `{"name":"last",${schema}}`,
    ],
  });
  const gateway = await serve(t, { configs: [{ name: 'rec', url: upstream.url }] });
  const answer = await list(gateway);
  assert.deepEqual([namesIn(answer), answer.message.result._meta], [['rec.echo', 'rec.last'], undefined]);
  assert.equal((await call(gateway)).message.error, undefined);
  const query = 'token=agent&tool=rec.deep';
  const explained = await send(`${gateway.url}/v1/explain?${query}`, { method: 'GET', token: gateway.apiKey });
  assert.match(explained.text, /left out: it cannot be read: nested deeper than 64 levels/);
});

suite('sessions without calls', () => {
  test('are ended after the idle time, and opened again by the next call', async (t) => {
    const recording = await record(t);
    const upstream = direct(t, recording.url, { sessionIdleMs: 40 });
    const link = await upstream.connect('c');
    await eventually(() => endedSessions(recording).includes(link.sessionId!));
    assert.equal(upstream.link('c'), undefined);
    assert.notEqual((await upstream.connect('c')).sessionId, link.sessionId);
  });

  test('are kept while the clock says that they are not idle', async (t) => {
    const recording = await record(t);
    let nowMs = 0;
    const upstream = direct(t, recording.url, { sessionIdleMs: 20, now: () => nowMs });
    const [early, late] = [await upstream.connect('early'), await upstream.connect('late')];
    nowMs = 19;
    late.usedAtMs = nowMs;
    nowMs = 20;
    await eventually(() => endedSessions(recording).length > 0);
    assert.deepEqual(endedSessions(recording), [early.sessionId]);
    assert.equal(upstream.link('late'), late);
  });
});

suite('an upstream that fails', () => {
  async function startFailing(t: TestContext, status = 500) {
    const state = { isBroken: true, nowMs: Date.now() };
    const upstream = await record(t, {
      intercept: (request, response) => {
        if (!state.isBroken || !sends(request, 'tools/call')) return false;
        response.writeHead(status).end();
        return true;
      },
    });
    const configs = [{ name: 'rec', url: upstream.url }];
    const gateway = await serve(t, { configs, now: () => state.nowMs });
    await list(gateway);
    return { gateway, upstream, state };
  }

  test('is not called any more after five failures in a row, until one call a second later has found it well', async (t) => {
    const { gateway, upstream, state } = await startFailing(t);
    for (let failure = 0; failure < 5; failure++) {
      assert.equal((await call(gateway)).message.error!.data!.reason, 'bad_status');
    }
    assert.equal((await call(gateway)).message.error!.data!.reason, 'breaker_open');
    assert.equal(upstream.calls.length, 5);
    state.isBroken = false;
    assert.equal((await call(gateway)).message.error!.data!.reason, 'breaker_open');
    state.nowMs += 1_000;
    for (let round = 0; round < 2; round++) assert.equal((await call(gateway)).message.error, undefined);
    assert.equal(upstream.calls.length, 7);
  });

  test('is called for ever if it answers, be it to refuse our credential or a call', async (t) => {
    for (const status of [401, 429]) {
      const { gateway, upstream } = await startFailing(t, status);
      for (let round = 0; round < 8; round++) await call(gateway);
      assert.equal(upstream.calls.length, 8);
    }
  });

  test('counts a handshake that many calls wait for as one', async (t) => {
    const recording = await record(t, { intercept: (_request, response) => response.destroy() !== undefined });
    const upstream = direct(t, recording.url);
    const errors = await Promise.all(
      Array.from({ length: 20 }, () => upstream.connect('c').catch((error: unknown) => error)),
    );
    for (const error of errors) upstream.fail(error, 'connect');
    assert.deepEqual([new Set(errors).size, upstream.circuit], [1, 'closed']);
    for (let more = 0; more < 4; more++) await upstream.connect('c').catch(() => undefined);
    assert.deepEqual([upstream.circuit, upstream.tryAcquire({})], ['open', false]);
  });

  test('is not asked for its tools while nothing is sent to it, and a list may be what finds it well', async (t) => {
    const recording = await record(t);
    let nowMs = 0;
    const upstream = direct(t, recording.url, { now: () => nowMs });
    for (let failure = 0; failure < 5; failure++) upstream.fail(new UpstreamError('timeout', 'call', ''), 'call');
    await assert.rejects(upstream.listAll(), { reason: 'breaker_open' });
    assert.equal(recording.requests.length, 0);
    assert.deepEqual([upstream.failure?.reason, upstream.retryAfterMs], ['timeout', 1_000]);
    nowMs = 1_000;
    const listing = upstream.listAll();
    assert.deepEqual([upstream.circuit, upstream.tryAcquire({})], ['half_open', false]);
    await listing;
    assert.deepEqual([upstream.circuit, upstream.failure], ['closed', undefined]);
  });
});

suite('an answer to one of the gateway’s own requests', () => {
  const answers: readonly (readonly [string, Record<string, string | string[]>, (message: string) => string])[] = [
    ['several data lines', { 'content-type': 'text/event-stream' }, (json) => `${toDataLines(json)}\n\n`],
    [
      'a media type in capitals with a parameter',
      { 'content-type': 'Text/Event-Stream; charset=utf-8' },
      (json) => `: hello\n\ndata:${json}\n\n`,
    ],
    [
      'two content-type headers',
      { 'content-type': ['text/event-stream', 'text/event-stream'] },
      (json) => `data: ${json}\r\n\r\n`,
    ],
    ['a JSON type in capitals', { 'content-type': 'APPLICATION/JSON' }, (json) => json],
    [
      'requests of its own before it',
      { 'content-type': 'text/event-stream' },
      (json) => `data: {"jsonrpc":"2.0","id":"theirs","method":"ping"}\n\nevent: message\ndata: ${json}\n\n`,
    ],
  ];
  for (const [what, headers, encode] of answers) {
    test(`is understood with ${what}`, async (t) => {
      const recording = await record(t, {
        sessions: false,
        intercept: (request, response) => {
          if (!sends(request, 'tools/list')) return false;
          for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
          const { id } = JSON.parse(request.body.toString());
          response.end(encode(`{"jsonrpc":"2.0","id":"${id}","result":{"tools":[{"name":"one"}]}}`));
          return true;
        },
      });
      const { tools } = await direct(t, recording.url).listAll();
      assert.deepEqual(
        tools.map((tool) => JSON.parse(tool.toString())),
        [{ name: 'one' }],
      );
    });
  }

  for (const type of ['application/json', 'text/event-stream']) {
    test(`is broken when it has the id of another request (${type})`, async (t) => {
      const recording = await record(t, {
        sessions: false,
        intercept: (request, response) => {
          if (!sends(request, 'tools/list')) return false;
          const message = '{"jsonrpc":"2.0","id":"other","result":{"tools":[{"name":"forged"}]}}';
          response.setHeader('content-type', type).end(type.endsWith('json') ? message : `data: ${message}\n\n`);
          return true;
        },
      });
      const upstream = direct(t, recording.url);
      await assert.rejects(upstream.listAll(), { reason: 'broken_answer', stage: 'list' });
    });
  }

  test('that is no HTTP is a broken answer, not a failed connection', async (t) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('garbage\r\n\r\n'));
    });
    const upstream = direct(t, `http://127.0.0.1:${await listenLocally(server)}/mcp`);
    t.after(() => server.close());
    await assert.rejects(upstream.listAll(), { reason: 'broken_answer', message: 'its answer is not valid HTTP' });
  });
});

function toDataLines(json: string): string {
  return JSON.stringify(JSON.parse(json), null, 1)
    .split('\n')
    .map((line) => `data: ${line}`)
    .join('\n');
}

function namesIn({ message }: Answer): string[] {
  return message.result.tools.map(({ name }: { name: string }) => name);
}
