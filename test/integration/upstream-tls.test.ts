// TLS towards upstreams: certificates of a private authority, client certificates, names. Every refusal says what is
// wrong, and every setting is read from a config file.

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, type TestContext, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates, type TlsOptions } from 'node:tls';
import { renderEffective } from '../../src/settings/effective.ts';
import { readEnvironment } from '../../src/settings/environment.ts';
import { loadSettings } from '../../src/settings/load-settings.ts';
import { type Authority, createAuthority, type Issued, toIdentity, withoutOpenssl } from '../support/certificates.ts';
import {
  type ConfigFileOptions,
  configFile,
  makeFolder,
  startGateway,
  type TestGateway,
  variablesOf,
} from '../support/gateway.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { failureOf } from '../support/readiness.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { startTlsFront, type TlsFront } from '../support/tls-front.ts';

/** What no operator may read of a failure. */
const HIDDEN = /127\.0\.0\.1|BEGIN/;
const NAME = 'mcp.internal.test';

suite('TLS towards upstreams', { skip: withoutOpenssl }, () => {
  let folder: string;
  let ca: Authority;
  let stranger: Authority;
  let server: Issued;
  let client: Issued;
  let upstream: RecordingUpstream;
  before(async () => {
    folder = await makeFolder();
    ca = await createAuthority(folder);
    stranger = await createAuthority(folder, 'Stranger');
    server = await ca.issue('server', { names: ['IP:127.0.0.1'] });
    client = await ca.issue('gateway');
    upstream = await startRecordingUpstream({ era: 'modern' });
  });
  after(async () => {
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function front(t: TestContext, identity: Issued, options: TlsOptions = {}): Promise<TlsFront> {
    const started = await startTlsFront(upstream.url, { ...toIdentity(identity), ...options });
    t.after(() => started.close());
    return started;
  }

  const mutual = (): TlsOptions => ({ requestCert: true, rejectUnauthorized: true, ca: ca.certificate });
  const withClient = ({ certificateFile, key }: Issued): [object, Record<string, string>] => [
    { ca_file: ca.certificateFile, client_certificate_file: certificateFile, client_key: 'CLIENT_KEY' },
    { CLIENT_KEY: key },
  ];

  function options({ url }: TlsFront, tls: object | undefined, secrets: Record<string, string> = {}) {
    return { configs: [{ name: 'rec', url, ...(tls === undefined ? {} : { more: { tls } }) }], secrets };
  }

  async function serve(t: TestContext, file: ConfigFileOptions): Promise<TestGateway> {
    const gateway = await startGateway(file);
    t.after(() => gateway.close());
    return gateway;
  }

  async function assertWorks(gateway: TestGateway): Promise<void> {
    await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
    const answer = await send(gateway.mcpUrl, { ...toolCall('rec.echo'), token: gateway.token() });
    assert.ok(answer.message.result, answer.text);
  }

  test('a certificate of a private authority is refused without ca_file, and says so', async (t) => {
    const gateway = await serve(t, options(await front(t, server), undefined));
    const { reason, message } = await failureOf(gateway, HIDDEN);
    assert.deepEqual([reason, message], ['unreachable', 'its TLS certificate is not signed by a trusted authority']);
  });

  test('an export has the certificates that it names', async (t) => {
    const [tls, secrets] = withClient(client);
    const { url, apiKey } = await serve(t, options(await front(t, server, mutual()), tls, secrets));
    const { text } = await send(`${url}/v1/export`, { method: 'GET', token: apiKey });
    const { certificates, yaml } = JSON.parse(text);
    assert.deepEqual(certificates, [
      { path: 'certificates/rec-ca.pem', pem: ca.certificate },
      { path: 'certificates/rec-client.pem', pem: await readFile(client.certificateFile, 'utf8') },
    ]);
    for (const { path } of certificates) assert.ok(yaml.includes(path), path);
  });

  test('with ca_file it works, and the authority of another config does not count', async (t) => {
    const { url } = await front(t, server);
    const more = { tls: { ca_file: ca.certificateFile } };
    const configs = [
      { name: 'rec', url, more },
      { name: 'other', url, more: { tls: { ca_file: stranger.certificateFile } } },
    ];
    const gateway = await serve(t, { configs });
    await assertWorks(gateway);
    const answer = await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
    assert.deepEqual(
      answer.message.result.tools.map(({ name }: { name: string }) => name),
      ['rec.echo'],
    );
  });

  test('the public authorities stay trusted beside ca_file', async (t) => {
    const before = getCACertificates('default');
    // The private authority stands for a public one, in this process and for this test.
    setDefaultCACertificates([...before, ca.certificate]);
    t.after(() => setDefaultCACertificates(before));
    await assertWorks(await serve(t, options(await front(t, server), { ca_file: stranger.certificateFile })));
  });

  test('a certificate for another name is refused, and taken with its name in server_name', async (t) => {
    const named = await front(t, await ca.issue('named', { names: [`DNS:${NAME}`] }));
    const tls = { ca_file: ca.certificateFile };
    const gateway = await serve(t, options(named, tls));
    assert.equal((await failureOf(gateway, HIDDEN)).message, 'its TLS certificate was issued for another name');
    await gateway.reload(options(named, { ...tls, server_name: NAME }));
    await assertWorks(gateway);
    const elsewhere = await serve(t, options(named, { ...tls, server_name: `elsewhere.${NAME}` }));
    assert.equal((await failureOf(elsewhere, HIDDEN)).message, 'its TLS certificate was issued for another name');
  });

  test('an expired certificate is refused', async (t) => {
    const expired = await front(t, await ca.issue('expired', { names: ['IP:127.0.0.1'], isExpired: true }));
    const gateway = await serve(t, options(expired, { ca_file: ca.certificateFile }));
    assert.equal((await failureOf(gateway, HIDDEN)).message, 'its TLS certificate has expired');
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`an upstream that requires a client certificate refuses a gateway without one (${maxVersion})`, async (t) => {
      const strict = await front(t, server, { ...mutual(), maxVersion });
      const gateway = await serve(t, options(strict, { ca_file: ca.certificateFile }));
      const { reason, message } = await failureOf(gateway, HIDDEN);
      assert.equal(reason, 'unreachable');
      assert.match(message, /requires a client certificate/);
    });

    test(`with client_certificate_file and client_key it knows the gateway (${maxVersion})`, async (t) => {
      const strict = await front(t, server, { ...mutual(), maxVersion });
      await assertWorks(await serve(t, options(strict, ...withClient(client))));
      assert.ok(strict.clients.length > 0 && strict.clients.every((name) => name === 'gateway'));
    });
  }

  test('a client certificate of an authority that the upstream does not trust opens nothing', async (t) => {
    const strict = await front(t, server, mutual());
    const gateway = await serve(t, options(strict, ...withClient(await stranger.issue('gateway'))));
    await failureOf(gateway, HIDDEN);
    assert.deepEqual(strict.clients, []);
  });

  test('renewed certificates and keys are used from the next load on', async (t) => {
    const strict = await front(t, server, mutual());
    const [tls] = withClient(client);
    const certificateFile = join(folder, 'renewed.pem');
    await writeFile(certificateFile, client.certificate);
    const renewing = { ...tls, client_certificate_file: certificateFile };
    const gateway = await serve(t, options(strict, renewing, { CLIENT_KEY: client.key }));
    await assertWorks(gateway);
    const renewed = await ca.issue('gateway-2');
    await writeFile(certificateFile, renewed.certificate);
    await gateway.reload(options(strict, renewing, { CLIENT_KEY: renewed.key }));
    await assertWorks(gateway);
    assert.deepEqual([strict.clients[0], strict.clients.at(-1)], ['gateway', 'gateway-2']);
  });

  test('an edited allow-list keeps the connections', async (t) => {
    const strict = await front(t, server, mutual());
    const file = options(strict, ...withClient(client));
    const gateway = await serve(t, file);
    await assertWorks(gateway);
    const connections = strict.clients.length;
    await gateway.reload({ ...file, configs: file.configs.map((config) => ({ ...config, allowedTools: ['ech*'] })) });
    await assertWorks(gateway);
    assert.equal(strict.clients.length, connections);
  });

  suite('what the config file is told', () => {
    async function problemsOf(tls: object, secrets: Record<string, string> = {}, more: object = {}): Promise<string[]> {
      const configs = [{ name: 'rec', url: 'https://127.0.0.1:1/mcp', more: { tls, ...more } }];
      const outcome = await load({ configs, secrets });
      return outcome.ok ? [] : outcome.problems.map(({ path, message }) => `${path} ${message}`);
    }

    async function load(file: ConfigFileOptions) {
      await writeFile(join(folder, 'checked.json'), configFile(file));
      return loadSettings(join(folder, 'checked.json'), readEnvironment(variablesOf(file)));
    }

    test('a certificate file that is absent, large, no certificate, broken, or holds a key is told at its place', async () => {
      const files: Record<string, string> = {
        'large.pem': ca.certificate.repeat(1000),
        'text.pem': 'nothing of the kind',
        'broken.pem': `${ca.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
        'cut.pem': ca.certificate.slice(0, -30),
        'both.pem': `${ca.certificate}${ca.key}`,
      };
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      const expected = {
        'absent.pem': 'the file is not there',
        'large.pem': 'the file is larger than 524288 bytes',
        'text.pem': 'the file is not PEM: -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, once or more',
        'broken.pem': 'certificate 2 of 2 in the file cannot be read',
        'cut.pem': 'the file is not PEM: -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, once or more',
        'both.pem': 'the file holds a private key: take it out, and name it as a secret in client_key',
      };
      for (const [name, message] of Object.entries(expected)) {
        assert.deepEqual(await problemsOf({ ca_file: name }), [`mcp_configs[0].tls.ca_file ${message}`]);
      }
    });

    test('a relative path starts at the directory of the config file', async () => {
      await writeFile(join(folder, 'beside.pem'), ca.certificate);
      assert.deepEqual(await problemsOf({ ca_file: 'beside.pem' }), []);
    });

    test('a key that is none, or of another certificate, is told where it is named', async () => {
      const tls = { client_certificate_file: client.certificateFile, client_key: 'K' };
      const place = 'mcp_configs[0].tls.client_key names';
      assert.deepEqual(await problemsOf(tls, { K: client.key }), []);
      assert.deepEqual(await problemsOf(tls, { K: server.key }), [
        `${place} a private key that does not belong to the certificate in client_certificate_file`,
      ]);
      assert.deepEqual(await problemsOf(tls, { K: 'word' }), [`${place} a secret that is not a private key in PEM`]);
      assert.deepEqual(await problemsOf(tls), [`${place} no secret of this file, which declares none`]);
    });

    test('an encrypted key, and a key with company, are no values of a secret', async () => {
      const sealing = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'word' } as const;
      const encrypted = createPrivateKey(client.key).export(sealing).toString();
      const messages = await problemsOf({}, { K: encrypted, L: `${client.key}${client.certificate}`, M: client.key });
      assert.match(messages[0] ?? '', /^secrets\[0\]\.value_from\.env the value is a private key that cannot be read/);
      assert.match(messages[1] ?? '', /^secrets\[1\]\.value_from\.env the value holds a line break/);
      assert.equal(messages.length, 2);
    });

    test('a private key that a grant, a header or a proxy would send is told there', async () => {
      const more = {
        custom_headers: [{ name: 'x-key', secret: 'K' }],
        proxy: 'http://127.0.0.1:1',
        proxy_secret: 'K',
      };
      const tokens = [{ name: 'agent' }];
      const configs = [{ name: 'rec', url: 'https://127.0.0.1:1/', credential: client.key, more }];
      const outcome = await load({ configs, tokens, secrets: { K: client.key } });
      assert.ok(!outcome.ok);
      assert.deepEqual(
        outcome.problems.map(({ path, message }) => [path, /names a private key, which would be sent/.test(message)]),
        [
          ['mcp_configs[0].custom_headers[0].secret', true],
          ['mcp_configs[0].proxy_secret', true],
          ['tokens[0].grants[0].secret', true],
        ],
      );
    });

    test('the effective settings name certificates and limits, and hold no key', async () => {
      const [tls, secrets] = withClient(client);
      const more = { tls, limits: { calls: 3 } };
      const outcome = await load({ configs: [{ name: 'rec', url: 'https://127.0.0.1:1/', more }], secrets });
      assert.ok(outcome.ok);
      const text = renderEffective(outcome.settings);
      assert.match(
        text,
        /client_certificate_file:\s+- CN=gateway, until 2099-01-01T00:00:00\.000Z, SHA-256 [0-9A-F:]{95}/,
      );
      assert.match(text, /client_key: CLIENT_KEY\n/);
      assert.match(text, /limits:\n\s+calls: 3\n/);
      assert.equal(text.includes('BEGIN'), false);
    });
  });
});
