// The listener on real sockets: both protocols on one port, clocks, refusals and drain.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { GatewayError } from '../../src/domain/errors.ts';
import type { Listener, ListenerOptions } from '../../src/edge/listener.ts';
import { createListener } from '../../src/edge/listener.ts';
import type { EdgeRequest, EdgeResponse, OnRequest } from '../../src/edge/request-gate.ts';

interface Running {
  readonly listener: Listener;
  readonly port: number;
}

async function start(t: TestContext, onRequest: OnRequest, options: Partial<ListenerOptions> = {}): Promise<Running> {
  const listener = createListener({ host: '127.0.0.1', port: 0, ...options }, onRequest);
  const { port } = await listener.listen();
  t.after(() => listener.close());
  return { listener, port };
}

/** Answers with what it received, as JSON. */
const echo: OnRequest = (request, response) => {
  void buffer(request).then(
    (body) => {
      const { method, url, httpVersion } = request;
      const text = JSON.stringify({ method, url, httpVersion, body: body.toString('base64') });
      response.setHeader('content-length', text.length);
      response.end(text);
    },
    () => undefined,
  );
};

interface Wire {
  readonly socket: net.Socket;
  readonly received: () => string;
  /** Resolves when the text so far matches; fails after five seconds or when the server hangs up before. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves with everything received once the server has closed. */
  closed(): Promise<string>;
}

async function dial(t: TestContext, port: number): Promise<Wire> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  t.after(() => socket.destroy());
  let text = '';
  let isClosed = false;
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => undefined);
  socket.on('end', () => {
    isClosed = true;
    socket.end();
  });
  socket.on('close', () => {
    isClosed = true;
  });
  await once(socket, 'connect');
  return {
    socket,
    received: () => text,
    async until(pattern) {
      await eventually(() => pattern.test(text) || isClosed);
      assert.match(text, pattern);
      return text;
    },
    async closed() {
      await eventually(() => isClosed);
      return text;
    },
  };
}

