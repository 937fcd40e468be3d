// The main path over HTTP/2 with prior knowledge, as Runloop's current client speaks it: one connection for everything.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, type Sent, toolCall } from '../support/mcp-http.ts';
import { openHttp2, sendHttp2 } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
const TOOLS = ['plain', 'streamed', 'long', 'hanging'].map(
  (name) => `{"name":"${name}","inputSchema":{"type":"object"}}`,
);
const LONG = `{"text":"${'long '.repeat(200_000)}"}`;

let upstream: RecordingUpstream;
let gateway: TestGateway;
let session: http2.ClientHttp2Session;

before(async () => {
  upstream = await startRecordingUpstream({
    era: 'modern',
    tools: TOOLS,
    onCall: ({ name, idText, body }) => {
      if (name === 'hanging') return new Promise(() => {});
      if (name === 'long') return LONG;
      if (name === 'plain') return `{"got":${body.length > 1_000_000}}`;
      const params = `{"progressToken":${idText},"progress":1}`;
      return { sse: [`{"jsonrpc":"2.0","method":"notifications/progress","params":${params}}`], result: '{"ok":1.0}' };
    },
  });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
  // In megabytes; with Node's 10 the client itself would give up on what the tests make it hold.
  session = http2.connect(gateway.url, { maxSessionMemory: 100 });
});
after(async () => {
  session.close();
  await gateway.close();
  await upstream.close();
});

async function ask(sent: Sent, path = '/mcp'): Promise<Answer> {
  const answer = await sendHttp2(session, gateway.url + path, { token: gateway.token(), ...sent });
  assert.equal(answer.headers.connection, undefined);
  return answer;
}

for (const era of ERAS) {
  suite(`over HTTP/2, ${era}`, () => {
    test('tools are listed', async () => {
      const { status, kind, message } = await ask(mcpRequest('tools/list', { era }));
      assert.deepEqual([status, kind], [200, 'json']);
      const names = message.result.tools.map(({ name }: { name: string }) => name);
      assert.deepEqual(names, ['rec.plain', 'rec.streamed', 'rec.long', 'rec.hanging']);
    });

    test('a call is answered in JSON', async () => {
      const { status, text, headers } = await ask(toolCall('rec.plain', { era, id: '"a"' }));
      assert.deepEqual([status, text], [200, '{"result":{"got":false},"jsonrpc":"2.0","id":"a"}']);
      assert.match(String(headers['server-timing']), /^up;dur=[\d.]+, gw;dur=[\d.]+$/);
    });

    test('a call is answered in events, with its progress', async () => {
      const { kind, datas } = await ask(toolCall('rec.streamed', { era, meta: '"progressToken":"p"' }));
      assert.equal(kind, 'sse');
      const progress =
        '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}';
      assert.deepEqual(datas, [progress, '{"result":{"ok":1.0},"jsonrpc":"2.0","id":1}']);
    });

    test('large arguments and large results pass through flow control', async () => {
      const params = `"arguments":{"text":"${'x'.repeat(2_000_000)}"}`;
      assert.deepEqual((await ask(toolCall('rec.plain', { era, params }))).message.result, { got: true });
      assert.ok((await ask(toolCall('rec.long', { era }))).text.includes(LONG));
    });

    test('fifty calls at once on one connection each get their own answer', async () => {
      const calls = Array.from({ length: 50 }, (_, id) => ask(toolCall('rec.plain', { era, id: String(id) })));
      const ids = (await Promise.all(calls)).map(({ message }) => message.id);
      assert.deepEqual(ids, [...ids.keys()]);
    });

    test('refusals are those of HTTP/1.1', async () => {
      const unknown = await ask(toolCall('rec.missing', { era }));
      assert.deepEqual(unknown.message.error, { code: -32602, message: 'Unknown tool: rec.missing' });
      const method = await ask(mcpRequest('no/such', { era }));
      assert.deepEqual([method.status, method.message.error!.code], [era === 'modern' ? 404 : 200, -32601]);
      const twice = toolCall('rec.plain', { era, params: '"name":"rec.long"' });
      const ambiguous = await ask(twice);
      assert.deepEqual([ambiguous.status, ambiguous.message.error!.code], [400, -32600]);
    });
  });
}

