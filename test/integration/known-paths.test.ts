// What is answered at the edges of the routes, over either version of HTTP: methods that a path does not have, HEAD, other
// spellings of a path, and ids that no object has. Always in JSON, and never as a failure of the gateway.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, type Sent, send } from '../support/mcp-http.ts';
import { exchangeRaw } from '../support/raw-http1.ts';
import { sendHttp2 } from '../support/raw-http2.ts';

let gateway: TestGateway;
let session: http2.ClientHttp2Session;
/** Of another account than the gateway's own. */
let foreignKey: string;

before(async () => {
  gateway = await startGateway({
    configs: [{ name: 'declared', url: 'http://127.0.0.1:9/mcp' }],
    limits: { api_requests_per_minute: 100_000 },
  });
  session = http2.connect(gateway.url);
  const made = await send(`${gateway.url}/v1/accounts`, { token: gateway.apiKey, body: '{"name":"second"}' });
  foreignKey = JSON.parse(made.text).api_key;
});

after(async () => {
  session.close();
  await gateway.close();
});

type Ask = (path: string, sent: Sent) => Promise<Answer>;

const ASKS: readonly (readonly [string, Ask])[] = [
  ['HTTP/1.1', (path, sent) => send(gateway.url + path, sent)],
  ['HTTP/2', (path, sent) => sendHttp2(session, gateway.url + path, sent)],
];

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'QUERY'];

/** Paths, and the methods that they have. */
const PATHS: readonly (readonly [path: string, allow: string])[] = [
  ['/livez', 'GET, HEAD'],
  ['/readyz', 'GET, HEAD'],
  ['/readyz?detail', 'GET, HEAD'],
  ['/metrics', 'GET, HEAD'],
  ['/openapi.json', 'GET, HEAD'],
  ['/schema/config.json', 'GET, HEAD'],
  ['/claim/nothing', 'GET, HEAD, POST'],
  ['/admin/mcp', 'POST'],
  ['/v1/mcp-configs', 'GET, HEAD, POST'],
  ['/v1/mcp-configs/declared', 'GET, HEAD, POST'],
  ['/v1/mcp-configs/declared/delete', 'POST'],
  ['/v1/mcp-configs/declared/history', 'GET, HEAD'],
  ['/v1/accounts/me', 'GET, HEAD'],
];

const IDS = [
  '%6dcp_1',
  'declare%64',
  '%00',
  'a%00b',
  '%zz',
  '%ff',
  '%ED%A0%80',
  '%2e%2e',
  'a%2Fb',
  'a;b',
  ':id',
  '*',
  '__proto__',
  'constructor',
  'x'.repeat(6_000),
  '%41'.repeat(2_000),
];

/** Each id in the place of one of every kind of object. */
function askedIds(): [method: string, path: string, body?: string][] {
  return IDS.flatMap((id) => [
    ...['mcp-configs', 'secrets', 'mcp-tokens', 'devboxes'].flatMap((kind): [string, string][] => [
      ['GET', `/v1/${kind}/${id}`],
      ['HEAD', `/v1/${kind}/${id}`],
    ]),
    ['POST', `/v1/mcp-configs/${id}`, '{}'],
    ['POST', `/v1/mcp-configs/${id}/delete`, '{}'],
    ['POST', `/v1/secrets/${id}`, '{"value":"x"}'],
    ['POST', `/v1/mcp-tokens/${id}/rotate`, '{}'],
    ['POST', `/v1/devboxes/${id}/shutdown`, '{}'],
  ]);
}

/** A refusal as clients and people read it. */
function assertProblem({ headers, text }: Answer, status: number, where: string): void {
  assert.match(String(headers['content-type']), /^application\/(?:problem\+)?json\b/, where);
  const problem = JSON.parse(text);
  // The management server answers in its protocol's shape.
  if (problem.jsonrpc !== undefined) return;
  assert.equal(problem.status, status, where);
  for (const name of ['message', 'code', 'title']) assert.equal(typeof problem[name], 'string', `${where}: ${name}`);
}

