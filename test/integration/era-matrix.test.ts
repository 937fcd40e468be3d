// The era matrix: clients and servers of the official SDKs of both lines, each pair through one gateway, in both kinds
// of reply, feature by feature. The table at the end is printed under the tests, or alone when this file is run directly.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { connectMatrixClient, type MatrixClient } from '../support/matrix-clients.ts';
import {
  ARRAY_SCHEMA,
  createMeetings,
  oddTools,
  ordinaryTools,
  PAGED_TOOLS,
  PIXEL,
  PROGRESS_STEPS,
  pagedTools,
  RICH_TOOL,
} from '../support/matrix-servers.ts';
import { MatrixTable } from '../support/matrix-table.ts';
import { type Answer, type CallOptions, mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { type SdkServer, startSdkServer } from '../support/sdk-servers.ts';

const ERAS = ['legacy', 'modern'] as const;
const UPSTREAMS = [
  { kind: 'stateful', era: 'legacy', label: 'legacy' },
  { kind: 'stateless', era: 'legacy', label: 'legacy stateless' },
  { kind: 'modern', era: 'modern', label: 'modern' },
] as const;
const REPLIES = ['json', 'sse'] as const;

const ROWS = ERAS.flatMap((clientEra) =>
  UPSTREAMS.flatMap(({ kind, era, label }) =>
    REPLIES.map((reply) => ({
      name: `${clientEra} → ${label}, ${reply.toUpperCase()}`,
      clientEra,
      upstreamEra: era,
      kind,
      reply,
    })),
  ),
);
type Row = (typeof ROWS)[number];

const CELLS: Readonly<Record<string, (row: Row) => Promise<void>>> = {
  list: listsTools,
  'paged list': listsPages,
  call: callsTools,
  progress: passesProgress,
  cancel: cancelsCalls,
  error: passesErrors,
  'param headers': sendsParamHeaders,
  'only JSON': (row) => answersOnly(row, 'json'),
  'only SSE': (row) => answersOnly(row, 'sse'),
};
const JSON_DROPS_PROGRESS =
  'A server of either SDK that replies in JSON drops progress: one JSON object has no room for it. The client gets the result alone.';

const meetings = createMeetings();
const SETS = { tools: ordinaryTools(meetings), odd: oddTools(), pages: pagedTools() };
type SetName = keyof typeof SETS;
const SERVERS = UPSTREAMS.flatMap(({ kind, era }) =>
  REPLIES.flatMap((reply) =>
    (Object.keys(SETS) as SetName[]).map((set) => ({
      service: serviceOf({ kind, reply }, set),
      kind,
      era,
      reply,
      set,
    })),
  ),
);

const table = new MatrixTable(
  ROWS.map(({ name }) => name),
  Object.keys(CELLS),
);
const servers = new Map<string, SdkServer>();
const clients = new Map<Row['clientEra'], MatrixClient>();
/** Two more of each era, which see progress under tokens of the test's own. */
const watchers = new Map<Row['clientEra'], readonly [MatrixClient, MatrixClient]>();
let gateway: TestGateway;
/** Gives its lists in pages, and a token for each upstream that does so, too. */
let paging: TestGateway;

before(async () => {
  await Promise.all(
    SERVERS.map(async ({ service, kind, reply, set }) => {
      servers.set(service, await startSdkServer(kind, reply, SETS[set]));
    }),
  );
  gateway = await startGateway({
    configs: SERVERS.map(({ service }) => ({ name: `${service}-matrix`, url: urlOf(service) })),
    tokens: ERAS.map((name) => ({ name })),
  });
  const paged = SERVERS.filter(({ set }) => set === 'pages').map(({ service }) => service);
  paging = await startGateway({
    configs: paged.map((service) => ({ name: service, url: urlOf(service) })),
    tokens: paged.map((service) => ({ name: service, grants: [service] })),
    limits: { list_page_tools: 4 },
  });
  for (const era of ERAS) {
    const connect = () => connectMatrixClient(era, gateway.mcpUrl, gateway.token(era));
    clients.set(era, await connect());
    watchers.set(era, [await connect(), await connect()]);
    // The modern SDK sends `Mcp-Param-*` for tools that it has seen in a list.
    await clientOf(era).list();
  }
});
after(async () => {
  for (const client of [...clients.values(), ...[...watchers.values()].flat()]) await client[Symbol.asyncDispose]();
  await Promise.all([gateway.close(), paging.close()]);
  await Promise.all([...servers.values()].map((server) => server.close()));
});

for (const row of ROWS) {
  suite(row.name, () => {
    for (const [column, run] of Object.entries(CELLS)) {
      const isDropped = column === 'progress' && row.reply === 'json';
      test(`${row.name}: ${column}`, async () => {
        table.set(row.name, column, '✗');
        await run(row);
        if (isDropped) table.set(row.name, column, '–', JSON_DROPS_PROGRESS);
        else table.set(row.name, column, '✓');
      });
    }
  });
}

test('every cell of the matrix holds but those that cannot exist', (t) => {
  // Under `node --test` diagnostics are what is seen; run directly, the table is what the reader wants plain.
  const print = process.env.NODE_TEST_CONTEXT === undefined ? console.log : (line: string) => t.diagnostic(line);
  for (const line of table.lines()) print(line);
  assert.deepEqual(
    table.cells('–'),
    ROWS.filter(({ reply }) => reply === 'json').map(({ name }) => `${name}: progress`),
  );
  assert.deepEqual([...table.cells('✗'), ...table.cells()], []);
});

async function listsTools(row: Row): Promise<void> {
  const { tools, nextCursor, ...rest } = await clientOf(row.clientEra).list();
  assert.equal(nextCursor, undefined);
  if (row.clientEra === 'legacy') assert.deepEqual(rest, {});
  else {
    const { ttlMs, cacheScope, _meta, ...others } = rest;
    assert.ok(Number.isInteger(ttlMs) && (ttlMs as number) >= 0, String(ttlMs));
    assert.equal(cacheScope, 'private', 'the list is one token’s own');
    assert.deepEqual(Object.keys(_meta as object), ['io.modelcontextprotocol/serverInfo']);
    assert.deepEqual(others, {});
  }
  const own = await directly(row, 'tools', (client) => client.list());
  assert.ok(own.tools.length >= 8);
  assert.deepEqual(
    toolsOf(tools, row, 'tools'),
    own.tools.map(row.clientEra === 'legacy' ? withWrappedOutput : withoutExecution),
  );
  assert.deepEqual(toolsOf(tools, row, 'odd'), oddToolsFor(row.clientEra));
}

function oddToolsFor(clientEra: Row['clientEra']): unknown[] {
  const inputSchema = { type: 'object' };
  const properties = clientEra === 'legacy' ? { any: {}, none: { not: {} } } : { any: true, none: false };
  const outputSchema = clientEra === 'legacy' ? wrapped(ARRAY_SCHEMA) : ARRAY_SCHEMA;
  return [
    { name: 'rich', ...RICH_TOOL },
    { name: 'array', inputSchema, outputSchema },
    { name: 'booleans', inputSchema: { type: 'object', properties } },
    { name: 'nulls', inputSchema },
    { name: 'fail', inputSchema },
    { name: 'inspect', inputSchema },
  ];
}

function withWrappedOutput(tool: Record<string, unknown>): Record<string, unknown> {
  const schema = tool.outputSchema as { type?: string } | undefined;
  return schema === undefined || schema.type === 'object' ? tool : { ...tool, outputSchema: wrapped(schema) };
}

/** The modern SDK does not know the member, which went with the tasks of 2025-11-25. */
function withoutExecution({ execution, ...tool }: Record<string, unknown>): Record<string, unknown> {
  return tool;
}

function wrapped(schema: object): object {
  return { type: 'object', properties: { result: schema }, required: ['result'] };
}

async function listsPages(row: Row): Promise<void> {
  const { tools, nextCursor } = await clientOf(row.clientEra).page();
  assert.equal(nextCursor, undefined, 'one page unless the gateway is told otherwise');
  const names = toolsOf(tools, row, 'pages').map(({ name }) => name);
  assert.deepEqual(names, PAGED_TOOLS);
  const last = await call(row, 'pages', PAGED_TOOLS.at(-1)!);
  assert.deepEqual(last.content, text(PAGED_TOOLS.at(-1)!));

  const service = serviceOf(row, 'pages');
  await using client = await connectMatrixClient(row.clientEra, paging.mcpUrl, paging.token(service));
  const pages = [await client.page()];
  for (let next = pages[0]!.nextCursor; next !== undefined; next = pages.at(-1)!.nextCursor) {
    pages.push(await client.page(next));
  }
  assert.deepEqual(
    pages.map((page) => toolsOf(page.tools, row, 'pages').map((tool) => tool.name)),
    [PAGED_TOOLS.slice(0, 4), PAGED_TOOLS.slice(4, 8), PAGED_TOOLS.slice(8)],
  );
  const scopes = pages.map(({ cacheScope, ttlMs }) => [cacheScope, typeof ttlMs]);
  const scope = row.clientEra === 'modern' ? ['private', 'number'] : [undefined, 'undefined'];
  assert.deepEqual(scopes, [scope, scope, scope]);
  assert.equal((await errorOf(client.page('made up'))).code, -32602);
}

async function callsTools(row: Row): Promise<void> {
  const unicode = 'é 😀 \u2028 \u0000 \ud800 "\\/" 9007199254740993';
  const echoed = await call(row, 'tools', 'echo', { text: unicode });
  assert.deepEqual(echoed.content, text(unicode));
  assert.equal('resultType' in echoed, false, 'the legacy client is sent none, the modern SDK takes it off');
  assert.equal(echoed.isError, undefined);

  const { content } = await call(row, 'tools', 'picture', {});
  assert.deepEqual(content, [
    { type: 'image', data: PIXEL, mimeType: 'image/png', annotations: { audience: ['user'], priority: 0.5 } },
    { type: 'text', text: 'a pixel', _meta: { 'com.example/n': 1 } },
  ]);

  // Larger integers do not get as far as a tool: both SDKs read them with JSON.parse.
  for (const n of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.1, 1e300]) {
    const measured = await call(row, 'tools', 'measure', { n });
    assert.deepEqual(measured.structuredContent, { n, digits: String(n), list: [-0.5, 1e21] });
  }
  if (row.upstreamEra === 'modern') {
    const { structuredContent } = await call(row, 'tools', 'names', {});
    assert.deepEqual(structuredContent, row.clientEra === 'legacy' ? { result: ['a', 'é'] } : ['a', 'é']);
  }

  const refused = await call(row, 'tools', 'refuse', {});
  assert.deepEqual(
    [refused.isError, refused.content, refused.structuredContent],
    [true, text('refused as the tool sees fit'), { why: 'é' }],
  );
  assert.deepEqual((await call(row, 'odd', 'inspect')).content, text('{"name":"inspect"}'));
  assert.deepEqual((await call(row, 'odd', 'inspect', {})).content, text('{"name":"inspect","args":{}}'));
}

