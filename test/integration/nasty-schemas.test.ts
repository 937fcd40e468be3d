// Clients of SDK v1 compile every output schema while they list: one that does not compile costs them the whole list.
// Behind the gateway it costs them that schema, and nobody else anything.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { toolNamed } from '../support/listing-upstream.ts';
import { mcpRequest, send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { connectClient } from '../support/sdk-clients.ts';

/** Each costs a client of SDK v1 the list it stands in. Raw JSON. */
const NASTY: Readonly<Record<string, string>> = {
  unknown_type: '{"type":"object","properties":{"a":{"type":"any"}}}',
  type_null: '{"type":"object","properties":{"a":{"type":null}}}',
  missing_definition: '{"type":"object","properties":{"a":{"$ref":"#/$defs/Missing"}}}',
  other_file: '{"type":"object","properties":{"a":{"$ref":"./common.json#/A"}}}',
  other_host: '{"type":"object","properties":{"a":{"$ref":"https://example.com/a.json"}}}',
  missing_anchor: '{"type":"object","properties":{"a":{"$ref":"#nowhere"}}}',
  circle:
    '{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"$ref":"#/$defs/c"},"c":{"$ref":"#/$defs/b"}}}',
  bad_pattern: '{"type":"object","properties":{"a":{"pattern":"["}}}',
  python_pattern: '{"type":"object","properties":{"a":{"pattern":"(?P<y>\\\\d+)"}}}',
  loose_pattern: '{"type":"object","properties":{"a":{"pattern":"^[\\\\w-.]+$"}}}',
  bad_property_pattern: '{"type":"object","patternProperties":{"*":{"type":"string"}}}',
  draft_03_required: '{"type":"object","properties":{"a":{"type":"string","required":true}}}',
  draft_04_exclusive: '{"type":"object","properties":{"a":{"minimum":0,"exclusiveMinimum":true}}}',
  draft_04_id: '{"id":"http://example.com/a","type":"object"}',
  openapi_nullable: '{"type":"object","properties":{"a":{"nullable":true,"anyOf":[{}]}}}',
  empty_enum: '{"type":"object","properties":{"a":{"enum":[]}}}',
  text_length: '{"type":"object","properties":{"a":{"maxLength":"10"}}}',
  items_text: '{"type":"object","properties":{"a":{"items":"string"}}}',
  any_of_object: '{"type":"object","anyOf":{"required":["a"]}}',
  one_of_null: '{"type":"object","oneOf":[null]}',
  same_anchor_twice: '{"type":"object","not":{"$anchor":"x"},"if":{"$anchor":"x","type":"null"}}',
  deep_chain: `{"type":"object","properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{${Array.from({ length: 600 }, (_, index) => `"d${index}":{"items":{"$ref":"#/$defs/d${index + 1}"}}`)},"d600":{}}}`,
  many_alternatives: `{"type":"object","anyOf":[${Array.from({ length: 4_000 }, (_, index) => `{"const":${index}}`)}]}`,
};

/** Odd, but nobody minds. What `{"a":1}` is to it: a client believes the schema it was shown. */
const SOUND: Readonly<Record<string, readonly [schema: string, isValid: boolean]>> = {
  plain: ['{"type":"object","properties":{"a":{"type":"number"}},"required":["a"]}', true],
  other_type: ['{"type":"object","properties":{"a":{"type":"string"}}}', false],
  newer_dialect: [
    '{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","prefixItems":[{}]}',
    true,
  ],
  own_bytes: [
    '{ "type" : "object",\n"properties":{"a":{"maximum":9007199254740993,"multipleOf":1.0,"description":"\\u00e9"}} }',
    true,
  ],
  definitions: ['{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}', false],
  recursive: ['{"type":"object","additionalProperties":{"anyOf":[{"type":"integer"},{"$ref":"#"}]}}', true],
  anchored: [
    '{"type":"object","properties":{"a":{"$ref":"#num"}},"$defs":{"A":{"$anchor":"num","type":"number"}}}',
    true,
  ],
  unknown_words: ['{"type":"object","x-order":[1],"properties":{"a":{"format":"int32","example":1}}}', true],
  property_names: ['{"type":"object","properties":{"id":{},"$id":{},"$ref":{},"type":{}}}', true],
};

const MODERN_RESULT = '"resultType":"complete"';

/** Connects a client of SDK v1; formats that Ajv does not know, and code it could not compile, go to the console. */
async function connectV1(url: string, token: string): Promise<Client> {
  const client = new Client({ name: 'c', version: '1' });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  return client;
}

async function quietly<T>(run: () => Promise<T>): Promise<T> {
  const { error, warn } = console;
  console.error = console.warn = () => undefined;
  try {
    return await run();
  } finally {
    Object.assign(console, { error, warn });
  }
}

const withOutput = (name: string, schema: string): string => toolNamed(name, `,"outputSchema":${schema}`);
const ALL = [...Object.entries(NASTY), ...Object.entries(SOUND).map(([name, [schema]]) => [name, schema] as const)];

describe('a client of SDK v1', () => {
  let upstream: RecordingUpstream;
  let gateway: TestGateway;
  let client: Client;
  before(async () => {
    const result = `{"content":[],"structuredContent":{"a":1},${MODERN_RESULT}}`;
    const tools = ALL.map(([name, schema]) => withOutput(name, schema));
    upstream = await startRecordingUpstream({ era: 'modern', tools, onCall: () => result });
    gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
    client = await connectV1(gateway.mcpUrl, gateway.token());
  });
  after(async () => {
    await client.close();
    await gateway.close();
    await upstream.close();
  });

  for (const [name, schema] of Object.entries(NASTY)) {
    test(`loses the list of an upstream without a gateway: ${name}`, async (t) => {
      const tools = [toolNamed('sound'), withOutput(name, schema)];
      const alone = await startRecordingUpstream({ era: 'legacy', tools });
      t.after(() => alone.close());
      const direct = await connectV1(alone.url, 'none');
      await assert.rejects(quietly(() => direct.listTools()));
      await direct.close();
    });
  }

  test('has every tool of the gateway’s list, with every schema that it can use', async () => {
    const { tools } = await quietly(() => client.listTools());
    assert.deepEqual(
      tools.map(({ name, outputSchema }) => [name, outputSchema !== undefined]),
      ALL.map(([name]) => [`rec.${name}`, Object.hasOwn(SOUND, name)]),
    );
    for (const kind of ['v2 legacy', 'v2 pinned'] as const) {
      const other = await connectClient(kind, gateway.mcpUrl, gateway.token());
      assert.equal((await quietly(() => other.toolNames())).length, ALL.length);
      await other.close();
    }
  });

  test('gets the structured results of all tools, and checks those whose schema it has', async () => {
    await quietly(() => client.listTools());
    for (const [name] of ALL) {
      const calling = client.callTool({ name: `rec.${name}`, arguments: {} });
      if (SOUND[name]?.[1] === false) await assert.rejects(calling, /does not match the tool's output schema/, name);
      else assert.deepEqual((await calling).structuredContent, { a: 1 }, name);
    }
  });

  test('is shown the schemas it gets, and a modern client all of them, byte for byte', async () => {
    const textOf = async (era: 'legacy' | 'modern') =>
      (await send(gateway.mcpUrl, { ...mcpRequest('tools/list', { era }), token: gateway.token() })).text;
    const [legacy, modern] = [await textOf('legacy'), await textOf('modern')];
    for (const [name, schema] of ALL) {
      const tool = withOutput(`rec.${name}`, schema);
      assert.ok(modern.includes(tool), name);
      assert.equal(legacy.includes(tool), Object.hasOwn(SOUND, name), name);
    }
  });
});

test('upstreams whose schemas have one address do not cost each other the list, nor one the other’s results', async (t) => {
  const address = '"$id":"https://example.com/result"';
  const schemas = [
    `{${address},"type":"object","properties":{"a":{"type":"number"}}}`,
    `{${address},"type":"object","properties":{"a":{"type":"string"}}}`,
    `{${address},"type":"array","items":{"$ref":"#/$defs/A"},"$defs":{"A":{"type":"number"}}}`,
    `{"type":"object","properties":{"a":{${address},"type":"boolean"}}}`,
  ];
  const values = ['{"a":1}', '{"a":"x"}', '[1]', '{"a":"not checked"}'];
  const upstreams = await Promise.all(
    schemas.map((schema, index) => {
      const onCall = () => `{"content":[],"structuredContent":${values[index]},${MODERN_RESULT}}`;
      return startRecordingUpstream({ era: 'modern', tools: [withOutput('t', schema)], onCall });
    }),
  );
  const gateway = await startGateway({ configs: upstreams.map(({ url }, index) => ({ name: `rec${index}`, url })) });
  t.after(async () => {
    await gateway.close();
    for (const upstream of upstreams) await upstream.close();
  });
  const client = await connectV1(gateway.mcpUrl, gateway.token());
  for (let count = 0; count < 3; count++) {
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map(({ outputSchema }) => outputSchema !== undefined),
      [true, true, true, false],
    );
    const expected = [{ a: 1 }, { a: 'x' }, { result: [1] }, { a: 'not checked' }];
    for (const [index, value] of expected.entries()) {
      const { structuredContent } = await client.callTool({ name: `rec${index}.t`, arguments: {} });
      assert.deepEqual(structuredContent, value);
    }
  }
  await client.close();
});

test('a number that is infinite to a client of SDK v2 does not cost it the list', async (t) => {
  const schema =
    '{"type":"object","properties":{"a":{"minimum":-1e999,"maximum":1e400,"title":"1e400"}},"default":1e400}';
  const tools = [`{"name":"t","inputSchema":${schema},"outputSchema":${schema}}`];
  const alone = await startRecordingUpstream({ era: 'legacy', tools });
  t.after(() => alone.close());
  const direct = await connectClient('v2 legacy', alone.url, 'none');
  await assert.rejects(direct.toolNames());
  await direct.close();
  const gateway = await startGateway({ configs: [{ name: 'rec', url: alone.url }] });
  t.after(() => gateway.close());
  for (const kind of ['v1', 'v2 legacy', 'v2 pinned'] as const) {
    const client = await connectClient(kind, gateway.mcpUrl, gateway.token());
    assert.deepEqual(await client.toolNames(), ['rec.t']);
    await client.close();
  }
  const { text } = await send(gateway.mcpUrl, {
    ...mcpRequest('tools/list', { era: 'modern' }),
    token: gateway.token(),
  });
  assert.ok(text.includes(`"inputSchema":${schema},"outputSchema":${schema}`), 'a modern client is shown it as it is');
});
