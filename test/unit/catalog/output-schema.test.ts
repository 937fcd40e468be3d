// The oracle is Ajv as clients of SDK v1 set it up: what the check lets through, it compiles.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv';
import fc from 'fast-check';
import { isCompilable } from '../../../src/catalog/output-schema.ts';

type Json = Record<string, unknown>;

/** What a client throws, if it throws. Ajv prints code that it could not compile, and formats it does not know. */
function compileError(schema: Json): string | undefined {
  const { error, warn } = console;
  console.error = console.warn = () => undefined;
  try {
    new AjvJsonSchemaValidator().getValidator(schema);
    return undefined;
  } catch (thrown) {
    return String(thrown);
  } finally {
    Object.assign(console, { error, warn });
  }
}

const objectOf = (property: unknown, rest: Json = {}): Json => ({
  type: 'object',
  properties: { a: property },
  ...rest,
});
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const chain = (links: number, levels: number): Json =>
  objectOf(
    { $ref: '#/$defs/d0' },
    {
      $defs: Object.fromEntries([
        ...times(links, (index) => {
          let link: Json = { $ref: `#/$defs/d${index + 1}` };
          for (let level = 0; level < levels; level++) link = { items: link };
          return [`d${index}`, link];
        }),
        [`d${links}`, {}],
      ]),
    },
  );

describe('a schema that is kept', () => {
  const cases: readonly (readonly [title: string, schema: Json])[] = [
    [
      'everything of draft-07',
      // biome-ignore lint/suspicious/noThenProperty: JSON Schema has one.
      objectOf({ allOf: [{ if: {}, then: true, else: false }], not: {}, contains: {}, propertyNames: {} }),
    ],
    [
      'numbers, lengths and counts',
      objectOf({ minimum: -1.5, exclusiveMaximum: 3, multipleOf: 0.1, minLength: 0, maxItems: 9, minProperties: 1 }),
    ],
    [
      'words of later drafts',
      objectOf({ prefixItems: [{}], unevaluatedProperties: false, dependentRequired: { a: ['b'] } }),
    ],
    ['a newer dialect', { ...objectOf({}), $schema: 'https://json-schema.org/draft/2020-12/schema' }],
    ['unknown words and formats', objectOf({ format: 'no-such-format', 'x-vendor': { deep: [1, null] }, example: 1 })],
    [
      'tuples and dependencies',
      objectOf({ items: [{}, true], additionalItems: false, dependencies: { a: ['b'], c: {} } }),
    ],
    ['nullable types', objectOf({ type: 'string', nullable: true }, { nullable: false })],
    [
      'patterns that are Unicode regular expressions',
      objectOf({ pattern: '^\\p{L}+$', patternProperties: { '^x-': {} } }),
    ],
    [
      'properties that are named like words',
      { type: 'object', properties: { id: {}, $id: {}, $ref: {}, $anchor: {}, type: {}, ['__proto__']: {} } },
    ],
    [
      'definitions that refer to one another',
      objectOf(
        { $ref: '#/$defs/tree' },
        { $defs: { tree: { type: 'object', properties: { next: { $ref: '#/$defs/tree' }, root: { $ref: '#' } } } } },
      ),
    ],
    ['a reference with escapes', objectOf({ $ref: '#/definitions/a~1b%20~0c' }, { definitions: { 'a/b ~c': {} } })],
    [
      'a reference through a property named $id',
      objectOf({ $ref: '#/properties/b/items/0' }, { properties: { $id: {}, b: { items: [{}] } } }),
    ],
    ['a reference to an anchor', objectOf({ $ref: '#here' }, { $defs: { d: { $anchor: 'here' } } })],
    [
      'a reference into an unknown word',
      objectOf({ $ref: '#/components/schemas/S' }, { components: { schemas: { S: {} } } }),
    ],
    ['names inside of values', objectOf({ const: { $id: 'a' }, default: { $anchor: 'b' }, examples: [{ $id: 'c' }] })],
    ['200 alternatives', objectOf({ oneOf: times(200, (index) => ({ const: index })) })],
    [
      '2,000 properties',
      { type: 'object', properties: Object.fromEntries(times(2_000, (index) => [`p${index}`, { type: 'string' }])) },
    ],
    [
      '300 references to one definition',
      {
        type: 'object',
        properties: Object.fromEntries(times(300, (index) => [`p${index}`, { $ref: '#/$defs/d' }])),
        $defs: { d: { type: 'string' } },
      },
    ],
    ['40 definitions in a chain', chain(40, 2)],
  ];
  for (const [title, schema] of cases) {
    test(`has ${title}, and compiles`, () => {
      assert.equal(isCompilable(schema), true);
      assert.equal(compileError(schema), undefined);
    });
  }
});