for (const [protocol, ask] of ASKS) {
  suite(`over ${protocol}`, () => {
    for (const [path, allow] of PATHS) {
      test(`${path} has ${allow}, and says so to every other method`, async () => {
        for (const method of METHODS) {
          const where = `${method} ${path}`;
          const answer = await ask(path, { method, token: gateway.apiKey });
          assert.ok(answer.status < 500, `${where}: ${answer.status}`);
          const isAllowed = allow.split(', ').includes(method);
          assert.equal(answer.status === 405, !isAllowed, `${where}: ${answer.status} ${answer.text}`);
          assert.equal(answer.headers.allow, isAllowed ? undefined : allow, where);
          if (!isAllowed && method !== 'HEAD') assertProblem(answer, 405, where);
        }
      });
    }

    test('HEAD is answered as GET is, without the body', async () => {
      for (const [path, allow] of PATHS.filter(([, each]) => each.includes('HEAD'))) {
        const [head, got] = [
          await ask(path, { method: 'HEAD', token: gateway.apiKey }),
          await ask(path, { method: 'GET', token: gateway.apiKey }),
        ];
        assert.deepEqual([head.status, head.text], [got.status, ''], `${path} (${allow})`);
        assert.equal(head.headers['content-type'], got.headers['content-type'], path);
        assert.equal(head.headers.etag, got.headers.etag, path);
      }
    });

    test('whoever is not authenticated is not told which methods the REST API has', async () => {
      for (const path of ['/v1/mcp-configs', '/v1/nothing', '/v1/mcp-configs/', '/admin/mcp']) {
        for (const method of METHODS) {
          const { status, headers } = await ask(path, { method });
          assert.deepEqual([status, headers.allow], [401, undefined], `${method} ${path}`);
        }
      }
    });

    test('a path that is not there is 404 for every method', async () => {
      for (const path of ['/nothing', '/', '/livez/', '/metrics/', '/v1', '/v1/', '/v1/nothing', '/v1/mcp-configs/']) {
        for (const method of METHODS) {
          const answer = await ask(path, { method, token: gateway.apiKey });
          assert.deepEqual([answer.status, answer.headers.allow], [404, undefined], `${method} ${path}`);
          if (method !== 'HEAD') assertProblem(answer, 404, `${method} ${path}`);
        }
      }
    });

    test('an id that no object has is 404, whatever is in it', async () => {
      for (const [method, path, body] of askedIds()) {
        const sent = body === undefined ? {} : { body };
        const answer = await ask(path, { method, token: gateway.apiKey, ...sent });
        const where = `${method} ${path.slice(0, 60)}: ${answer.text.slice(0, 200)}`;
        assert.equal(answer.status, 404, where);
        if (method !== 'HEAD') assertProblem(answer, 404, where);
      }
    });

    test('metrics and details of all accounts are for keys of the first one', async () => {
      // A peer on this machine needs no key, unless it speaks for somebody else.
      const headers = { 'x-forwarded-for': '203.0.113.7' };
      for (const path of ['/metrics', '/readyz?detail']) {
        const own = await ask(path, { method: 'GET', token: gateway.apiKey, headers });
        assert.equal(own.status, 200, own.text);
        assert.match(own.text, /declared|switchboard_/);
        const foreign = await ask(path, { method: 'GET', token: foreignKey, headers });
        assert.equal(foreign.status, 403, foreign.text);
        assertProblem(foreign, 403, path);
        assert.match(foreign.text, /all accounts.*key of the default account/);
        assert.doesNotMatch(foreign.text, /declared|switchboard_/);
      }
    });
  });
}

test('a method that is none, or a target that is no path, is refused in JSON', async () => {
  const authorization = `Authorization: Bearer ${gateway.apiKey}`;
  for (const line of ['BREW /livez HTTP/1.1', 'get /livez HTTP/1.1', 'OPTIONS * HTTP/1.1', 'GET /v1/a\\b HTTP/1.1']) {
    const { answers } = await exchangeRaw(gateway.url, `${line}\r\nHost: 127.0.0.1\r\n${authorization}\r\n\r\n`);
    const [answer] = answers;
    assert.ok(answer !== undefined && answer.status >= 400 && answer.status < 500, `${line}: ${answer?.status}`);
    assert.equal(typeof JSON.parse(answer.body).title, 'string', line);
  }
});
