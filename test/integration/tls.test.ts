// TLS on the listener, on real sockets: which protocol is spoken, who is turned away and when, what a drain ends, and a
// certificate that is replaced under open connections.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, suite, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { Secret } from '../../src/domain/secret.ts';
import { createListener, type Listener, type ListenerOptions } from '../../src/edge/listener.ts';
import type { OnRequest } from '../../src/edge/request-gate.ts';
import { createTlsTerminator, type TlsOptions, type TlsTerminator } from '../../src/edge/tls.ts';
import { type Authority, createAuthority, type Issued, withoutOpenssl } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { RawHttp1 } from '../support/raw-http1.ts';

interface Running {
  readonly listener: Listener;
  readonly terminator: TlsTerminator;
  readonly port: number;
}

/** Says how it was reached; `/later` waits for `release`. */
let release: PromiseWithResolvers<void>;
let waiting = 0;
let left = 0;
const answer: OnRequest = (request, response) => {
  const send = (): void => void response.end(`HTTP/${request.httpVersionMajor}`);
  request.resume();
  if (request.url !== '/later') {
    send();
    return;
  }
  waiting++;
  response.once('close', () => left++);
  void release.promise.then(send);
};

suite('TLS on the listener', { skip: withoutOpenssl }, () => {
  let folder: string;
  let authority: Authority;
  let first: Issued;
  let second: Issued;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'switchboard-tls-'));
    authority = await createAuthority(folder);
    first = await authority.issue('first.test', { names: ['IP:127.0.0.1'] });
    second = await authority.issue('second.test', { names: ['IP:127.0.0.1'] });
  });
  after(() => rm(folder, { recursive: true }));

  const toPair = ({ certificate, key }: Pick<Issued, 'certificate' | 'key'>) => ({ certificate, key: new Secret(key) });

  async function start(t: TestContext, options: TlsOptions & Partial<ListenerOptions> = {}): Promise<Running> {
    release = Promise.withResolvers();
    waiting = 0;
    left = 0;
    const terminator = createTlsTerminator(toPair(first), options);
    const listener = createListener({ ...options, host: '127.0.0.1', port: 0, tls: terminator }, answer);
    const { port } = await listener.listen();
    t.after(() => listener.close());
    return { listener, terminator, port };
  }

  /** Shakes hands; rejects with what the client's side makes of a refusal. */
  async function shakeHands(t: TestContext, port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
    const socket = tls.connect({ host: '127.0.0.1', port, ca: authority.certificate, ...options });
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    socket.on('error', () => undefined);
    return socket;
  }

  const nameShownBy = (socket: tls.TLSSocket): string => String(socket.getPeerX509Certificate()?.subject);

  async function get(port: number, path = '/', agent?: https.Agent): Promise<{ status: number; text: string }> {
    const outgoing = https.get({ host: '127.0.0.1', port, path, ca: authority.certificate, agent: agent ?? false });
    const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
    return { status: response.statusCode ?? 0, text: (await buffer(response)).toString() };
  }

  function connect2(t: TestContext, port: number): http2.ClientHttp2Session {
    const session = http2.connect(`https://127.0.0.1:${port}`, { ca: authority.certificate });
    session.on('error', () => undefined);
    t.after(() => session.destroy());
    return session;
  }

  async function get2(session: http2.ClientHttp2Session, path = '/'): Promise<string> {
    const stream = session.request({ ':path': path });
    const cut = once(stream, 'close').then(() => Promise.reject(new Error('the stream was cut')));
    await Promise.race([once(stream, 'response'), cut]);
    cut.catch(() => undefined);
    return (await buffer(stream)).toString();
  }

  /** Opens a plain connection. */
  async function dial(t: TestContext, port: number): Promise<RawHttp1> {
    const peer = await RawHttp1.connect(`http://127.0.0.1:${port}`);
    t.after(() => peer.socket.destroy());
    return peer;
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`the handshake decides between the protocols, with ${version}`, async (t) => {
      const { port } = await start(t);
      for (const [offered, agreed, spoken] of [
        [['h2', 'http/1.1'], 'h2', undefined],
        [['http/1.1', 'h2'], 'h2', undefined],
        [['http/1.1'], 'http/1.1', 'HTTP/1'],
        [undefined, false, 'HTTP/1'],
      ] as const) {
        const only = { minVersion: version, maxVersion: version };
        const socket = await shakeHands(t, port, { ...only, ...(offered && { ALPNProtocols: [...offered] }) });
        assert.deepEqual([socket.getProtocol(), socket.alpnProtocol], [version, agreed]);
        if (spoken === undefined) continue;
        socket.write('GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
        assert.match((await buffer(socket)).toString(), new RegExp(`^HTTP/1\\.1 200 .*${spoken}$`, 's'));
      }
      const session = connect2(t, port);
      assert.deepEqual([await get2(session), await get2(session)], ['HTTP/2', 'HTTP/2']);
    });
  }

  test('a client that offers only unknown protocols is told so in the handshake', async (t) => {
    const { port, listener } = await start(t);
    await assert.rejects(shakeHands(t, port, { ALPNProtocols: ['spdy/3'] }), {
      code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    });
    await eventually(() => listener.connections === 0);
  });

  test('versions before TLS 1.2 are refused', async (t) => {
    const { port } = await start(t);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await assert.rejects(shakeHands(t, port, old), { code: /^ERR_SSL_/ });
  });

  const strangers: readonly (readonly [who: string, bytes: string])[] = [
    ['speaks plain HTTP/1.1', 'GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer secret\r\n\r\n'],
    ['speaks plain HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
    ['announces an absurd record', '\x16\x03\x01\xff\xff\x01'],
    ['sends a broken ClientHello', `\x16\x03\x01\x00\x10\x01\x00\x00\x0c${'\xff'.repeat(12)}`],
    ['sends bytes of no protocol', '\0'.repeat(64)],
  ];
  for (const [who, bytes] of strangers) {
    test(`a peer that ${who} is closed, and others are served`, async (t) => {
      const { port, listener } = await start(t, { handshakeTimeoutMs: 500 });
      const peer = await dial(t, port);
      peer.write(Buffer.from(bytes, 'latin1'));
      await peer.ended();
      assert.doesNotMatch(peer.bytes.toString('latin1'), /HTTP|secret/);
      await eventually(() => listener.connections === 0);
      assert.equal((await get(port)).text, 'HTTP/1');
    });
  }

  test('a peer that leaves in the handshake is forgotten', async (t) => {
    const { port, listener } = await start(t);
    const [leaving, resetting] = [await dial(t, port), await dial(t, port)];
    await eventually(() => listener.connections === 2);
    leaving.socket.end('\x16\x03\x01', 'latin1');
    resetting.socket.resetAndDestroy();
    await eventually(() => listener.connections === 0);
  });

  for (const [who, drips] of [
    ['says nothing', false],
    ['drips its bytes', true],
  ] as const) {
    test(`a peer that ${who} is cut when the time for the handshake is over`, async (t) => {
      const handshakeTimeoutMs = 300;
      const { port, listener } = await start(t, { handshakeTimeoutMs });
      const startedMs = performance.now();
      const peer = await dial(t, port);
      // The head of a record that would hold 512 bytes, and then one of them at a time.
      peer.write(Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 'latin1'));
      const dripping = drips ? setInterval(() => peer.write('\x03'), 20) : undefined;
      t.after(() => clearInterval(dripping));
      assert.equal(await peer.ended(), '');
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs >= handshakeTimeoutMs - 5 && tookMs < 5 * handshakeTimeoutMs, `cut after ${tookMs} ms`);
      await eventually(() => listener.connections === 0);
    });
  }

  test('the time for the handshake is not the time of the connection', async (t) => {
    const { port, listener } = await start(t, { handshakeTimeoutMs: 200 });
    const session = connect2(t, port);
    const later = get2(session, '/later');
    const silent = await dial(t, port);
    // Once the other one has been cut, this one has outlived its own.
    await silent.ended();
    release.resolve();
    assert.equal(await later, 'HTTP/2');
    assert.equal(listener.connections, 1);
  });

  test('a client that has finished sending gets its answer', async (t) => {
    const { port, listener } = await start(t);
    const socket = await shakeHands(t, port, { allowHalfOpen: true } as tls.ConnectionOptions);
    socket.end('GET /later HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    const received = buffer(socket);
    await once(socket, 'finish');
    release.resolve();
    assert.match((await received).toString(), /^HTTP\/1\.1 200 .*HTTP\/1$/s);
    await eventually(() => listener.connections === 0);
  });

  test('a client that goes before its answer is noticed within two seconds', async (t) => {
    const { port, listener } = await start(t);
    const socket = await shakeHands(t, port);
    socket.write('GET /later HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    const session = connect2(t, port);
    const later = get2(session, '/later').catch(() => undefined);
    await eventually(() => waiting === 2);
    socket.destroy();
    session.destroy();
    await later;
    await eventually(() => left === 2 && listener.connections === 0, 2_000);
  });

  test('slow headers are cut at their timeout', async (t) => {
    const { port } = await start(t, { headersTimeoutMs: 200, checkIntervalMs: 50 });
    const socket = await shakeHands(t, port);
    socket.write('GET / HTTP/1.1\r\nhost: 127');
    assert.match((await buffer(socket)).toString(), /^HTTP\/1\.1 408\b/);
  });

  test('a drain closes idle connections of both protocols and what is in the handshake, and lets requests finish', async (t) => {
    const { port, listener } = await start(t);
    const agent = new https.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    assert.equal((await get(port, '/', agent)).text, 'HTTP/1');
    const idle = connect2(t, port);
    assert.equal(await get2(idle), 'HTTP/2');
    const silent = await dial(t, port);
    const busy = connect2(t, port);
    const later = [get(port, '/later'), get2(busy, '/later')] as const;
    await eventually(() => waiting === 2 && listener.connections === 5);
    const goaways: number[] = [];
    for (const session of [idle, busy]) session.on('goaway', (code) => goaways.push(code));
    const drained = listener.drain(10_000);
    await Promise.all([once(idle, 'close'), silent.ended()]);
    await eventually(() => listener.connections === 2);
    release.resolve();
    assert.deepEqual(await Promise.all(later), [{ status: 200, text: 'HTTP/1' }, 'HTTP/2']);
    await drained;
    assert.equal(listener.connections, 0);
    assert.deepEqual(goaways, [http2.constants.NGHTTP2_NO_ERROR, http2.constants.NGHTTP2_NO_ERROR]);
  });

  test('a drain cuts what is not finished at its deadline', async (t) => {
    const { port, listener } = await start(t);
    const later = [get(port, '/later'), get2(connect2(t, port), '/later')];
    const outcomes = Promise.allSettled(later);
    await eventually(() => waiting === 2);
    await listener.drain(50);
    assert.equal(listener.connections, 0);
    for (const { status } of await outcomes) assert.equal(status, 'rejected');
  });

  test('a replaced certificate is shown in new handshakes, and open connections go on', async (t) => {
    const { port, terminator, listener } = await start(t);
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const session = connect2(t, port);
    assert.deepEqual([(await get(port, '/', agent)).text, await get2(session)], ['HTTP/1', 'HTTP/2']);
    const later = [get(port, '/later', agent), get2(session, '/later')] as const;
    const resumable = await shakeHands(t, port);
    assert.equal(nameShownBy(resumable), 'CN=first.test');

    terminator.use(toPair(second));
    assert.equal(nameShownBy(await shakeHands(t, port)), 'CN=second.test');
    // What a client kept of the old certificate does not bring it back.
    const kept = resumable.getSession();
    assert.ok(kept);
    const resumed = await shakeHands(t, port, { session: kept });
    assert.equal(resumed.isSessionReused(), false);
    assert.equal(nameShownBy(resumed), 'CN=second.test');

    release.resolve();
    assert.deepEqual([(await later[0]).text, await later[1]], ['HTTP/1', 'HTTP/2']);
    assert.deepEqual([(await get(port, '/', agent)).text, await get2(session)], ['HTTP/1', 'HTTP/2']);
    assert.equal(listener.connections, 5);
  });

  test('a pair that cannot be used is thrown back, and the one in use stays', async (t) => {
    const { port, terminator } = await start(t);
    for (const pair of [
      { certificate: second.certificate, key: first.key },
      { certificate: 'no certificate', key: first.key },
      { certificate: first.certificate, key: 'no key' },
    ])
      assert.throws(
        () => terminator.use(toPair(pair)),
        (error: Error) => !error.message.includes('PRIVATE KEY'),
      );
    assert.equal(nameShownBy(await shakeHands(t, port)), 'CN=first.test');
  });

  test('the whole chain is sent, so that a client who knows the root alone can follow it', async (t) => {
    const { port, terminator } = await start(t);
    terminator.use(toPair({ certificate: first.certificate + authority.certificate, key: first.key }));
    const socket = await shakeHands(t, port);
    assert.equal(socket.authorized, true);
    const issuer = socket.getPeerX509Certificate()?.issuerCertificate;
    assert.equal(issuer?.subject, 'CN=Test CA');
  });
});
