// Legacy conversations: initialize in every revision, sessions towards clients and towards upstreams, and clients that
// never open one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import {
  type RecordingUpstream,
  type RecordingUpstreamOptions,
  startRecordingUpstream,
} from '../support/recording-upstream.ts';

const REVISIONS = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'];

interface Running {
  readonly gateway: TestGateway;
  readonly upstream: RecordingUpstream;
}

async function start(t: TestContext, options: Partial<RecordingUpstreamOptions> = {}): Promise<Running> {
  const upstream = await startRecordingUpstream({ era: 'legacy', sessions: true, ...options });
  t.after(() => upstream.close());
  const gateway = await startGateway({
    configs: [{ name: 'rec', url: upstream.url }],
    tokens: [{ name: 'agent' }, { name: 'other' }],
  });
  t.after(() => gateway.close());
  return { gateway, upstream };
}

function initialize(gateway: TestGateway, revision = '2025-11-25', token = gateway.token()): Promise<Answer> {
  const params = `"protocolVersion":"${revision}","capabilities":{},"clientInfo":{"name":"t","version":"1"}`;
  return send(gateway.mcpUrl, { ...mcpRequest('initialize', { params }), token });
}

async function openSession(gateway: TestGateway, token = gateway.token()): Promise<Record<string, string>> {
  const { headers } = await initialize(gateway, '2025-11-25', token);
  return { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': '2025-11-25' };
}

function call(gateway: TestGateway, options: CallOptions = {}, token = gateway.token()): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall('rec.echo', options), token });
}

function requestsOf(upstream: RecordingUpstream, method: string): string[] {
  return upstream.requests.map(({ body }) => body.toString()).filter((body) => body.includes(`"method":"${method}"`));
}

suite('initialize', () => {
  for (const revision of REVISIONS) {
    test(`agrees on ${revision}, and serves what a client of it sends`, async (t) => {
      const { gateway } = await start(t);
      const opened = await initialize(gateway, revision);
      assert.equal(opened.status, 200);
      assert.equal(opened.message.result.protocolVersion, revision);
      assert.deepEqual(opened.message.result.capabilities, { tools: { listChanged: true }, logging: {} });
      const sessionId = String(opened.headers['mcp-session-id']);
      assert.match(sessionId, /^[\x21-\x7e]+$/);
      // The version header exists since 2025-06-18; older clients do not send it.
      const version = revision >= '2025-06-18' ? { 'mcp-protocol-version': revision } : {};
      const headers = { 'mcp-session-id': sessionId, ...version };
      const initialized = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
      const noted = await send(gateway.mcpUrl, { body: initialized, headers, token: gateway.token() });
      assert.deepEqual([noted.status, noted.text], [202, '']);
      const list = await send(gateway.mcpUrl, { ...mcpRequest('tools/list', { headers }), token: gateway.token() });
      assert.deepEqual(Object.keys(list.message.result), ['tools']);
      assert.equal(list.message.result.tools[0].name, 'rec.echo');
      const called = await call(gateway, { headers });
      assert.deepEqual(called.message.result, { content: [{ type: 'text', text: 'ok' }] });
    });
  }

  test('offers the newest revision to a client of an unknown one', async (t) => {
    const { gateway } = await start(t);
    const { message } = await initialize(gateway, '2099-01-01');
    assert.equal(message.result.protocolVersion, '2025-11-25');
  });

  test('refuses a protocol version header that is not served', async (t) => {
    const { gateway } = await start(t);
    const { status, message } = await call(gateway, { headers: { 'mcp-protocol-version': '2025-01-01' } });
    assert.equal(status, 400);
    assert.match(message.error!.message, /2025-01-01.*not served.*2025-11-25/);
  });
});

