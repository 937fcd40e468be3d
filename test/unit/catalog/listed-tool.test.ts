import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ListToolsResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv';
import fc from 'fast-check';
import { type ListedTool, readListedTool } from '../../../src/catalog/listed-tool.ts';
import type { Unusable } from '../../../src/catalog/readable-members.ts';
import { type Edit, splice } from '../../../src/protocol/splice.ts';

const INPUT = '"inputSchema":{"type":"object"}';
const GOOD = `{"name":"t",${INPUT}}`;

function read(text: string): ListedTool | Unusable {
  return readListedTool(Buffer.from(text));
}

function keep(text: string): ListedTool {
  const tool = read(text);
  assert.ok(!('reason' in tool), 'reason' in tool ? `${tool.reason}: ${text.slice(0, 300)}` : '');
  return tool;
}

/** Edits must be sorted, inside the bytes, and must not overlap: two at one place would be two readings of it. */
function apply(tool: ListedTool, edits: readonly Edit[]): string {
  let from = 0;
  for (const { start, end } of edits) {
    assert.ok(from <= start && start <= end && end <= tool.bytes.length, JSON.stringify(edits));
    assert.ok(end <= tool.nameAt.start || start >= tool.nameAt.end, 'an edit touches the name');
    from = end;
  }
  return splice(tool.bytes, edits).toString();
}

const modernForm = (tool: ListedTool): string => apply(tool, tool.repairs);
const legacyForm = (tool: ListedTool): string => apply(tool, tool.legacyEdits);

