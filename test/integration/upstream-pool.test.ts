import assert from 'node:assert/strict';
import http from 'node:http';
import net, { type LookupFunction } from 'node:net';
import { after, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import type { AddressPolicy } from '../../src/upstream/address-guard.ts';
import { AddressRefusedError } from '../../src/upstream/connector.ts';
import {
  classifyUpstreamError,
  createUpstreamPools,
  type UpstreamPoolOptions,
  type UpstreamPools,
} from '../../src/upstream/pool.ts';
import { listenLocally } from '../support/local-server.ts';

const STRICT: AddressPolicy = { allowHttp: true, allowCidrs: [] };
/** A timeout that does not fire shows as a failure here, not as a run that never ends. */
const BOUNDED = { timeout: 20_000 };
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One POST through the handler API that the data plane uses. Ends a turn later, when undici has taken its socket back. */
async function send(pool: Dispatcher, path = '/mcp'): Promise<Answer> {
  const answer = Promise.withResolvers<Answer>();
  let status = 0;
  let body = '';
  pool.dispatch(
    { path, method: 'POST', headers: ['content-type', 'application/json'], body: '{}' },
    {
      onRequestStart() {},
      onResponseStart: (_controller, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_controller, chunk) => {
        body += chunk.toString();
      },
      onResponseEnd: () => answer.resolve({ status, body }),
      onResponseError: (_controller, error) => answer.reject(error),
    },
  );
  const answered = await answer.promise;
  await nextTurn();
  return answered;
}

async function failureOf(pool: Dispatcher, path?: string): Promise<Error> {
  try {
    await send(pool, path);
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  assert.fail('was answered');
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition did not come about in time');
    await nextTurn();
  }
}

async function listen(server: net.Server): Promise<number> {
  closing.push(() => server.close());
  return listenLocally(server);
}

/** An upstream that counts its connections and answers by path. */
async function startUpstream(): Promise<{ port: number; connections: () => number; paths: string[] }> {
  let connections = 0;
  const paths: string[] = [];
  const server = http.createServer((request, response) => {
    paths.push(request.url ?? '');
    request.resume();
    if (request.url === '/redirect') response.writeHead(302, { location: '/mcp' }).end('moved');
    else if (request.url === '/big-head') response.writeHead(200, { 'x-big': 'x'.repeat(17_000) }).end();
    else if (request.url === '/short')
      response.writeHead(200, { 'content-length': '10' }).write('abc', () => request.socket.end());
    // Where the connection is spoken of, Node does not add how long it is kept.
    else if (request.url === '/untold') response.writeHead(200, { connection: 'keep-alive' }).end('ok');
    else if (request.url === '/silent') request.socket.unref();
    else if (request.url === '/stream') response.writeHead(200).write('data: 1\n\n');
    else response.end('ok');
  });
  server.on('connection', () => {
    connections += 1;
  });
  closing.push(() => server.closeAllConnections());
  return { port: await listen(server), connections: () => connections, paths };
}

/** A listener that only counts what arrives. */
async function startSink(): Promise<{ port: number; connections: () => number; received: () => Buffer }> {
  const chunks: Buffer[] = [];
  let connections = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {});
    closing.push(() => socket.destroy());
  });
  return { port: await listen(server), connections: () => connections, received: () => Buffer.concat(chunks) };
}

/** Connections are accepted in order: once the sink has seen ours, any earlier one would have been seen too. */
async function assertUntouched(sink: Awaited<ReturnType<typeof startSink>>): Promise<void> {
  const probe = net.connect(sink.port, '127.0.0.1');
  await until(() => sink.connections() > 0);
  probe.destroy();
  assert.equal(sink.connections(), 1);
}

function open(endpoint: string, policy: AddressPolicy, options: Partial<UpstreamPoolOptions> = {}): UpstreamPools {
  const limits = { connections: 4, connectTimeoutMs: 2000, headersTimeoutMs: 2000, idleTimeoutMs: 2000 };
  const pools = createUpstreamPools({ endpoint: new URL(endpoint), policy, ...limits, ...options });
  closing.push(() => pools.destroy());
  return pools;
}

