// What crosses between client and upstream, and what does not: credentials and headers one way, broken answers and
// everything HTTP about them the other.

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { after, before, beforeEach, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, type CallOptions, send, toolCall } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const CREDENTIAL = 'the-real-credential-of-the-upstream';
const CALL_TIMEOUT_MS = 800;
const HEADER_TIMEOUT_MS = 400;
const ERAS = ['legacy', 'modern'] as const;

type Answering = (response: ServerResponse, id: string) => void;

function whole(status: number, type: string, body: string | Buffer, headers: Record<string, string> = {}): Answering {
  return (response) => void response.writeHead(status, { 'content-type': type, ...headers }).end(body);
}

/** How an upstream answers a call: what it does, and the reason the client is told. */
const BROKEN: readonly (readonly [what: string, answer: Answering, reason: string])[] = [
  ['500 with a stack', whole(500, 'text/plain', 'Error at secret.internal:99'), 'bad_status'],
  ['502 in HTML', whole(502, 'text/html', '<h1>secret.internal</h1>'), 'bad_status'],
  ['a redirect', whole(302, 'text/plain', '', { location: 'http://secret.internal/' }), 'bad_status'],
  [
    '401 with a challenge',
    whole(401, 'text/plain', '', { 'www-authenticate': 'Bearer realm="secret.internal"' }),
    'credential_refused',
  ],
  ['403', whole(403, 'application/json', '{"error":"secret.internal"}'), 'credential_refused'],
  ['429', whole(429, 'text/plain', 'slow down', { 'retry-after': '7' }), 'rate_limited'],
  ['200 in HTML', whole(200, 'text/html', '<h1>secret.internal</h1>'), 'broken_answer'],
  ['202 without a body', whole(202, 'application/json', ''), 'broken_answer'],
  ['200 without a body', whole(200, 'application/json', ''), 'broken_answer'],
  ['no JSON', whole(200, 'application/json', 'secret.internal'), 'broken_answer'],
  [
    'the answer to another request',
    whole(200, 'application/json', '{"jsonrpc":"2.0","id":"secret.internal","result":{}}'),
    'broken_answer',
  ],
  [
    'an answer without an id',
    whole(200, 'application/json', '{"jsonrpc":"2.0","id":null,"result":{}}'),
    'broken_answer',
  ],
  [
    'the id inside the result only',
    (response, id) => whole(200, 'application/json', `{"jsonrpc":"2.0","id":1,"result":{"id":"${id}"}}`)(response, id),
    'broken_answer',
  ],
  [
    'a compressed answer',
    whole(200, 'application/json', gzipSync('{}'), { 'content-encoding': 'gzip' }),
    'broken_answer',
  ],
  [
    'half an answer',
    (response) => {
      response
        .writeHead(200, { 'content-type': 'application/json', 'content-length': '100' })
        .write('{"jsonrpc":"2.0",');
      setImmediate(() => response.destroy());
    },
    'broken_answer',
  ],
  ['a closed connection', (response) => void response.destroy(), 'broken_answer'],
  ['no answer', () => undefined, 'timeout'],
];

/** The same for event streams, where the client may have been sent the head of a stream. */
const BROKEN_STREAMS: readonly (readonly [what: string, data: readonly string[], ends: boolean, reason: string])[] = [
  ['an empty stream', [], true, 'broken_answer'],
  ['comments and then the end', [': still here\n\n'], true, 'broken_answer'],
  ['the answer to another request', ['data: {"jsonrpc":"2.0","id":"x","result":{}}\n\n'], true, 'broken_answer'],
  ['no JSON', ['data: secret.internal\n\n'], true, 'broken_answer'],
  ['an event cut in half', ['data: {"jsonrpc":"2.0",'], true, 'broken_answer'],
  ['silence', [': still here\n\n'], false, 'timeout'],
];

let upstream: RecordingUpstream;
let gateway: TestGateway;
let answering: Answering | undefined;

before(async () => {
  upstream = await startRecordingUpstream({
    era: 'modern',
    intercept: ({ body, headers }, response) => {
      response.setHeader('set-cookie', 'session=secret.internal');
      response.setHeader('x-upstream', 'secret.internal');
      if (headers['mcp-method'] !== 'tools/call' || answering === undefined) return false;
      answering(response, JSON.parse(body.toString()).id);
      return true;
    },
  });
  gateway = await startGateway({
    configs: [{ name: 'rec', url: `${upstream.url}?tenant=a%20b`, credential: CREDENTIAL }],
    limits: { call_timeout_ms: CALL_TIMEOUT_MS, header_timeout_ms: HEADER_TIMEOUT_MS },
  });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});