/** Answers what an SDK client asks until it has listed these tools, without a socket. */
function serve(tools: string, era: 'legacy' | 'modern') {
  const info = { serverInfo: { name: 's', version: '1' }, capabilities: { tools: {} } };
  const modern = '"resultType":"complete","ttlMs":0,"cacheScope":"private"';
  const results: Readonly<Record<string, string>> = {
    initialize: JSON.stringify({ ...info, protocolVersion: '2025-11-25' }),
    'server/discover': `{"supportedVersions":["2026-07-28"],${JSON.stringify(info).slice(1, -1)},${modern}}`,
    'tools/list': era === 'modern' ? `{"tools":[${tools}],${modern}}` : `{"tools":[${tools}]}`,
  };
  return async (_url: unknown, init?: { method?: string; body?: unknown }): Promise<Response> => {
    if (init?.method !== 'POST') return new Response(null, { status: 405 });
    const { id, method } = JSON.parse(String(init.body));
    const result = results[method];
    if (id === undefined || result === undefined) return new Response(null, { status: 202 });
    const headers = { 'content-type': 'application/json' };
    return new Response(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`, { headers });
  };
}

const INFO = { name: 'sdk-client', version: '1' };
const NOWHERE = new URL('http://127.0.0.1/mcp');

/** How many tools each line of SDK client reads from a list. */
async function listByClients(tools: readonly ListedTool[]): Promise<number[]> {
  const legacy = tools.map(legacyForm).join();
  const v1 = new Client(INFO);
  const transport = new StreamableHTTPClientTransport(NOWHERE, { fetch: serve(legacy, 'legacy') });
  await v1.connect(transport as Parameters<typeof v1.connect>[0]);
  const counts = [(await v1.listTools()).tools.length];
  await v1.close();
  for (const mode of ['legacy', { pin: '2026-07-28' }] as const) {
    const fetch = mode === 'legacy' ? serve(legacy, 'legacy') : serve(tools.map(modernForm).join(), 'modern');
    const v2 = new ModernClient(INFO, { versionNegotiation: { mode } });
    await v2.connect(new ModernTransport(NOWHERE, { fetch }));
    counts.push((await v2.listTools()).tools.length);
    await v2.close();
  }
  return counts;
}

/** Optional members that clients could not read, and why. */
const BAD_MEMBERS: readonly (readonly [key: string, raw: string])[] = [
  ['description', 'null'],
  ['description', '7'],
  ['description', '["a"]'],
  ['title', 'null'],
  ['title', '{}'],
  ['annotations', 'null'],
  ['annotations', '[]'],
  ['annotations', '{"title":null}'],
  ['annotations', '{"readOnlyHint":"yes"}'],
  ['annotations', '{"title":"a","openWorldHint":null}'],
  ['icons', 'null'],
  ['icons', '{"src":"a"}'],
  ['icons', '[{}]'],
  ['icons', '[{"src":1}]'],
  ['icons', '[{"src":"a"},null]'],
  ['icons', '[{"src":"a","mimeType":null}]'],
  ['icons', '[{"src":"a","sizes":"any"}]'],
  ['icons', '[{"src":"a","sizes":[1]}]'],
  ['icons', '[{"src":"a","theme":"blue"}]'],
  ['execution', 'null'],
  ['execution', '"required"'],
  ['execution', '{"taskSupport":"maybe"}'],
  ['execution', '{"taskSupport":null}'],
  ['_meta', 'null'],
  ['_meta', '[]'],
  ['outputSchema', 'null'],
  ['outputSchema', '"object"'],
  ['outputSchema', '[]'],
  ['outputSchema', 'true'],
  ['outputSchema', 'false'],
  ['outputSchema', '{"type":"object","$schema":7}'],
];

describe('a tool that all clients can read', () => {
  const tools: readonly string[] = [
    GOOD,
    '{ "inputSchema" : { "type" : "object" } ,\r\n "name" : "t" }',
    `{"name":"t","title":"","description":"é \\ud800","annotations":{},"icons":[],"execution":{},"_meta":{},${INPUT}}`,
    `{"annotations":{"title":"a","readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false,"x":null},"name":"t",${INPUT}}`,
    `{"icons":[{"src":"a","mimeType":"b","sizes":["1x1"],"theme":"dark","x":1}],"name":"t",${INPUT}}`,
    `{"execution":{"taskSupport":"optional"},"name":"t",${INPUT}}`,
    '{"name":"t","inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"a":{},"b":{"items":true}},"required":["a"],"additionalProperties":false,"$defs":{"D":true}}}',
    `{"name":"t",${INPUT},"outputSchema":{"type":"object","properties":{"n":{"const":1.0}},"required":["n"]},"x":9007199254740993}`,
    '{"name":"t","inputSchema":{"type":"object","properties":{}},"outputSchema":{"type":"object"},"unknown":null}',
  ];
  for (const text of tools) {
    test(`keeps its bytes: ${text.slice(0, 70)}`, async () => {
      const tool = keep(text);
      assert.deepEqual([tool.repairs, tool.legacyEdits, tool.wrapsOutput], [[], [], false]);
      assert.equal(tool.name, 't');
      assert.equal(text.slice(tool.nameAt.start, tool.nameAt.end), '"t"');
      assert.equal(tool.bytes.toString(), text);
      assert.deepEqual(await listByClients([keep(GOOD), tool]), [2, 2, 2]);
    });
  }
});

describe('a member that clients could not read', () => {
  for (const [key, raw] of BAD_MEMBERS) {
    test(`is taken out, wherever it stands: ${key} ${raw}`, async () => {
      const bad = `"${key}":${raw}`;
      const tools = [
        [`{${bad},"name":"t",${INPUT}}`, GOOD],
        [`{"name":"t",${bad},${INPUT}}`, GOOD],
        [`{"name":"t",${INPUT},${bad}}`, GOOD],
        [`{ ${bad} ,\n "name":"t",${INPUT} }`, `{ "name":"t",${INPUT} }`],
        [`{"name":"t" , ${bad} , ${INPUT} }`, `{"name":"t" , ${INPUT} }`],
        [`{"name":"t",${INPUT} ,\n ${bad}\n}`, `{"name":"t",${INPUT}\n}`],
      ].map(([text = '', expected]) => {
        const tool = keep(text);
        assert.equal(modernForm(tool), expected);
        assert.equal(legacyForm(tool), expected);
        assert.equal(tool.wrapsOutput, false);
        return tool;
      });
      assert.deepEqual(await listByClients(tools), [6, 6, 6]);
    });
  }

  test('costs clients the whole list where it stays', () => {
    const missed = BAD_MEMBERS.filter(([key, raw]) => {
      const tools = [JSON.parse(`{"name":"t",${INPUT},"${key}":${raw}}`)];
      return ListToolsResultSchema.safeParse({ tools }).success;
    });
    // Clients of the newer line alone refuse this one.
    assert.deepEqual(missed, [['outputSchema', '{"type":"object","$schema":7}']]);
  });

  test('is taken out together with its neighbours', async () => {
    const bads = '"title":null,"description":null,"icons":7';
    const good = '"x":[1.0]';
    const expected = `{"name":"t",${good},${INPUT}}`;
    const texts = [
      `{${bads},"name":"t",${good},${INPUT}}`,
      `{"name":"t",${bads},${good},${INPUT}}`,
      `{"name":"t",${good},${INPUT},${bads}}`,
      `{"title":null,"name":"t","description":null,${good},"icons":7,${INPUT},"execution":1,"_meta":2}`,
      `{"title":null,"description":null,"name":"t",${good},"icons":7,"execution":1,${INPUT},"_meta":2,"annotations":3}`,
    ];
    const tools = texts.map(keep);
    for (const tool of tools) assert.deepEqual([modernForm(tool), legacyForm(tool)], [expected, expected]);
    assert.deepEqual(await listByClients(tools), [5, 5, 5]);
  });
});

describe('a tool that no client could use', () => {
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  const cases: readonly (readonly [text: string, name: string, reason: RegExp])[] = [
    ['null', '', /no JSON object/],
    ['true', '', /no JSON object/],
    ['"t"', '', /no JSON object/],
    [`[${GOOD}]`, '', /no JSON object/],
    [`{"name":"t","name":"u",${INPUT}}`, '', /key twice/],
    [`{"name":"t","\\u006eame":"u",${INPUT}}`, '', /key twice/],
    [`{"name":"t",${INPUT},"x":${nested(70)}}`, '', /no JSON object/],
    [`{${INPUT}}`, '', /no name/],
    [`{"name":null,${INPUT}}`, '', /no name/],
    [`{"name":7,${INPUT}}`, '', /no name/],
    [`{"name":"",${INPUT}}`, '', /its name is not/],
    [`{"name":"a b",${INPUT}}`, 'a b', /its name is not/],
    [`{"name":"${'x'.repeat(200)}",${INPUT}}`, 'x'.repeat(128), /its name is not/],
    [`{"name":"t","Name":"u",${INPUT}}`, 't', /in case only/],
    ['{"name":"t"}', 't', /missing or no object/],
    [`{"name":"t","execution":{"taskSupport":"required"},${INPUT}}`, 't', /asks for tasks/],
    ['{"name":"t","inputSchema":null}', 't', /missing or no object/],
    ['{"name":"t","inputSchema":true}', 't', /missing or no object/],
    ['{"name":"t","inputSchema":false}', 't', /missing or no object/],
    ['{"name":"t","inputSchema":[]}', 't', /missing or no object/],
    ['{"name":"t","inputSchema":"object"}', 't', /missing or no object/],
    ['{"name":"t","inputSchema":{}}', 't', /not of type object/],
    ['{"name":"t","inputSchema":{"type":"string"}}', 't', /not of type object/],
    ['{"name":"t","inputSchema":{"type":["object"]}}', 't', /not of type object/],
    ['{"name":"t","inputSchema":{"type":"array","items":{}}}', 't', /not of type object/],
    ['{"name":"t","inputSchema":{"type":"object","$schema":7}}', 't', /'\$schema'/],
    ['{"name":"t","inputSchema":{"type":"object","$schema":null}}', 't', /'\$schema'/],
    ['{"name":"t","inputSchema":{"type":"object","required":null}}', 't', /'required'/],
    ['{"name":"t","inputSchema":{"type":"object","required":"a"}}', 't', /'required'/],
    ['{"name":"t","inputSchema":{"type":"object","required":true}}', 't', /'required'/],
    ['{"name":"t","inputSchema":{"type":"object","required":["a",1]}}', 't', /'required'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":null}}', 't', /'properties'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":[]}}', 't', /'properties'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":true}}', 't', /'properties'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":{"a":null}}}', 't', /'properties'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":{"a":"string"}}}', 't', /'properties'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":{"a":[]}}}', 't', /'properties'/],
    ['{"name":"t","inputSchema":{"type":"object","properties":{"a":{"x-mcp-header":"a b"}}}}', 't', /x-mcp-header/],
    ['{"name":"t","inputSchema":{"type":"object","x-mcp-header":"A"}}', 't', /x-mcp-header/],
  ];
  for (const [text, name, reason] of cases) {
    test(`is left out with its reason: ${text.slice(0, 80)}`, () => {
      const tool = read(text);
      assert.ok('reason' in tool, text);
      assert.equal(tool.name, name);
      assert.match(tool.reason, reason);
    });
  }

  test('is left out for a description of 10 MB, and kept for one of 900 KB', () => {
    const large = read(`{"name":"t","description":"${'x'.repeat(10_000_000)}",${INPUT}}`);
    assert.ok('reason' in large);
    assert.equal(large.name, 't');
    assert.match(large.reason, /larger than 1048576 bytes/);
    keep(`{"name":"t","description":"${'x'.repeat(900_000)}",${INPUT}}`);
  });
});

