import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeHeaderValue, encodeHeaderValue } from '../../../src/protocol/header-value.ts';
import {
  findParamMismatch,
  type ParamHeader,
  readParamHeaders,
  readParamValue,
  toParamHeaders,
} from '../../../src/protocol/param-headers.ts';
import { CODE_POINT } from '../../support/code-points.ts';

/** The arguments as they stand in a message: not at its beginning. */
function inMessage(args: string): { bytes: Buffer; at: { start: number; end: number } } {
  const before = '{"é":1,"arguments":';
  const bytes = Buffer.from(`${before}${args}}`);
  return { bytes, at: { start: Buffer.byteLength(before), end: bytes.length - 1 } };
}

function readText(args: string, ...path: string[]): string | undefined {
  const { bytes, at } = inMessage(args);
  const value = readParamValue(bytes, at, path);
  return value === undefined || value === 'ambiguous' ? value : value.text;
}

describe('the value of an argument', () => {
  const values: readonly [raw: string, text: string | undefined][] = [
    ['"a"', 'a'],
    ['""', ''],
    ['" a "', ' a '],
    ['"\\u0061\\n\\u00e9é😀\\ud83d\\ude00"', 'a\néé😀😀'],
    ['"null"', 'null'],
    ['"1.0"', '1.0'],
    ['"=?base64?YQ==?="', '=?base64?YQ==?='],
    ['true', 'true'],
    ['false', 'false'],
    ['0', '0'],
    ['-7', '-7'],
    ['9007199254740993', '9007199254740993'],
    ['-123456789012345678901234567890', '-123456789012345678901234567890'],
    ['9'.repeat(300), '9'.repeat(300)],
    ['1.0', '1'],
    ['1e3', '1000'],
    ['-1E+2', '-100'],
    ['1.50e1', '15'],
    [`1.${'0'.repeat(200)}1`, '1'],
    [`1.${'0'.repeat(200)}e2`, '100'],
    ['1.5', undefined],
    ['1e-3', undefined],
    ['1e400', undefined],
    ['1e20', undefined],
    ['null', undefined],
    ['{}', undefined],
    ['{"a":"b"}', undefined],
    ['["a"]', undefined],
  ];
  for (const [raw, text] of values) {
    test(`${raw.slice(0, 40)} is ${text === undefined ? 'no header' : JSON.stringify(text.slice(0, 40))}`, () => {
      for (const args of [`{"v":${raw}}`, `{ "x" : [1], "v" :\n${raw} , "y":{} }`, `{"\\u0076":${raw}}`]) {
        assert.equal(readText(args, 'v'), text);
      }
      assert.equal(readText(`{"a":{"b":{"c":${raw}},"c":1},"b":2}`, 'a', 'b', 'c'), text);
    });
  }

  test('is absent where the way to it ends', () => {
    for (const args of ['{}', '{"a":null}', '{"a":1}', '{"a":"b"}', '{"a":[{"b":1}]}', '{"a":{}}', '{"b":1}', '[]']) {
      assert.equal(readText(args, 'a', 'b'), undefined, args);
    }
    assert.equal(readParamValue(Buffer.from('{}'), undefined, ['a']), undefined);
    for (const key of ['__proto__', 'constructor', 'toString', 'length']) {
      assert.equal(readText('{"a":"x"}', key), undefined);
      assert.equal(readText('{"a":"x"}', 'a', key), undefined);
      assert.equal(readText(`{"${key}":"x"}`, key), 'x');
    }
  });

  test('is ambiguous where a key on the way occurs twice, and nowhere else', () => {
    for (const args of [
      '{"a":{"b":1},"a":{"b":2}}',
      '{"a":{"b":1},"\\u0061":{"b":1}}',
      '{"a":{"b":1,"b":1}}',
      '{"a":{"b":1,"\\u0062":2}}',
      '{"a":{"b":1},"c":1,"c":2}',
    ]) {
      assert.equal(readText(args, 'a', 'b'), 'ambiguous', args);
    }
    assert.equal(readText('{"a":{"b":1},"c":{"d":1,"d":2}}', 'a', 'b'), '1');
    assert.equal(readText('{"a":{"b":1,"A":2},"A":{"b":2}}', 'a', 'b'), '1');
  });
});