function admit(endpoint: string): AddressPolicy {
  return { allowHttp: false, allowCidrs: [], admitted: new URL(endpoint).origin };
}

/** A look-up that gives the next list of answers each time it is asked, the last one for ever, in the form asked for. */
function answering(...lists: string[][]): LookupFunction & { count: () => number } {
  let count = 0;
  const lookup: LookupFunction = (_hostname, options, callback) => {
    const list = lists[Math.min(count++, lists.length - 1)] ?? [];
    assert.equal(options.all, true, 'every answer is asked for, whatever the socket wants');
    process.nextTick(
      callback,
      null,
      list.map((address) => ({ address, family: net.isIP(address) })),
    );
  };
  return Object.assign(lookup, { count: () => count });
}

describe('upstream pools: connections', BOUNDED, () => {
  it('calls one after the other use one connection', async () => {
    const upstream = await startUpstream();
    const endpoint = `http://127.0.0.1:${upstream.port}/mcp`;
    const pools = open(endpoint, admit(endpoint));
    for (let call = 0; call < 5; call += 1) assert.deepEqual(await send(pools.calls), { status: 200, body: 'ok' });
    assert.equal(upstream.connections(), 1);
    assert.deepEqual(pools.stats(), { connected: 1, free: 1 });
  });

  it('a name is looked up once per connection, not once per call', async () => {
    const upstream = await startUpstream();
    const endpoint = `http://mcp.example.test:${upstream.port}/mcp`;
    const lookup = answering(['127.0.0.1']);
    const pools = open(endpoint, admit(endpoint), { lookup });
    for (let call = 0; call < 5; call += 1) await send(pools.calls);
    assert.equal(lookup.count(), 1);
  });

  it('calls beyond the limit wait for a socket, and streams leave the sockets of the calls alone', async () => {
    const upstream = await startUpstream();
    const endpoint = `http://127.0.0.1:${upstream.port}/mcp`;
    const pools = open(endpoint, admit(endpoint), { connections: 2 });
    const streams = [failureOf(pools.streams, '/stream'), failureOf(pools.streams, '/stream')];
    await until(() => upstream.paths.length === 2);
    const waiting = [failureOf(pools.streams, '/stream'), failureOf(pools.streams, '/stream')];
    assert.deepEqual(pools.stats(), { connected: 2, free: 0 });
    assert.equal((await send(pools.calls)).body, 'ok');
    assert.equal(upstream.connections(), 3);
    assert.equal(upstream.paths.filter((path) => path === '/stream').length, 2);
    const closed = pools.close();
    pools.destroy();
    await closed;
    for (const error of await Promise.all([...streams, ...waiting])) {
      assert.equal(classifyUpstreamError(error).reason, 'unreachable');
    }
  });

  it('close lets a call under way finish and takes no other', async () => {
    const upstream = await startUpstream();
    const endpoint = `http://127.0.0.1:${upstream.port}/mcp`;
    const pools = open(endpoint, admit(endpoint));
    const call = send(pools.calls);
    const closed = pools.close();
    assert.equal((await call).body, 'ok');
    await closed;
    assert.equal(classifyUpstreamError(await failureOf(pools.calls)).reason, 'unreachable');
  });

  it('a connection whose time is not told is let go before a server of Node closes it, after five seconds', async (t) => {
    const upstream = await startUpstream();
    const endpoint = `http://127.0.0.1:${upstream.port}/mcp`;
    const pools = open(endpoint, admit(endpoint));
    t.mock.timers.enable({ apis: ['setTimeout'] });
    await send(pools.calls, '/untold');
    t.mock.timers.tick(3_999);
    assert.equal(pools.stats().free, 1);
    t.mock.timers.tick(1);
    await until(() => pools.stats().connected === 0);
  });

  it('a redirect is an answer like another: nothing is fetched from where it points', async () => {
    const upstream = await startUpstream();
    const endpoint = `http://127.0.0.1:${upstream.port}/mcp`;
    const pools = open(endpoint, admit(endpoint));
    assert.deepEqual(await send(pools.calls, '/redirect'), { status: 302, body: 'moved' });
    assert.deepEqual(upstream.paths, ['/redirect']);
  });
});