describe('the legacy form', () => {
  const input = (properties: string): string =>
    `{"name":"t","inputSchema":{"type":"object","properties":{${properties}}}}`;

  test('has objects where an input schema has boolean properties', async () => {
    const text = input('"a":true,"b" : false ,"c":{"not":true},"\\u0064":true,"__proto__":true');
    const tool = keep(text);
    assert.equal(modernForm(tool), text);
    const expected = '"a":{},"b" : {"not":{}} ,"c":{"not":true},"\\u0064":{},"__proto__":{}';
    assert.equal(legacyForm(tool), input(expected));
    assert.deepEqual(await listByClients([tool]), [1, 1, 1]);
  });

  test('has finite numbers where properties have infinite ones, and nothing else is changed', () => {
    const largest = '1.7976931348623157e308';
    const finite = '"b":{"const":1e308,"x":[123456789e20,"\\"1e400","1e400"],"1e400":0}';
    const properties = (one: string, other: string) =>
      `"properties":{"a":{"minimum":-${other},"x":[${one} , ${one}]},${finite}}`;
    for (const infinite of ['1e400', '1.5E+999', '1e0400', `${'9'.repeat(400)}.5`, `${'9'.repeat(250)}e99`]) {
      const schema = (number: string) => `{"type":"object","maximum":${infinite},${properties(number, number)}}`;
      const text = (number: string) => `{"name":"t","inputSchema":${schema(number)},"outputSchema":${schema(number)}}`;
      const tool = keep(text(infinite));
      assert.equal(modernForm(tool), text(infinite));
      assert.equal(legacyForm(tool), text(largest));
    }
    const wrapped = keep(`{"name":"t",${INPUT},"outputSchema":{"$id":"a","maximum":1e400}}`);
    assert.ok(legacyForm(wrapped).includes(`"result":{"maximum":${largest}}`));
  });

  test('has edits in the order of the bytes, wherever the members stand', async () => {
    const members = ['"description":null', '"name":"t"', '"inputSchema":{"type":"object","properties":{"a":true}}'];
    const output = ['"outputSchema":{"type":"object","properties":{"b":false}}', '"outputSchema":{"type":"string"}'];
    const tools = output.flatMap((schema) =>
      permute([...members, schema, '"icons":1']).map((list) => keep(`{${list}}`)),
    );
    assert.equal(tools.length, 240);
    for (const tool of tools) {
      const modern = JSON.parse(modernForm(tool));
      const legacy = JSON.parse(legacyForm(tool));
      assert.deepEqual(Object.keys(legacy).sort(), ['inputSchema', 'name', 'outputSchema']);
      assert.deepEqual(Object.keys(modern).sort(), ['inputSchema', 'name', 'outputSchema']);
      assert.deepEqual(legacy.inputSchema, { type: 'object', properties: { a: {} } });
    }
    assert.deepEqual(await listByClients(tools), [240, 240, 240]);
  });

  const wrapped: readonly (readonly [title: string, schema: string, inside?: string])[] = [
    ['a string', '{"type":"string"}'],
    ['an array', '{"type":"array","items":{"type":"number"}}'],
    ['several types', '{"type":["object","null"]}'],
    ['no type', '{}'],
    ['a choice', '{"anyOf":[{"type":"object"},{"type":"string"}]}'],
    ['its own bytes', '{ "type" : "number",\n"const":1.0, "description":"é" }'],
    [
      'local references',
      '{"type":"array","items":{"$ref":"#/$defs/A"},"contains":{"$ref" : "#"},"$defs":{"A":{"$dynamicRef":"#/$defs/B"},"B":{}}}',
      '{"type":"array","items":{"$ref":"#/properties/result/$defs/A"},"contains":{"$ref" : "#/properties/result"},"$defs":{"A":{"$dynamicRef":"#/properties/result/$defs/B"},"B":{}}}',
    ],
    [
      'local references with escaped slashes',
      '{"items":{"$ref":"#\\/$defs\\/A"},"$defs":{"A":{}}}',
      '{"items":{"$ref":"#/properties/result\\/$defs\\/A"},"$defs":{"A":{}}}',
    ],
    ['references to anchors', '{"items":{"$ref":"#anchor"},"$defs":{"A":{"$anchor":"anchor"}}}'],
    [
      'an address of its own, which is cut',
      '{"$id":"https://example.com/a","items":{"$ref":"#/$defs/A"},"$defs":{"A":{}}}',
      '{"items":{"$ref":"#/properties/result/$defs/A"},"$defs":{"A":{}}}',
    ],
    ['text about references', '{"description":"\\"$ref\\":\\"#/a\\"","type":"null"}'],
  ];
  for (const [title, schema, inside = schema] of wrapped) {
    test(`wraps an output schema of no plain object: ${title}`, () => {
      const text = `{"outputSchema":${schema},"name":"t",${INPUT}}`;
      const tool = keep(text);
      assert.equal(tool.wrapsOutput, true);
      assert.equal(modernForm(tool), text);
      const outer = `{"type":"object","properties":{"result":${inside}},"required":["result"]}`;
      assert.equal(
        legacyForm(tool),
        text.replace(schema, () => outer),
      );
      const tools = [JSON.parse(legacyForm(tool))];
      assert.ok(ListToolsResultSchema.safeParse({ tools }).success);
    });
  }

  test('describes by a wrapped output schema what the schema described', () => {
    const schemas: readonly (readonly [schema: string, good: unknown, bad: unknown])[] = [
      ['{"type":"array","items":{"$ref":"#/$defs/A"},"$defs":{"A":{"type":"number"}}}', [1], ['a']],
      ['{"items":{"$ref":"#\\/$defs\\/A"},"$defs":{"A":{"type":"number"}}}', [1], ['a']],
      ['{"type":["array","number"],"items":{"$ref":"#"}}', [[1, [2]]], [['a']]],
      ['{"$id":"https://example.com/a","items":{"$ref":"#/$defs/A"},"$defs":{"A":{"type":"number"}}}', [1], ['a']],
      ['{"$ref":"#/definitions/a~1b%20c","definitions":{"a/b c":{"type":"string"}}}', 'a', 1],
      ['{"$ref":"#name","$defs":{"A":{"$anchor":"name","type":"string"}}}', 'a', 1],
    ];
    const validator = new AjvJsonSchemaValidator();
    for (const [schema, good, bad] of schemas) {
      for (const name of ['t', 'u']) {
        const tool = keep(`{"name":"${name}",${INPUT},"outputSchema":${schema}}`);
        const validate = validator.getValidator(JSON.parse(legacyForm(tool)).outputSchema);
        assert.equal(validate({ result: good }).valid, true, schema);
        assert.equal(validate({ result: bad }).valid, false, schema);
        assert.equal(validate(good).valid, false, schema);
      }
    }
  });

  test('keeps an output schema of an object, boolean properties and its address apart', () => {
    const kept = '"$defs":{"x":{"$ref":"#/properties/b" }}, "required" : [ ]';
    const text = `{"name":"t",${INPUT},"outputSchema":{"$id":"https://example.com/a","type":"object","properties":{"a":true,"b":{}},${kept}}}`;
    const tool = keep(text);
    assert.equal(tool.wrapsOutput, false);
    assert.equal(modernForm(tool), text);
    const outer = `{"name":"t",${INPUT},"outputSchema":{"type":"object","properties":{"a":{},"b":{}},${kept}}}`;
    assert.equal(legacyForm(tool), outer);
  });

  // What clients of SDK v1 make of many more schemas: test/integration/nasty-schemas.test.ts.
  const withheld: readonly (readonly [title: string, schema: string, wraps: boolean])[] = [
    ['a property without a schema', '{"type":"object","properties":{"a":"x"}}', true],
    ['properties that are no object', '{"type":"object","properties":[]}', true],
    ['a broken list of required names', '{"type":"object","required":"a"}', true],
    ['a reference to elsewhere', '{"type":"object","properties":{"a":{"$ref":"other.json"}}}', false],
    [
      'a reference to its own address',
      '{"$id":"https://e.com/a","type":"object","not":{"$ref":"https://e.com/a"}}',
      false,
    ],
    ['an escaped reference that cannot be moved', '{"items":{"$r\\u0065f":"#/$defs/A"},"$defs":{"A":{}}}', true],
  ];
  for (const [title, schema, wraps] of withheld) {
    test(`shows no output schema with ${title}`, async () => {
      for (const text of [
        `{"outputSchema":${schema},"name":"t",${INPUT}}`,
        `{"name":"t",${INPUT},"icons":1,"outputSchema":${schema},"description":null}`,
      ]) {
        const tool = keep(text);
        assert.equal(tool.withholdsOutput, true);
        assert.equal(tool.wrapsOutput, wraps, 'results stay as they would be');
        assert.equal(JSON.stringify(JSON.parse(modernForm(tool)).outputSchema), JSON.stringify(JSON.parse(schema)));
        assert.deepEqual(Object.keys(JSON.parse(legacyForm(tool))).sort(), ['inputSchema', 'name']);
        assert.deepEqual(await listByClients([tool]), [1, 1, 1]);
      }
    });
  }
});

