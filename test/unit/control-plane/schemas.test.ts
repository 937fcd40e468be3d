import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mcpConfigInputSchema, secretInputSchema, tokenInputSchema } from '../../../src/control-plane/schemas.ts';

const CONFIG = { name: 'github-readonly', endpoint: 'https://example.com/mcp', allowed_tools: ['get_*'] };
const TOKEN = { name: 't', value_from: { env: 'T' }, grants: [] };

function messagesOf(fields: object): string[] {
  const outcome = mcpConfigInputSchema.safeParse({ ...CONFIG, ...fields });
  return outcome.success ? [] : outcome.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
}

test('what an McpConfig leaves out is bearer, no headers', () => {
  assert.deepEqual(mcpConfigInputSchema.parse(CONFIG), {
    ...CONFIG,
    auth_mechanism: { type: 'bearer' },
    custom_headers: [],
  });
});

test('an endpoint is an http(s) URL that every parser reads alike', () => {
  for (const endpoint of ['https://a.example/mcp?x=1', 'http://[::1]:9/', 'HTTPS://A.example'])
    assert.deepEqual(messagesOf({ endpoint }), [], endpoint);
  const refused = [
    'endpoint',
    '',
    'ftp://a.example/',
    'https:a.example',
    'https:\\\\a.example',
    'https://a.example\\@b.example/',
    'https://',
    'https://a b/',
    'https://a.example/\n',
    ' https://a.example/',
    'https://u@a.example/',
    'https://u:p@a.example/',
    'https://@a.example/#',
    'https://a.example/#',
    'https://a.example/#x',
    'file:///etc/passwd',
    `https://a.example/${'a'.repeat(2048)}`,
  ];
  for (const endpoint of refused) assert.equal(messagesOf({ endpoint }).length, 1, endpoint);
});

test('headers of framing, hops and MCP cannot be set, whatever their case', () => {
  const reserved = [
    'Host',
    'CONNECTION',
    'content-length',
    'Content-Type',
    'content-encoding',
    'Transfer-Encoding',
    'accept-encoding',
    'Mcp-Session-Id',
    'mcp-method',
    'TE',
    'upgrade',
    'keep-alive',
    'Proxy-Authorization',
    'trailer',
    'expect',
  ];
  for (const name of reserved) {
    const expected = 'is a header the gateway sets itself: remove it';
    assert.deepEqual(messagesOf({ custom_headers: [{ name, value: 'x' }] }), [`custom_headers.0.name ${expected}`]);
    assert.deepEqual(messagesOf({ auth_mechanism: { type: 'header', key: name } }), [`auth_mechanism.key ${expected}`]);
  }
  for (const name of ['x-api-key', 'Authorization', 'X-Host', 'tea', 'x_y'])
    assert.deepEqual(messagesOf({ custom_headers: [{ name, value: 'x' }] }), [], name);
});

test('a header name is a token and a header value one printable line', () => {
  for (const name of ['', 'a b', 'a:', 'a\r\nb', 'é', 'a(b)'])
    assert.equal(messagesOf({ custom_headers: [{ name, value: 'x' }] }).length, 1, name);
  for (const value of ['a\r\nx: y', 'a\nb', 'a\0', 'é', '\x7f', 'a\n'])
    assert.equal(messagesOf({ custom_headers: [{ name: 'x', value }] }).length, 1, JSON.stringify(value));
  assert.deepEqual(messagesOf({ custom_headers: [{ name: 'x', value: 'a\tb ~' }] }), []);
});

test('a custom header has a value or a secret; there are at most eight, each once', () => {
  const both = 'custom_headers.0 needs either value or secret, and only one of them';
  assert.deepEqual(messagesOf({ custom_headers: [{ name: 'x' }] }), [both]);
  assert.deepEqual(messagesOf({ custom_headers: [{ name: 'x', value: 'a', secret: 'A' }] }), [both]);
  const nine = Array.from({ length: 9 }, (_, index) => ({ name: `x-${index}`, value: '' }));
  assert.deepEqual(messagesOf({ custom_headers: nine }), ['custom_headers holds more than 8 headers']);
  assert.deepEqual(messagesOf({ custom_headers: nine.slice(1) }), []);
  const twice = [
    { name: 'X-A', value: '' },
    { name: 'x-a', value: '' },
  ];
  assert.deepEqual(messagesOf({ custom_headers: twice }), ['custom_headers sets x-a twice: keep one']);
});

test('only type header takes a key, and it needs one', () => {
  assert.deepEqual(messagesOf({ auth_mechanism: { type: 'header', key: 'x-api-key' } }), []);
  assert.equal(messagesOf({ auth_mechanism: { type: 'header' } }).length, 1);
  for (const type of ['bearer', 'basic']) {
    assert.deepEqual(messagesOf({ auth_mechanism: { type } }), []);
    assert.deepEqual(messagesOf({ auth_mechanism: { type, key: 'x' } }), [
      'auth_mechanism.key is only for type header: remove it, or write type: header',
    ]);
  }
});

test('names follow the rules of the domain', () => {
  for (const name of ['', '-a', 'a.b', 'a b', 'a'.repeat(129)]) assert.equal(messagesOf({ name }).length, 1, name);
  assert.equal(secretInputSchema.safeParse({ name: 'a.b', value_from: { env: 'A' } }).success, false);
  assert.equal(tokenInputSchema.safeParse({ ...TOKEN, name: 'a/b' }).success, false);
});

test('a bad pattern is told with its position', () => {
  assert.match(messagesOf({ allowed_tools: ['ok', '!no'] })[0] ?? '', /^allowed_tools\.1 .*\(character 1\)$/);
});

test('an expiry is a day or an instant with its zone', () => {
  const parse = (expires_at: string) => tokenInputSchema.safeParse({ ...TOKEN, expires_at }).success;
  for (const date of ['2027-01-31', '2027-01-31T18:00Z', '2027-01-31T18:00:00.5+02:00']) assert.ok(parse(date), date);
  for (const date of ['', 'tomorrow', '2027-02-31T00:00:00Z0', '2027-13-01', '31.1.2027', '2027-01-31T18:00:00'])
    assert.equal(parse(date), false, date);
});

test('a literal value is refused for secrets and tokens alike', () => {
  for (const outcome of [
    secretInputSchema.safeParse({ name: 'A', value: 'x', value_from: { env: 'A' } }),
    tokenInputSchema.safeParse({ ...TOKEN, value: 'x' }),
  ])
    assert.match(outcome.error?.issues[0]?.message ?? '', /^is a secret written into the file: .*value_from/);
});
