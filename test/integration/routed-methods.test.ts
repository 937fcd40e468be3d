// Prompts, resources and completions on their way to the upstream that has them: what is rewritten, and what is refused
// without a byte to any upstream.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, send } from '../support/mcp-http.ts';
import { type Asked, answer, WatchedUpstream } from '../support/watched-upstream.ts';

const PROMPT = 'grow.up';
const URI = 'note:///é/1';
const MODERN_URI = 'modern:///é';
const CACHE = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' };
const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};

const upstreams = { legacy: new WatchedUpstream(serve('legacy')), modern: new WatchedUpstream(serve('modern')) };
let gateway: TestGateway;

before(async () => {
  await Promise.all([upstreams.legacy.listen(), upstreams.modern.listen()]);
  const more = { allowed_prompts: ['gr*', 'plain'], allowed_resources: ['note:///*'] };
  gateway = await startGateway({
    configs: [
      { name: 'legacy', url: upstreams.legacy.url, more },
      { name: 'modern', url: upstreams.modern.url, more: { ...more, allowed_resources: ['modern:///*'] } },
    ],
  });
});
after(async () => {
  await gateway.close();
  await Promise.all([upstreams.legacy.close(), upstreams.modern.close()]);
});

function serve(era: 'legacy' | 'modern'): (asked: Asked) => void {
  const isModern = era === 'modern';
  const cache = isModern ? CACHE : {};
  const uri = isModern ? MODERN_URI : URI;
  const capabilities = { tools: {}, prompts: {}, resources: {}, completions: {} };
  const results: Readonly<Record<string, object>> = {
    ...(isModern
      ? { 'server/discover': { supportedVersions: ['2026-07-28'], capabilities, ...CACHE } }
      : { initialize: { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'u', version: '1' } } }),
    'tools/list': { tools: [], ...cache },
    'prompts/list': { prompts: [PROMPT, 'plain', 'hidden'].map((name) => ({ name })), ...cache },
    'resources/list': {
      resources: [
        { name: 'one', uri },
        { name: 'hidden', uri: 'secret:///1' },
      ],
      ...cache,
    },
    'resources/templates/list': {
      resourceTemplates: isModern ? [] : [{ name: 't', uriTemplate: 'note:///{any}' }],
      ...cache,
    },
    'prompts/get': { messages: [], ...(isModern ? { resultType: 'complete' } : {}) },
    'resources/read': { contents: [], ...cache },
    'completion/complete': { completion: { values: ['a'] }, ...(isModern ? { resultType: 'complete' } : {}) },
  };
  return (asked) => {
    const { message, response } = asked;
    if (message?.id === undefined) response.writeHead(asked.method === 'POST' ? 202 : 405).end();
    else if (message.params?.uri?.endsWith('/gone'))
      answer(asked, { error: { code: -32002, message: 'gone', data: 1 } });
    else if (results[message.method] === undefined) answer(asked, { error: { code: -32601, message: 'no' } });
    else answer(asked, { result: results[message.method] });
  };
}

