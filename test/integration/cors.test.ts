// Pages of the configured origins call from a browser, over either version of HTTP; pages of others cannot.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { sendHttp2 } from '../support/raw-http2.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const ORIGIN = 'https://app.example.com';
const EXPOSED =
  'mcp-session-id, www-authenticate, server-timing, retry-after, retry-after-ms, x-should-retry, x-request-id, etag, ' +
  'idempotent-replayed, ratelimit, ratelimit-policy, allow';
const ALLOWED =
  'authorization, content-type, accept, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id, ' +
  'if-match, x-request-id';

let upstream: RecordingUpstream;
let gateway: TestGateway;
let session: http2.ClientHttp2Session;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'legacy' });
  gateway = await startGateway({
    configs: [{ name: 'rec', url: upstream.url }],
    settings: { allowed_origins: [ORIGIN, 'http://localhost:5173'] },
  });
  session = http2.connect(gateway.url);
});
after(async () => {
  session.close();
  await gateway.close();
  await upstream.close();
});

type Ask = (path: string, sent: Sent) => Promise<Answer>;

const ASKS: readonly (readonly [string, Ask])[] = [
  ['HTTP/1.1', (path, sent) => send(`${gateway.url}${path}`, sent)],
  ['HTTP/2', (path, sent) => sendHttp2(session, `${gateway.url}${path}`, sent)],
];

/** What a browser asks before it lets a page call. */
function preflight(headers: Readonly<Record<string, string>> = {}): Sent {
  const asked = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
  return { method: 'OPTIONS', headers: { origin: ORIGIN, ...asked, ...headers } };
}

function corsHeaders({ headers }: Answer): string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-') || name === 'vary');
}

for (const [protocol, ask] of ASKS) {
  suite(`over ${protocol}`, () => {
    for (const path of [
      '/mcp',
      '/mcp?names=underscore',
      '/mcp/rec',
      '/v1/explain?tool=rec.echo&token=agent',
      '/admin/mcp',
    ]) {
      test(`a preflight of an allowed origin for ${path} is answered without a token`, async () => {
        const { status, headers, text } = await ask(path, preflight());
        assert.deepEqual([status, text], [204, '']);
        assert.deepEqual(
          [
            headers['access-control-allow-origin'],
            headers['access-control-allow-methods'],
            headers['access-control-allow-headers'],
            headers['access-control-max-age'],
            headers.vary,
          ],
          [ORIGIN, 'GET, POST, DELETE', ALLOWED, '7200', 'Origin'],
        );
        assert.equal(headers['access-control-allow-credentials'], undefined);
      });
    }

    test('a preflight admits the parameter headers it asks for, and nothing else it asks for', async () => {
      const asked = 'authorization,mcp-param-region, Mcp-Param-Tenant ,x-evil,mcp-param-,mcp-param-a b,cookie';
      const { headers } = await ask('/mcp', preflight({ 'access-control-request-headers': asked }));
      assert.equal(headers['access-control-allow-headers'], `${ALLOWED}, mcp-param-region, mcp-param-tenant`);
    });

    test('an answer in one write, a stream, a refusal and an answer of the control plane may be read by the page', async () => {
      const token = gateway.token();
      const origin = { origin: ORIGIN };
      const listed = mcpRequest('tools/list', { headers: origin });
      const streamed = toolCall('rec.echo', { accept: 'text/event-stream', headers: origin });
      const answers = [
        [200, await ask('/mcp', { ...listed, token })],
        [200, await ask('/mcp', { ...toolCall('rec.echo', { headers: origin }), token })],
        [200, await ask('/mcp', { ...streamed, token })],
        [401, await ask('/mcp', listed)],
        [400, await ask('/mcp', { token, headers: origin, body: '{' })],
        [405, await ask('/mcp', { method: 'GET', token, headers: origin })],
        [401, await ask('/v1/explain', { method: 'GET', headers: origin })],
        [400, await ask('/v1/explain', { method: 'GET', token: gateway.apiKey, headers: origin })],
      ] as const;
      for (const [expected, { status, headers, text }] of answers) {
        assert.equal(status, expected, text);
        assert.deepEqual(
          [headers['access-control-allow-origin'], headers['access-control-expose-headers'], headers.vary],
          [ORIGIN, EXPOSED, 'Origin'],
          text,
        );
        assert.notEqual(headers['content-type'], undefined);
      }
      assert.match(String(answers[1][1].headers['server-timing']), /gw;dur=/);
      assert.match(String(answers[3][1].headers['www-authenticate']), /^Bearer /);
    });

    test('without an Origin, from our own page, or from one on this machine that is not configured, nothing is added', async () => {
      for (const headers of [{}, { origin: gateway.url }, { origin: 'http://localhost:9999' }]) {
        const answer = await ask('/mcp', { ...mcpRequest('ping', { headers }), token: gateway.token() });
        assert.deepEqual([answer.status, corsHeaders(answer)], [200, []]);
      }
    });

    test('a preflight of another origin is 403 or needs a token, and admits nothing', async () => {
      for (const [origin, status] of [
        ['https://evil.example', 403],
        ['https://app.example.com.evil.example', 403],
        ['null', 403],
        ['http://localhost:9999', 401],
      ] as const) {
        const answer = await ask('/mcp', preflight({ origin }));
        assert.deepEqual([answer.status, corsHeaders(answer)], [status, []], origin);
      }
    });

    test('OPTIONS that is no preflight is refused as before', async () => {
      const { status } = await ask('/mcp', { method: 'OPTIONS', headers: { origin: ORIGIN } });
      assert.equal(status, 401);
      assert.equal((await ask('/mcp', { ...preflight(), body: 'a body' })).status, 401);
    });

    test('metrics and details are not for pages', async () => {
      for (const path of ['/metrics', '/readyz?detail', '/readyz']) {
        const answer = await ask(path, { method: 'GET', headers: { origin: ORIGIN } });
        assert.deepEqual(corsHeaders(answer), [], path);
      }
    });
  });
}
