// HTTP/2 as an attacker speaks it, frame by frame: malformed requests, broken frames, floods, windows that stay shut. What
// RFC 9113 calls a stream error costs the stream, at most the connection; others are answered meanwhile and memory is
// bounded.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, afterEach, before, mock, suite, type TestContext, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  FRAME,
  FramedClient,
  frame,
  type HeaderPairs,
  headerBlock,
  indexedLiteral,
  PREFACE,
  requestFrames,
  requestHeaders,
  settings,
  uint32,
} from '../support/http2-frames.ts';
import { type CallOptions, type Sent, toolCall } from '../support/mcp-http.ts';
import { connectHttp2, sendHttp2 } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { holding, startListener } from '../support/test-listener.ts';

const MEBIBYTE = 1024 * 1024;
const GIBIBYTE = 1024 * MEBIBYTE;
const MEMORY_BYTES = 64 * MEBIBYTE;
const STALL_MS = 120_000;
const WHOLE_BYTES = 60_000;
const PARTS = 400;
const PART = 'part '.repeat(13_000);

const { NGHTTP2_PROTOCOL_ERROR: PROTOCOL_ERROR, NGHTTP2_STREAM_CLOSED: STREAM_CLOSED } = http2.constants;
const { NGHTTP2_FRAME_SIZE_ERROR: FRAME_SIZE_ERROR, NGHTTP2_COMPRESSION_ERROR: COMPRESSION_ERROR } = http2.constants;
const { NGHTTP2_ENHANCE_YOUR_CALM: CALM, NGHTTP2_FLOW_CONTROL_ERROR: FLOW_CONTROL_ERROR } = http2.constants;
const { NGHTTP2_INTERNAL_ERROR: INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM: REFUSED_STREAM } = http2.constants;
const { NGHTTP2_NO_ERROR: NO_ERROR, NGHTTP2_CANCEL: CANCEL } = http2.constants;
/** RFC 9113 §6.5.2. */
const INITIAL_WINDOW_SIZE = 4;
const [MAX_WINDOW, WINDOW] = [0x7fffffff, 65_535];

const realNow = performance.now.bind(performance);
let jumpedMs = 0;
let upstream: RecordingUpstream;
let gateway: TestGateway;
let normal: http2.ClientHttp2Session;
/** Of the test that runs. */
let clients: FramedClient[] = [];
/** Of the parts of one answer, those the upstream got rid of. */
let partsTaken = 0;

before(async () => {
  mock.method(performance, 'now', () => realNow() + jumpedMs);
  upstream = await startRecordingUpstream({
    era: 'modern',
    tools: ['plain', 'whole', 'parts', 'hanging'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`),
    onCall: ({ name }) => {
      if (name === 'hanging') return new Promise(() => {});
      return name === 'whole' ? `{"text":"${'x'.repeat(WHOLE_BYTES)}"}` : '{"ok":true}';
    },
    intercept: ({ body }, response) => {
      const { id, params } = JSON.parse(body.toString() || '{}');
      if (params?.name !== 'parts') return false;
      partsTaken = 0;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"text":"`);
      const write = (): void => {
        while (partsTaken < PARTS) {
          partsTaken++;
          if (!response.write(PART)) return;
        }
        response.off('drain', write).end('"}}');
      };
      response.on('drain', write);
      write();
      return true;
    },
  });
  gateway = await startGateway({ configs: [{ name: 'rec', url: upstream.url }] });
  normal = (await connectHttp2(gateway.url)).session;
});
afterEach(() => {
  for (const { socket } of clients) socket.destroy();
  clients = [];
});
after(async () => {
  normal.close();
  await gateway.close();
  await upstream.close();
  mock.restoreAll();
});

async function open(...ours: readonly (readonly [id: number, value: number])[]): Promise<FramedClient> {
  const client = await FramedClient.open(gateway.url, ...ours);
  clients.push(client);
  return client;
}

function call(tool = 'plain', options: CallOptions = {}): Sent & { readonly body: string } {
  return { ...toolCall(`rec.${tool}`, options), token: gateway.token() };
}