suite('sessions of clients', () => {
  test('ping is answered with and without one', async (t) => {
    const { gateway } = await start(t);
    const headers = await openSession(gateway);
    for (const options of [{}, { headers }]) {
      const { text } = await send(gateway.mcpUrl, { ...mcpRequest('ping', options), token: gateway.token() });
      assert.equal(text, '{"jsonrpc":"2.0","id":1,"result":{}}');
    }
  });

  test('a client that never initializes lists and calls', async (t) => {
    const { gateway } = await start(t);
    const list = await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
    assert.equal(list.message.result.tools[0].name, 'rec.echo');
    assert.equal(list.headers['mcp-session-id'], undefined);
    assert.equal((await call(gateway)).message.result.content[0].text, 'ok');
  });

  test('DELETE ends one: it is 404 afterwards, and the upstream session behind it ends too', async (t) => {
    const { gateway, upstream } = await start(t);
    const headers = await openSession(gateway);
    await call(gateway, { headers });
    const behind = upstream.calls[0]!.headers['mcp-session-id'];
    const token = gateway.token();
    const ended = await send(gateway.mcpUrl, { method: 'DELETE', headers, token });
    assert.deepEqual([ended.status, ended.text], [204, '']);
    const refused = await call(gateway, { headers, id: '"x"' });
    assert.equal(refused.status, 404);
    assert.equal(refused.message.id, 'x');
    assert.match(refused.message.error!.message, /initialize without Mcp-Session-Id/);
    assert.equal((await send(gateway.mcpUrl, { method: 'DELETE', headers, token })).status, 404);
    const isEnded = () =>
      upstream.requests.some(({ method, headers: got }) => method === 'DELETE' && got['mcp-session-id'] === behind);
    await eventually(isEnded);
    assert.equal(upstream.calls.length, 1);
  });

  test('the session of one token is unknown under another, to requests, notifications and DELETE', async (t) => {
    const { gateway, upstream } = await start(t);
    const headers = await openSession(gateway);
    const token = gateway.token('other');
    assert.equal((await call(gateway, { headers }, token)).status, 404);
    const notification = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
    assert.equal((await send(gateway.mcpUrl, { body: notification, headers, token })).status, 404);
    assert.equal((await send(gateway.mcpUrl, { method: 'DELETE', headers, token })).status, 404);
    assert.equal(upstream.calls.length, 0);
    assert.equal((await call(gateway, { headers })).status, 200);
  });

  test('ids that nobody was given are 404, whatever they look like', async (t) => {
    const { gateway } = await start(t);
    const { 'mcp-session-id': real = '' } = await openSession(gateway);
    for (const id of ['x', `${real}x`, real.slice(1), `${real.slice(0, -2)}AA`, '../../etc', real.toUpperCase()]) {
      const { status } = await call(gateway, { headers: { 'mcp-session-id': id } });
      assert.equal(status, 404, id);
    }
  });

  test('outlive an edit of the configuration, which is enforced in them at once', async (t) => {
    const { gateway, upstream } = await start(t);
    const headers = await openSession(gateway);
    await call(gateway, { headers });
    const tokens = [{ name: 'agent' }, { name: 'other' }];
    await gateway.reload({ configs: [{ name: 'rec', url: upstream.url, allowedTools: [] }], tokens });
    assert.equal((await call(gateway, { headers })).message.error!.message, 'Unknown tool: rec.echo');
    await gateway.reload({ configs: [{ name: 'rec', url: upstream.url }], tokens });
    assert.equal((await call(gateway, { headers })).message.result.content[0].text, 'ok');
    const used = upstream.calls.map(({ headers: got }) => got['mcp-session-id']);
    assert.deepEqual([used.length, new Set(used).size], [2, 1]);
  });

  test('survive a restart of the gateway', async (t) => {
    const upstream = await startRecordingUpstream({ era: 'legacy', sessions: true });
    t.after(() => upstream.close());
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true, force: true }));
    const options = { folder, configs: [{ name: 'rec', url: upstream.url }] };
    const before = await startGateway(options);
    const headers = await openSession(before);
    await before.close();
    const gateway = await startGateway(options);
    t.after(() => gateway.close());
    assert.equal((await call(gateway, { headers })).status, 200);
  });
});

