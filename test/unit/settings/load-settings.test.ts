import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { renderEffective } from '../../../src/settings/effective.ts';
import { readEnvironment } from '../../../src/settings/environment.ts';
import { formatProblem } from '../../../src/settings/file-problem.ts';
import { loadSettings } from '../../../src/settings/load-settings.ts';
import type { Settings } from '../../../src/settings/settings.ts';

const TOKEN = 'token-of-thirty-two-characters-0123456789';

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-settings-'));
});
after(() => rm(directory, { recursive: true }));

async function load(text: string | undefined, variables: Record<string, string> = {}): Promise<Settings> {
  const file = text === undefined ? undefined : join(directory, 'config.yaml');
  if (file !== undefined && text !== undefined) await writeFile(file, text);
  const outcome = await loadSettings(file, readEnvironment(variables));
  if (!outcome.ok) assert.fail(outcome.problems.map(formatProblem).join('\n'));
  return outcome.settings;
}

const FILE = `
store: { url: "postgres://switchboard:db-password@db.example.com/switchboard?sslkey=db-password" }
secrets:
  - { name: GITHUB_TOKEN, value_from: { env: GITHUB_TOKEN } }
  - { name: PROXY_LOGIN, value_from: { env: PROXY_LOGIN } }
mcp_configs:
  - name: github-readonly
    endpoint: https://example.com/mcp
    allowed_tools: [get_*]
    allowed_prompts: [ask_*]
    allowed_resources: ["file:///docs/*"]
    auth_mechanism: { type: header, key: x-api-key }
    custom_headers: [{ name: x-a, value: a }, { name: x-b, secret: GITHUB_TOKEN }]
    proxy: http://10.0.0.9:3128
    proxy_secret: PROXY_LOGIN
    limits: { call_timeout_ms: 900000, connections: 4 }
tokens:
  - name: devbox
    value_from: { env: DEVBOX_TOKEN }
    names: bare
    expires_at: 2027-01-31
    grants: [{ mcp_config: github-readonly, secret: GITHUB_TOKEN }, { mcp_config: github-readonly, allowed_tools: [get_me] }]
`;
const VARIABLES = { GITHUB_TOKEN: 'ghp_value', PROXY_LOGIN: 'user:proxy-word', DEVBOX_TOKEN: TOKEN };

test('without a file the embedded defaults run', async () => {
  const settings = await load(undefined);
  assert.deepEqual(settings.listen, { host: '127.0.0.1', port: 8080 });
  assert.deepEqual(settings.store, { url: 'sqlite:.switchboard/switchboard.db' });
  assert.equal(settings.limits.callTimeoutMs, 300_000);
  assert.deepEqual(settings.declared.mcpConfigs, []);
  assert.match(settings.declared.digest, /^[0-9a-f]{64}$/);
});

test('a relative SQLite path starts at the directory of the file', async () => {
  assert.equal((await load('store: { url: "sqlite:data/a.db" }')).store.url, `sqlite:${join(directory, 'data/a.db')}`);
  assert.equal((await load('store: { url: "sqlite:/var/a.db" }')).store.url, 'sqlite:/var/a.db');
});

test('records of calls are kept beside the SQLite file, and their paths start at the directory of the file', async () => {
  const directoryOf = async (text: string) => (await load(text)).audit.directory;
  assert.equal(await directoryOf('{}'), join(directory, '.switchboard/audit'));
  assert.equal(await directoryOf('store: { url: "sqlite:/var/a.db" }'), '/var/audit');
  assert.equal(await directoryOf('audit: { directory: logs }'), join(directory, 'logs'));
  const { audit } = await load('audit: { checkpoint_file: a/b.json, on_overflow: block }');
  assert.deepEqual([audit.checkpointFile, audit.onOverflow], [join(directory, 'a/b.json'), 'block']);
});

test('certificate files start at the directory of the file, and SWITCHBOARD_LISTEN does not turn TLS off', async () => {
  const tls = 'tls: { certificate_file: tls/a.crt, key_file: /run/secrets/a.key }';
  const text = `listen: { ${tls} }\nadmin: { listen: { ${tls} } }`;
  const files = { certificateFile: join(directory, 'tls/a.crt'), keyFile: '/run/secrets/a.key' };
  const settings = await load(text, { SWITCHBOARD_LISTEN: '0.0.0.0:9000' });
  assert.deepEqual(settings.listen, { host: '0.0.0.0', port: 9000, tls: files });
  assert.deepEqual(settings.admin?.listen, { host: '127.0.0.1', port: 9090, tls: files });
  assert.deepEqual(parse(renderEffective(settings)).listen.tls, {
    certificate_file: files.certificateFile,
    key_file: files.keyFile,
  });
});