describe('a schema that is refused', () => {
  const cyclic = { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } };
  const broken: readonly (readonly [title: string, schema: Json])[] = [
    ['an unknown type', objectOf({ type: 'any' })],
    ['a type that is null', objectOf({ type: null })],
    ['an unknown type among others', objectOf({ type: ['string', 'float'] })],
    ['nullable without a type', objectOf({ nullable: true, anyOf: [{}] })],
    ['nullable against its type', objectOf({ type: 'null', nullable: false })],
    ['required of draft-03', objectOf({ type: 'string', required: true })],
    ['exclusiveMinimum of draft-04', objectOf({ minimum: 0, exclusiveMinimum: true })],
    ['an id of draft-04', objectOf({ id: 'http://example.com/a' })],
    ['a length that is text', objectOf({ maxLength: '10' })],
    ['a limit that is a $data reference', objectOf({ maximum: { $data: '1/b' } })],
    ['an empty enum', objectOf({ enum: [] })],
    ['an enum that is no list', objectOf({ enum: 'a' })],
    ['a pattern that is no regular expression', objectOf({ pattern: '[' })],
    ['a pattern of Python', objectOf({ pattern: '(?P<year>\\d{4})' })],
    ['a pattern that only non-Unicode allows', objectOf({ pattern: '^[\\w-.]+\\@$' })],
    ['a property pattern that is no regular expression', objectOf({ patternProperties: { '*': { type: 'null' } } })],
    ['a format that is no text', objectOf({ format: 7 })],
    ['alternatives that are no list', objectOf({ anyOf: { type: 'string' } })],
    ['an alternative that is null', objectOf({ oneOf: [null] })],
    ['items that are text', objectOf({ items: 'string' })],
    ['additional properties that are text', objectOf({ additionalProperties: 'false' })],
    ['properties that are a list', objectOf({ properties: [] })],
    ['a property that is null', objectOf({ properties: { a: null } })],
    ['a negation that is a list', objectOf({ not: [] })],
    ['uniqueItems that is text', objectOf({ uniqueItems: 'true' })],
    ['a definition that is used and broken', objectOf({ $ref: '#/$defs/d' }, { $defs: { d: { type: 'date' } } })],
    ['a reference to nothing', objectOf({ $ref: '#/$defs/missing' })],
    ['a reference that is no text', objectOf({ $ref: 1 })],
    ['a reference to a file', objectOf({ $ref: './common.json#/a' })],
    ['a reference to another host', objectOf({ $ref: 'https://example.com/schema.json' })],
    ['a reference with broken escapes', objectOf({ $ref: '#/$defs/%zz' }, { $defs: { '%zz': {} } })],
    ['an anchor that is there twice', objectOf({ $anchor: 'x' }, { not: { $anchor: 'x', type: 'null' } })],
    ['an anchor that is no name', objectOf({ $anchor: '#x' })],
    ['an async part', objectOf({ $async: true, type: 'null' })],
    ['a limit on a format that has no order', objectOf({ format: 'uri', formatMaximum: 'a' })],
    ['references in a circle', objectOf({ $ref: '#/$defs/a' }, cyclic)],
    ['a reference to itself', objectOf({ $ref: '#/properties/a' })],
    ['300 definitions in a chain', chain(300, 2)],
    ['20 definitions in a chain, 55 levels each', chain(20, 55)],
    ['3,000 alternatives', objectOf({ anyOf: times(3_000, (index) => ({ const: index })) })],
  ];
  for (const [title, schema] of broken) {
    test(`has ${title}, and does not compile`, () => {
      assert.equal(isCompilable(schema), false);
      assert.notEqual(compileError(structuredClone(schema)), undefined);
    });
  }

  // Alone they compile. But one registry serves all tools of a client, and names clash there.
  for (const [title, schema] of [
    ['refers to what all objects have', objectOf({ $ref: '#/$defs/hasOwnProperty' }, { $defs: {} })],
    ['names a part of itself', objectOf({ $id: 'https://example.com/a' })],
    [
      'names something inside an unknown word',
      objectOf({}, { 'x-vendor': { sample: { $id: 'https://example.com/a' } } }),
    ],
    [
      'takes seconds to compile',
      objectOf({}, { $defs: { d: { enum: [1] } }, allOf: times(10_001, () => ({ $ref: '#/$defs/d' })) }),
    ],
  ] as const) {
    test(title, () => assert.equal(isCompilable(schema), false));
  }

  test('two of one name do not compile together', () => {
    const validator = new AjvJsonSchemaValidator();
    const named = (type: string): Json => objectOf({ $id: 'https://example.com/a', type });
    validator.getValidator({ $id: 'https://example.com/a', type: 'object' });
    assert.throws(() => validator.getValidator(named('string') as never), /resolves to more than one schema/);
  });
});