describe('upstream pools: refused places', BOUNDED, () => {
  it('nothing reaches a literal address that is not admitted', async () => {
    const sink = await startSink();
    for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1', 'localhost']) {
      const pools = open(`http://${host}:${sink.port}/`, STRICT);
      const [first, second] = await Promise.all([failureOf(pools.calls), failureOf(pools.streams)]);
      assert.ok(first instanceof AddressRefusedError && second instanceof AddressRefusedError, host);
      assert.equal(first.code, 'SWITCHBOARD_ADDRESS_REFUSED');
      assert.equal(classifyUpstreamError(first).reason, 'address_refused');
      assert.doesNotMatch(first.message, /127|7f|localhost:/);
    }
    await assertUntouched(sink);
  });

  it('plain http is refused unless it is admitted', async () => {
    const sink = await startSink();
    const policy: AddressPolicy = { allowHttp: false, allowCidrs: ['127.0.0.0/8'] };
    const error = await failureOf(open(`http://127.0.0.1:${sink.port}/`, policy).calls);
    assert.ok(error instanceof AddressRefusedError);
    assert.match(error.message, /plain http/);
    await assertUntouched(sink);
  });

  it('what is admitted for one port is refused at the next, for literals and for names', async () => {
    const sink = await startSink();
    for (const host of ['127.0.0.1', 'mcp.example.test']) {
      const policy: AddressPolicy = { ...STRICT, admitted: `http://${host}:1` };
      const pools = open(`http://${host}:${sink.port}/`, policy, { lookup: answering(['127.0.0.1']) });
      assert.ok((await failureOf(pools.calls)) instanceof AddressRefusedError, host);
    }
    await assertUntouched(sink);
  });

  it('one private answer among public ones refuses the name', async () => {
    const sink = await startSink();
    const mixed = [
      ['8.8.8.8', '127.0.0.1'],
      ['127.0.0.1', '8.8.8.8'],
      ['::1'],
      ['::ffff:127.0.0.1'],
      ['169.254.169.254'],
      [...new Array<string>(16).fill('8.8.8.8'), '10.0.0.1'],
      [],
    ];
    for (const list of mixed) {
      const pools = open(`http://mcp.example.test:${sink.port}/`, STRICT, { lookup: answering(list) });
      const error = await failureOf(pools.calls);
      assert.ok(error instanceof AddressRefusedError, list.join());
      assert.doesNotMatch(error.message, /8\.8|127|169|example/);
    }
    await assertUntouched(sink);
  });

  it('an answer in the single form is judged too', async () => {
    const sink = await startSink();
    const lookup: LookupFunction = (_hostname, _options, callback) => callback(null, '127.0.0.1', 4);
    const error = await failureOf(open(`http://mcp.example.test:${sink.port}/`, STRICT, { lookup }).calls);
    assert.ok(error instanceof AddressRefusedError);
    await assertUntouched(sink);
  });

  it('a name is judged anew for every connection, so rebinding it later is refused', async () => {
    const upstream = await startUpstream();
    const allowed: AddressPolicy = { allowHttp: true, allowCidrs: ['127.0.0.1/32'] };
    const lookup = answering(['127.0.0.1'], ['127.0.0.2']);
    const pools = open(`http://mcp.example.test:${upstream.port}/`, allowed, { lookup });
    assert.equal((await send(pools.calls)).body, 'ok');
    assert.ok((await failureOf(pools.streams)) instanceof AddressRefusedError);
    assert.equal(upstream.connections(), 1);
  });

  for (const scheme of ['http', 'https']) {
    it(`a peer that is not what the look-up promised gets no byte over ${scheme}`, async () => {
      const sink = await startSink();
      // The range is withdrawn once the look-up has been judged: it stands for any way around the look-up.
      const allowCidrs = ['127.0.0.0/8'];
      const lookup: LookupFunction = (_hostname, _options, callback) => {
        callback(null, [{ address: '127.0.0.1', family: 4 }]);
        allowCidrs.length = 0;
      };
      const pools = open(`${scheme}://mcp.example.test:${sink.port}/`, { allowHttp: true, allowCidrs }, { lookup });
      const error = await failureOf(pools.calls);
      assert.ok(error instanceof AddressRefusedError);
      assert.match(error.message, /connection leads to a refused place \(loopback address\)/);
      await until(() => sink.connections() === 1);
      assert.equal(sink.received().length, 0);
    });
  }
});

