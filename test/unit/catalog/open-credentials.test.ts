import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { openCredentials } from '../../../src/catalog/open-credentials.ts';
import { GatewayError } from '../../../src/domain/errors.ts';
import type { McpConfig, StoredSecret } from '../../../src/domain/mcp-config.ts';
import { Secret } from '../../../src/domain/secret.ts';
import { aConfig, aSecret } from '../../support/store-objects.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const VALUES: Readonly<Record<string, string>> = { sec_word: 'word', sec_login: 'user:password', sec_key: KEY };
const TLS = { ca: null, clientCertificate: 'pem', clientKeySecretId: 'sec_key', serverName: null };
const PROXY = { url: 'http://proxy.example.com:3128', secretId: 'sec_login' };

const source = {
  stored: new Map(
    ['word', 'login', 'key', 'sealed'].map((name, index): [string, StoredSecret] => [
      `sec_${name}`,
      aSecret(name, { version: index + 1 }),
    ]),
  ),
  open: ({ id }: StoredSecret) => {
    const value = VALUES[id];
    if (value === undefined) throw new GatewayError('internal', 'cannot be opened');
    return new Secret(value);
  },
};

function open(changes: Partial<McpConfig>, grantedId: string | null = 'sec_word') {
  return openCredentials(aConfig('a', { customHeaders: [], ...changes }), grantedId, source);
}

test('what is sent, what a proxy is told and the key of the certificate are opened together', () => {
  const opened = open({ authMechanism: { type: 'bearer' }, tls: TLS, proxy: PROXY });
  assert.ok(typeof opened !== 'string');
  assert.deepEqual(opened.credentialHeaders, ['authorization', 'Bearer word']);
  assert.equal(opened.clientKey?.reveal(), KEY);
  assert.equal(opened.proxyAuthorization?.reveal(), `Basic ${Buffer.from('user:password').toString('base64')}`);
  assert.deepEqual(opened.versions, [1, 3, 2]);
});

test('a config without secrets opens none', () => {
  const opened = open({}, null);
  assert.deepEqual(opened, {
    credentialHeaders: [],
    clientKey: undefined,
    proxyAuthorization: undefined,
    variables: [],
    versions: [],
  });
});

test('a command is given its variables, and no headers', () => {
  const command = { command: 'npx', args: [], cwd: null, process: 'credential' } as const;
  const env = [
    { name: 'ROOT', value: '/srv' },
    { name: 'LOGIN', secretId: 'sec_login' },
    { name: 'WORD', fromGrant: true },
  ] as const;
  const opened = open({ stdio: { ...command, env } });
  assert.ok(typeof opened !== 'string');
  assert.deepEqual(opened.credentialHeaders, []);
  const values = opened.variables.map(({ name, value }) => [name, typeof value === 'string' ? value : value.reveal()]);
  assert.deepEqual(values, [
    ['ROOT', '/srv'],
    ['LOGIN', 'user:password'],
    ['WORD', 'word'],
  ]);
  assert.deepEqual(opened.versions, [1, 2]);
  assert.equal(open({ stdio: { ...command, env } }, null), 'secret_missing');
  const gone = [{ name: 'GONE', secretId: 'sec_gone' }];
  assert.equal(open({ stdio: { ...command, env: gone } }), 'secret_missing');
});

test('a secret that is gone, sealed elsewhere, or not what it is used for is told apart, wherever it is used', () => {
  const uses: Readonly<Record<string, (id: string) => unknown>> = {
    grant: (id) => open({}, id),
    header: (id) => open({ customHeaders: [{ name: 'x-a', secretId: id }] }),
    key: (id) => open({ tls: { ...TLS, clientKeySecretId: id } }),
    proxy: (id) => open({ proxy: { ...PROXY, secretId: id } }),
  };
  for (const [use, openWith] of Object.entries(uses)) {
    assert.equal(openWith('sec_gone'), 'secret_missing', use);
    assert.equal(openWith('sec_sealed'), 'secret_unreadable', use);
    assert.equal(openWith(use === 'key' ? 'sec_word' : 'sec_key'), 'secret_unusable', use);
  }
  assert.equal(uses.proxy?.('sec_word'), 'secret_unusable');
});