async function eventually(condition: () => boolean, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`not reached within ${withinMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The one refusal in a raw HTTP/1.1 answer, checked for its form. */
function refusalIn(text: string): { status: number; message: string; code: string } {
  const [headers = '', body = ''] = text.split('\r\n\r\n');
  assert.match(headers, /^connection: close$/im);
  assert.match(headers, /^content-type: application\/json$/im);
  assert.match(headers, new RegExp(`^content-length: ${Buffer.byteLength(body)}$`, 'im'));
  const refusal = JSON.parse(body);
  assert.match(headers, new RegExp(`^HTTP/1\\.1 ${refusal.status}`));
  return refusal;
}

function connectH2(t: TestContext, port: number): http2.ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  t.after(() => session.destroy());
  return session;
}

async function callH2(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders | string[],
  body?: string,
): Promise<{ status: number; headers: http2.IncomingHttpHeaders; text: string }> {
  const stream = session.request(headers as http2.OutgoingHttpHeaders, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const [answer] = await once(stream, 'response');
  const text = (await buffer(stream)).toString();
  return { status: answer[':status'], headers: answer, text };
}

/** Reads an answer that may be followed by a reset, which Node's stream consumers take for a failure. */
async function answerBeforeReset(stream: http2.ClientHttp2Stream): Promise<{ status: number; text: string }> {
  stream.on('error', () => undefined);
  let status = 0;
  let text = '';
  stream.on('response', (headers) => {
    status = headers[':status'] ?? 0;
  });
  stream.on('data', (chunk) => {
    text += chunk;
  });
  await once(stream, 'close');
  return { status, text };
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const GET = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n';

test('an HTTP/1.1 request is served and its connection is used again', async (t) => {
  const { listener, port } = await start(t, echo);
  const wire = await dial(t, port);
  wire.socket.write(GET);
  assert.match(await wire.until(/\}/), /^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: keep-alive/);
  wire.socket.write(GET.replace('/a', '/b'));
  await wire.until(/"url":"\/b"/);
  assert.equal(listener.connections, 1);
});

test('the last request that a connection may carry ends it, and says so', async (t) => {
  const { port } = await start(t, echo, { maxRequestsPerConnection: 3 });
  const wire = await dial(t, port);
  for (const n of [1, 2]) {
    wire.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await wire.until(new RegExp(`(?:HTTP/1\\.1 200[\\s\\S]*"body":""}[\\s\\S]*){${n}}`));
  }
  assert.doesNotMatch(wire.received(), /connection: close/i);
  wire.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const text = await wire.closed();
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 3);
  assert.equal(text.match(/^connection: close/gim)?.length, 1);
});

test('pipelined requests are answered in their order', async (t) => {
  const { port } = await start(t, echo);
  const wire = await dial(t, port);
  wire.socket.write(['/1', '/2', '/3'].map((path) => GET.replace('/a', path)).join(''));
  const text = await wire.until(/"url":"\/3"/);
  assert.deepEqual(
    [...text.matchAll(/"url":"(.*?)"/g)].map((match) => match[1]),
    ['/1', '/2', '/3'],
  );
});

test('a body that comes in one chunk with its headers arrives whole, and so does one of many chunks', async (t) => {
  const { port } = await start(t, echo);
  for (const size of [1, 3_000, 300_000]) {
    const body = Buffer.alloc(size, 'PRI * HTTP/2.0\r\n\r\n');
    const wire = await dial(t, port);
    const head = `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`;
    wire.socket.write(Buffer.concat([Buffer.from(head), body]));
    const text = await wire.until(/"body":"[^"]*"\}/);
    assert.equal(/"body":"(.*)"/.exec(text)?.[1], body.toString('base64'));
  }
});

test('a peer that has finished sending with its request is answered', async (t) => {
  const { port } = await start(t, (_request, response) => void response.end('answered'));
  const wire = await dial(t, port);
  wire.socket.end(GET);
  assert.match(await wire.closed(), /answered/);
});

test('a request sent byte by byte is read whole, also one that begins like the preface', async (t) => {
  const { port } = await start(t, echo);
  for (const method of ['GET', 'PATCH', 'PROPFIND']) {
    const wire = await dial(t, port);
    for (const byte of GET.replace('GET', method)) {
      wire.socket.write(byte);
      await new Promise(setImmediate);
    }
    await wire.until(new RegExp(`"method":"${method}"`));
  }
});

test('HTTP/2 with prior knowledge is served on the same port', async (t) => {
  const { port } = await start(t, echo);
  const session = connectH2(t, port);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => callH2(session, { ':path': `/${index}`, ':method': 'POST' }, `${index}`)),
  );
  answers.forEach((answer, index) => {
    assert.equal(answer.status, 200);
    const body = Buffer.from(`${index}`).toString('base64');
    assert.deepEqual(JSON.parse(answer.text), { method: 'POST', url: `/${index}`, httpVersion: '2.0', body });
  });
});

test('a preface that comes byte by byte is still HTTP/2', async (t) => {
  const { port } = await start(t, echo);
  const wire = await dial(t, port);
  for (const byte of PREFACE) {
    wire.socket.write(byte);
    await new Promise(setImmediate);
  }
  wire.socket.write(EMPTY_SETTINGS);
  await eventually(() => wire.received().length >= 9);
  assert.equal(wire.received().charCodeAt(3), 4, 'the first frame of the server is SETTINGS');
});

test('an HTTP/2 client that hangs up leaves no socket behind', async (t) => {
  const { listener, port } = await start(t, echo);
  const session = connectH2(t, port);
  await callH2(session, { ':path': '/' });
  assert.equal(listener.connections, 1);
  session.close();
  await eventually(() => listener.connections === 0);
  const wire = await dial(t, port);
  wire.socket.write(PREFACE);
  wire.socket.write(EMPTY_SETTINGS);
  await eventually(() => wire.received().length >= 9);
  wire.socket.end();
  await eventually(() => listener.connections === 0);
});

test('a broken preface and broken frames end their own connection only', async (t) => {
  const { listener, port } = await start(t, echo);
  for (const bytes of [
    'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n',
    `${PREFACE}${'\xff'.repeat(64)}`,
    '\x16\x03\x01\x02\x00\x01',
  ]) {
    const wire = await dial(t, port);
    wire.socket.write(Buffer.from(bytes, 'latin1'));
    await wire.closed();
  }
  await eventually(() => listener.connections === 0);
  const wire = await dial(t, port);
  wire.socket.write(GET);
  await wire.until(/200 OK/);
});

test('a peer that does not finish the preface in time is dropped, however it dawdles', async (t) => {
  const { listener, port } = await start(t, echo, { sniffTimeoutMs: 60 });
  const silent = await dial(t, port);
  const dawdling = await dial(t, port);
  const preface = [...PREFACE];
  const dawdle = setInterval(() => dawdling.socket.write(preface.shift() ?? 'x'), 25);
  t.after(() => clearInterval(dawdle));
  assert.equal(await silent.closed(), '');
  assert.equal(await dawdling.closed(), '');
  assert.ok(preface.length > 0);
  assert.equal(listener.connections, 0);
});

test('a peer that leaves while it is being sniffed leaves no socket behind', async (t) => {
  const { listener, port } = await start(t, echo);
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const wire = await dial(t, port);
    wire.socket.write('PRI');
    await eventually(() => listener.connections === 1);
    wire.socket[leave]();
    await eventually(() => listener.connections === 0);
  }
});

const FAST = { headersTimeoutMs: 80, requestTimeoutMs: 160, checkIntervalMs: 20 };

test('slow headers are cut at the headers timeout', async (t) => {
  const { port } = await start(t, echo, { ...FAST, requestTimeoutMs: 60_000 });
  const wire = await dial(t, port);
  wire.socket.write('GET /a HTTP/1.1\r\nHost: x\r\n');
  const drip = setInterval(() => wire.socket.write('x-more: 1\r\n'), 15);
  t.after(() => clearInterval(drip));
  const refusal = refusalIn(await wire.closed());
  assert.equal(refusal.status, 408);
});

test('slow headers are cut on the second request of a connection too', async (t) => {
  const { port } = await start(t, echo, { ...FAST, requestTimeoutMs: 60_000 });
  const wire = await dial(t, port);
  wire.socket.write(GET);
  await wire.until(/\}/);
  wire.socket.write('GET /b HTTP/1.1\r\n');
  assert.match(await wire.closed(), /\}HTTP\/1\.1 408/);
});

test('a slow body is cut at the request timeout over HTTP/1.1', async (t) => {
  const { port } = await start(t, echo, FAST);
  const wire = await dial(t, port);
  wire.socket.write('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx');
  assert.equal(refusalIn(await wire.closed()).status, 408);
});

test('a slow body is cut at the request timeout over HTTP/2', async (t) => {
  const { port } = await start(t, echo, FAST);
  const session = connectH2(t, port);
  const stream = session.request({ ':path': '/', ':method': 'POST' });
  stream.write('x');
  const answer = await answerBeforeReset(stream);
  assert.equal(answer.status, 408);
  assert.equal(JSON.parse(answer.text).status, 408);
  assert.equal((await callH2(session, { ':path': '/' })).status, 200);
});

test('an answer may take longer than the request timeout', async (t) => {
  const later: OnRequest = (request, response) => {
    request.resume();
    setTimeout(() => response.end('late'), 400);
  };
  const { port } = await start(t, later, FAST);
  const wire = await dial(t, port);
  wire.socket.write('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx');
  const session = connectH2(t, port);
  const answer = await callH2(session, { ':path': '/', ':method': 'POST' }, 'x');
  assert.equal(answer.text, 'late');
  await wire.until(/late/);
});

test('over HTTP/2 an application need not read a body to answer for longer than the request timeout', async (t) => {
  const { port } = await start(
    t,
    (_request, response) => {
      (response as http2.Http2ServerResponse).write('begun');
      setTimeout(() => response.end(' done'), 400);
    },
    FAST,
  );
  const stream = connectH2(t, port).request({ ':path': '/' }, { endStream: false });
  await once(stream, 'response');
  stream.end();
  assert.equal((await buffer(stream)).toString(), 'begun done');
});

test('idle connections of both protocols are closed at the keep-alive timeout', async (t) => {
  const { listener, port } = await start(t, echo, { keepAliveTimeoutMs: 50 });
  const wire = await dial(t, port);
  wire.socket.write(GET);
  const session = connectH2(t, port);
  await callH2(session, { ':path': '/' });
  await wire.closed();
  await eventually(() => session.closed && listener.connections === 0);
});

const REFUSED: readonly (readonly [title: string, request: string, status: number, message: RegExp])[] = [
  [
    'a second Authorization',
    'GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nauthorization: b\r\n\r\n',
    400,
    /authorization/,
  ],
  ['a second Host', 'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n', 400, /host/],
  ['a second Mcp-Name', 'GET / HTTP/1.1\r\nHost: x\r\nMcp-Name: a\r\nMCP-NAME: a\r\n\r\n', 400, /mcp-name/],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: x\r\n\r\n', 505, /HTTP\/1\.1/],
  ['HTTP/0.9', 'GET /\r\n\r\n', 505, /HTTP\/1\.1/],
  ['a 17 KB header', `GET / HTTP/1.1\r\nHost: x\r\nx-big: ${'x'.repeat(17_000)}\r\n\r\n`, 431, /16384 bytes/],
  ['2,000 headers', `GET / HTTP/1.1\r\nHost: x\r\n${'a:\r\n'.repeat(2_000)}\r\n`, 431, /^The request (headers|has)/],
  ['150 headers', `GET / HTTP/1.1\r\nHost: x\r\n${'a: 1\r\n'.repeat(150)}\r\n`, 431, /151 header lines/],
  ['a target on another host', 'GET http://evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n', 400, /Host/],
  ['a target that is no path', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 400, /path/],
  [
    'two framings',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    400,
    /not valid/,
  ],
  [
    'an unknown expectation',
    'POST / HTTP/1.1\r\nHost: x\r\nExpect: cake\r\nContent-Length: 1\r\n\r\n',
    417,
    /100-continue/,
  ],
];

for (const [title, request, status, message] of REFUSED) {
  test(`${title} is refused with ${status} before the application sees it`, async (t) => {
    const { listener, port } = await start(t, () => assert.fail('the application was called'));
    const wire = await dial(t, port);
    wire.socket.write(request);
    const refusal = refusalIn(await wire.closed());
    assert.equal(refusal.status, status);
    assert.equal(refusal.code, 'invalid_request');
    assert.match(refusal.message, message);
    await eventually(() => listener.connections === 0);
  });
}

test('a request without Host is refused with 400', async (t) => {
  const { port } = await start(t, () => assert.fail('the application was called'));
  const wire = await dial(t, port);
  wire.socket.write('GET / HTTP/1.1\r\n\r\n');
  assert.match(await wire.closed(), /^HTTP\/1\.1 400 /);
});

test('garbage after an answer has begun closes the connection and adds nothing to the answer', async (t) => {
  const { port } = await start(t, (_request, response) => {
    (response as http.ServerResponse).write('begun');
  });
  const wire = await dial(t, port);
  wire.socket.write(GET);
  await wire.until(/begun/);
  wire.socket.write('\0\0\0\r\n\r\n');
  assert.equal((await wire.closed()).match(/HTTP\/1\.1/g)?.length, 1);
});

test('over HTTP/2 the same refusals come without a connection header', async (t) => {
  const { port } = await start(t, () => assert.fail('the application was called'));
  const session = connectH2(t, port);
  const twice = await callH2(session, [':path', '/', 'mcp-name', 'a', 'mcp-name', 'b']);
  assert.equal(twice.status, 400);
  assert.equal(twice.headers.connection, undefined);
  assert.match(JSON.parse(twice.text).message, /mcp-name/);
  const otherHost = await callH2(session, { ':path': '/', ':authority': 'x', host: 'evil.test' });
  assert.equal(otherHost.status, 400);
  const lines = Array.from({ length: 101 }, (_, index) => [`x-${index}`, '1']).flat();
  assert.equal((await callH2(session, [':path', '/', ...lines])).status, 431);
  assert.equal((await callH2(session, { ':path': '/', ':method': 'POST', expect: 'cake' })).status, 417);
});

test('over HTTP/2 a refusal resets a body that is still coming, and a 17 KB header resets its stream', async (t) => {
  const { port } = await start(t, () => assert.fail('the application was called'));
  const session = connectH2(t, port);
  const stream = session.request([':path', '/', ':method', 'POST', 'mcp-name', 'a', 'mcp-name', 'b'] as never);
  const answer = await answerBeforeReset(stream);
  assert.equal(answer.status, 400);
  assert.match(JSON.parse(answer.text).message, /mcp-name/);
  const big = session.request({ ':path': '/', 'x-big': 'x'.repeat(17_000) });
  await assert.rejects(once(big, 'response'));
  assert.equal(session.destroyed, false);
});

test('an absolute target on our own host reaches the application as a path', async (t) => {
  const { port } = await start(t, echo);
  const wire = await dial(t, port);
  wire.socket.write('GET http://x/mcp?names=dot HTTP/1.1\r\nHost: x\r\n\r\n');
  await wire.until(/"url":"\/mcp\?names=dot"/);
});

test('TRACE is left to the application', async (t) => {
  const { port } = await start(t, echo);
  const wire = await dial(t, port);
  wire.socket.write(GET.replace('GET', 'TRACE'));
  await wire.until(/"method":"TRACE"/);
});

test('CONNECT is cut, and an offered upgrade is served as the plain request it came with', async (t) => {
  const { listener, port } = await start(t, echo);
  const connecting = await dial(t, port);
  connecting.socket.write('CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n');
  assert.equal(await connecting.closed(), '');
  const upgrading = await dial(t, port);
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  upgrading.socket.write(`POST /mcp HTTP/1.1\r\nHost: x\r\n${offer}Content-Length: 2\r\n\r\nhi`);
  await upgrading.until(/"url":"\/mcp".*"body":"aGk="/);
  upgrading.socket.write(GET);
  await upgrading.until(/"url":"\/a"/);
  const session = connectH2(t, port);
  assert.equal((await callH2(session, { ':method': 'CONNECT', ':authority': 'evil.test:443' })).status, 405);
  assert.equal(listener.connections, 2);
});

test('100 Continue is sent when the application asks for the body, and never when it does not', async (t) => {
  const { port } = await start(t, (request, response) => {
    if (request.url === '/read') echo(request, response);
    else {
      response.statusCode = 401;
      response.end();
    }
  });
  const post = (path: string) =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`;
  const reading = await dial(t, port);
  reading.socket.write(post('/read'));
  await reading.until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
  reading.socket.write('hi');
  await reading.until(/"body":"aGk="/);
  const refused = await dial(t, port);
  refused.socket.write(post('/refuse'));
  assert.match(await refused.closed(), /^HTTP\/1\.1 401 [\s\S]*Connection: close/);
  const session = connectH2(t, port);
  const stream = session.request({ ':path': '/read', ':method': 'POST', expect: '100-continue' });
  await once(stream, 'continue');
  stream.end('hi');
  assert.match((await buffer(stream)).toString(), /"body":"aGk="/);
});