suite('sessions of upstreams', () => {
  test('each client session has one of its own, and a principal without a session another', async (t) => {
    const { gateway, upstream } = await start(t);
    const first = await openSession(gateway);
    const second = await openSession(gateway);
    for (const headers of [first, second, {}, first, second, {}]) await call(gateway, { headers });
    await call(gateway, {}, gateway.token('other'));
    const used = upstream.calls.map(({ headers }) => String(headers['mcp-session-id']));
    assert.deepEqual(used.slice(0, 3), used.slice(3, 6));
    assert.equal(new Set(used).size, 4);
    for (const sent of [first, second]) assert.equal(used.includes(sent['mcp-session-id']!), false);
  });

  test('calls that start together share one handshake', async (t) => {
    const { gateway, upstream } = await start(t);
    await eventually(() => requestsOf(upstream, 'tools/list').length > 0);
    const before = requestsOf(upstream, 'initialize').length;
    const answers = await Promise.all(Array.from({ length: 8 }, () => call(gateway)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.equal(requestsOf(upstream, 'initialize').length, before + 1);
  });

  for (const reply of ['json', 'sse'] as const) {
    test(`one that the upstream forgot is opened again, unseen by the client (${reply})`, async (t) => {
      const { gateway, upstream } = await start(t, { reply });
      const headers = await openSession(gateway);
      await call(gateway, { headers });
      const before = requestsOf(upstream, 'initialize').length;
      upstream.forgetSessions();
      const answers = await Promise.all(Array.from({ length: 4 }, () => call(gateway, { headers })));
      for (const { message } of answers) assert.equal(message.result.content[0].text, 'ok');
      assert.equal(requestsOf(upstream, 'initialize').length, before + 1);
    });
  }

  for (const [what, status, body] of [
    ['404 without a body', 404, ''],
    ['410', 410, '{}'],
    [
      '400 "No valid session ID provided"',
      400,
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}',
    ],
    [
      '400 "Server not initialized"',
      400,
      '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}',
    ],
  ] as const) {
    test(`a session lost as ${what} is opened again once, and only once`, async (t) => {
      const { gateway, upstream } = await start(t, {
        intercept: ({ body: sent }, response) => {
          if (!sent.includes('"tools/call"')) return false;
          response.writeHead(status, { 'content-type': 'application/json' }).end(body);
          return true;
        },
      });
      const { message } = await call(gateway);
      assert.equal(message.error!.code, -32603);
      assert.equal(message.error!.data!.service, 'rec');
      assert.equal(upstream.calls.length, 2);
    });
  }

  test('a lost one is opened again for a list too', async (t) => {
    const upstream = await startRecordingUpstream({ era: 'legacy', sessions: true });
    t.after(() => upstream.close());
    const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }], limits: { list_ttl_ms: 1 } });
    t.after(() => gateway.close());
    const list = () => send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
    assert.equal((await list()).message.result.tools.length, 1);
    upstream.forgetSessions();
    upstream.setTools(['{"name":"newer","inputSchema":{"type":"object"}}']);
    await eventually(async () => (await list()).text.includes('"rec.newer"'));
    assert.equal((await list()).message.result._meta, undefined);
  });

  for (const era of ['legacy', 'modern'] as const) {
    test(`the call of a ${era} client that leaves ${era === 'legacy' ? 'runs on' : 'ends'}`, async (t) => {
      const hanging = Promise.withResolvers<string>();
      const { gateway, upstream } = await start(t, {
        onCall: ({ body }) => (body.includes('"hang"') ? hanging.promise : '{}'),
      });
      const leaving = new AbortController();
      const { body, headers } = toolCall('rec.echo', { era, params: '"arguments":{"text":"hang"}' });
      const sent = fetch(gateway.mcpUrl, {
        method: 'POST',
        body,
        headers: { ...headers, 'content-type': 'application/json', authorization: `Bearer ${gateway.token()}` },
        signal: leaving.signal,
      });
      const { signal } = await eventually(() => upstream.calls[0]);
      leaving.abort();
      await assert.rejects(sent);
      if (era === 'modern') {
        if (!signal.aborted) await once(signal, 'abort');
        return;
      }
      // A round trip through the gateway later it must have noticed; the upstream has not.
      await call(gateway);
      assert.equal(signal.aborted, false);
      hanging.resolve('{}');
      await call(gateway);
      assert.equal(signal.aborted, false);
    });
  }
});