async function assertNormalIsServed(): Promise<void> {
  const { status, message } = await sendHttp2(normal, gateway.mcpUrl, call());
  assert.deepEqual([status, message.result], [200, { ok: true }]);
}

/** A client on another connection is answered all the while, and memory does not grow beyond the bound. */
async function whileOthersAreServed<T>(t: TestContext, attack: () => Promise<T>): Promise<T> {
  const bytes = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  await assertNormalIsServed();
  const before = bytes();
  let [most, answers, isOver] = [before, 0, false];
  const serving = (async () => {
    do {
      await assertNormalIsServed();
      answers++;
      most = Math.max(most, bytes());
    } while (!isOver);
  })();
  const result = await attack().finally(() => {
    isOver = true;
  });
  await serving;
  await assertNormalIsServed();
  t.diagnostic(`${answers} answers to others, ${Math.round((most - before) / MEBIBYTE)} MiB`);
  assert.ok(most - before < MEMORY_BYTES, `${most - before} bytes more`);
  return result;
}

/** Headers of a call; its body is `BODY`. */
function callHeaders(): HeaderPairs {
  return requestHeaders(gateway.mcpUrl, call());
}
const BODY = Buffer.from(toolCall('rec.plain').body);

function headers(pairs: HeaderPairs, flags = END_HEADERS, stream = 1): Buffer {
  return frame(FRAME.headers, flags, stream, headerBlock(pairs));
}

function data(bytes: Buffer | string, flags = END_STREAM, stream = 1): Buffer {
  return frame(FRAME.data, flags, stream, Buffer.from(bytes));
}

function withHeader(name: string, value: string): Buffer {
  return Buffer.concat([headers([...callHeaders(), [name, value]]), data(BODY)]);
}

/** The pseudo-header is sent with these values instead. */
function withPseudo(name: string, ...values: readonly string[]): Buffer {
  const others = callHeaders().filter(([each]) => each !== name);
  return Buffer.concat([headers([...values.map((value) => [name, value] as const), ...others]), data(BODY)]);
}

function headerOf(name: string): string {
  return callHeaders().find(([each]) => each === name)?.[1] ?? '';
}

interface AbuseCase {
  readonly what: string;
  readonly frames: () => Buffer;
  /** Of RFC 9113. */
  readonly section: string;
}

function abuse(what: string, section: string, frames: () => Buffer): AbuseCase {
  return { what, section, frames };
}

const PSEUDO_HEADERS = [':method', ':scheme', ':authority', ':path'];

const MALFORMED: readonly AbuseCase[] = [
  abuse('a header name in upper case', '8.2.1', () => withHeader('X-Upper', '1')),
  ...(
    [
      ['connection', 'close'],
      ['keep-alive', '1'],
      ['proxy-connection', 'close'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'h2c'],
      ['te', 'gzip'],
    ] as const
  ).map(([name, value]) => abuse(`${name}: ${value}`, '8.2.2', () => withHeader(name, value))),
  ...PSEUDO_HEADERS.flatMap((name) => [
    abuse(`no ${name}`, '8.3.1', () => withPseudo(name)),
    abuse(`${name} twice`, '8.3', () => withPseudo(name, headerOf(name), headerOf(name))),
    abuse(`${name} empty`, '8.3.1', () => withPseudo(name, '')),
  ]),
  abuse('an unknown pseudo-header', '8.3', () => withPseudo(':host', 'x')),
  abuse('a pseudo-header of answers', '8.3', () => withPseudo(':status', '200')),
  abuse(':protocol without having been offered it', '8.3', () => withPseudo(':protocol', 'websocket')),
  abuse('a pseudo-header behind a regular one', '8.3', () =>
    Buffer.concat([headers([['x', '1'], ...callHeaders()]), data(BODY)]),
  ),
  abuse('Host twice', '8.3.1', () =>
    Buffer.concat([headers([...callHeaders(), ['host', 'a'], ['host', 'a']]), data(BODY)]),
  ),
  abuse('Content-Length twice', '8.1.1', () =>
    Buffer.concat([headers([...callHeaders(), ['content-length', '9'], ['content-length', '9']]), data(BODY)]),
  ),
  abuse('a Content-Length that is no number', '8.1.1', () => withHeader('content-length', '+9')),
  abuse('a Content-Length without a body', '8.1.1', () =>
    headers([...callHeaders(), ['content-length', '9']], END_HEADERS | END_STREAM),
  ),
  abuse('a body shorter than its Content-Length', '8.1.1', () => withHeader('content-length', `${BODY.length + 1}`)),
  abuse('a target with a line end', '8.3.1', () => withPseudo(':path', '/mcp\r\nx: y')),
  abuse('trailers with a pseudo-header', '8.1', () =>
    Buffer.concat([headers(callHeaders()), data(BODY, 0), headers([[':path', '/']], END_HEADERS | END_STREAM)]),
  ),
  abuse('trailers that do not end the stream', '8.1', () =>
    Buffer.concat([headers(callHeaders()), data(BODY, 0), headers([['a', 'b']])]),
  ),
];