// A good answer closes what the failures before would add up to: the circuit breaker has tests of its own.
beforeEach(async () => {
  answering = undefined;
  await call();
});

function call(options: CallOptions = {}): Promise<Answer> {
  return send(gateway.mcpUrl, { ...toolCall('rec.echo', options), token: gateway.token() });
}

function assertFailure(answer: Answer, reason: string): void {
  assert.equal(answer.status, 200);
  const { id, error } = answer.message;
  assert.deepEqual([id, error!.code, error!.data!.reason], ['q', -32603, reason], answer.text);
  assert.deepEqual([error!.data!.source, error!.data!.service], ['gateway', 'rec']);
  const { 'server-timing': _, ...headers } = answer.headers;
  const shown = JSON.stringify(headers) + answer.text;
  assert.doesNotMatch(shown, /secret\.internal|set-cookie|www-authenticate|x-upstream|127\.0\.0\.1/i);
}

suite('an upstream that answers a call with', () => {
  for (const [what, answer, reason] of BROKEN) {
    test(`${what} is ${reason}`, async () => {
      answering = answer;
      const answers = await Promise.all(ERAS.map((era) => call({ era, id: '"q"' })));
      for (const each of answers) assertFailure(each, reason);
    });
  }

  for (const [what, data, ends, reason] of BROKEN_STREAMS) {
    test(`a stream of ${what} is ${reason}, as an event and as JSON`, async () => {
      answering = (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        for (const part of data) response.write(part);
        if (ends) response.end();
      };
      const answers = await Promise.all(
        [BOTH, 'application/json'].map((accept) => call({ accept, id: '"q"', meta: '"progressToken":1' })),
      );
      assert.deepEqual(
        answers.map(({ kind }) => kind),
        ['sse', 'json'],
      );
      for (const answer of answers) assertFailure(answer, reason);
    });
  }

  test('an answer that breaks off after it began to stream is a broken connection, never half a result', async () => {
    answering = (response, id) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write(`{"jsonrpc":"2.0","id":"${id}","result":{"text":"${'x'.repeat(300_000)}`, () =>
        response.destroy(),
      );
    };
    await assert.rejects(call(), /aborted|ECONNRESET|socket hang up/);
  });

  test('a whole answer is well again, and nothing of its HTTP comes along', async () => {
    answering = undefined;
    const { status, headers, message } = await call({ era: 'modern' });
    assert.deepEqual([status, message.result.content[0].text], [200, 'ok']);
    const names = Object.keys(headers).sort();
    assert.deepEqual(names, ['connection', 'content-length', 'content-type', 'date', 'server-timing']);
  });
});

suite('what an upstream is sent', () => {
  const CLIENT_HEADERS = {
    cookie: 'a=b',
    'x-forwarded-for': '10.0.0.1',
    'x-api-key': 'client',
    'user-agent': 'client/1',
    'accept-language': 'de',
    'last-event-id': '7',
    'mcp-param-x': 'client',
    origin: 'http://localhost:1',
    'proxy-authorization': 'Basic x',
    te: 'trailers',
  };

  for (const era of ERAS) {
    test(`is its own credential and the headers of MCP, nothing of the client's (${era})`, async () => {
      answering = undefined;
      await call({ era, headers: CLIENT_HEADERS });
      const { headers, path, method, body } = upstream.calls.at(-1)!;
      const { host, connection, 'content-length': length, ...rest } = headers;
      assert.equal(host, new URL(upstream.url).host);
      assert.equal(connection, 'keep-alive');
      assert.equal(length, String(body.length));
      assert.deepEqual(rest, {
        accept: 'application/json, text/event-stream',
        'accept-encoding': 'identity',
        authorization: `Bearer ${CREDENTIAL}`,
        'content-type': 'application/json',
        'mcp-method': 'tools/call',
        'mcp-name': 'echo',
        'mcp-protocol-version': '2026-07-28',
      });
      assert.deepEqual([method, path], ['POST', '/mcp?tenant=a%20b']);
      assert.equal(body.includes(gateway.token()), false);
    });
  }
});