async function passesProgress(row: Row): Promise<void> {
  const expected = (label: string) =>
    row.reply === 'json' ? [] : Array.from({ length: PROGRESS_STEPS }, (_, index) => `${label} ${index + 1}`);
  if (row.reply === 'json')
    assert.deepEqual(await directly(row, 'tools', (client) => watch(client, 'count')), ['done']);
  assert.deepEqual(await watch(clientOf(row.clientEra), nameOf(row, 'tools', 'count')), [...expected('own'), 'done']);

  const pair = watchers.get(row.clientEra)!;
  for (const progressToken of ['same', 7]) {
    const calls = pair.map(async (client, index) => {
      const seen: unknown[] = [];
      client.onNotice((params) => {
        assert.strictEqual(params.progressToken, progressToken);
        assert.equal(params.total, PROGRESS_STEPS);
        seen.push(params.message);
      });
      const args = { label: `client ${index}`, meeting: `${row.name} ${progressToken}` };
      const { content } = await client.call(nameOf(row, 'tools', 'count'), args, { progressToken });
      assert.deepEqual(content, text(`client ${index} done`));
      return seen;
    });
    assert.deepEqual(await Promise.all(calls), [expected('client 0'), expected('client 1')]);
  }
}

/** What a caller sees of one call, in order. */
async function watch(client: MatrixClient, name: string): Promise<unknown[]> {
  const seen: unknown[] = [];
  await client.call(name, { label: 'own' }, { onprogress: ({ message }) => void seen.push(message) });
  return [...seen, 'done'];
}