const TOO_LARGE: readonly AbuseCase[] = [
  abuse('17 KB of headers in one frame', '10.5.1', () => {
    const block = headerBlock([...callHeaders(), ['a', 'a'.repeat(8_000)], ['b', 'b'.repeat(8_000)]]);
    return frame(FRAME.headers, END_HEADERS | END_STREAM, 1, block);
  }),
  abuse('64 KB of headers in nine frames', '10.5.1', () => {
    const more = Array.from({ length: 8 }, (_, index) =>
      frame(FRAME.continuation, index === 7 ? END_HEADERS : 0, 1, headerBlock([[`a${index}`, 'a'.repeat(8_000)]])),
    );
    return Buffer.concat([headers(callHeaders(), END_STREAM), ...more]);
  }),
  abuse('a bomb: one header of 4 KB, and 8,000 times a byte that means it again', '10.5.1', () => {
    const bomb = Buffer.concat([indexedLiteral('x', 'a'.repeat(3_900)), Buffer.alloc(8_000, 0xbe)]);
    return frame(FRAME.headers, 5, 1, Buffer.concat([headerBlock(callHeaders()), bomb]));
  }),
  abuse('a bomb: 8,000 empty cookies', '10.5.1', () => {
    const bomb = Buffer.concat([indexedLiteral('cookie', ''), Buffer.alloc(8_000, 0xbe)]);
    return frame(FRAME.headers, 5, 1, Buffer.concat([headerBlock(callHeaders()), bomb]));
  }),
  abuse('130 short headers', '10.5.1', () => {
    const lines = Array.from({ length: 130 }, (_, index) => [`x-${index}`, ''] as const);
    return headers([...callHeaders(), ...lines], END_HEADERS | END_STREAM);
  }),
];

suite('a malformed request is a stream error: nothing is called, and its connection goes on', () => {
  const cases: [readonly AbuseCase[], number][] = [
    [MALFORMED, PROTOCOL_ERROR],
    [TOO_LARGE, CALM],
  ];
  for (const [list, code] of cases) {
    for (const { what, section, frames } of list) {
      test(`${what} (RFC 9113 §${section})`, async () => {
        const from = upstream.calls.length;
        const client = await open();
        client.write(frames());
        await eventually(() => client.isDone(1));
        assert.deepEqual([client.status(1), client.resetCode(1)], [undefined, code]);
        client.write(requestFrames(3, gateway.mcpUrl, call()));
        await eventually(() => client.isDone(3));
        assert.equal(client.status(3), 200);
        assert.equal(upstream.calls.length, from + 1);
        await assertNormalIsServed();
      });
    }
  }
});

