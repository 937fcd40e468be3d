// What does not cross the gateway, and what passes only at the place for it: extensions, tasks, and messages that belong
// to no call.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { Listening, listen } from '../support/listening-client.ts';
import { type Answer, BOTH, MODERN, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { type Asked, acknowledge, answer, beginStream, tell, WatchedUpstream } from '../support/watched-upstream.ts';

const ERAS = ['legacy', 'modern'] as const;
type Era = (typeof ERAS)[number];

const CACHE = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'private' };
const UI = { mimeTypes: ['text/html;profile=mcp-app'] };
const CAPABILITIES = {
  tools: {},
  resources: {},
  logging: {},
  tasks: { list: {}, requests: { tools: { call: {} } } },
  extensions: {
    'io.modelcontextprotocol/ui': UI,
    'io.modelcontextprotocol/tasks': {},
    'com.example/unknown': { x: 1 },
  },
};
const SHOW = { resourceUri: 'ui://clock/face.html', visibility: ['model', 'app'], 'x-unknown': [1.5] };
const TOOLS = [
  { name: 'show', inputSchema: { type: 'object' }, _meta: { ui: SHOW } },
  { name: 'long', inputSchema: { type: 'object' }, execution: { taskSupport: 'required' } },
  { name: 'either', inputSchema: { type: 'object' }, execution: { taskSupport: 'optional' } },
];
const HTML = '<!doctype html><script>/* é */</script>';

const upstreams = {} as Record<Era, WatchedUpstream>;
let gateway: TestGateway;

before(async () => {
  for (const era of ERAS) {
    upstreams[era] = await new WatchedUpstream((asked) => serve(era, asked)).listen();
  }
  gateway = await startGateway({
    configs: ERAS.map((era) => ({
      name: `${era}-up`,
      url: upstreams[era].url,
      more: { allowed_resources: ['ui://*'] },
    })),
  });
  await ask(mcpRequest('tools/list'));
});
after(async () => {
  await gateway.close();
  await Promise.all(ERAS.map((era) => upstreams[era].close()));
});

function serve(era: Era, asked: Asked): void {
  const { method, message, response } = asked;
  const more = era === 'modern' ? CACHE : {};
  const info = { name: 'up', version: '1' };
  const results: Record<string, object> = {
    initialize: { protocolVersion: '2025-11-25', capabilities: CAPABILITIES, serverInfo: info },
    'server/discover': { supportedVersions: [MODERN], capabilities: CAPABILITIES, ...CACHE },
    'tools/list': { tools: TOOLS, ...more },
    'resources/list': { resources: [], ...more },
    'resources/templates/list': { resourceTemplates: [], ...more },
    'tools/call': { content: [{ type: 'text', text: 'ok' }], ...(era === 'modern' ? { resultType: 'complete' } : {}) },
    'resources/read': { contents: [{ uri: SHOW.resourceUri, mimeType: 'text/html', text: HTML }], ...more },
    'logging/setLevel': {},
  };
  if (method === 'DELETE') response.writeHead(200).end();
  else if (method === 'GET') beginStream(asked);
  else if (message.id === undefined || message.method === undefined) response.writeHead(202).end();
  else if (message.method === 'subscriptions/listen') acknowledge(asked);
  else {
    const isOther = message.method === (era === 'legacy' ? 'server/discover' : 'initialize');
    const result = isOther ? undefined : results[message.method];
    if (message.method === 'initialize') response.setHeader('mcp-session-id', `s-${asked.message.id}`);
    answer(asked, result === undefined ? { error: { code: -32601, message: 'Method not found' } } : { result });
  }
}

function ask(sent: Sent, path = '/mcp'): Promise<Answer> {
  return send(`${gateway.url}${path}`, { ...sent, token: gateway.token() });
}

async function openSession(
  capabilities: object,
  path = '/mcp',
): Promise<{ result: Record<string, unknown>; headers: Record<string, string> }> {
  const params = `"protocolVersion":"2025-11-25","capabilities":${JSON.stringify(capabilities)},"clientInfo":{"name":"t","version":"1"}`;
  const { headers, message } = await ask(mcpRequest('initialize', { params }), path);
  const sessionId = String(headers['mcp-session-id']);
  return { result: message.result, headers: { accept: BOTH, 'mcp-session-id': sessionId } };
}