suite('over HTTP/2', () => {
  test('who is not authenticated is 401 at once, and a body still coming is cut', async () => {
    const stream = openHttp2(session, gateway.mcpUrl, {
      headers: { 'content-type': 'application/json', authorization: 'Bearer x' },
      method: 'POST',
    });
    const [headers] = await once(stream, 'response');
    assert.equal(headers[':status'], 401);
    assert.match(String(headers['www-authenticate']), /^Bearer /);
    const pushed = session.request({ ':method': 'POST', ':path': '/mcp', 'content-type': 'application/json' });
    pushed.on('error', () => undefined);
    const piece = Buffer.alloc(64 * 1024);
    const push = (): void => {
      while (!pushed.destroyed && pushed.write(piece));
    };
    pushed.on('drain', push);
    push();
    const [refused] = await once(pushed, 'response');
    assert.equal(refused[':status'], 401);
    pushed.resume();
    await eventually(() => pushed.closed);
  });

  test('an operator who is not authenticated is 401 without the connection header that HTTP/2 does not have', async (t) => {
    const warnings: string[] = [];
    const onWarning = ({ message }: Error) => warnings.push(message);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    const { status, headers } = await ask({ method: 'GET' }, '/v1/explain');
    assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer']);
    // A warning is told in a later turn, and another request takes several.
    assert.equal((await ask(mcpRequest('ping'))).status, 200);
    assert.deepEqual(warnings, []);
  });

  test('10 MB are 413, declared or not, and the connection goes on', async () => {
    const body = Buffer.alloc(10 * 1024 * 1024, 0x20);
    for (const headers of [{}, { 'content-length': String(body.length) }]) {
      const answer = await ask({ body, headers });
      assert.deepEqual([answer.status, answer.message.error!.code], [413, -32600]);
    }
    assert.equal((await ask(toolCall('rec.plain'))).status, 200);
  });

  test('wrong media types, methods, hosts and paths are 415, 405, 403 and 404', async () => {
    const { body } = toolCall('rec.plain');
    assert.equal((await ask({ body, headers: { 'content-type': 'text/plain' } })).status, 415);
    const put = await ask({ method: 'PUT' });
    assert.deepEqual([put.status, put.headers.allow], [405, 'GET, POST, DELETE']);
    assert.equal((await ask({ body, headers: { origin: 'https://evil.example' } })).status, 403);
    assert.equal((await ask({ body, headers: { ':authority': 'evil.example' } })).status, 403);
    const wellKnown = await ask({ method: 'GET' }, '/.well-known/oauth-protected-resource/mcp');
    assert.equal(wellKnown.status, 404);
    assert.match(wellKnown.text, /no OAuth/);
  });

  test('a session is opened, used and ended', async () => {
    const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
    const opened = await ask(mcpRequest('initialize', { params }));
    const headers = { 'mcp-session-id': String(opened.headers['mcp-session-id']) };
    assert.equal((await ask(toolCall('rec.plain', { headers }))).status, 200);
    assert.equal((await ask({ method: 'DELETE', headers })).status, 204);
    assert.equal((await ask(toolCall('rec.plain', { headers }))).status, 404);
  });

  test('a modern client that resets its stream has cancelled', async () => {
    const before = upstream.calls.length;
    const stream = openHttp2(session, gateway.mcpUrl, {
      ...toolCall('rec.hanging', { era: 'modern' }),
      token: gateway.token(),
    });
    const { signal } = await eventually(() => upstream.calls[before]);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    if (!signal.aborted) await once(signal, 'abort');
    assert.equal((await ask(toolCall('rec.plain'))).status, 200);
  });
});