describe('any schema', () => {
  const name = fc.constantFrom(
    'a',
    'b',
    'a/b',
    '~',
    'ä b',
    '%',
    'a%2Fb',
    '$id',
    'id',
    '',
    '#',
    '__proto__',
    'constructor',
    'x?y',
    '0',
  );
  const escaped = name.map((text) => text.replaceAll('~', '~0').replaceAll('/', '~1'));
  const reference = fc.oneof(
    fc.constantFrom(
      '#',
      '#/',
      '#a',
      'x',
      '',
      '#/$defs/a',
      '#/properties/a',
      '#/items',
      '#/anyOf/0',
      '#/$defs',
      '#/default',
      '#/x-y/a',
      '#/const/a/b',
    ),
    fc
      .tuple(fc.constantFrom('$defs', 'properties', 'definitions', 'x-y'), escaped)
      .map(([map, text]) => `#/${map}/${text}`),
    escaped.map((text) => `#/$defs/${encodeURIComponent(text)}`),
  );
  const odd = fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1.5,
    '',
    'a',
    [],
    {},
    ['a'],
    [1],
    [{}],
    { a: 1 },
    { $id: 'q' },
    { $anchor: 'a' },
  );
  const { schema } = fc.letrec<{ schema: unknown; object: Json }>((tie) => {
    const schema = fc.oneof({ maxDepth: 4 }, fc.constantFrom(true, {}, { type: 'string' }), tie('object'));
    const map = fc.dictionary(name, schema, { maxKeys: 3 });
    const list = fc.array(schema, { maxLength: 3 });
    const words: Record<string, fc.Arbitrary<unknown>> = {
      type: fc.constantFrom('string', 'object', 'null', ['string', 'null'], 'any', ['integer']),
      nullable: fc.boolean(),
      required: fc.constantFrom(['a'], [], ['__proto__']),
      enum: fc.constantFrom([1], [null, {}]),
      pattern: fc.constantFrom('^a$', '[', '\\-', '\\p{L}'),
      format: fc.constantFrom('date', 'nope'),
      minLength: fc.constantFrom(0, -1, 1.5),
      $anchor: fc.constantFrom('a', 'b', '1'),
      $dynamicAnchor: fc.constantFrom('a', 'b'),
      $id: fc.constantFrom('https://example.com/x', 'x', '#a', ''),
      id: fc.constant('x'),
      dependencies: fc.oneof(map, fc.dictionary(name, fc.constant(['a']))),
      items: fc.oneof(schema, list),
      $ref: reference,
      ...Object.fromEntries(
        ['properties', 'patternProperties', '$defs', 'definitions', 'x-y'].map((key) => [key, map]),
      ),
      ...Object.fromEntries(['anyOf', 'oneOf', 'allOf', 'prefixItems'].map((key) => [key, list])),
      ...Object.fromEntries(
        ['not', 'if', 'then', 'contains', 'additionalItems', 'additionalProperties', 'propertyNames'].map((key) => [
          key,
          schema,
        ]),
      ),
      ...Object.fromEntries(
        ['const', 'default', 'examples', 'title', '$data', 'uniqueItems', 'discriminator'].map((key) => [key, odd]),
      ),
    };
    const member = fc
      .constantFrom(...Object.keys(words))
      .chain((key) =>
        fc.tuple(fc.constant(key), fc.oneof({ weight: 15, arbitrary: words[key]! }, { weight: 1, arbitrary: odd })),
      );
    return { schema, object: fc.array(member, { maxLength: 4 }).map((members): Json => Object.fromEntries(members)) };
  });

  test('compiles if it is kept, and most that compile are kept', () => {
    const counts = { compiles: 0, kept: 0 };
    const root = schema.filter((value): value is Json => typeof value === 'object');
    fc.assert(
      fc.property(root, (value) => {
        const text = JSON.stringify(value);
        const error = compileError(JSON.parse(text));
        if (error === undefined) counts.compiles++;
        if (!isCompilable(JSON.parse(text))) return;
        counts.kept++;
        assert.equal(error, undefined, text);
      }),
      { numRuns: 4_000 },
    );
    assert.ok(counts.kept > 0.7 * counts.compiles, JSON.stringify(counts));
  });
});