suite('a request that two readers could read in two ways is refused, and its connection goes on', () => {
  const cases: [string, () => Buffer, number][] = [
    ['a Host that differs from :authority (RFC 9113 §8.3.1)', () => withHeader('host', 'evil.example'), 400],
    ['a second Authorization', () => withHeader('authorization', 'Bearer x'), 400],
    ['a second Content-Type', () => withHeader('content-type', 'text/plain'), 400],
    ['another :authority than is served', () => withPseudo(':authority', 'evil.example'), 403],
    ['an unknown method', () => withPseudo(':method', 'PUT'), 405],
    [
      'CONNECT (RFC 9113 §8.5)',
      () =>
        headers([
          [':method', 'CONNECT'],
          [':authority', 'a:1'],
        ]),
      405,
    ],
  ];
  for (const [what, frames, status] of cases) {
    test(`${what}: ${status}`, async () => {
      const from = upstream.calls.length;
      const client = await open();
      client.write(frames());
      await eventually(() => client.isDone(1));
      assert.equal(client.status(1), status);
      client.write(requestFrames(3, gateway.mcpUrl, call()));
      await eventually(() => client.isDone(3));
      assert.deepEqual([client.status(3), upstream.calls.length], [200, from + 1]);
    });
  }

  test('trailers change nothing: one named authorization is no second token (RFC 9113 §8.1)', async () => {
    const client = await open();
    const trailers = headers([['authorization', 'Bearer x']], END_HEADERS | END_STREAM);
    client.write(headers(callHeaders()), data(BODY, 0), trailers);
    await eventually(() => client.isDone(1));
    assert.equal(client.status(1), 200);
    const stranger = callHeaders().filter(([name]) => name !== 'authorization');
    const token = headers([['authorization', headerOf('authorization')]], END_HEADERS | END_STREAM, 3);
    client.write(headers(stranger, END_HEADERS, 3), data(BODY, 0, 3), token);
    await eventually(() => client.isDone(3));
    assert.equal(client.status(3), 401);
  });

  test('half a body is never taken for a whole one, whatever its stream is reset with (RFC 9113 §5.4.2)', async () => {
    const from = upstream.calls.length;
    const client = await open();
    const codes = [NO_ERROR, STREAM_CLOSED, CANCEL];
    const begun = codes.flatMap((_, index) => [
      headers(callHeaders(), END_HEADERS, 1 + 2 * index),
      data(BODY, 0, 1 + 2 * index),
    ]);
    client.write(...begun);
    await eventually(pinged(client));
    client.write(...codes.map((code, index) => frame(FRAME.reset, 0, 1 + 2 * index, uint32(code))));
    client.write(requestFrames(7, gateway.mcpUrl, call()));
    await eventually(() => client.isDone(7));
    assert.deepEqual([client.status(7), upstream.calls.length], [200, from + 1]);
  });

  test('a stream whose number goes backwards is never begun (RFC 9113 §5.1.1)', async () => {
    const from = upstream.calls.length;
    const client = await open();
    client.write(requestFrames(5, gateway.mcpUrl, call()), requestFrames(3, gateway.mcpUrl, call()));
    await eventually(() => client.isDone(5));
    await eventually(pinged(client));
    assert.deepEqual([client.status(5), client.status(3), upstream.calls.length], [200, undefined, from + 1]);
  });
});

