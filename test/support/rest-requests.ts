// Requests made from the OpenAPI document, half of them as it says and half broken somewhere: in a value, in the JSON, in
// the query, in the headers or in the path.

import fc from 'fast-check';
import { CODE_POINT } from './code-points.ts';
import type { DescribedOperation, JsonSchema } from './openapi.ts';

export interface FuzzRequest {
  readonly operation: DescribedOperation;
  /** In the place of `{id}`, percent-encoded. A number is that of an object of this kind, counted from the newest. */
  readonly id: string | number;
  /** Without `?`. */
  readonly query: string;
  readonly body: string | Buffer | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Who asks. */
  readonly key: 'owner' | 'editor' | 'viewer' | 'nobody';
}

export interface FuzzWorld {
  /** Of upstreams on this machine: what is valid may be connected to. */
  readonly endpoints: readonly string[];
  /** Of configs, secrets, tokens, keys and accounts alike: few, so that requests are often about something. */
  readonly names: readonly string[];
  /** Of what the config file declares, so that requests cannot take it away. */
  readonly declared: string;
  /** Of another account. */
  readonly foreignIds: readonly string[];
}

/** Values of fields whose alphabet the schema does not tell, by the last two parts of their path, or the last. */
function hintsFor({
  endpoints,
  names,
  declared,
  foreignIds,
}: FuzzWorld): Readonly<Record<string, fc.Arbitrary<unknown>>> {
  const name = fc.constantFrom(...names);
  const reference = fc.oneof(
    { weight: 5, arbitrary: fc.constant(declared) },
    { weight: 5, arbitrary: name },
    { weight: 1, arbitrary: fc.constantFrom(...foreignIds) },
  );
  return {
    name,
    endpoint: fc.constantFrom(...endpoints),
    allowed_tools: fc.constantFrom('*', 'echo', 'get_*', '*.echo', 'fuzz.echo', 'no_such'),
    'custom_headers.name': fc.constantFrom('X-A', 'X-B', 'DD-KEY'),
    'custom_headers.value': fc.constantFrom('', 'literal', 'a\tb'),
    'auth_mechanism.key': fc.constantFrom('X-Api-Key', 'PRIVATE-TOKEN'),
    mcp_config: reference,
    secret: reference,
    token: reference,
    id: reference,
    starting_after: fc.constantFrom('', '', '', '', '', '', '1', 'mcp_unknown'),
    from: fc.constant(1),
    to: fc.constantFrom(1, 1, 2),
    tool: fc.constantFrom('fuzz.echo', 'fuzz_echo', 'echo', 'other.none'),
    expire_time_ms: fc.integer({ min: 1_000_000, max: 10_000_000 }).map((ms) => Date.now() + ms),
    revision: fc.constantFrom(1, 1, 2, 3),
    overlap_seconds: fc.integer({ min: 0, max: 60 }),
    value: fc.string({ unit: fc.constantFrom(...'abcdef0123456789'), minLength: 32, maxLength: 64 }),
    metadata: fc.dictionary(name, name, { maxKeys: 3 }),
  };
}

/** A value that the schema admits. */
function valid(schema: JsonSchema, path: readonly string[], hints: ReturnType<typeof hintsFor>): fc.Arbitrary<unknown> {
  const { type, items, anyOf, oneOf, pattern, properties, enum: values } = schema;
  const hint = hints[path.slice(-2).join('.')] ?? hints[path.at(-1) ?? ''];
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (values !== undefined) return fc.constantFrom(...values);
  if (type === 'object' && properties !== undefined) return validObject(schema, path, hints);
  const choices = anyOf ?? oneOf;
  if (choices !== undefined) {
    const [first, ...rest] = choices.filter(({ not }) => not === undefined).map((each) => valid(each, path, hints));
    return fc.oneof({ weight: 4, arbitrary: first! }, ...rest.map((arbitrary) => ({ weight: 1, arbitrary })));
  }
  if (type === 'array') return fc.array(valid(items ?? {}, path, hints), { maxLength: 3 });
  if (hint !== undefined) return hint;
  if (type === 'object') {
    const { propertyNames = {}, additionalProperties: of } = schema;
    const value = typeof of === 'object' ? valid(of, path, hints) : fc.constant(1);
    return fc.dictionary(fc.stringMatching(new RegExp(propertyNames.pattern ?? '^[A-Z]{1,9}$')), value as never, {
      maxKeys: 3,
    });
  }
  if (type === 'integer' || type === 'number') {
    return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 100, 100) });
  }
  if (type === 'boolean') return fc.boolean();
  if (type === 'null') return fc.constant(null);
  return pattern === undefined ? fc.string({ minLength: 1, maxLength: 20 }) : fc.stringMatching(new RegExp(pattern));
}