test('an application that throws answers 500, or resets an answer it has begun, and the next request is served', async (t) => {
  const errors: unknown[] = [];
  const throwing = (request: EdgeRequest, response: EdgeResponse): void => {
    if (request.url === '/begun') (response as http.ServerResponse).write('begun');
    if (request.url !== '/fine') throw new Error('detail of the failure');
    response.end('fine');
  };
  const { port } = await start(t, throwing, { onError: (error) => errors.push(error) });
  const wire = await dial(t, port);
  wire.socket.write(GET);
  const refusal = refusalIn(await wire.closed());
  assert.deepEqual([refusal.status, refusal.code], [500, 'internal']);
  assert.doesNotMatch(refusal.message, /detail/);
  const begun = await dial(t, port);
  begun.socket.write(GET.replace('/a', '/begun'));
  assert.doesNotMatch(await begun.closed(), /\r\n0\r\n\r\n$/);
  const session = connectH2(t, port);
  assert.equal((await callH2(session, { ':path': '/' })).status, 500);
  assert.equal((await callH2(session, { ':path': '/fine' })).text, 'fine');
  assert.equal(errors.length, 3);
});

test('a port in use is said with what to do about it', async (t) => {
  const { port } = await start(t, echo);
  const second = createListener({ host: '127.0.0.1', port }, echo);
  await assert.rejects(second.listen(), (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'invalid_argument');
    assert.match(error.message, new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use\\..*listen\\.port`));
    return true;
  });
  await second.close();
});

test('connections over the limit are closed as they come', async (t) => {
  const { listener, port } = await start(t, echo, { maxConnections: 1 });
  const first = await dial(t, port);
  first.socket.write(GET);
  await first.until(/\}/);
  const second = await dial(t, port);
  assert.equal(await second.closed(), '');
  assert.equal(listener.connections, 1);
});

/** An application that holds every request until told to answer. */
function holding(): { onRequest: OnRequest; held: EdgeResponse[] } {
  const held: EdgeResponse[] = [];
  return { held, onRequest: (_request, response) => void held.push(response) };
}

test('a drain waits for calls in flight on both protocols, tells their clients, and then no socket is left', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await start(t, onRequest);
  const wire = await dial(t, port);
  wire.socket.write(GET);
  const session = connectH2(t, port);
  const answer = callH2(session, { ':path': '/' });
  const saidGoodbye = once(session, 'goaway');
  await eventually(() => held.length === 2);

  let isDrained = false;
  const drained = listener.drain(10_000).then(() => {
    isDrained = true;
  });
  assert.equal(listener.draining, true);
  await saidGoodbye;
  await assert.rejects(once(net.connect(port, '127.0.0.1'), 'connect'));
  assert.equal(isDrained, false);

  for (const response of held) response.end('done');
  assert.equal((await answer).text, 'done');
  assert.match(await wire.closed(), /Connection: close[\s\S]*done/);
  await drained;
  assert.equal(listener.connections, 0);
});

test('a drain with idle clients only is over at once', async (t) => {
  const { listener, port } = await start(t, echo);
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const request = http.get({ port, host: '127.0.0.1', agent });
  const [response] = await once(request, 'response');
  await buffer(response);
  const session = connectH2(t, port);
  await callH2(session, { ':path': '/' });
  const silent = await dial(t, port);
  await eventually(() => listener.connections === 3);
  const startedAt = performance.now();
  await listener.drain(30_000);
  assert.ok(performance.now() - startedAt < 1_000);
  assert.equal(await silent.closed(), '');
});

test('an HTTP/2 peer that ignores the goodbye does not hold up a drain', async (t) => {
  const { listener, port } = await start(t, echo);
  const wire = await dial(t, port);
  wire.socket.removeAllListeners('end');
  wire.socket.write(PREFACE);
  wire.socket.write(EMPTY_SETTINGS);
  await eventually(() => wire.received().length >= 9);
  const startedAt = performance.now();
  await listener.drain(30_000);
  assert.ok(performance.now() - startedAt < 4_000);
  assert.equal(listener.connections, 0);
});

test('a connection whose stream began before the drain is closed when the stream ends', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await start(t, onRequest);
  const wire = await dial(t, port);
  wire.socket.write(GET);
  await eventually(() => held.length === 1);
  (held[0] as http.ServerResponse).write('first');
  await wire.until(/first/);
  const drained = listener.drain(10_000);
  held[0]?.end('last');
  assert.match(await wire.closed(), /Connection: keep-alive[\s\S]*last/);
  await drained;
});

test('a response that is written but not yet read by a slow client survives a drain', async (t) => {
  const size = 16 * 1024 * 1024;
  let isWritten = false;
  const { listener, port } = await start(t, (_request, response) => {
    response.setHeader('content-length', size);
    response.end(Buffer.alloc(size, 'x'));
    isWritten = true;
  });
  const wire = await dial(t, port);
  wire.socket.pause();
  wire.socket.write(GET);
  await eventually(() => isWritten);
  const drained = listener.drain(10_000);
  wire.socket.resume();
  await drained;
  const text = await wire.closed();
  assert.equal(text.length - text.indexOf('\r\n\r\n') - 4, size);
});

test('at the deadline a drain cuts what is left', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await start(t, onRequest);
  const wire = await dial(t, port);
  wire.socket.write(GET);
  const session = connectH2(t, port);
  session.request({ ':path': '/' }).on('error', () => undefined);
  await eventually(() => held.length === 2);
  const startedAt = performance.now();
  await listener.drain(60);
  assert.ok(performance.now() - startedAt < 2_000);
  assert.equal(listener.connections, 0);
  assert.equal(await wire.closed(), '');
});

test('close cuts a drain short, and both then resolve', async (t) => {
  const { onRequest, held } = holding();
  const { listener, port } = await start(t, onRequest);
  const wire = await dial(t, port);
  wire.socket.write(GET);
  await eventually(() => held.length === 1);
  await Promise.all([listener.drain(60_000), listener.close()]);
  assert.equal(listener.connections, 0);
});