/** Sends a ping; what was sent before it has been looked at once the condition holds. */
function pinged(client: FramedClient): () => boolean {
  const before = client.of(FRAME.ping).length;
  client.write(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
  return () => client.of(FRAME.ping).length > before;
}

const BROKEN: readonly (readonly [code: number, ...AbuseCase[]])[] = [
  [
    PROTOCOL_ERROR,
    abuse('an even stream number', '5.1.1', () => headers(callHeaders(), 5, 2)),
    abuse('headers of stream 0', '6.2', () => headers(callHeaders(), 5, 0)),
    abuse('data of a stream that was never begun', '5.1', () => data('a')),
    abuse('a reset of a stream that was never begun', '6.4', () => frame(FRAME.reset, 0, 1, uint32(CANCEL))),
    abuse('a window that grows by nothing', '6.9', () => frame(FRAME.windowUpdate, 0, 0, uint32(0))),
    abuse('a pushed promise', '8.4', () => frame(FRAME.push, END_HEADERS, 1, uint32(2))),
    abuse('a continuation of nothing', '6.10', () => frame(FRAME.continuation, END_HEADERS, 1)),
    abuse('another frame between headers and their continuation', '6.10', () =>
      Buffer.concat([headers(callHeaders(), 0), frame(FRAME.ping, 0, 0, Buffer.alloc(8))]),
    ),
    abuse('a continuation of another stream', '6.10', () =>
      Buffer.concat([headers(callHeaders(), 0), frame(FRAME.continuation, END_HEADERS, 3)]),
    ),
    abuse('padding longer than its frame', '6.1', () =>
      Buffer.concat([headers(callHeaders()), frame(FRAME.data, 0x8, 1, Buffer.from([200, 1]))]),
    ),
    abuse('settings of a stream', '6.5', () => frame(FRAME.settings, 0, 1)),
  ],
  [
    STREAM_CLOSED,
    abuse('data behind the end of its stream', '5.1', () => Buffer.concat([headers(callHeaders(), 5), data('a')])),
    abuse('headers behind the end of their stream', '5.1', () =>
      Buffer.concat([headers(callHeaders(), 5), headers(callHeaders(), 5)]),
    ),
  ],
  [
    FRAME_SIZE_ERROR,
    abuse('data over the largest frame', '4.2', () =>
      Buffer.concat([headers(callHeaders()), data('a'.repeat(16_385))]),
    ),
    abuse('a frame of an unknown type over the largest frame', '4.2', () => frame(0x77, 0, 0, Buffer.alloc(16_385))),
    abuse('half a setting', '6.5', () => frame(FRAME.settings, 0, 0, Buffer.alloc(5))),
    abuse('a ping of seven bytes', '6.7', () => frame(FRAME.ping, 0, 0, Buffer.alloc(7))),
  ],
  [
    FLOW_CONTROL_ERROR,
    abuse('a window over its maximum', '6.9.1', () => frame(FRAME.windowUpdate, 0, 0, uint32(MAX_WINDOW))),
    abuse('an initial window over its maximum', '6.5.2', () => settings([INITIAL_WINDOW_SIZE, MAX_WINDOW + 1])),
  ],
  [
    COMPRESSION_ERROR,
    abuse('an index of nothing', '4.3', () => frame(FRAME.headers, 5, 1, Buffer.from([0xbe]))),
    abuse('a header cut off', '4.3', () => frame(FRAME.headers, 5, 1, headerBlock(callHeaders()).subarray(0, -1))),
    abuse('a dynamic table over its maximum', '4.3', () =>
      frame(FRAME.headers, 5, 1, Buffer.from([0x3f, 0xff, 0xff, 0x7f])),
    ),
  ],
  [
    CALM,
    abuse('settings with 33 entries', '10.5', () => settings(...Array.from({ length: 33 }, () => [4, 1] as const))),
  ],
  // Node ends the connection where a stream error would do; §5.4.1 leaves that to the receiver.
  [INTERNAL_ERROR, abuse('a body longer than its Content-Length', '8.1.1', () => withHeader('content-length', '2'))],
];

suite('a broken frame is a connection error: nothing is called', () => {
  for (const [code, ...list] of BROKEN) {
    for (const { what, section, frames } of list) {
      test(`${what} (RFC 9113 §${section})`, async () => {
        const from = upstream.calls.length;
        const client = await open();
        client.write(frames());
        await eventually(() => client.isEnded);
        assert.equal(client.goawayCode, code);
        assert.equal(upstream.calls.length, from);
        await assertNormalIsServed();
      });
    }
  }

  test('a preface without settings (RFC 9113 §3.4)', async () => {
    const client = await FramedClient.connect(gateway.url);
    client.write(PREFACE, requestFrames(1, gateway.mcpUrl, call()));
    await eventually(() => client.isEnded);
    assert.equal(client.goawayCode, PROTOCOL_ERROR);
  });
});

/** As many of it as fit into 64 KB. */
function many(part: Buffer): Buffer {
  return Buffer.concat(Array.from({ length: Math.floor(65_536 / part.length) }, () => part));
}

function streams(count: number, toFrames: (stream: number) => readonly Buffer[]): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => toFrames(1 + 2 * index)).flat());
}

