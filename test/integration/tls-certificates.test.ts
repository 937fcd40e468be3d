// The certificate of a gateway, from the settings to the handshake: what is served with it, what is refused at the start,
// and files that change while it serves.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { createLogger } from '../../src/telemetry/logger.ts';
import { type Authority, createAuthority, type Issued, withoutOpenssl } from '../support/certificates.ts';
import { runCli, scratchFolder, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { startRecordingUpstream } from '../support/recording-upstream.ts';
import { CLIENT_KINDS, connectClient } from '../support/sdk-clients.ts';

const IN_USE_WITHIN_MS = 1_000;

suite('the certificate of a gateway', { skip: withoutOpenssl, concurrency: 2 }, () => {
  let scratch: string;
  let authority: Authority;
  let first: Issued;
  let second: Issued;
  let expired: Issued;

  before(async () => {
    scratch = await makeFolder();
    authority = await createAuthority(scratch);
    first = await authority.issue('first.test', { names: ['IP:127.0.0.1'] });
    second = await authority.issue('second.test', { names: ['IP:127.0.0.1'] });
    expired = await authority.issue('expired.test', { names: ['IP:127.0.0.1'], isExpired: true });
    // What `fetch` of the SDK clients trusts, as NODE_EXTRA_CA_CERTS would have it.
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), authority.certificate]);
  });
  after(() => rm(scratch, { recursive: true }));

  /** What a client is shown by a new handshake, by its common name. */
  async function shown(url: string): Promise<string> {
    const { hostname, port } = new URL(url);
    const socket = tls.connect({ host: hostname, port: Number(port) });
    await once(socket, 'secureConnect');
    const subject = socket.getPeerX509Certificate()?.subject ?? '';
    socket.destroy();
    return subject.replace('CN=', '');
  }

  async function get(url: string): Promise<{ status: number; text: string }> {
    const [response] = (await once(https.get(url, { agent: false }), 'response')) as [IncomingMessage];
    return { status: response.statusCode ?? 0, text: (await buffer(response)).toString() };
  }

  interface State {
    readonly setting: string;
    readonly ok: boolean;
    readonly expires: string;
    readonly problems: readonly string[];
  }

  async function stateOf(gateway: TestGateway): Promise<State> {
    const { certificates } = JSON.parse((await get(`${gateway.url}/readyz?detail`)).text);
    assert.equal(certificates.length, 1);
    return certificates[0];
  }

  /** Writes one pair over another in the way of `mv`. */
  async function put(folder: string, { certificate, key }: { certificate: string; key: string }): Promise<void> {
    for (const [name, text] of [
      ['tls.crt', certificate],
      ['tls.key', key],
    ] as const) {
      await writeFile(join(folder, `${name}.new`), text);
      await rename(join(folder, `${name}.new`), join(folder, name));
    }
  }

  interface Started {
    readonly gateway: TestGateway;
    readonly folder: string;
    readonly logged: () => string;
  }

  async function start(t: TestContext, prepare = (folder: string) => put(folder, first)): Promise<Started> {
    const upstream = await startRecordingUpstream({ era: 'modern' });
    t.after(() => upstream.close());
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true }));
    await prepare(folder);
    let logged = '';
    const write = (line: string): void => {
      logged += line;
    };
    const gateway = await startGateway({
      folder,
      configs: [{ name: 'rec', url: upstream.url }],
      settings: { listen: { port: 0, tls: { certificate_file: 'tls.crt', key_file: 'tls.key' } } },
      log: createLogger({ level: 'info', destination: { write } }),
    });
    t.after(() => gateway.close());
    return { gateway, folder, logged: () => logged };
  }

  async function inUse(url: string, name: string): Promise<void> {
    const startedMs = performance.now();
    await eventually(async () => (await shown(url)) === name);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < IN_USE_WITHIN_MS, `in use after ${tookMs} ms`);
  }

  test('is what SDK clients of both lines check when they list and call', async (t) => {
    const { gateway } = await start(t);
    assert.match(gateway.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    for (const kind of CLIENT_KINDS) {
      const client = await connectClient(kind, gateway.mcpUrl, gateway.token());
      assert.deepEqual(await client.toolNames(), ['rec.echo'], kind);
      assert.ok((await client.call('rec.echo')).text.length > 0, kind);
      await client.close();
    }
  });

  test('may be another one on the admin listener, or none', async (t) => {
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true }));
    const tlsOf = ({ certificateFile, keyFile }: Issued) => ({ certificate_file: certificateFile, key_file: keyFile });
    const listen = { port: 0, tls: tlsOf(first) };
    const both = { listen, admin: { listen: { port: 0, tls: tlsOf(second) } } };
    const gateway = await startGateway({ folder, configs: [], settings: both });
    t.after(() => gateway.close());
    assert.deepEqual([await shown(gateway.url), await shown(gateway.adminUrl)], ['first.test', 'second.test']);
    const { certificates } = JSON.parse((await get(`${gateway.adminUrl}/readyz?detail`)).text);
    assert.deepEqual(
      certificates.map(({ setting, ok, expires }: State) => [setting, ok, expires]),
      ['listen.tls', 'admin.listen.tls'].map((setting) => [setting, true, '2099-01-01T00:00:00.000Z']),
    );
    const one = await startGateway({ configs: [], settings: { listen, admin: { listen: { port: 0 } } } });
    t.after(() => one.close());
    assert.match(one.adminUrl, /^http:/);
  });

  const changes: readonly (readonly [how: string, change: (folder: string) => Promise<void>])[] = [
    ['written over', (folder) => put(folder, second)],
    [
      'written in place, the key first',
      async (folder) => {
        await writeFile(join(folder, 'tls.key'), second.key);
        await writeFile(join(folder, 'tls.crt'), second.certificate);
      },
    ],
  ];
  for (const [how, change] of changes) {
    test(`${how} is in use within a second, and open connections go on`, async (t) => {
      const { gateway, folder, logged } = await start(t);
      const session = http2.connect(gateway.url);
      t.after(() => session.destroy());
      const livez = async (): Promise<string> => {
        const stream = session.request({ ':path': '/livez' });
        return (await buffer(stream)).toString();
      };
      assert.equal(await livez(), '{"status":"live"}');
      await change(folder);
      await inUse(gateway.url, 'second.test');
      assert.equal(await livez(), '{"status":"live"}');
      assert.equal((await stateOf(gateway)).ok, true);
      assert.doesNotMatch(logged(), /"warn"|PRIVATE/);
    });
  }

  test('mounted as a Kubernetes secret is in use within a second after the link is swapped', async (t) => {
    const mount = async (folder: string, version: string, { certificate, key }: Issued): Promise<void> => {
      await mkdir(join(folder, version));
      await put(join(folder, version), { certificate, key });
      await symlink(version, join(folder, '..data_tmp'));
      await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    };
    const { gateway, folder } = await start(t, async (made) => {
      await mount(made, '..1', first);
      for (const name of ['tls.crt', 'tls.key']) await symlink(join('..data', name), join(made, name));
    });
    assert.equal(await shown(gateway.url), 'first.test');
    await mount(folder, '..2', second);
    await rm(join(folder, '..1'), { recursive: true });
    await inUse(gateway.url, 'second.test');
  });

  const broken: readonly (readonly [what: string, change: (folder: string) => Promise<void>, problem: RegExp])[] = [
    [
      'a key that is of another certificate',
      (folder) => put(folder, { certificate: second.certificate, key: first.key }),
      /^listen\.tls\.key_file: the key is not that of the certificate .*tls\.key\)$/,
    ],
    [
      'a file that is gone',
      (folder) => rm(join(folder, 'tls.crt')),
      /^listen\.tls\.certificate_file: the file is not there \(.*tls\.crt\)$/,
    ],
    [
      'half a file',
      (folder) => writeFile(join(folder, 'tls.crt'), second.certificate.slice(0, 200)),
      /^listen\.tls\.certificate_file: the file is not a certificate in PEM/,
    ],
    [
      'a certificate that has expired',
      (folder) => put(folder, expired),
      /^listen\.tls\.certificate_file: the certificate expired on 2021-01-01T00:00:00\.000Z: renew it/,
    ],
  ];
  test('stays when what comes after it cannot be used, which the log and /readyz tell until it can', async (t) => {
    const { gateway, folder, logged } = await start(t);
    for (const [what, change, problem] of broken) {
      await change(folder);
      await eventually(async () => (await stateOf(gateway)).problems.some((each) => problem.test(each)));
      assert.equal((await stateOf(gateway)).ok, false, what);
      assert.equal(await shown(gateway.url), 'first.test', what);
    }
    const warnings = logged()
      .split('\n')
      .filter((line) => line.includes('"warn"'));
    assert.equal(warnings.length, broken.length);
    for (const line of warnings) {
      const { event, setting, file, reason } = JSON.parse(line);
      assert.equal(event, 'certificate not used');
      assert.match(`${setting} ${file} ${reason}`, /^listen\.tls\.(?:certificate|key)_file .*\/tls\.(?:crt|key) the /);
    }
    await put(folder, second);
    await inUse(gateway.url, 'second.test');
    await eventually(async () => (await stateOf(gateway)).ok);
    assert.doesNotMatch(logged(), /PRIVATE/);
  });

  suite('that cannot be used is told at the start with its place', { concurrency: 2 }, () => {
    const cases: readonly (readonly [what: string, pair: () => Partial<Issued>, line: RegExp])[] = [
      [
        'no file',
        () => ({ key: first.key }),
        /^a\.yaml:1:36 listen\.tls\.certificate_file the file is not there \(\/.*\/tls\/a\.crt\)$/,
      ],
      [
        'a certificate in the place of the key',
        () => ({ certificate: first.certificate, key: first.certificate }),
        /^a\.yaml:1:57 listen\.tls\.key_file the file is not a private key in PEM without a passphrase .*a\.key\)$/,
      ],
      [
        'two halves of two pairs',
        () => ({ certificate: first.certificate, key: second.key }),
        /^a\.yaml:1:57 listen\.tls\.key_file the key is not that of the certificate in certificate_file: give the one /,
      ],
      [
        'an expired certificate',
        () => expired,
        /^a\.yaml:1:36 listen\.tls\.certificate_file the certificate expired on 2021-01-01T00:00:00\.000Z: renew it /,
      ],
      [
        'a broken certificate behind a good one',
        () => ({ ...first, certificate: `${first.certificate}${second.certificate.replace(/\n.{60}/, '\n')}` }),
        /^a\.yaml:1:36 listen\.tls\.certificate_file the certificate or its chain cannot be used for TLS: see /,
      ],
    ];
    for (const [what, pair, line] of cases) {
      test(what, async () => {
        const cwd = await scratchFolder();
        await mkdir(join(cwd, 'tls'));
        const { certificate, key } = pair();
        if (certificate !== undefined) await writeFile(join(cwd, 'tls/a.crt'), certificate);
        if (key !== undefined) await writeFile(join(cwd, 'tls/a.key'), key);
        const files = '{ certificate_file: tls/a.crt, key_file: tls/a.key }';
        await writeFile(join(cwd, 'a.yaml'), `listen: { tls: ${files}, port: 0 }\n`);
        for (const command of [
          ['serve', '--config', 'a.yaml'],
          ['check', 'a.yaml'],
        ]) {
          const { code, stdout, stderr } = await runCli(command, { cwd });
          assert.deepEqual([code, stdout], [1, '']);
          assert.match(stderr.trimEnd(), line);
          assert.doesNotMatch(stderr, /PRIVATE|BEGIN/);
        }
      });
    }
  });

  test('does not keep an operator from the store', async () => {
    const cwd = await scratchFolder();
    const listen = { tls: { certificate_file: 'none.crt', key_file: 'none.key' } };
    await writeFile(join(cwd, 'a.json'), JSON.stringify({ listen, store: { url: 'sqlite:store/a.db' } }));
    assert.equal((await runCli(['keys', 'list', '--config', 'a.json'], { cwd })).code, 0);
  });

  test('shows in the line that `serve` prints, and a public URL goes first', async () => {
    const cwd = await scratchFolder();
    const listen = { port: 0, tls: { certificate_file: first.certificateFile, key_file: first.keyFile } };
    await writeFile(join(cwd, 'a.json'), JSON.stringify({ listen }));
    const plain = await startCli(['serve', '--config', 'a.json'], { cwd });
    assert.match(plain.output.stdout, /^Switchboard \S+ serves https:\/\/127\.0\.0\.1:\d+\/mcp\n$/);
    assert.equal(await shown(plain.url), 'first.test');
    assert.equal((await plain.stop()).code, 0);

    const public_url = 'https://mcp.example.com/switchboard/';
    await writeFile(join(cwd, 'a.json'), JSON.stringify({ listen, public_url }));
    const named = await startCli(['serve', '--config', 'a.json'], { cwd });
    const { stdout } = named.output;
    const lines = /^Switchboard \S+ serves (\S+)\nIt listens on (https:\/\/127\.0\.0\.1:\d+)\n$/.exec(stdout);
    assert.equal(lines?.[1], 'https://mcp.example.com/switchboard/mcp', stdout);
    assert.equal(await shown(lines?.[2] ?? ''), 'first.test');
    assert.equal((await named.stop()).code, 0);
  });
});