const DECLARED: readonly ParamHeader[] = [
  { name: 'mcp-param-text', path: ['text'] },
  { name: 'mcp-param-count', path: ['in', 'count'] },
  { name: 'mcp-param-flag', path: ['flag'] },
];

describe('the headers of a call', () => {
  const cases: readonly [args: string, headers: readonly string[] | 'ambiguous'][] = [
    ['{}', []],
    ['{"text":null,"in":{"count":null},"flag":null}', []],
    ['{"text":"a b","in":{"count":7.0},"flag":false}', ['text', 'a b', 'count', '7', 'flag', 'false']],
    ['{"text":""}', ['text', '=?base64??=']],
    ['{"text":"é"}', ['text', '=?base64?w6k=?=']],
    ['{"text":" a"}', ['text', '=?base64?IGE=?=']],
    ['{"text":"a\\t"}', ['text', '=?base64?YQk=?=']],
    ['{"text":"a\\tb"}', ['text', 'a\tb']],
    ['{"text":"a\\r\\nx: y"}', ['text', '=?base64?YQ0KeDogeQ==?=']],
    ['{"text":"a\\u0000"}', ['text', '=?base64?YQA=?=']],
    ['{"text":"=?base64?YQ==?="}', ['text', '=?base64?PT9iYXNlNjQ/WVE9PT89?=']],
    ['{"text":"=?BASE64?YQ==?="}', ['text', '=?BASE64?YQ==?=']],
    ['{"text":"=?base64?YQ=="}', ['text', '=?base64?YQ==']],
    ['{"text":"a","text":"b"}', 'ambiguous'],
    ['{"text":"a","in":{"count":1,"count":1}}', 'ambiguous'],
  ];
  for (const [args, expected] of cases) {
    test(`for ${args} are ${JSON.stringify(expected)}`, () => {
      const { bytes, at } = inMessage(args);
      const named =
        expected === 'ambiguous'
          ? expected
          : expected.map((part, index) => (index % 2 === 0 ? `mcp-param-${part}` : part));
      assert.deepEqual(toParamHeaders(bytes, at, DECLARED), named);
    });
  }

  test('are not looked for among more than 1,024 keys, inside which an object may have any number', () => {
    const keys = (count: number) => Array.from({ length: count }, (_, index) => `"k${index}":0`).join();
    const headersOf = (args: string) => {
      const { bytes, at } = inMessage(args);
      return toParamHeaders(bytes, at, DECLARED);
    };
    assert.deepEqual(headersOf(`{"text":"a",${keys(1023)}}`), ['mcp-param-text', 'a']);
    assert.equal(headersOf(`{"text":"a",${keys(1024)}}`), 'ambiguous');
    assert.equal(headersOf(`{"in":{${keys(1025)}}}`), 'ambiguous');
    assert.deepEqual(headersOf(`{"text":"a","x":{${keys(1025)}}}`), ['mcp-param-text', 'a']);
  });

  test('are found in one walk through the arguments, however many are declared', () => {
    const declared = Array.from({ length: 200 }, (_, index) => ({ name: `mcp-param-p${index}`, path: [`p${index}`] }));
    const { bytes, at } = inMessage(`{"p0":"a","x":"${'x'.repeat(4_000_000)}"}`);
    const times = Array.from({ length: 3 }, () => {
      const startedMs = performance.now();
      assert.deepEqual(toParamHeaders(bytes, at, declared), ['mcp-param-p0', 'a']);
      assert.equal(findParamMismatch(bytes, at, declared, { 'mcp-param-p0': 'a' }), undefined);
      return performance.now() - startedMs;
    });
    assert.ok(Math.min(...times) < 100, `${times.map(Math.round).join(', ')} ms`);
  });

  test('are none without arguments', () => {
    assert.deepEqual(toParamHeaders(Buffer.from('{}'), undefined, DECLARED), []);
  });
});