async function cancelsCalls(row: Row): Promise<void> {
  const key = row.name;
  const controller = new AbortController();
  const name = nameOf(row, 'tools', 'wait');
  const rejected = assert.rejects(clientOf(row.clientEra).call(name, { key }, { signal: controller.signal }));
  await eventually(() => meetings.waiting.has(key));
  assert.equal(meetings.aborted.has(key), false);
  controller.abort(new Error('enough'));
  await rejected;
  await eventually(() => meetings.aborted.has(key), 1_000);
  assert.deepEqual((await call(row, 'tools', 'echo', { text: 'next' })).content, text('next'));
}

async function passesErrors(row: Row): Promise<void> {
  const missing = nameOf(row, 'tools', 'missing');
  const unknown = await errorOf(clientOf(row.clientEra).call(missing, {}));
  assert.deepEqual(unknown, { code: -32602, message: `Unknown tool: ${missing}` });

  const exploded = await call(row, 'tools', 'explode', {});
  assert.deepEqual([exploded.isError, exploded.content], [true, text('the handler broke')]);
  const invalid = await call(row, 'tools', 'echo', { text: 7 });
  assert.equal(invalid.isError, true);
  assert.match(JSON.stringify(invalid.content), /Invalid arguments for tool echo/);

  const fail = (error: Record<string, unknown>) => errorOf(call(row, 'odd', 'fail', error));
  assert.deepEqual(await fail({ message: 'no code é' }), { code: -32603, message: 'no code é' });
  const data = { n: Number.MAX_SAFE_INTEGER, list: [null, { é: '😀' }], code: -32021, source: 'upstream' };
  for (const code of [-32602, -32601, -32600, -32050, -32023, -32000, 7]) {
    assert.deepEqual(await fail({ code, message: 'as it is', data }), { code, message: 'as it is', data });
  }
  // So often that a breaker would open: what the handler of one tool says must not cost its upstream the others.
  for (const code of [-32020, -32021, -32022]) {
    if (code === -32021 && row.upstreamEra === 'modern') continue;
    for (let times = 0; times < 6; times++) {
      assert.equal((await fail({ code, message: 'of the hop', data })).code, -32603, `${code} is another hop's`);
    }
    assert.deepEqual((await call(row, 'odd', 'inspect')).content, text('{"name":"inspect"}'));
  }
  if (row.upstreamEra === 'modern') await saysWhatIsUndeclared(row);
  // The modern SDK's server writes -32602 for -32002 itself.
  const isLegacyPair = row.clientEra === 'legacy' && row.upstreamEra === 'legacy';
  const notFound = await fail({ code: -32002, message: 'not found', data });
  assert.deepEqual(notFound, { code: isLegacyPair ? -32002 : -32602, message: 'not found', data });
  const elicitation = await fail({ code: -32042, message: 'go there', data });
  assert.equal(elicitation.code, row.clientEra === 'legacy' ? -32042 : -32603);

  assert.deepEqual((await call(row, 'tools', 'echo', { text: 'next' })).content, text('next'));
}

