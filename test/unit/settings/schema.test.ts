import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type JsonSchema, settingsSchema, toJsonSchema, toSettingsTable } from '../../../src/settings/schema.ts';

function walk(schema: JsonSchema, path: string, visit: (path: string, schema: JsonSchema) => void): void {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    visit(`${path}${key}`, property);
    walk(property, `${path}${key}.`, visit);
  }
  if (schema.items) walk(schema.items, `${path}[].`, visit);
  for (const each of schema.oneOf ?? []) walk(each, path, visit);
}

test('an empty file has the documented defaults', () => {
  assert.deepEqual(settingsSchema.parse({}), {
    listen: { host: '127.0.0.1', port: 8080 },
    workers: 1,
    trusted_proxies: [],
    allowed_hosts: [],
    allowed_origins: [],
    store: { url: 'sqlite:.switchboard/switchboard.db' },
    upstreams: { allow_http: false, allow_cidrs: [] },
    limits: {
      body_bytes: 4_194_304,
      call_timeout_ms: 300_000,
      connect_timeout_ms: 5000,
      header_timeout_ms: 60_000,
      idle_timeout_ms: 300_000,
      list_wait_ms: 2000,
      list_ttl_ms: 60_000,
      list_page_tools: 0,
      session_idle_ms: 1_800_000,
      connections_per_credential: 256,
      calls_per_token: 1000,
      streams_per_token: 256,
      calls: 10_000,
      calls_per_upstream: 2000,
      bytes_in_flight: 268_435_456,
      heap_percent: 85,
      delay_ms: 250,
      api_requests_per_minute: 6000,
      drain_ms: 60_000,
    },
    log: { level: 'info' },
    audit: {
      calls: true,
      on_overflow: 'drop',
      segment_bytes: 33_554_432,
      keep_days: 90,
      keep_bytes: 4_294_967_296,
    },
    secrets: [],
    mcp_configs: [],
    tokens: [],
  });
});

test('the JSON schema is draft 2020-12 with a title and without an id', () => {
  const schema = toJsonSchema() as Record<string, unknown>;
  assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
  assert.equal(schema.title, 'Switchboard config');
  assert.equal(JSON.stringify(schema).includes('"$id"'), false);
  assert.equal(schema.additionalProperties, false);
  assert.equal(schema.required, undefined);
});

test('every setting that is not a mere group is described', () => {
  const bare: string[] = [];
  walk(toJsonSchema(), '', (path, schema) => {
    if (schema.description === undefined && schema.properties === undefined && !path.endsWith('.type')) bare.push(path);
  });
  assert.deepEqual(bare, []);
});

test('the settings table has a row for every setting, with its default', () => {
  const table = toSettingsTable();
  for (const row of [
    '| `listen.port` | `8080` | Port to listen on; 0 takes any free one. |',
    '| `limits.call_timeout_ms` | `300000` | Longest duration of one call, all included. |',
    '| `mcp_configs[].endpoint` |  | URL of the upstream MCP server; required, unless `stdio` says what to run. |',
    '| `tokens[].grants[].secret` |  | Name of the secret sent to it; none if the upstream needs none. |',
  ])
    assert.ok(table.includes(row), row);
  assert.equal(table.includes('secrets[].value`'), false, 'a literal value is not a setting');
  for (const line of table.split('\n')) assert.equal(line.match(/(?<!\\)\|/g)?.length, 4, line);
});

const refused: readonly (readonly [string, unknown])[] = [
  ['a port above 65535', { listen: { port: 65_536 } }],
  ['a fraction of a byte', { limits: { body_bytes: 4096.5 } }],
  ['no timeout at all', { limits: { call_timeout_ms: 0 } }],
  ['a store in memory', { store: { url: 'sqlite::memory:' } }],
  ['a store of another kind', { store: { url: 'mysql://host/db' } }],
  ['an origin with a path', { allowed_origins: ['https://app.example.com/'] }],
  ['the null origin', { allowed_origins: ['null'] }],
  ['a host with a scheme', { allowed_hosts: ['https://mcp.example.com'] }],
  ['a public URL with a password', { public_url: 'https://a:b@mcp.example.com' }],
  ['an address without a range', { upstreams: { allow_cidrs: ['10.0.0.1'] } }],
  ['a trusted proxy by its name', { trusted_proxies: ['proxy.internal'] }],
  ['a trusted range wider than its address', { trusted_proxies: ['10.0.0.0/33'] }],
  ['a certificate without its key', { listen: { tls: { certificate_file: 'a.crt' } } }],
  ['a certificate file without a name', { listen: { tls: { certificate_file: '', key_file: 'a.key' } } }],
  ['a range wider than its address', { upstreams: { allow_cidrs: ['10.0.0.0/33'] } }],
];
for (const [title, value] of refused)
  test(`${title} is refused`, () => assert.equal(settingsSchema.safeParse(value).success, false));

test('no time is longer than a timer can be set for: Node would make it 1 ms', () => {
  const longest = 2_147_483_647;
  for (const [name, usual] of Object.entries(settingsSchema.parse({}).limits)) {
    if (!name.endsWith('_ms')) continue;
    const isTaken = (value: number) => settingsSchema.safeParse({ limits: { [name]: value } }).success;
    assert.deepEqual([usual, longest + 1, 1e300, Infinity].map(isTaken), [true, false, false, false], name);
    assert.equal(isTaken(longest), name !== 'call_timeout_ms', name);
  }
});

test('a limit of calls or bytes is at least one of them', () => {
  for (const limits of [{ calls_per_token: 0 }, { calls: 0 }, { bytes_in_flight: 0 }, { calls: 1.5 }])
    assert.equal(settingsSchema.safeParse({ limits }).success, false, JSON.stringify(limits));
});

test('room for bodies that is smaller than one body is refused with both names, whichever of them is written', () => {
  for (const limits of [
    { body_bytes: 2048, bytes_in_flight: 8191 },
    { bytes_in_flight: 16_777_215 },
    { body_bytes: 268_435_457 },
  ]) {
    const [issue] = settingsSchema.safeParse({ limits }).error?.issues ?? [];
    assert.deepEqual(issue?.path, ['limits', 'bytes_in_flight']);
    assert.match(
      issue.message,
      /^is less than four times limits\.body_bytes, .*: raise it, or lower limits\.body_bytes$/,
    );
  }
  assert.ok(settingsSchema.safeParse({ limits: { body_bytes: 2048, bytes_in_flight: 8192 } }).success);
});

test('trusted proxies are addresses and ranges of both families', () => {
  const value = { trusted_proxies: ['10.0.0.7', '10.1.0.0/16', '::1', 'fd00::/8'] };
  assert.ok(settingsSchema.safeParse(value).success);
});

test('address ranges of both families are taken', () => {
  const value = { upstreams: { allow_cidrs: ['10.0.0.0/8', 'fd00::/8', '127.0.0.1/32', '::1/128'] } };
  assert.ok(settingsSchema.safeParse(value).success);
});