describe('headers that a client sent', () => {
  type Sent = Readonly<Record<string, string | string[]>>;
  const cases: readonly [title: string, args: string, sent: Sent, mismatch: string | undefined][] = [
    ['nothing at all', '{}', {}, undefined],
    ['what the body says', '{"text":"a","flag":true}', { text: 'a', flag: 'true' }, undefined],
    ['an encoded value', '{"text":"é"}', { text: '=?base64?w6k=?=' }, undefined],
    ['an encoded value that need not be', '{"text":"a"}', { text: '=?base64?YQ==?=' }, undefined],
    ['an empty value, encoded', '{"text":""}', { text: '=?base64??=' }, undefined],
    ['no header of a value', '{"text":"a"}', {}, 'text'],
    ['no header of an empty value', '{"text":""}', {}, 'text'],
    ['a header without a value', '{}', { text: 'a' }, 'text'],
    ['an empty header without a value', '{}', { text: '' }, 'text'],
    ['a header of null', '{"text":null}', { text: 'null' }, 'text'],
    ['another value', '{"text":"a"}', { text: 'b' }, 'text'],
    ['another case', '{"flag":true}', { flag: 'True' }, 'flag'],
    ['bad base64', '{"text":"a"}', { text: '=?base64?YQ?=' }, 'text'],
    ['base64 that is not canonical', '{"text":"a"}', { text: '=?base64?YR==?=' }, 'text'],
    ['base64 of no UTF-8', '{"text":"\\ufffd"}', { text: '=?base64?/w==?=' }, 'text'],
    ['an encoded value, encoded again', '{"text":"a"}', { text: '=?base64?PT9iYXNlNjQ/WVE9PT89?=' }, 'text'],
    ['the header twice', '{"text":"a"}', { text: ['a', 'a'] }, 'text'],
    ['an ambiguous body', '{"text":"a","text":"a"}', { text: 'a' }, 'text'],
    ['the second mismatch of two', '{"text":"a","flag":true}', { text: 'a', flag: 'false' }, 'flag'],
    ['an integer', '{"in":{"count":42}}', { count: '42' }, undefined],
    ['an integer with a fraction of zero', '{"in":{"count":42}}', { count: '42.0' }, undefined],
    ['an integer whose body has a fraction of zero', '{"in":{"count":42.00}}', { count: '42' }, undefined],
    ['an integer whose body has an exponent', '{"in":{"count":4.2e1}}', { count: '42.000' }, undefined],
    ['an integer with zeros before it', '{"in":{"count":-7}}', { count: '-007' }, undefined],
    ['minus zero', '{"in":{"count":0}}', { count: '-0.0' }, undefined],
    ['an integer of another sign', '{"in":{"count":7}}', { count: '-7' }, 'count'],
    ['an integer cut short', '{"in":{"count":70}}', { count: '7' }, 'count'],
    ['a fraction', '{"in":{"count":42}}', { count: '42.01' }, 'count'],
    ['an integer in hexadecimal', '{"in":{"count":16}}', { count: '0x10' }, 'count'],
    ['white space for an integer', '{"in":{"count":0}}', { count: '' }, 'count'],
    [
      'a large integer',
      '{"in":{"count":123456789012345678901234567890}}',
      { count: '123456789012345678901234567890.0' },
      undefined,
    ],
    ['a neighbour of a large integer', '{"in":{"count":9007199254740993}}', { count: '9007199254740992' }, 'count'],
    [
      'a neighbour, with a fraction of zero',
      '{"in":{"count":9007199254740992}}',
      { count: '9007199254740993.0' },
      'count',
    ],
    [
      'an integer that differs far behind',
      `{"in":{"count":${'1'.repeat(100)}2}}`,
      { count: `${'1'.repeat(100)}3` },
      'count',
    ],
  ];
  for (const [title, args, sent, mismatch] of cases) {
    test(`${title} ${mismatch === undefined ? 'agree' : 'do not agree'} with the body`, () => {
      const { bytes, at } = inMessage(args);
      const headers = Object.fromEntries(Object.entries(sent).map(([name, value]) => [`mcp-param-${name}`, value]));
      const expected = mismatch === undefined ? undefined : `mcp-param-${mismatch}`;
      assert.equal(findParamMismatch(bytes, at, DECLARED, headers), expected);
    });
  }

  test('are compared in no time, however long', () => {
    const { bytes, at } = inMessage(`{"in":{"count":${'1'.repeat(1_000_000)}}}`);
    const started = performance.now();
    for (const count of ['0'.repeat(60_000), `${'0'.repeat(60_000)}x`, `1.${'0'.repeat(60_000)}x`]) {
      assert.equal(findParamMismatch(bytes, at, DECLARED, { 'mcp-param-count': count }), 'mcp-param-count');
    }
    assert.ok(performance.now() - started < 500);
  });
});