/** A modern client is told by the code that it must declare something, a legacy one in words. */
async function saysWhatIsUndeclared(row: Row): Promise<void> {
  const data = { requiredCapabilities: { sampling: {} } };
  const calling = call(row, 'odd', 'fail', { code: -32021, message: 'of the hop', data });
  if (row.clientEra === 'modern') assert.equal((await errorOf(calling)).code, -32021);
  else {
    const { isError, content } = await calling;
    assert.equal(isError, true);
    assert.match(JSON.stringify(content), /declared sampling/);
  }
}

async function sendsParamHeaders(row: Row): Promise<void> {
  const client = clientOf(row.clientEra);
  const full = { region: 'Köln 😀', size: Number.MAX_SAFE_INTEGER, deep: { dry: false }, note: 'stays in the body' };
  const fullHeaders = {
    'mcp-param-region': `=?base64?${Buffer.from(full.region).toString('base64')}?=`,
    'mcp-param-size': '9007199254740991',
    'mcp-param-dry-run': 'false',
  };
  const short = { region: 'eu-west' };
  const cases = [
    [full, fullHeaders],
    [short, { 'mcp-param-region': 'eu-west' }],
  ] as const;
  for (const [args, headers] of cases) {
    const { content } = await call(row, 'tools', 'region', args);
    const sent = [...client.lastHeaders].filter(([name]) => name.startsWith('mcp-param-'));
    assert.deepEqual(Object.fromEntries(sent), row.clientEra === 'modern' ? headers : {});
    const got = JSON.parse((content as { text: string }[])[0]!.text);
    assert.deepEqual(got, { args, headers: row.upstreamEra === 'modern' ? headers : {} });
  }

  const raw = (headers: Record<string, string>) =>
    callRaw(row, 'tools', 'region', { params: '"arguments":{"region":"eu-west"}', headers });
  for (const headers of [{}, { 'mcp-param-region': 'us-east' }, { 'mcp-param-region': '' }]) {
    const answer = await raw(headers);
    if (row.clientEra === 'modern') {
      assert.deepEqual([answer.status, answer.message.error?.code], [400, -32020]);
      assert.match(answer.message.error!.message, /mcp-param-region/);
    } else
      assert.equal(answer.status, 200, 'a legacy client knows no such header, and what it sends under one is nothing');
  }
  assert.equal((await raw({ 'mcp-param-region': 'eu-west' })).status, 200);
}

