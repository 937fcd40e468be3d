// Upstreams behind an egress proxy: everything goes through it, it is told what it needs and no more, and what it does
// wrong is told apart from what an upstream does wrong.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import net, { type Socket } from 'node:net';
import { join } from 'node:path';
import { suite, type TestContext, test } from 'node:test';
import { openStore } from '../../src/store/open-store.ts';
import { DEFAULT_ACCOUNT } from '../../src/store/store.ts';
import type { AddressPolicy } from '../../src/upstream/address-guard.ts';
import { classifyUpstreamError, createUpstreamPools } from '../../src/upstream/pool.ts';
import { createAuthority, toIdentity, withoutOpenssl } from '../support/certificates.ts';
import { type ConnectProxy, type ConnectProxyOptions, startConnectProxy } from '../support/connect-proxy.ts';
import { eventually } from '../support/eventually.ts';
import { makeFolder, startGateway, type TestGateway } from '../support/gateway.ts';
import { findDeadPort } from '../support/local-server.ts';
import { mcpRequest, send, toolCall } from '../support/mcp-http.ts';
import { failureOf } from '../support/readiness.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { startTlsFront } from '../support/tls-front.ts';

/** What no operator may read of a failure: where proxies and upstreams are, how one logs in, and what they say. */
const HIDDEN = /127\.0\.0\.1|internal|horse|SECRET/;
const NAME = 'mcp.internal.test';
const LOGIN = 'user:correct horse';

async function startProxy(t: TestContext, options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const proxy = await startConnectProxy(options);
  t.after(() => proxy.close());
  return proxy;
}

async function startUpstream(t: TestContext, seen: (port: number) => void = () => {}): Promise<RecordingUpstream> {
  const upstream = await startRecordingUpstream({
    era: 'modern',
    intercept: (_request, response) => {
      seen(response.socket?.remotePort ?? 0);
      return false;
    },
  });
  t.after(() => upstream.close());
  return upstream;
}

/** By a name that no DNS knows: only a proxy can reach it. */
function urlOf(upstream: { readonly url: string }): string {
  return upstream.url.replace('127.0.0.1', NAME);
}

interface Behind {
  readonly url: string;
  readonly proxy: ConnectProxy;
  readonly login?: string;
  readonly more?: object;
}

async function serve(t: TestContext, { url, proxy, login, more }: Behind): Promise<TestGateway> {
  const secret = login === undefined ? {} : { proxy_secret: 'PROXY_LOGIN' };
  const gateway = await startGateway({
    configs: [{ name: 'rec', url, credential: 'upstream-word', more: { proxy: proxy.url, ...secret, ...more } }],
    secrets: login === undefined ? {} : { PROXY_LOGIN: login },
  });
  t.after(() => gateway.close());
  return gateway;
}

async function assertWorks(gateway: TestGateway): Promise<void> {
  await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
  const answer = await send(gateway.mcpUrl, { ...toolCall('rec.echo'), token: gateway.token() });
  assert.ok(answer.message.result, answer.text);
}

/** A gateway whose proxy answers every CONNECT like this. */
async function failureBehind(t: TestContext, takeOver: (socket: Socket) => void, more: object = {}) {
  const upstream = await startUpstream(t);
  const proxy = await startProxy(t, { takeOver });
  const failure = await failureOf(await serve(t, { url: urlOf(upstream), proxy, more }), HIDDEN);
  await eventually(() => proxy.open() === 0);
  assert.equal(upstream.bytesReceived, 0);
  return failure;
}