suite('a flood ends its own connection (RFC 9113 §10.5)', { concurrency: false }, () => {
  const begun = (): Buffer => headers(callHeaders());
  const cases: [string, Buffer, ((() => Buffer) | undefined)?][] = [
    ['SETTINGS (CVE-2019-9515)', settings([INITIAL_WINDOW_SIZE, WINDOW])],
    ['PING (CVE-2019-9512)', frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['PRIORITY (CVE-2019-9513)', frame(FRAME.priority, 0, 1, Buffer.alloc(5))],
    ['empty DATA (CVE-2019-9518)', frame(FRAME.data, 0, 1), begun],
    ['WINDOW_UPDATE', frame(FRAME.windowUpdate, 0, 0, uint32(1))],
    ['acknowledged pings that nobody sent', frame(FRAME.ping, ACK, 0, Buffer.alloc(8))],
    ['frames of an unknown type', frame(0x77, 0, 0, Buffer.alloc(8))],
    [
      'CONTINUATION without an end (CVE-2024-27983)',
      frame(FRAME.continuation, 0, 1, headerBlock([['x', 'a'.repeat(1_000)]])),
      () => headers(callHeaders(), END_STREAM),
    ],
    ['empty CONTINUATION', frame(FRAME.continuation, 0, 1), () => headers(callHeaders(), END_STREAM)],
  ];
  for (const [what, part, before] of cases) {
    for (const reads of [true, false]) {
      test(`${what}, by a client that reads ${reads ? 'all' : 'nothing'}`, async (t) => {
        const from = upstream.calls.length;
        const client = await open();
        if (!reads) client.socket.pause();
        const taken = await whileOthersAreServed(t, async () => {
          if (before !== undefined) client.write(before());
          return client.flood(many(part), GIBIBYTE);
        });
        // What nghttp2 has no limit for is cut after a quarter of a second, at the speed of the loopback.
        t.diagnostic(`${taken} bytes were taken`);
        assert.ok(taken < GIBIBYTE / 2);
        assert.deepEqual(new Set(upstream.calls.slice(from).map(({ name }) => name)), new Set(['plain']));
      });
    }
  }

  test('streams begun and reset in one burst (CVE-2023-44487): calls are aborted or never begun', async (t) => {
    const hanging = call('hanging', { era: 'modern' });
    const begin = (stream: number) => requestFrames(stream, gateway.mcpUrl, hanging);
    const begun = () => upstream.calls.filter(({ name }) => name === 'hanging');
    const client = await open();
    client.write(streams(50, (stream) => [begin(stream)]));
    await eventually(() => begun().length === 50);
    const burst = streams(5_000, (stream) => [
      begin(100 + stream),
      frame(FRAME.reset, 0, 100 + stream, uint32(CANCEL)),
    ]);
    await whileOthersAreServed(t, async () => {
      client.write(burst);
      await eventually(() => client.isEnded);
    });
    await eventually(() => begun().every(({ signal }) => signal.aborted));
    t.diagnostic(`${begun().length - 50} of 5,000 calls were begun`);
    assert.ok(begun().length <= 256);
  });

  test('streams begun and reset one after the other are 1,000 at the most', async (t) => {
    const client = await open();
    let stream = 1;
    await whileOthersAreServed(t, async () => {
      for (; !client.isEnded && stream < 4_000; stream += 2) {
        client.write(headers(callHeaders(), END_HEADERS, stream), frame(FRAME.reset, 0, stream, uint32(CANCEL)));
        const isAnswered = pinged(client);
        while (!client.isEnded && !isAnswered()) await new Promise(setImmediate);
      }
    });
    assert.ok(stream > 512 && stream < 2_200, `ended at stream ${stream}`);
  });

  test('malformed requests one after the other are 100 at the most', async (t) => {
    const client = await open();
    let stream = 1;
    await whileOthersAreServed(t, async () => {
      for (; !client.isEnded && stream < 2_000; stream += 2) {
        client.write(headers([...callHeaders(), ['te', 'gzip']], 5, stream));
        while (!client.isEnded && !client.isDone(stream)) await new Promise(setImmediate);
      }
    });
    assert.ok(stream < 220, `ended at stream ${stream}`);
  });

  test('a body that is pushed on through its refusal, 1 GiB declared: 8 MiB are taken at the most', async (t) => {
    const client = await open();
    const stranger = { method: 'POST', headers: { 'content-length': String(GIBIBYTE) } };
    const piece = data(Buffer.alloc(16_384), 0);
    let sent = 0;
    await whileOthersAreServed(t, async () => {
      client.write(headers(requestHeaders(gateway.mcpUrl, stranger)));
      // The window of the connection is minded, or the flood would end as an error of flow control.
      const isOpen = () =>
        client.of(FRAME.windowUpdate, 0).reduce((sum, { payload }) => sum + payload.readUInt32BE(0), WINDOW);
      for (; !client.isEnded && sent < GIBIBYTE; sent += 16_384) {
        while (!client.isEnded && isOpen() - sent < 16_384) await new Promise(setImmediate);
        client.write(piece);
      }
    });
    t.diagnostic(`${sent} bytes`);
    assert.deepEqual([client.status(1), client.goawayCode], [401, CALM]);
    assert.ok(sent <= 8 * MEBIBYTE);
  });
});

suite('streams and windows', { concurrency: false }, () => {
  for (const isAcknowledged of [false, true]) {
    const end = isAcknowledged
      ? 'ends the connection once the limit was acknowledged'
      : 'is refused, the others are served';
    test(`the 257th stream at once ${end} (RFC 9113 §5.1.2)`, async (t) => {
      const { onRequest, held } = holding();
      const { port } = await startListener(t, onRequest);
      const url = `http://127.0.0.1:${port}/`;
      const client = await FramedClient.connect(url);
      clients.push(client);
      client.write(PREFACE, settings([1, 0]));
      if (isAcknowledged) client.write(frame(FRAME.settings, ACK, 0));
      const begin = (stream: number) => [requestFrames(stream, url, { method: 'GET' })];
      client.write(streams(257, begin));
      await eventually(() => (isAcknowledged ? client.isEnded : client.isDone(513)));
      assert.equal(held.length, 256);
      if (isAcknowledged) return assert.equal(client.goawayCode, PROTOCOL_ERROR);
      assert.equal(client.resetCode(513), REFUSED_STREAM);
      for (const response of held) response.end();
      await eventually(() => client.isDone(511));
      for (let stream = 1; stream <= 511; stream += 2) assert.equal(client.status(stream), 200);
    });
  }

  test('a window of nothing holds back large results without growing memory; opened late, it gets them intact', async (t) => {
    const client = await open([INITIAL_WINDOW_SIZE, 0]);
    await whileOthersAreServed(t, async () => {
      client.write(streams(60, (stream) => [requestFrames(stream, gateway.mcpUrl, call('whole'))]));
      client.write(requestFrames(121, gateway.mcpUrl, call('parts')));
      await eventually(() => client.of(FRAME.headers).length === 61);
    });
    assert.equal(client.of(FRAME.data).length, 0);
    assert.ok(partsTaken < PARTS, `${partsTaken} parts were taken`);
    client.write(frame(FRAME.windowUpdate, 0, 0, uint32(MAX_WINDOW - WINDOW)));
    client.write(settings([INITIAL_WINDOW_SIZE, MAX_WINDOW]));
    await eventually(() => client.isDone(121) && client.isDone(119));
    for (let stream = 1; stream < 121; stream += 2) {
      assert.equal(JSON.parse(client.body(stream).toString()).result.text.length, WHOLE_BYTES);
    }
    assert.equal(JSON.parse(client.body(121).toString()).result.text, PART.repeat(PARTS));
  });

  test('a window that stays shut is cut by the stall time', async () => {
    const client = await open([INITIAL_WINDOW_SIZE, 0]);
    client.write(requestFrames(1, gateway.mcpUrl, call('parts')), requestFrames(3, gateway.mcpUrl, call('whole')));
    await eventually(() => client.of(FRAME.headers).length === 2);
    jumpedMs += STALL_MS - 10_000;
    await assertNormalIsServed();
    assert.deepEqual([client.isDone(1), client.isDone(3)], [false, false]);
    jumpedMs += 15_000;
    await eventually(() => client.resetCode(1) !== undefined && client.resetCode(3) !== undefined);
    await assertNormalIsServed();
  });
});

/** Each on a listener of its own, whose times pass at the same time. */
suite('a connection on which nothing happens is closed in its time', { concurrency: true }, () => {
  const keepAliveTimeoutMs = 150;
  const cases: [string, (url: string) => Buffer][] = [
    ['the preface and settings alone', () => Buffer.concat([PREFACE, settings()])],
    ['the preface alone', () => PREFACE],
    ['half a preface', () => PREFACE.subarray(0, 12)],
    [
      'headers without their end (RFC 9113 §6.10)',
      (url) => Buffer.concat([PREFACE, settings(), headers(requestHeaders(url, {}), END_STREAM)]),
    ],
  ];
  for (const [what, bytes] of cases) {
    test(what, async (t) => {
      const { onRequest, held } = holding();
      const { port, listener } = await startListener(t, onRequest, { keepAliveTimeoutMs, sniffTimeoutMs: 150 });
      const client = await FramedClient.connect(`http://127.0.0.1:${port}/`);
      t.after(() => client.socket.destroy());
      client.write(bytes(`http://127.0.0.1:${port}/`));
      await eventually(() => client.isEnded && listener.connections === 0);
      assert.equal(held.length, 0);
    });
  }

  test('also when its client takes nothing of an answer that was given up', async (t) => {
    const { onRequest, held } = holding();
    const { port, listener } = await startListener(t, onRequest, { keepAliveTimeoutMs });
    const url = `http://127.0.0.1:${port}/`;
    const client = await FramedClient.open(url, [INITIAL_WINDOW_SIZE, MAX_WINDOW]);
    t.after(() => client.socket.destroy());
    client.socket.pause();
    client.write(frame(FRAME.windowUpdate, 0, 0, uint32(MAX_WINDOW - WINDOW)));
    client.write(streams(2, (stream) => [requestFrames(stream, url, { method: 'GET' })]));
    const [first, second] = (await eventually(() => held.length === 2 && held)) as http2.Http2ServerResponse[];
    first!.end(Buffer.alloc(20 * MEBIBYTE));
    second!.end(Buffer.alloc(20 * MEBIBYTE));
    // Behind a turn in which as much was written as the connection takes.
    await assertNormalIsServed();
    first!.stream.close(CANCEL);
    second!.destroy();
    await eventually(() => listener.connections === 0);
  });

  test('a body that only ever comes as padding is cut with the time for its request (RFC 9113 §10.7)', async (t) => {
    const { onRequest, held } = holding();
    const times = { headersTimeoutMs: 100, requestTimeoutMs: 200, keepAliveTimeoutMs };
    const { port, listener } = await startListener(t, onRequest, times);
    const client = await FramedClient.open(`http://127.0.0.1:${port}/`);
    t.after(() => client.socket.destroy());
    client.write(headers(requestHeaders(`http://127.0.0.1:${port}/`, {})));
    await eventually(() => held.length === 1);
    const padded = many(frame(FRAME.data, 0x8, 1, Buffer.concat([Buffer.from([255]), Buffer.alloc(255)])));
    const flooding = client.flood(padded, GIBIBYTE);
    await eventually(() => client.isDone(1));
    assert.equal(client.status(1), 408);
    assert.ok((await flooding) < GIBIBYTE);
    await eventually(() => listener.connections === 0);
  });
});