function ask(era: 'legacy' | 'modern', method: string, params: object, name?: string): Promise<Answer> {
  const meta = era === 'modern' ? { _meta: META } : {};
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'x', method, params: { ...params, ...meta } });
  const { headers } = mcpRequest(method, { era });
  const encoded = name === undefined ? {} : { 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` };
  return send(gateway.mcpUrl, { headers: { ...headers, ...encoded }, body, token: gateway.token() });
}

const last = (upstream: WatchedUpstream, method: string): Asked => upstream.of(method).at(-1)!;

for (const era of ['legacy', 'modern'] as const) {
  suite(`a ${era} client`, () => {
    for (const upstreamEra of ['legacy', 'modern'] as const) {
      const upstream = upstreams[upstreamEra];

      test(`gets a prompt of a ${upstreamEra} upstream under the upstream's own name`, async () => {
        const name = `${upstreamEra}.${PROMPT}`;
        const { message, text } = await ask(era, 'prompts/get', { name, arguments: { a: 1.5 } }, name);
        assert.deepEqual(message.result?.messages, [], text);
        const got = last(upstream, 'prompts/get');
        assert.equal(got.message.params.name, PROMPT);
        assert.equal(got.headers['mcp-name'], upstreamEra === 'modern' ? PROMPT : undefined);
        assert.equal(got.headers['mcp-method'], upstreamEra === 'modern' ? 'prompts/get' : undefined);
      });

      test(`completes an argument of a prompt of a ${upstreamEra} upstream`, async () => {
        const ref = { type: 'ref/prompt', name: `${upstreamEra}.plain` };
        const { message } = await ask(era, 'completion/complete', { ref, argument: { name: 'a', value: '' } });
        assert.deepEqual(message.result?.completion, { values: ['a'] });
        const got = last(upstream, 'completion/complete');
        assert.deepEqual(got.message.params.ref, { type: 'ref/prompt', name: 'plain' });
        assert.equal(got.headers['mcp-name'], undefined);
      });
    }

    test('reads what is listed, what a template matches, and what its upstream no longer has', async () => {
      for (const uri of [URI, 'note:///2']) {
        const { message, text } = await ask(era, 'resources/read', { uri }, uri);
        assert.deepEqual(message.result?.contents, [], text);
        // A modern client may keep a result for as long as it is told: one of a legacy upstream not at all.
        assert.equal(message.result.ttlMs, era === 'modern' ? 0 : undefined);
        assert.equal(message.result.cacheScope, era === 'modern' ? 'private' : undefined);
        assert.equal(last(upstreams.legacy, 'resources/read').message.params.uri, uri);
      }
      const uri = MODERN_URI;
      const { message } = await ask(era, 'resources/read', { uri }, uri);
      assert.equal(message.result.ttlMs, 60_000, "a modern upstream's own passes");
      const encoded = `=?base64?${Buffer.from(uri).toString('base64')}?=`;
      assert.equal(last(upstreams.modern, 'resources/read').headers['mcp-name'], encoded);
      const gone = await ask(era, 'resources/read', { uri: 'note:///gone' }, 'note:///gone');
      assert.deepEqual(gone.message.error, { code: era === 'modern' ? -32602 : -32002, message: 'gone', data: 1 });
    });

    test('completes an argument of a template, and of a resource', async () => {
      for (const uri of ['note:///{any}', URI]) {
        const ref = { type: 'ref/resource', uri };
        const { message, text } = await ask(era, 'completion/complete', { ref, argument: { name: 'any', value: '' } });
        assert.deepEqual(message.result?.completion, { values: ['a'] }, text);
      }
    });

    test('is answered alike about what is hidden, forbidden and missing, and no upstream hears of it', async () => {
      const before = upstreams.legacy.asked.length + upstreams.modern.asked.length;
      const unknown = { legacy: -32002, modern: -32602 }[era];
      for (const name of ['legacy.hidden', 'legacy.missing', 'nobody.plain', '', 'x'.repeat(300)]) {
        const { status, message } = await ask(era, 'prompts/get', { name }, name);
        const error = { code: -32602, message: `Unknown prompt: ${name.slice(0, 256)}` };
        assert.deepEqual([status, message.error], [200, error]);
        const ref = { type: 'ref/prompt', name };
        const completed = await ask(era, 'completion/complete', { ref, argument: { name: 'a', value: '' } });
        assert.deepEqual(completed.message.error, error);
      }
      for (const uri of ['secret:///1', 'secret:///2', 'note:/1']) {
        const { status, message } = await ask(era, 'resources/read', { uri }, uri);
        const error = { code: unknown, message: `Unknown resource: ${uri}`, data: { uri } };
        assert.deepEqual([status, message.error], [200, error]);
      }
      assert.equal(upstreams.legacy.asked.length + upstreams.modern.asked.length, before);
    });

    test('is told what is wrong with a reference, which is read as strictly as params are', async () => {
      const broken = [
        undefined,
        'legacy.plain',
        {},
        { type: 'ref/tool', name: 'legacy.plain' },
        { type: 'ref/prompt' },
        { type: 'ref/prompt', name: 7 },
        { type: 'ref/resource', name: 'legacy.plain' },
        { type: 'ref/prompt', name: 'legacy.plain', Name: 'legacy.hidden' },
        { type: 'ref/prompt', name: 'legacy.plain', TYPE: 'ref/resource' },
      ];
      const before = upstreams.legacy.asked.length;
      for (const ref of broken) {
        const { status, message } = await ask(era, 'completion/complete', { ref, argument: { name: 'a', value: '' } });
        assert.deepEqual([status, message.error?.code], [400, -32602], JSON.stringify(ref));
        assert.match(message.error?.message ?? '', /params\.ref/);
      }
      const twice = '{"type":"ref/prompt","name":"legacy.plain","name":"legacy.hidden"}';
      const sent = mcpRequest('completion/complete', { era, params: `"ref":${twice},"argument":{}` });
      const { message } = await send(gateway.mcpUrl, { ...sent, token: gateway.token() });
      assert.equal(message.error?.code, -32602);
      assert.equal(upstreams.legacy.asked.length, before);
    });
  });
}

test('a response that nobody waits for is refused', async () => {
  const body = '{"jsonrpc":"2.0","id":"made-up","result":{}}';
  const { status, message } = await send(gateway.mcpUrl, { ...mcpRequest('ping'), body, token: gateway.token() });
  assert.deepEqual([status, message.error?.code], [400, -32600]);
});