suite('an upstream behind an egress proxy', () => {
  test('is reached through it alone, by its name, without a look-up', async (t) => {
    const ports = new Set<number>();
    const upstream = await startUpstream(t, (port) => ports.add(port));
    const proxy = await startProxy(t);
    await assertWorks(await serve(t, { url: urlOf(upstream), proxy }));
    const authority = new URL(urlOf(upstream)).host;
    assert.ok(proxy.asked.length > 0);
    for (const { target, headers } of proxy.asked) {
      assert.deepEqual([target, headers], [authority, ['Host', authority]]);
    }
    assert.ok(ports.size > 0 && [...ports].every((port) => proxy.tunnelPorts.includes(port)));
    assert.ok(upstream.requests.every(({ headers }) => headers.authorization === 'Bearer upstream-word'));
    assert.ok(upstream.requests.every(({ headers }) => headers['proxy-authorization'] === undefined));
  });

  test('an IPv6 literal is asked for in brackets', async (t) => {
    const proxy = await startProxy(t);
    await failureOf(await serve(t, { url: 'http://[::1]:9/mcp', proxy }), HIDDEN);
    assert.equal(proxy.asked[0]?.target, '[::1]:9');
  });

  test('over TLS the proxy sees neither request nor credential', { skip: withoutOpenssl }, async (t) => {
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true, force: true }));
    const ca = await createAuthority(folder);
    const identity = await ca.issue('server', { names: [`DNS:${NAME}`] });
    const upstream = await startUpstream(t);
    const front = await startTlsFront(upstream.url, toIdentity(identity));
    t.after(() => front.close());
    const proxy = await startProxy(t);
    await assertWorks(await serve(t, { url: urlOf(front), proxy, more: { tls: { ca_file: ca.certificateFile } } }));
    assert.equal(proxy.asked[0]?.target, `${NAME}:${front.port}`);
    const untrusting = await serve(t, { url: urlOf(front), proxy });
    assert.equal(
      (await failureOf(untrusting, HIDDEN)).message,
      'its TLS certificate is not signed by a trusted authority',
    );
  });

  test('a proxy that wants credentials is told them, and nobody else is', async (t) => {
    const upstream = await startUpstream(t);
    const proxy = await startProxy(t, { credential: LOGIN });
    await assertWorks(await serve(t, { url: urlOf(upstream), proxy, login: LOGIN }));
    const sent = proxy.asked[0]?.headers ?? [];
    assert.deepEqual(sent.slice(2), ['Proxy-Authorization', `Basic ${Buffer.from(LOGIN).toString('base64')}`]);
    assert.ok(upstream.requests.every(({ rawHeaders }) => !rawHeaders.some((each) => /proxy/i.test(each))));
  });

  test('without credentials, and with wrong ones, it says which', async (t) => {
    const upstream = await startUpstream(t);
    const proxy = await startProxy(t, { credential: LOGIN });
    const none = await failureOf(await serve(t, { url: urlOf(upstream), proxy }), HIDDEN);
    assert.deepEqual(none, {
      ...none,
      reason: 'unreachable',
      message: 'the egress proxy wants credentials (HTTP 407)',
    });
    const wrong = await failureOf(await serve(t, { url: urlOf(upstream), proxy, login: 'user:wrong' }), HIDDEN);
    assert.match(wrong.message, /^the egress proxy refused the credentials/);
  });

  test('rotated credentials are used from the next load on', async (t) => {
    const upstream = await startUpstream(t);
    const proxy = await startProxy(t, { credential: LOGIN });
    const more = { proxy: proxy.url, proxy_secret: 'PROXY_LOGIN' };
    const file = (login: string) => ({
      configs: [{ name: 'rec', url: urlOf(upstream), more }],
      secrets: { PROXY_LOGIN: login },
    });
    const gateway = await startGateway(file('user:old'));
    t.after(() => gateway.close());
    await failureOf(gateway, HIDDEN);
    await gateway.reload(file(LOGIN));
    await assertWorks(gateway);
  });

  test('a proxy that refuses, and one that cannot reach it, is told with its status', async (t) => {
    const failure = await failureBehind(t, (socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n<h1>SECRET</h1>'));
    assert.deepEqual(
      [failure.reason, failure.message],
      ['unreachable', 'the egress proxy refused to connect to it (HTTP 403)'],
    );
    const proxy = await startProxy(t);
    const gateway = await serve(t, { url: `http://${NAME}:${await findDeadPort()}/mcp`, proxy });
    assert.equal((await failureOf(gateway, HIDDEN)).message, 'the egress proxy refused to connect to it (HTTP 502)');
  });

  test('a proxy that never answers, and one that answers by the drop, fall under the connect timeout', async (t) => {
    const more = { limits: { connect_timeout_ms: 150 } };
    const expected = ['timeout', 'the egress proxy did not connect to it in time'];
    const silent = await failureBehind(t, (socket) => socket.resume(), more);
    assert.deepEqual([silent.reason, silent.message], expected);
    const dripping = await failureBehind(
      t,
      (socket) => {
        const drip = setInterval(() => socket.write('H'), 20);
        socket.resume().once('close', () => clearInterval(drip));
      },
      more,
    );
    assert.deepEqual([dripping.reason, dripping.message], expected);
  });

  const wrong: Readonly<Record<string, readonly [answer: string, message: RegExp]>> = {
    'that is no HTTP': ['SSH-2.0-OpenSSH_9.9\r\n\r\n', /did not answer as an HTTP proxy does/],
    'of another version': ['HTTP/2 200\r\n\r\n', /did not answer as an HTTP proxy does/],
    'whose status is no status': ['HTTP/1.1 20x OK\r\n\r\n', /did not answer as an HTTP proxy does/],
    'with a head of 17 KB': [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, /answered with too large a head/],
    'with a head that has no end': ['x'.repeat(20_000), /answered with too large a head/],
    'that is cut short': ['HTTP/1.1 200 OK\r\n', /closed the connection before it opened a tunnel/],
    'with bytes after its head': ['HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', /sent bytes of its own/],
  };
  for (const [title, [answer, message]] of Object.entries(wrong)) {
    test(`an answer ${title} opens no tunnel`, async (t) => {
      const failure = await failureBehind(t, (socket) => socket.end(answer));
      assert.equal(failure.reason, 'unreachable');
      assert.match(failure.message, message);
    });
  }

  test('a head that comes in pieces, and a status of 2xx, open one', async (t) => {
    const upstream = await startUpstream(t);
    const proxy = await startProxy(t, {
      takeOver: (socket) => {
        const inner = net.connect(Number(new URL(upstream.url).port), '127.0.0.1');
        inner.on('error', () => socket.destroy());
        const pieces = ['HT', 'TP/1.1 204 Fine\r', '\nVia: x\r\n\r', '\n'];
        const write = () => {
          socket.write(pieces.shift() ?? '');
          if (pieces.length > 0) setImmediate(write);
          else socket.pipe(inner).pipe(socket);
        };
        write();
      },
    });
    await assertWorks(await serve(t, { url: urlOf(upstream), proxy }));
  });

  test('a proxy that is not there is not taken for an upstream that is not there', async (t) => {
    const upstream = await startUpstream(t);
    const proxy = await startConnectProxy();
    await proxy.close();
    const failure = await failureOf(await serve(t, { url: urlOf(upstream), proxy }), HIDDEN);
    assert.deepEqual(
      [failure.reason, failure.message],
      ['unreachable', 'no connection to the egress proxy could be made'],
    );
  });

  test('HTTP_PROXY and its kind in the environment change nothing', async (t) => {
    const upstream = await startUpstream(t);
    const proxy = await startProxy(t);
    const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];
    const before = names.map((name) => [name, process.env[name]] as const);
    t.after(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });
    for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : proxy.url;
    const gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
    t.after(() => gateway.close());
    await assertWorks(gateway);
    assert.deepEqual(proxy.asked, []);
  });
});