describe('upstream pools: TLS and failures', BOUNDED, () => {
  it("a ClientHello carries the endpoint's own name and offers HTTP/1.1 only", async () => {
    const sink = await startSink();
    const endpoint = `https://mcp.example.test:${sink.port}/`;
    const pools = open(endpoint, admit(endpoint), { lookup: answering(['127.0.0.1']) });
    const failure = failureOf(pools.calls);
    await until(() => sink.received().includes('http/1.1'));
    assert.ok(sink.received().includes('mcp.example.test'));
    assert.ok(!sink.received().includes('\x02h2'));
    pools.destroy();
    await failure;
  });

  it('the connect timeout covers the look-up', async () => {
    const endpoint = 'http://mcp.example.test:9/';
    const pools = open(endpoint, admit(endpoint), { lookup: () => {}, connectTimeoutMs: 30 });
    assert.equal(classifyUpstreamError(await failureOf(pools.calls)).reason, 'timeout');
  });

  it('the connect timeout covers a TLS handshake that never ends, and the socket is closed', async () => {
    let isClosed = false;
    const server = net.createServer((socket) => {
      socket.resume().on('error', () => {});
      socket.on('close', () => {
        isClosed = true;
      });
    });
    const endpoint = `https://127.0.0.1:${await listen(server)}/`;
    const pools = open(endpoint, admit(endpoint), { connectTimeoutMs: 100 });
    assert.equal(classifyUpstreamError(await failureOf(pools.calls)).reason, 'timeout');
    await until(() => isClosed);
  });

  it('plain HTTP where TLS was expected fails the handshake', async () => {
    const upstream = await startUpstream();
    const endpoint = `https://127.0.0.1:${upstream.port}/`;
    const error = await failureOf(open(endpoint, admit(endpoint)).calls);
    assert.deepEqual(classifyUpstreamError(error), {
      reason: 'unreachable',
      message: 'the TLS handshake with it failed',
    });
  });

  it('a closed port, a failed look-up, and answers cut short, oversized or late each get their reason', async () => {
    const upstream = await startUpstream();
    const endpoint = `http://127.0.0.1:${upstream.port}/mcp`;
    const pools = open(endpoint, admit(endpoint), { headersTimeoutMs: 100, idleTimeoutMs: 100 });
    const reasonOf = async (path: string): Promise<string> =>
      classifyUpstreamError(await failureOf(pools.calls, path)).reason;
    assert.equal(await reasonOf('/big-head'), 'broken_answer');
    assert.equal(await reasonOf('/short'), 'broken_answer');
    assert.deepEqual(await Promise.all([reasonOf('/silent'), reasonOf('/stream')]), ['timeout', 'timeout']);

    const closed = net.createServer();
    const port = await listen(closed);
    await new Promise((resolve) => closed.close(resolve));
    const refused = await failureOf(open(`http://127.0.0.1:${port}/`, admit(`http://127.0.0.1:${port}/`)).calls);
    assert.equal(classifyUpstreamError(refused).message, 'it refused the connection');

    const lookup: LookupFunction = (_hostname, _options, callback) =>
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), []);
    const unknown = await failureOf(open('https://mcp.example.test/', STRICT, { lookup }).calls);
    assert.equal(classifyUpstreamError(unknown).message, 'its name is not known to DNS');
  });
});