describe('properties', () => {
  const text = fc.oneof(
    fc.string({ unit: CODE_POINT }).map((value) => value.toWellFormed()),
    fc.string(),
    fc.string().map((value) => `=?base64?${value}?=`),
  );

  test('a value that is encoded fits a header and decodes to itself', () => {
    fc.assert(
      fc.property(text, (value) => {
        const encoded = encodeHeaderValue(value);
        assert.match(encoded, /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/);
        assert.equal(decodeHeaderValue(encoded), value);
      }),
      { numRuns: 2000 },
    );
  });

  test('the headers made for a body agree with it, and no others do', () => {
    const leaf = fc.oneof(text, fc.boolean(), fc.constant(null), fc.maxSafeInteger(), fc.double());
    const args = fc.record({ text: leaf, in: fc.record({ count: leaf }), flag: leaf }, { requiredKeys: [] });
    fc.assert(
      fc.property(args, text, (value, other) => {
        const { bytes, at } = inMessage(JSON.stringify(value));
        const flat = toParamHeaders(bytes, at, DECLARED);
        assert.ok(flat !== 'ambiguous');
        const sent: Record<string, string> = {};
        for (let index = 0; index < flat.length; index += 2) sent[flat[index]!] = flat[index + 1]!;
        assert.equal(findParamMismatch(bytes, at, DECLARED, sent), undefined);
        for (const name of Object.keys(sent)) {
          const { [name]: said, ...rest } = sent;
          assert.equal(findParamMismatch(bytes, at, DECLARED, rest), name);
          const encoded = encodeHeaderValue(`${other}~${said}`);
          assert.equal(findParamMismatch(bytes, at, DECLARED, { ...sent, [name]: encoded }), name);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('what a schema declares', () => {
  const a = { type: 'string', 'x-mcp-header': 'A' };
  const found = (name: string, ...path: string[]): ParamHeader => ({ name: `mcp-param-${name}`, path });
  const valid: readonly [title: string, schema: object, headers: readonly ParamHeader[]][] = [
    ['nothing', {}, []],
    ['a string', { properties: { p: a } }, [found('a', 'p')]],
    [
      'an integer and a boolean, in order',
      {
        properties: {
          z: { type: 'integer', 'x-mcp-header': 'Zed' },
          b: { type: 'boolean', 'x-mcp-header': 'B-1' },
        },
      },
      [found('zed', 'z'), found('b-1', 'b')],
    ],
    [
      'a property of a property',
      { properties: { p: { type: 'object', properties: { q: { properties: { r: a } } } } } },
      [found('a', 'p', 'q', 'r')],
    ],
    [
      'every character of a token',
      { properties: { p: { type: 'string', 'x-mcp-header': "!#$%&'*+-.^_`|~09AZaz" } } },
      [found("!#$%&'*+-.^_`|~09azaz", 'p')],
    ],
    ['a property that has its name', { properties: { 'x-mcp-header': { type: 'string' } } }, []],
    ['an annotated property that has its name', { properties: { 'x-mcp-header': a } }, [found('a', 'x-mcp-header')]],
    [
      'properties named like keywords',
      { properties: { default: a, properties: { properties: { items: { ...a, 'x-mcp-header': 'I' } } } } },
      [found('a', 'default'), found('i', 'properties', 'items')],
    ],
    ['a definition that has its name', { $defs: { 'x-mcp-header': { type: 'string' } } }, []],
    [
      'a pattern that has its name',
      { patternProperties: { 'x-mcp-header': {} }, dependentSchemas: { 'x-mcp-header': {} } },
      [],
    ],
    ['the name in a list of required ones', { required: ['x-mcp-header'], properties: { 'x-mcp-header': {} } }, []],
    ['an annotation inside a default', { properties: { p: { default: a, type: 'object' } } }, []],
    ['an annotation inside a constant', { properties: { p: { const: { properties: { q: a } } } } }, []],
    ['an annotation inside an enumeration', { properties: { p: { enum: [a, [a]] } } }, []],
    ['an annotation inside examples', { examples: [a], properties: { p: { examples: [{ items: a }] } } }, []],
  ];
  for (const [title, schema, headers] of valid) {
    test(`${title} is read`, () => assert.deepEqual(readParamHeaders({ type: 'object', ...schema }), headers));
  }

  const token = /that is no header name$/;
  const place = /where no argument can be$/;
  const type = /that is no string, integer or boolean$/;
  const twice = /to two properties$/;
  const named = (name: unknown): object => ({ properties: { p: { type: 'string', 'x-mcp-header': name } } });
  const typed = (value: unknown): object => ({ properties: { p: { type: value, 'x-mcp-header': 'A' } } });
  const refused: readonly [title: string, schema: object, reason: RegExp][] = [
    ...['', ' ', 'a b', 'a:b', 'a\r\nb', 'a\0', 'é', 'a/b', '"a"', 'a,b', '(a)', 'a=b', 7, null, true, ['a'], {}].map(
      (name): [string, object, RegExp] => [`the name ${JSON.stringify(name)}`, named(name), token],
    ),
    ...['number', 'object', 'array', 'null', 'String', ['string'], ['string', 'null'], undefined, true].map(
      (value): [string, object, RegExp] => [`the type ${JSON.stringify(value)}`, typed(value), type],
    ),
    ['at the root', a, place],
    ['at the root, nameless', { 'x-mcp-header': 1 }, place],
    ['one name twice', { properties: { p: a, q: a } }, twice],
    [
      'one name twice but for case',
      { properties: { p: a, q: { properties: { r: { ...a, 'x-mcp-header': 'a' } } } } },
      twice,
    ],
    ...[
      'items',
      'additionalProperties',
      'not',
      'if',
      'then',
      'else',
      'contains',
      'propertyNames',
      'unevaluatedItems',
    ].flatMap((keyword): [string, object, RegExp][] => [
      [`under ${keyword}`, { properties: { p: { [keyword]: a } } }, place],
      [`in a property under ${keyword}`, { [keyword]: { properties: { p: a } } }, place],
    ]),
    ...['oneOf', 'anyOf', 'allOf', 'prefixItems'].map((keyword): [string, object, RegExp] => [
      `under ${keyword}`,
      { properties: { p: { [keyword]: [{}, { properties: { q: a } }] } } },
      place,
    ]),
    ...['$defs', 'definitions', 'patternProperties', 'dependentSchemas'].flatMap(
      (keyword): [string, object, RegExp][] => [
        [`under ${keyword}`, { [keyword]: { D: a } }, place],
        [`under ${keyword}, by the name of a keyword`, { [keyword]: { default: a } }, place],
        [`under ${keyword}, by the name of properties`, { [keyword]: { properties: a } }, place],
      ],
    ),
    ['under a keyword nobody knows', { 'x-other': { deeper: [a] } }, place],
    ['beside a good one', { properties: { p: a, q: { items: a } } }, place],
  ];
  for (const [title, schema, reason] of refused) {
    test(`${title} is refused`, () => {
      const problem = readParamHeaders({ type: 'object', ...schema });
      assert.ok(typeof problem === 'string', JSON.stringify(problem));
      assert.match(problem, reason);
    });
  }
});