suite('an extension', () => {
  for (const era of ERAS) {
    test(`is declared at /mcp/{config} if it crosses, and nowhere if it does not (${era} upstream)`, async () => {
      const declared = async (path: string) => {
        const discovered = await ask(mcpRequest('server/discover', { era: 'modern' }), path);
        const { result } = await openSession({}, path);
        assert.deepEqual(result.capabilities, discovered.message.result.capabilities);
        return result.capabilities as Record<string, unknown>;
      };
      const view = await declared(`/mcp/${era}-up`);
      assert.deepEqual(view.extensions, { 'io.modelcontextprotocol/ui': UI });
      const merged = await declared('/mcp');
      assert.equal(merged.extensions, undefined);
      assert.equal(view.tasks ?? merged.tasks, undefined);
    });
  }

  test('of the client is declared to no upstream, but for MCP Apps at /mcp/{config}', async () => {
    const capabilities = { extensions: { 'io.modelcontextprotocol/ui': UI, 'com.example/mine': {} }, tasks: {} };
    const caps = '"io.modelcontextprotocol/clientCapabilities":';
    for (const [path, prefix, declared] of [
      ['/mcp', true, {}],
      ['/mcp/{config}', false, { extensions: { 'io.modelcontextprotocol/ui': UI } }],
    ] as const) {
      const at = (era: Era) => path.replace('{config}', `${era}-up`);
      const nameOf = (era: Era) => (prefix ? `${era}.show` : 'show');
      const { headers } = await openSession(capabilities, at('legacy'));
      await ask(toolCall(nameOf('legacy'), { headers }), at('legacy'));
      const greeted = upstreams.legacy.of('initialize').at(-1)?.message.params as Record<string, unknown>;
      assert.deepEqual(greeted.capabilities, declared, path);
      const { body, headers: modern } = toolCall(nameOf('modern'), { era: 'modern' });
      const sent = body.replace(`${caps}{}`, caps + JSON.stringify(capabilities));
      await ask({ body: sent, headers: modern! }, at('modern'));
      const { message } = upstreams.modern.of('tools/call').at(-1)!;
      const { _meta: meta } = message.params as { _meta: Record<string, unknown> };
      assert.deepEqual(meta['io.modelcontextprotocol/clientCapabilities'], declared, path);
    }
  });
});

suite('a tool', () => {
  for (const era of ERAS) {
    test(`that needs tasks is not listed and not there, one that can do without is (${era} client)`, async () => {
      const { message } = await ask(mcpRequest('tools/list', { era }));
      const names = message.result.tools.map(({ name }: { name: string }) => name);
      assert.deepEqual(names.sort(), ['legacy.either', 'legacy.show', 'modern.either', 'modern.show']);
      const { message: refused } = await ask(toolCall('legacy.long', { era }));
      assert.deepEqual(refused.error, { code: -32602, message: 'Unknown tool: legacy.long' });
    });

    test(`and the resource of an MCP App pass through /mcp/{config} as they are (${era} upstream)`, async () => {
      for (const clientEra of ERAS) {
        const path = `/mcp/${era}-up`;
        const { message } = await ask(mcpRequest('tools/list', { era: clientEra }), path);
        const tool = message.result.tools.find(({ name }: { name: string }) => name === 'show');
        assert.deepEqual(tool._meta, { ui: SHOW });
        const params = `"uri":"${SHOW.resourceUri}"`;
        const headers = clientEra === 'modern' ? { 'mcp-name': SHOW.resourceUri } : {};
        const read = await ask(mcpRequest('resources/read', { era: clientEra, params, headers }), path);
        assert.equal(read.message.result.contents[0].text, HTML);
        assert.ok((await ask(toolCall('show', { era: clientEra }), path)).message.result);
      }
    });
  }
});

suite('a notification of a client', () => {
  for (const era of ERAS) {
    test(`that nobody knows is accepted and goes no further (${era} client)`, async () => {
      const heard = () => ERAS.flatMap((each) => upstreams[each].asked).length;
      const before = heard();
      for (const method of ['notifications/unknown', 'unknown', 'notifications/progress', 'notifications/message']) {
        const { headers = {} } = mcpRequest(method, { era });
        const { status, text } = await ask({ headers, body: `{"jsonrpc":"2.0","method":"${method}","params":{}}` });
        assert.deepEqual([status, text], [202, '']);
      }
      assert.equal(heard(), before);
    });
  }

  test('of changed roots reaches the session that it has at a legacy upstream, and no modern upstream', async () => {
    const { headers } = await openSession({ roots: { listChanged: true } });
    for (const era of ERAS) assert.ok((await ask(toolCall(`${era}.show`, { headers }))).message.result);
    const sessionId = upstreams.legacy.of('tools/call').at(-1)!.headers['mcp-session-id'];
    const method = 'notifications/roots/list_changed';
    await ask({ headers, body: `{"jsonrpc":"2.0","method":"${method}"}` });
    const [told] = await eventually(() => upstreams.legacy.of(method).length > 0 && upstreams.legacy.of(method));
    assert.equal(told!.headers['mcp-session-id'], sessionId);
    assert.equal(upstreams.modern.of(method).length, 0);
  });
});