test('the headers that its input schema declares are found', () => {
  const schema = '{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"Region"},"b":true}}';
  assert.deepEqual(keep(`{"name":"t","inputSchema":${schema}}`).paramHeaders, [
    { name: 'mcp-param-region', path: ['a'] },
  ]);
  assert.deepEqual(keep(GOOD).paramHeaders, []);
});

describe('properties', () => {
  const schema = fc.oneof(
    fc.json({ maxDepth: 4 }),
    fc.constantFrom(
      '{"type":"object"}',
      '{"type":"object","properties":{"a":true,"b":{}}}',
      'true',
      '{}',
      '{"$ref":"#"}',
    ),
    fc
      .record(
        {
          type: fc.constantFrom('object', 'object', 'string'),
          properties: fc.oneof(
            fc.dictionary(fc.string(), fc.oneof(fc.boolean(), fc.object(), fc.jsonValue())),
            fc.jsonValue(),
          ),
          required: fc.oneof(fc.array(fc.string()), fc.jsonValue()),
          $schema: fc.oneof(fc.string(), fc.jsonValue()),
        },
        { requiredKeys: ['type'] },
      )
      .map((value) => JSON.stringify(value)),
  );
  const value = fc.oneof(
    fc.json({ maxDepth: 3 }),
    fc.constantFrom('null', '"a"', '[]', '{}', '[{"src":"a"}]', '{"title":1}', '{"taskSupport":"required"}'),
  );
  const optional = fc.tuple(
    fc.constantFrom('title', 'description', 'annotations', 'icons', 'execution', '_meta', 'x', '__proto__'),
    value,
  );
  const member = fc.oneof(optional, fc.tuple(fc.constant('outputSchema'), schema), fc.tuple(fc.string(), value));
  const space = fc.constantFrom('', '', ' ', '\n', '\t ');
  const tool = fc
    .tuple(
      fc.array(member, { maxLength: 6 }),
      fc.constantFrom('"t"', '"t"', '"t"', 'null', '"a b"'),
      fc.oneof(
        { weight: 3, arbitrary: fc.constant('{"type":"object","properties":{"a":true}}') },
        { weight: 2, arbitrary: schema },
      ),
      fc.array(fc.nat(9), { minLength: 2, maxLength: 2 }),
      space,
    )
    .map(([members, name, input, places, blank]) => {
      const list = [...members];
      list.splice(places[0]!, 0, ['name', name]);
      list.splice(places[1]!, 0, ['inputSchema', input]);
      return `{${blank}${list.map(([key, raw]) => `${JSON.stringify(key)}${blank}:${raw}${blank}`).join(`,${blank}`)}}`;
    });

  test('no object crashes the reader, and what it keeps is a list for clients of either era', () => {
    let kept = 0;
    fc.assert(
      fc.property(tool, (text) => {
        const listed = read(text);
        if ('reason' in listed) return;
        kept++;
        const legacy = JSON.parse(legacyForm(listed));
        const modern = JSON.parse(modernForm(listed));
        assert.deepEqual(ListToolsResultSchema.safeParse({ tools: [legacy] }).error, undefined, text);
        assert.equal(typeof (modern.outputSchema ?? {}), 'object');
        if (legacy.outputSchema !== undefined) new AjvJsonSchemaValidator().getValidator(legacy.outputSchema);
        for (const form of [legacy, modern]) {
          assert.equal(form.name, listed.name);
          for (const key of Object.keys(form)) assert.ok(Object.hasOwn(JSON.parse(text), key));
        }
        // What was mended needs no mending.
        assert.deepEqual(keep(modernForm(listed)).repairs, []);
        assert.deepEqual(keep(legacyForm(listed)).legacyEdits, []);
      }),
      { numRuns: 3000 },
    );
    assert.ok(kept > 300, `only ${kept} kept`);
  });

  test('no JSON at all crashes the reader', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        assert.ok('reason' in read(text) || keep(text));
      }),
      { numRuns: 1000 },
    );
  });
});

function permute(list: readonly string[]): string[][] {
  if (list.length <= 1) return [[...list]];
  return list.flatMap((item, index) =>
    permute(list.filter((_, other) => other !== index)).map((rest) => [item, ...rest]),
  );
}