/** A client that reads one kind of reply only gets everything in that kind. */
async function answersOnly(row: Row, kind: 'json' | 'sse'): Promise<void> {
  const accept = kind === 'json' ? 'application/json' : 'text/event-stream';
  const echoed = await callRaw(row, 'tools', 'echo', { accept, params: '"arguments":{"text":"é 😀\\n"}' });
  assert.deepEqual([echoed.status, echoed.kind, echoed.datas.length], [200, kind, 1]);
  assert.deepEqual(echoed.message.result.content, text('é 😀\n'));
  assert.equal(echoed.message.result.resultType, row.clientEra === 'modern' ? 'complete' : undefined);

  const counted = await callRaw(row, 'tools', 'count', {
    accept,
    params: '"arguments":{"label":"raw"}',
    meta: '"progressToken":"\\u0061"',
  });
  assert.equal(counted.kind, kind);
  assert.equal(counted.datas.length, kind === 'sse' && row.reply === 'sse' ? PROGRESS_STEPS + 1 : 1);
  for (const data of counted.datas.slice(0, -1)) assert.equal(JSON.parse(data).params.progressToken, 'a');
  assert.deepEqual(counted.message.result.content, text('raw done'));

  const params = '"arguments":{"code":-32050,"message":"no","data":{"n":1.5}}';
  const failed = await callRaw(row, 'odd', 'fail', { accept, params });
  assert.deepEqual([failed.status, failed.kind], [200, kind]);
  assert.deepEqual(failed.message.error, { code: -32050, message: 'no', data: { n: 1.5 } });

  const unknown = await callRaw(row, 'odd', 'missing', { accept });
  assert.deepEqual([unknown.status, unknown.kind, unknown.message.error!.code], [200, kind, -32602]);

  const nameless = await send(gateway.mcpUrl, {
    ...mcpRequest('tools/call', { era: row.clientEra, accept, headers: { 'mcp-name': 'none' } }),
    token: gateway.token(row.clientEra),
  });
  assert.deepEqual([nameless.status, nameless.kind, nameless.message.error!.code], [400, 'json', -32602]);
}

function serviceOf({ kind, reply }: Pick<Row, 'kind' | 'reply'>, set: string): string {
  return `${kind}_${reply}_${set}`;
}

function nameOf(row: Row, set: SetName, tool: string): string {
  return `${serviceOf(row, set)}.${tool}`;
}

function urlOf(service: string): string {
  return servers.get(service)!.url;
}

function clientOf(era: Row['clientEra']): MatrixClient {
  return clients.get(era)!;
}

function call(row: Row, set: SetName, tool: string, args?: Record<string, unknown>) {
  return clientOf(row.clientEra).call(nameOf(row, set, tool), args);
}

function callRaw(row: Row, set: SetName, tool: string, options: CallOptions): Promise<Answer> {
  const request = toolCall(nameOf(row, set, tool), { era: row.clientEra, ...options });
  return send(gateway.mcpUrl, { ...request, token: gateway.token(row.clientEra) });
}

/** Asks the upstream without the gateway, with a client of its own era. */
async function directly<T>(row: Row, set: SetName, ask: (client: MatrixClient) => Promise<T>): Promise<T> {
  await using client = await connectMatrixClient(row.upstreamEra, urlOf(serviceOf(row, set)), 'none');
  return await ask(client);
}

/** The tools of one service, under their upstream names. */
function toolsOf(tools: readonly Record<string, unknown>[], row: Row, set: SetName) {
  const prefix = `${serviceOf(row, set)}.`;
  return tools
    .filter(({ name }) => String(name).startsWith(prefix))
    .map((tool) => ({ ...tool, name: String(tool.name).slice(prefix.length) }));
}

/** The JSON-RPC error that an SDK client rejects with. */
async function errorOf(promise: Promise<unknown>): Promise<{ code: number; message: string; data?: unknown }> {
  const error = (await promise.then(
    () => assert.fail('the call succeeded'),
    (reason: unknown) => reason,
  )) as { code: number; message: string; data?: unknown };
  assert.equal(typeof error.code, 'number', String(error));
  const message = error.message.replace(/^MCP error -?\d+: /, '');
  return { code: error.code, message, ...(error.data === undefined ? {} : { data: error.data }) };
}

function text(value: string): { type: 'text'; text: string }[] {
  return [{ type: 'text', text: value }];
}