test('the environment takes precedence for listen and log level', async () => {
  const variables = { SWITCHBOARD_LISTEN: '0.0.0.0:9000', SWITCHBOARD_LOG_LEVEL: 'warn' };
  const settings = await load('listen: { port: 1 }\nlog: { level: debug }', variables);
  assert.deepEqual(settings.listen, { host: '0.0.0.0', port: 9000 });
  assert.equal(settings.log.level, 'warn');
});

test('what the file declares arrives with its values opened', async () => {
  const { declared } = await load(FILE, VARIABLES);
  assert.equal(declared.secrets[0]?.value.reveal(), 'ghp_value');
  assert.deepEqual(declared.mcpConfigs, [
    {
      name: 'github-readonly',
      endpoint: 'https://example.com/mcp',
      allowedTools: ['get_*'],
      allowedPrompts: ['ask_*'],
      allowedResources: ['file:///docs/*'],
      authMechanism: { type: 'header', key: 'x-api-key' },
      customHeaders: [
        { name: 'x-a', value: 'a' },
        { name: 'x-b', secret: 'GITHUB_TOKEN' },
      ],
      tls: null,
      stdio: null,
      proxy: { url: 'http://10.0.0.9:3128', secret: 'PROXY_LOGIN' },
      limits: { callTimeoutMs: 900_000, connections: 4 },
      description: null,
    },
  ]);
  const [token] = declared.tokens;
  assert.equal(token?.value.reveal(), TOKEN);
  assert.equal(token?.expiresAtMs, Date.UTC(2027, 0, 31));
  assert.deepEqual(token?.grants, [
    { mcpConfig: 'github-readonly', secret: 'GITHUB_TOKEN', allowedTools: null },
    { mcpConfig: 'github-readonly', secret: null, allowedTools: ['get_me'] },
  ]);
});

test('the digest follows the text of the file', async () => {
  const [one, same, other] = [await load('{}'), await load('{}'), await load('{} # note')];
  assert.equal(one.declared.digest, same.declared.digest);
  assert.notEqual(one.declared.digest, other.declared.digest);
});

test('a file with problems yields them and no settings', async () => {
  await writeFile(join(directory, 'bad.yaml'), 'nope: 1');
  const outcome = await loadSettings(join(directory, 'bad.yaml'), readEnvironment({}));
  assert.equal(outcome.ok, false);
});

test('the effective settings show every default and no secret', async () => {
  const text = renderEffective(await load(FILE, VARIABLES));
  for (const secret of ['ghp_value', TOKEN, 'db-password', 'proxy-word'])
    assert.equal(text.includes(secret), false, secret);
  const shown = parse(text);
  assert.deepEqual(Object.keys(shown), [
    'listen',
    'workers',
    'trusted_proxies',
    'allowed_hosts',
    'allowed_origins',
    'store',
    'upstreams',
    'limits',
    'log',
    'audit',
    'secrets',
    'mcp_configs',
    'tokens',
  ]);
  assert.deepEqual(shown.store, { url: 'postgres://db.example.com/switchboard [redacted]' });
  assert.equal(shown.limits.connections_per_credential, 256);
  assert.deepEqual(shown.audit, {
    calls: true,
    directory: join(directory, '.switchboard/audit'),
    on_overflow: 'drop',
    segment_bytes: 33_554_432,
    keep_days: 90,
    keep_bytes: 4_294_967_296,
  });
  assert.deepEqual(shown.secrets, [
    { name: 'GITHUB_TOKEN', value: '[redacted]' },
    { name: 'PROXY_LOGIN', value: '[redacted]' },
  ]);
  const [config] = shown.mcp_configs;
  assert.deepEqual([config.proxy, config.proxy_secret], ['http://10.0.0.9:3128', 'PROXY_LOGIN']);
  assert.deepEqual(config.limits, { call_timeout_ms: 900_000, connections: 4 });
  assert.equal(shown.mcp_configs[0].custom_headers[1].secret, 'GITHUB_TOKEN');
  assert.deepEqual(shown.tokens, [
    {
      name: 'devbox',
      value: '[redacted]',
      grants: [
        { mcp_config: 'github-readonly', secret: 'GITHUB_TOKEN' },
        { mcp_config: 'github-readonly', allowed_tools: ['get_me'] },
      ],
      names: 'bare',
      expires_at: '2027-01-31T00:00:00.000Z',
    },
  ]);
});