suite('where an egress proxy may be', () => {
  const STRICT: AddressPolicy = { allowHttp: true, allowCidrs: [] };

  async function failureThrough(t: TestContext, endpoint: string, proxy: string, policy: AddressPolicy) {
    const limits = { connections: 1, connectTimeoutMs: 2_000, headersTimeoutMs: 2_000, idleTimeoutMs: 2_000 };
    const pools = createUpstreamPools({
      endpoint: new URL(endpoint),
      policy: STRICT,
      ...limits,
      proxy: { url: new URL(proxy), authorization: undefined, policy },
      lookup: (_hostname, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    t.after(() => pools.destroy());
    const request = pools.calls.request({ path: '/', method: 'GET' });
    return classifyUpstreamError(
      await request.then(
        () => assert.fail('was answered'),
        (error: unknown) => error,
      ),
    );
  }

  test('on loopback it is refused unless it is admitted, by its literal and by its name', async (t) => {
    const proxy = await startProxy(t);
    const { port } = new URL(proxy.url);
    for (const host of ['127.0.0.1', 'proxy.example.com']) {
      const url = `http://${host}:${port}`;
      const refused = await failureThrough(t, 'http://mcp.example.com/', url, STRICT);
      assert.equal(refused.reason, 'address_refused', host);
      assert.match(refused.message, /egress proxy.*\(loopback address\)/);
      const admitted = await failureThrough(t, 'http://mcp.example.com:1/', url, { ...STRICT, admitted: url });
      assert.equal(admitted.message, 'the egress proxy refused to connect to it (HTTP 502)');
    }
    assert.equal(proxy.asked.length, 2);
  });

  test('an endpoint that is refused by itself is refused behind a proxy, too', async (t) => {
    const proxy = await startProxy(t);
    for (const endpoint of ['http://169.254.169.254/', 'http://metadata.google.internal/', 'http://10.0.0.1/']) {
      const policy = { ...STRICT, admitted: proxy.url };
      assert.equal((await failureThrough(t, endpoint, proxy.url, policy)).reason, 'address_refused', endpoint);
    }
    assert.deepEqual(proxy.asked, []);
  });

  test('a config that is not from the file cannot have one on loopback', async (t) => {
    const folder = await makeFolder();
    t.after(() => rm(folder, { recursive: true, force: true }));
    const upstream = await startUpstream(t);
    const proxy = await startProxy(t);
    const more = { proxy: proxy.url };
    const configs = [{ name: 'rec', url: urlOf(upstream), more }];
    const gateway = await startGateway({
      folder,
      configs,
      settings: { upstreams: { allow_http: true, allow_cidrs: ['10.0.0.0/8'] } },
    });
    t.after(() => gateway.close());
    await assertWorks(gateway);
    const asked = proxy.asked.length;

    const store = await openStore(`sqlite:${join(folder, 'store/switchboard.db')}`);
    await store.write(DEFAULT_ACCOUNT, async (writer) => {
      const { mcpConfigs } = await writer.readConfiguration();
      for (const config of mcpConfigs) {
        await writer.putMcpConfig({ ...config, managedBy: 'api', revision: config.revision + 1 });
      }
    });
    await store.close();
    await eventually(async () => {
      const answer = await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token() });
      const [state] = answer.message.result._meta?.['mcp-switchboard/upstreams'] ?? [];
      return state?.state === 'address_refused';
    });
    assert.equal(proxy.asked.length, asked);
  });
});