function validObject(
  { properties = {}, required = [], oneOf }: JsonSchema,
  path: readonly string[],
  hints: ReturnType<typeof hintsFor>,
): fc.Arbitrary<unknown> {
  const whole = (needed: readonly string[], left: readonly string[] = []) => {
    const fields = Object.entries(properties).filter(([name, field]) => isPossible(field) && !left.includes(name));
    const model = Object.fromEntries(fields.map(([name, field]) => [name, valid(field, [...path, name], hints)]));
    return fc.record(model, { requiredKeys: needed.filter((name) => name in model) as never[] });
  };
  // One of two fields, each of which may be the one.
  const ones = oneOf?.map((each) => each.required ?? []) ?? [];
  if (ones.length === 0) return whole(required);
  return fc.oneof(
    ...ones.map((one) =>
      whole(
        [...required, ...one],
        ones.flat().filter((name) => !one.includes(name)),
      ),
    ),
  );
}

/** Some fields are in a schema to say that they must not be there. */
function isPossible({ not, anyOf }: JsonSchema): boolean {
  return not === undefined && anyOf?.some((each) => each.not !== undefined) !== true;
}

const LONG = 'x'.repeat(70_000);
const HOSTILE: readonly unknown[] = [
  null,
  '',
  ' ',
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  true,
  [],
  {},
  [null],
  ['a', 'a'],
  [['*']],
  { type: 'header' },
  { __proto__: null, constructor: 1 },
  LONG,
  'söme',
  'null\0byte',
  'line\r\nbreak: x',
  '\ud800',
  '__proto__',
  '../../etc/passwd',
  "' OR 1=1 --",
  '*a*b*c*d*',
  ['ok', '*a*b*c*d*'],
  [`${'{a,'.repeat(60)}b${'}'.repeat(60)}`],
  ['[[[[', '!(*)', '+(a|a)+'],
  Array.from({ length: 2_000 }, (_, index) => `tool_${index}*`),
  'ftp://127.0.0.1/',
  'http://user:pass@127.0.0.1/',
  'https://10.0.0.1/mcp',
  'http://127.0.0.1:99999/',
  'http://[::1',
  'http://127.0.0.1/a b',
  'https:\\\\127.0.0.1',
  [{ name: 'Host', value: 'x' }],
  [{ name: 'X-A', value: 'a\r\nb' }],
  [{ name: 'X-A', secret: 'no-such', value: 'both' }],
  [{ mcp_config: 'no-such' }],
  [{ mcp_config: null }],
];

/** Made once: a table of all of Unicode is made for each. */
const hostile = fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue({ maxDepth: 3 }), fc.string({ unit: CODE_POINT }));

/** The object with one field left out, replaced, or added. */
function broken(schema: JsonSchema, right: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const fields = Object.keys(schema.properties ?? {});
  const field = fc.oneof(
    { weight: 8, arbitrary: fields.length === 0 ? fc.string() : fc.constantFrom(...fields) },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'x', '') },
  );
  const changed = fc.tuple(right, field, hostile, fc.integer({ min: 0, max: 3 })).map(([object, name, value, how]) => {
    const { [name]: _, ...rest } = object as Record<string, unknown>;
    return how === 0 ? rest : { ...rest, [name]: value };
  });
  return fc.oneof({ weight: 9, arbitrary: changed }, { weight: 1, arbitrary: hostile });
}

