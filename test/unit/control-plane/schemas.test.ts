import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mcpConfigInputSchema, secretInputSchema, tokenInputSchema } from '../../../src/control-plane/schemas.ts';

const CONFIG = { name: 'github-readonly', endpoint: 'https://example.com/mcp', allowed_tools: ['get_*'] };
const TOKEN = { name: 't', value_from: { env: 'T' }, grants: [] };

function messagesOf(fields: object): string[] {
  const outcome = mcpConfigInputSchema.safeParse({ ...CONFIG, ...fields });
  return outcome.success ? [] : outcome.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
}

test('what an McpConfig leaves out is bearer, no headers, no limits of its own', () => {
  assert.deepEqual(mcpConfigInputSchema.parse(CONFIG), {
    ...CONFIG,
    allowed_prompts: [],
    allowed_resources: [],
    auth_mechanism: { type: 'bearer' },
    custom_headers: [],
    limits: {},
  });
});

test('a proxy is a host and a port, reached in plain HTTP', () => {
  for (const proxy of ['http://proxy.example.com:3128', 'http://10.0.0.1', 'http://[::1]:9/'])
    assert.deepEqual(messagesOf({ proxy }), [], proxy);
  const refused: Readonly<Record<string, RegExp>> = {
    'proxy.example.com:3128': /is not the URL of a proxy/,
    'socks5://proxy.example.com': /is not the URL of a proxy/,
    'http://a b': /is not the URL of a proxy/,
    'http://user:pass@proxy.example.com': /store them as a secret and name it in proxy_secret$/,
    'https://proxy.example.com': /is an https URL/,
    'http://proxy.example.com:0': /has port 0/,
    'http://proxy.example.com/path': /holds more than a host and a port/,
    'http://proxy.example.com?x': /holds more than a host and a port/,
    'http://proxy.example.com/#': /holds more than a host and a port/,
  };
  for (const [proxy, message] of Object.entries(refused)) {
    const [found, ...others] = messagesOf({ proxy });
    assert.match(found ?? '', message, proxy);
    assert.deepEqual(others, []);
  }
});

test('a proxy_secret needs a proxy, a client certificate its key, and TLS an https endpoint', () => {
  assert.match(messagesOf({ proxy_secret: 'S' }).join(), /is for a config with a proxy/);
  assert.match(messagesOf({ tls: { client_key: 'S' } }).join(), /a client certificate needs both$/);
  assert.match(messagesOf({ tls: { client_certificate_file: 'a.pem' } }).join(), /a client certificate needs both$/);
  assert.deepEqual(messagesOf({ tls: { client_key: 'S', client_certificate_file: 'a.pem' } }), []);
  const plain = messagesOf({ endpoint: 'http://127.0.0.1:1/', tls: { ca_file: 'ca.pem' } });
  assert.match(plain.join(), /is for an https endpoint/);
});

test('a server_name is a DNS name', () => {
  for (const name of ['mcp.internal', 'mcp', 'a-b.example.com'])
    assert.deepEqual(messagesOf({ tls: { server_name: name } }), [], name);
  for (const name of ['', '10.0.0.1', '::1', 'a..b', 'https://a', 'a:443', `${'a'.repeat(64)}.example`])
    assert.equal(messagesOf({ tls: { server_name: name } }).length, 1, name);
});

test('limits of a config are whole, positive, and no longer than a timer', () => {
  const limits = { call_timeout_ms: 1, header_timeout_ms: 1, idle_timeout_ms: 1, connect_timeout_ms: 1 };
  assert.deepEqual(messagesOf({ limits: { ...limits, connections: 1, calls: 1 } }), []);
  for (const name of [...Object.keys(limits), 'connections', 'calls']) {
    for (const value of [0, -1, 1.5, '1', null])
      assert.equal(messagesOf({ limits: { [name]: value } }).length, 1, name);
  }
  for (const name of Object.keys(limits)) assert.equal(messagesOf({ limits: { [name]: 2 ** 31 } }).length, 1, name);
  assert.equal(messagesOf({ limits: { call_timeout_ms: 1_800_001 } }).length, 1);
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

test('prompts and resources have patterns of their own, and none unless they are given', () => {
  const parsed = mcpConfigInputSchema.parse(CONFIG);
  assert.deepEqual([parsed.allowed_prompts, parsed.allowed_resources], [[], []]);
  assert.deepEqual(messagesOf({ allowed_prompts: ['ask_*'], allowed_resources: ["a://(b)!%20+@$'/*"] }), []);
  assert.match(messagesOf({ allowed_prompts: ['a/b'] })[0] ?? '', /^allowed_prompts\.0 .*`service\.prompt`/);
  assert.match(
    messagesOf({ allowed_resources: ['ok', 'a://{id}'] })[0] ?? '',
    /^allowed_resources\.1 .*\(character 5\)$/,
  );
  const many = Array.from({ length: 63 }, () => '{a,b}{a,b}{a,b}{a,b}');
  assert.match(messagesOf({ allowed_resources: many })[0] ?? '', /holds more than 1000 patterns/);
});

test('a process is no endpoint that anybody could write', () => {
  for (const endpoint of ['stdio:files', 'STDIO:x', 'stdio://sh'])
    assert.match(messagesOf({ endpoint })[0] ?? '', /^endpoint begins with stdio:, .* give an http\(s\) URL/);
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