suite('a message of a legacy upstream outside a call', () => {
  test('that only a session could be told reaches no modern client', async () => {
    const legacy = upstreams.legacy;
    const told = listen(gateway.mcpUrl, gateway.token(), '{"toolsListChanged":true}');
    await told.until(1);
    // The gateway's own, which declares all that some client or other can be asked.
    const own = legacy.of('initialize').filter(({ message }) => 'sampling' in Object(message.params.capabilities));
    const sessionIds = own.map(({ message }) => `s-${message.id}`);
    const stream = await eventually(() =>
      legacy.of('GET').find(({ headers, isOver }) => sessionIds.includes(String(headers['mcp-session-id'])) && !isOver),
    );
    const data = { level: 'error', data: 'outside' };
    tell(stream, { jsonrpc: '2.0', method: 'notifications/message', params: data });
    tell(stream, {
      jsonrpc: '2.0',
      method: 'notifications/elicitation/complete',
      params: { elicitationId: 'outside' },
    });
    tell(stream, { jsonrpc: '2.0', id: 'outside', method: 'elicitation/create', params: { message: 'outside' } });
    // It is answered behind the others, so they have been read.
    const refused = await eventually(() => legacy.asked.find(({ message }) => message?.id === 'outside'));
    assert.equal(refused.message.error.code, -32601);
    const called = await ask(toolCall('legacy.show', { era: 'modern' }));
    assert.equal(called.kind, 'json');
    assert.doesNotMatch(told.text + called.text, /outside/);
    told.cut();
  });

  test('reaches the legacy client whose session it is', async () => {
    const legacy = upstreams.legacy;
    const owner = await openSession({ elicitation: { form: {}, url: {} } });
    const other = await openSession({ elicitation: { form: {}, url: {} } });
    const [told, others] = [owner, other].map(({ headers }) => {
      const sent = { method: 'GET', headers: { ...headers, accept: 'text/event-stream' }, token: gateway.token() };
      return new Listening(gateway.mcpUrl, sent);
    });
    for (const { headers } of [other, owner]) {
      assert.ok((await ask(toolCall('legacy.show', { headers }))).message.result);
    }
    const sessionId = legacy.of('tools/call').at(-1)!.headers['mcp-session-id'];
    const stream = await eventually(() =>
      legacy.of('GET').find(({ headers, isOver }) => headers['mcp-session-id'] === sessionId && !isOver),
    );
    const params = { elicitationId: 'e 1' };
    tell(stream, { jsonrpc: '2.0', method: 'notifications/elicitation/complete', params });
    const log = { level: 'error', data: { n: 1.5 } };
    tell(stream, { jsonrpc: '2.0', method: 'notifications/message', params: log });
    const question = { mode: 'form', message: 'Which?', requestedSchema: { type: 'object', properties: {} } };
    tell(stream, { jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: question });
    const asked = await eventually(() => told!.messages.find(({ method }) => method === 'elicitation/create'));
    assert.deepEqual(asked.params, question);
    assert.notEqual(asked.id, 'q');
    const said = { action: 'accept', content: {} };
    const { headers } = owner;
    await ask({ headers, body: JSON.stringify({ jsonrpc: '2.0', id: asked.id, result: said }) });
    const answered = await eventually(() => legacy.asked.find(({ message }) => message?.id === 'q'));
    assert.deepEqual(answered.message.result, said);
    assert.equal(answered.headers['mcp-session-id'], sessionId);
    const paramsOf = (method: string) =>
      told!.messages.filter((each) => each.method === method).map((each) => each.params);
    assert.deepEqual(paramsOf('notifications/elicitation/complete'), [params]);
    assert.deepEqual(paramsOf('notifications/message'), [log]);
    assert.deepEqual(others!.messages, []);
    told!.cut();
    others!.cut();
  });
});