const DEEP = `{"name":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
const TOO_LARGE = `{"x":"${'y'.repeat(1_100_000)}"}`;
const JSON_TYPE = { 'content-type': 'application/json' };

/** Bodies as they are sent, with what is said of them. */
function bodyFor({ method, body }: DescribedOperation, hints: ReturnType<typeof hintsFor>): fc.Arbitrary<Sending> {
  const none = fc.constant({ headers: {}, body: undefined });
  if (method === 'GET' || body === undefined) return none;
  const right = valid(body, [], hints);
  const inJson = (value: unknown): Sending => ({ headers: JSON_TYPE, body: JSON.stringify(value) });
  const text = right.map((value) => JSON.stringify(value));
  const odd: fc.Arbitrary<Sending>[] = [
    fc.tuple(text, fc.nat({ max: 40 })).map(([all, cut]) => ({ headers: JSON_TYPE, body: all.slice(0, -1 - cut) })),
    fc
      .tuple(
        text,
        fc.constantFrom('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'json'),
      )
      .map(([all, type]) => ({ headers: { 'content-type': type }, body: all })),
    text.map((all) => ({ headers: { 'content-type': 'application/merge-patch+json; charset=utf-8' }, body: all })),
    text.map((all) => ({ headers: {}, body: all })),
    text.map((all) => ({ headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: all })),
    fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => ({ headers: JSON_TYPE, body: Buffer.from(bytes) })),
    fc
      .constantFrom(
        DEEP,
        '',
        ' \n',
        'null',
        '[]',
        '"text"',
        '7',
        '{"a":1,"a":2}',
        '\ufeff{}',
        `{"x":"${'y'.repeat(200_000)}"}`,
        TOO_LARGE,
      )
      .map((all) => ({ headers: JSON_TYPE, body: all })),
  ];
  return fc.oneof(
    { weight: 10, arbitrary: right.map(inJson) },
    { weight: 7, arbitrary: broken(body, right).map(inJson) },
    { weight: 2, arbitrary: fc.oneof(...odd) },
    { weight: 1, arbitrary: none },
  );
}

interface Sending {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | undefined;
}

function queryFor({ query }: DescribedOperation, hints: ReturnType<typeof hintsFor>): fc.Arbitrary<string> {
  const pair = (name: string, value: unknown) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`;
  const right = fc.record(Object.fromEntries(query.map(({ name, schema }) => [name, valid(schema, [name], hints)])), {
    requiredKeys: query.filter(({ required }) => required).map(({ name }) => name),
  });
  const text = right.map((values) =>
    Object.entries(values)
      .map(([name, value]) => pair(name, value))
      .join('&'),
  );
  const names = fc.constantFrom('colour', '__proto__', ...query.map(({ name }) => name));
  const values = fc.constantFrom(
    '',
    '-1',
    '1e3',
    '99999999999999999999',
    'true',
    'yes',
    '%zz',
    '%00',
    '%ff',
    'x'.repeat(3_000),
    '%ED%A0%80',
    '[]',
  );
  const spoilt = fc.tuple(text, names, values).map(([all, name, value]) => `${all}&${name}=${value}`);
  return fc.oneof({ weight: 4, arbitrary: text }, { weight: 1, arbitrary: spoilt });
}

function headersFor(): fc.Arbitrary<Readonly<Record<string, string>>> {
  const ifMatch = fc.constantFrom(
    '"1"',
    '"2"',
    '3',
    '*',
    'W/"1"',
    '"1", "2"',
    '',
    '"x"',
    `"${'9'.repeat(30)}"`,
    ',',
    'é',
  );
  const requestId = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 200 }).map((each) => `again-${each}`) },
    { weight: 1, arbitrary: fc.constantFrom('', 'a b', 'é', 'x'.repeat(300), 'x'.repeat(256)) },
  );
  const others = fc.constantFrom<Record<string, string>>(
    {},
    { accept: 'text/html' },
    { 'x-http-method-override': 'DELETE' },
    { expect: '100-continue' },
    { range: 'bytes=0-1' },
    { 'if-none-match': '"1"' },
    { 'x-forwarded-host': 'evil.example' },
    { cookie: `a=${'b'.repeat(2_000)}` },
  );
  const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
  return fc.tuple(rarely(ifMatch), rarely(requestId), others).map(([match, id, more]) => ({
    ...more,
    ...(match === undefined ? {} : { 'if-match': match }),
    ...(id === undefined ? {} : { 'x-request-id': id }),
  }));
}

function idFor({ names, declared, foreignIds }: FuzzWorld): fc.Arbitrary<string | number> {
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant(declared) },
    { weight: 4, arbitrary: fc.constantFrom(...names) },
    { weight: 6, arbitrary: fc.nat({ max: 3 }) },
    { weight: 2, arbitrary: fc.constantFrom(...foreignIds) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'mcp_unknown',
        '%2e%2e',
        '%00',
        '%zz',
        'a%2Fb',
        'x'.repeat(3_000),
        '%C3%B6',
        '~',
        '__proto__',
        "'",
        '*',
      ),
    },
  );
}

export function fuzzRequests(operations: readonly DescribedOperation[], world: FuzzWorld): fc.Arbitrary<FuzzRequest> {
  const hints = hintsFor(world);
  const key = fc.oneof(
    { weight: 20, arbitrary: fc.constant('owner' as const) },
    { weight: 2, arbitrary: fc.constantFrom('editor' as const, 'viewer' as const) },
    { weight: 1, arbitrary: fc.constant('nobody' as const) },
  );
  const each = operations.map((operation) =>
    fc.tuple(idFor(world), queryFor(operation, hints), bodyFor(operation, hints), headersFor(), key).map(
      ([id, query, sending, headers, who]): FuzzRequest => ({
        operation,
        id,
        query,
        body: sending.body,
        headers: { ...headers, ...sending.headers },
        key: who,
      }),
    ),
  );
  return fc.oneof(...each);
}
