// Everything that upstreams list, through `/mcp` under merged names and through `/mcp/{config}` as it is: real servers of
// both SDKs, real clients of both, and nobody's sessions, cursors or configs but one's own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer as LegacyServer, ResourceTemplate as LegacyTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { McpServer as ModernServer, ResourceTemplate as ModernTemplate } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { LIST_KINDS, LISTS, type ListKind } from '../../src/protocol/list-kind.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { assertIsMcp } from '../support/mcp-schema.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { type SdkServer, startSdkServer } from '../support/sdk-servers.ts';

const INFO = { name: 'views', version: '1' };
const toText = (text: string) => ({ content: [{ type: 'text' as const, text }] });
const toContents = (uri: URL) => ({ contents: [{ uri: uri.href, text: 'read' }] });

function createLegacyServer(): LegacyServer {
  const server = new LegacyServer(INFO, { instructions: 'Search first.' });
  server.registerTool('search', {}, () => toText('found'));
  server.registerPrompt('review', { argsSchema: { code: z.string() } }, () => ({ messages: [] }));
  server.registerPrompt('hidden', {}, () => ({ messages: [] }));
  server.registerResource('readme', 'docs://readme', { title: 'Read me' }, toContents);
  server.registerResource('page', new LegacyTemplate('docs://{page}/text', { list: undefined }), {}, toContents);
  return server;
}

function createModernServer(): ModernServer {
  const server = new ModernServer(INFO, { instructions: 'Plan ahead.\nThen act.' });
  server.registerTool('plan', {}, () => toText('planned'));
  server.registerPrompt('kickoff', { argsSchema: z.object({ topic: z.string() }) }, () => ({ messages: [] }));
  server.registerResource('board', 'board://main', {}, toContents);
  server.registerResource('card', new ModernTemplate('board://card/{id}', { list: undefined }), {}, toContents);
  return server;
}

const servers: SdkServer[] = [];
const recordings: RecordingUpstream[] = [];
let gateway: TestGateway;

before(async () => {
  servers.push(await startSdkServer('stateful', 'sse', { legacy: createLegacyServer, modern: createModernServer }));
  servers.push(await startSdkServer('modern', 'json', { legacy: createLegacyServer, modern: createModernServer }));
  for (const era of ['legacy', 'modern'] as const) recordings.push(await startRecordingUpstream({ era }));
  const all = { allowed_prompts: ['*'], allowed_resources: ['*'] };
  gateway = await startGateway({
    configs: [
      { name: 'docs-ro', url: servers[0]!.url, more: { allowed_prompts: ['review'], allowed_resources: ['docs://*'] } },
      { name: 'board', url: servers[1]!.url, more: all },
      { name: 'plain', url: recordings[0]!.url, more: all },
      { name: 'other', url: recordings[1]!.url },
    ],
    tokens: [
      { name: 'agent', grants: ['docs-ro', 'board', 'plain'] },
      { name: 'peer', grants: ['docs-ro', 'plain', 'other'] },
      { name: 'tools', grants: ['other'] },
    ],
    limits: { list_page_tools: 2 },
  });
});
after(async () => {
  await gateway.close();
  for (const each of [...servers, ...recordings]) await each.close();
});

type SdkClient = Client | ModernClient;

async function connectAll(path: string): Promise<SdkClient[]> {
  const url = new URL(`${gateway.url}${path}`);
  const requestInit = { headers: { authorization: `Bearer ${gateway.token()}` } };
  const v1 = new Client(INFO);
  const transport = new StreamableHTTPClientTransport(url, { requestInit });
  await v1.connect(transport as Parameters<typeof v1.connect>[0]);
  const modern = (['legacy', { pin: '2026-07-28' }] as const).map(async (mode) => {
    const client = new ModernClient(INFO, { versionNegotiation: { mode } });
    await client.connect(new ModernTransport(url, { requestInit }));
    return client;
  });
  return [v1, ...(await Promise.all(modern))];
}

/** What a client finds, page by page. */
async function listAll(client: SdkClient) {
  const drain = async <T>(ask: (params: { cursor?: string }) => Promise<T & { nextCursor?: string | undefined }>) => {
    const pages: T[] = [];
    let cursor: string | undefined;
    do {
      const page = await ask(cursor === undefined ? {} : { cursor });
      pages.push(page);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return pages;
  };
  const v1 = client as Client;
  const names = (items: readonly { name: string }[]) => items.map(({ name }) => name);
  const has = client.getServerCapabilities() ?? {};
  return {
    tools: (await drain((params) => v1.listTools(params))).flatMap(({ tools }) => names(tools)),
    prompts: has.prompts
      ? (await drain((params) => v1.listPrompts(params))).flatMap((page) => names(page.prompts))
      : null,
    resources: has.resources
      ? (await drain((params) => v1.listResources(params))).flatMap(({ resources }) => resources.map(({ uri }) => uri))
      : null,
    templates: has.resources
      ? (await drain((params) => v1.listResourceTemplates(params))).flatMap((page) =>
          page.resourceTemplates.map(({ uriTemplate }) => uriTemplate),
        )
      : null,
    instructions: client.getInstructions(),
    capabilities: has,
  };
}

describe('SDK clients of every line find', () => {
  const changes = { listChanged: true };
  const cases = {
    '/mcp': {
      tools: ['docs.search', 'board.plan', 'plain.echo'],
      prompts: ['docs.review', 'board.kickoff'],
      resources: ['docs://readme', 'board://main'],
      templates: ['docs://{page}/text', 'board://card/{id}'],
      instructions: '# docs\n> Search first.\n\n# board\n> Plan ahead.\n> Then act.',
      capabilities: {
        tools: changes,
        prompts: changes,
        resources: { subscribe: true, ...changes },
        completions: {},
        logging: {},
      },
    },
    '/mcp/docs-ro?names=underscore': {
      tools: ['search'],
      prompts: ['review'],
      resources: ['docs://readme'],
      templates: ['docs://{page}/text'],
      instructions: 'Search first.',
      capabilities: { tools: changes, prompts: changes, resources: changes },
    },
    '/mcp/board': {
      tools: ['plan'],
      prompts: ['kickoff'],
      resources: ['board://main'],
      templates: ['board://card/{id}'],
      instructions: 'Plan ahead.\nThen act.',
      capabilities: { tools: changes, prompts: changes, resources: changes },
    },
    '/mcp/plain': {
      tools: ['echo'],
      prompts: null,
      resources: null,
      templates: null,
      instructions: undefined,
      capabilities: { tools: changes },
    },
  };
  for (const [path, expected] of Object.entries(cases)) {
    test(`all there is at ${path}, and nothing else`, async () => {
      const clients = await connectAll(path);
      for (const client of clients) assert.deepEqual(await listAll(client), expected);
      await Promise.all(clients.map((client) => client.close()));
    });
  }
});

const post = (path: string, sent: ReturnType<typeof mcpRequest>, token = 'agent') =>
  send(`${gateway.url}${path}`, { ...sent, token: gateway.token(token) });

function initialize(path: string) {
  const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
  return post(path, mcpRequest('initialize', { params }));
}

describe('answers', () => {
  test('are what the revisions say they are', async () => {
    for (const path of ['/mcp', '/mcp/docs-ro', '/mcp/plain']) {
      assertIsMcp('2025-11-25', 'InitializeResult', (await initialize(path)).message.result);
      const discovered = await post(path, mcpRequest('server/discover', { era: 'modern' }));
      assertIsMcp('2026-07-28', 'DiscoverResult', discovered.message.result);
    }
    const types = { tools: 'Tools', prompts: 'Prompts', resources: 'Resources', templates: 'ResourceTemplates' };
    for (const kind of LIST_KINDS) {
      for (const path of ['/mcp', '/mcp/board']) {
        for (const [era, revision] of [
          ['legacy', '2025-11-25'],
          ['modern', '2026-07-28'],
        ] as const) {
          const { message } = await post(path, mcpRequest(LISTS[kind].method, { era }));
          assertIsMcp(revision, `List${types[kind]}Result`, message.result);
        }
      }
    }
  });

  test('are that there is no such method, where a feature is not declared', async () => {
    for (const [path, token] of [
      ['/mcp/plain', 'agent'],
      ['/mcp', 'tools'],
      ['/mcp/other', 'tools'],
    ] as const) {
      for (const kind of ['prompts', 'resources', 'templates'] as const) {
        const legacy = await post(path, mcpRequest(LISTS[kind].method), token);
        assert.deepEqual([legacy.status, legacy.message.error?.code], [200, -32601]);
        const modern = await post(path, mcpRequest(LISTS[kind].method, { era: 'modern' }), token);
        assert.deepEqual([modern.status, modern.message.error?.code], [404, -32601]);
      }
    }
  });
});

describe('/mcp/{config}', () => {
  test('calls by the name of the upstream, and by no other', async () => {
    for (const era of ['legacy', 'modern'] as const) {
      const called = await post('/mcp/docs-ro', toolCall('search', { era }));
      assert.deepEqual(called.message.result?.content, [{ type: 'text', text: 'found' }]);
      for (const name of ['docs.search', 'docs__search', 'plan', 'board.plan']) {
        const refused = await post('/mcp/docs-ro', toolCall(name, { era }));
        assert.equal(refused.message.error?.message, `Unknown tool: ${name}`);
      }
    }
  });

  test('of a config that is not granted is answered like one that there is not, on any method', async () => {
    const methods = [
      ['POST', mcpRequest('tools/list')],
      ['POST', mcpRequest('server/discover', { era: 'modern' })],
      ['GET', { headers: { accept: 'text/event-stream', 'mcp-session-id': 'x' } }],
      ['DELETE', { headers: { 'mcp-session-id': 'x' } }],
      ['PUT', {}],
    ] as const;
    for (const [method, sent] of methods) {
      const ask = (name: string) => send(`${gateway.url}/mcp/${name}`, { ...sent, method, token: gateway.token() });
      const [hidden, missing] = await Promise.all([ask('other'), ask('nothing')]);
      assert.equal(hidden.status, 404);
      assert.equal(hidden.text, missing.text);
      assert.deepEqual({ ...hidden.headers, date: undefined }, { ...missing.headers, date: undefined });
      assert.match(JSON.parse(hidden.text).message, /granted no McpConfig of this name.*\/mcp\/NAME/);
    }
  });

  test('without a good token is 401, whatever it names', async () => {
    for (const name of ['docs-ro', 'nothing']) {
      const answers = await Promise.all(
        ['/mcp', `/mcp/${name}`].map((path) => send(`${gateway.url}${path}`, { ...mcpRequest('ping'), token: 'no' })),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [401, 401],
      );
      assert.equal(answers[0]!.text, answers[1]!.text);
    }
  });

  test('has no second spelling', async () => {
    for (const path of [
      '/mcp/',
      '/mcp//',
      '/mcp/docs-ro/',
      '/mcp/docs%2dro',
      '/mcp/docs.ro',
      '/mcp/.',
      '/mcp/a/b',
      `/mcp/${'a'.repeat(129)}`,
    ]) {
      const { status, text } = await post(path, mcpRequest('tools/list'));
      assert.equal(status, 404, path);
      assert.match(text, /Nothing is served at/);
    }
  });

  test('has sessions of its own: one of another path is unknown', async () => {
    const paths = ['/mcp', '/mcp/docs-ro', '/mcp/board'];
    const ids = new Map<string, string>();
    for (const path of paths) ids.set(path, String((await initialize(path)).headers['mcp-session-id']));
    for (const [owner, id] of ids) {
      for (const path of paths) {
        const headers = { 'mcp-session-id': id };
        const { status } = await post(path, mcpRequest('ping', { headers }));
        assert.equal(status, path === owner ? 200 : 404, `${owner} at ${path}`);
        if (path !== owner) {
          const ended = await send(`${gateway.url}${path}`, { method: 'DELETE', headers, token: gateway.token() });
          assert.equal(ended.status, 404);
        }
      }
    }
  });
});

test('a cursor is good for its own list, path, era, spelling and token, and for no other', async (t) => {
  // Five of each on pages of two.
  const lists: Readonly<Record<string, string>> = Object.fromEntries(
    LIST_KINDS.map((kind) => {
      const items = Array.from({ length: 5 }, (_, index) => itemOf(kind, index));
      return [
        LISTS[kind].method,
        `{"${LISTS[kind].key}":[${items}],"ttlMs":60000,"cacheScope":"private","resultType":"complete"}`,
      ];
    }),
  );
  const upstream = await startRecordingUpstream({
    era: 'modern',
    intercept: ({ body }, response) => {
      const { id, method } = JSON.parse(body.toString());
      const capabilities = '{"tools":{},"prompts":{},"resources":{}}';
      const result =
        lists[method] ?? `{"supportedVersions":["2026-07-28"],"capabilities":${capabilities},"resultType":"complete"}`;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`);
      return true;
    },
  });
  t.after(() => upstream.close());
  const own = await startGateway({
    configs: [{ name: 'many', url: upstream.url, more: { allowed_prompts: ['*'], allowed_resources: ['*'] } }],
    tokens: [{ name: 'agent' }, { name: 'peer' }],
    limits: { list_page_tools: 2 },
  });
  t.after(() => own.close());

  interface Place {
    readonly kind: ListKind;
    readonly path: string;
    readonly era: 'legacy' | 'modern';
    readonly token: string;
  }
  const places: Place[] = LIST_KINDS.flatMap((kind) =>
    ['/mcp', '/mcp?names=underscore', '/mcp/many'].flatMap((path) =>
      (['legacy', 'modern'] as const).flatMap((era) => ['agent', 'peer'].map((token) => ({ kind, path, era, token }))),
    ),
  );
  const ask = async ({ kind, path, era, token }: Place, cursor?: string) => {
    const params = cursor === undefined ? {} : { params: `"cursor":${JSON.stringify(cursor)}` };
    const sent = mcpRequest(LISTS[kind].method, { era, ...params });
    return (await send(`${own.url}${path}`, { ...sent, token: own.token(token) })).message;
  };
  const cursors = await Promise.all(places.map(async (place) => String((await ask(place)).result.nextCursor)));
  assert.equal(new Set(cursors).size, places.length);
  for (const [index, place] of places.entries()) {
    const neighbours = places.filter((other) => differences(place, other) === 1);
    const answers = await Promise.all(neighbours.map((other) => ask(other, cursors[index])));
    answers.forEach(({ error }, at) => {
      assert.equal(error?.code, -32602, JSON.stringify([place, neighbours[at]]));
    });
    assert.equal((await ask(place, cursors[index])).result[LISTS[place.kind].key].length, 2);
  }
});

function differences<T extends object>(one: T, other: T): number {
  return (Object.keys(one) as (keyof T)[]).filter((key) => one[key] !== other[key]).length;
}

function itemOf(kind: ListKind, index: number): string {
  if (kind === 'tools') return `{"name":"t${index}","inputSchema":{"type":"object"}}`;
  if (kind === 'prompts') return `{"name":"p${index}"}`;
  return kind === 'resources' ? `{"name":"r","uri":"r:${index}"}` : `{"name":"r","uriTemplate":"r:{x}${index}"}`;
}

test('with a listener for operators, views are on the main one alone', async (t) => {
  const split = await startGateway({
    configs: [{ name: 'plain', url: recordings[0]!.url }],
    settings: { admin: { listen: { host: '127.0.0.1', port: 0 } }, allowed_origins: ['https://app.example.com'] },
  });
  t.after(() => split.close());
  const ask = (url: string) => send(`${url}/mcp/plain`, { ...mcpRequest('tools/list'), token: split.token() });
  assert.equal((await ask(split.url)).message.result.tools[0].name, 'echo');
  const { status, text } = await ask(split.adminUrl);
  assert.equal(status, 404);
  assert.match(text, /Agents connect to the main listener/);
  const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'POST' };
  const preflight = await send(`${split.url}/mcp/plain`, { method: 'OPTIONS', headers });
  assert.deepEqual(
    [preflight.status, preflight.headers['access-control-allow-origin']],
    [204, 'https://app.example.com'],
  );
});
