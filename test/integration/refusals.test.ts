// What the gateway refuses, in exact answers (design §3, table), and that no byte of it reaches an upstream.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, afterEach, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, BOTH, mcpRequest, type Sent, send, toolCall } from '../support/mcp-http.ts';
import { exchangeRaw, pushBody, RawHttp1, toChunk, toHttp1 } from '../support/raw-http1.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

const TOOLS = ['echo', 'hidden', 'narrowed'].map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`);

let upstream: RecordingUpstream;
let stranger: RecordingUpstream;
let gateway: TestGateway;
let settled = 0;

before(async () => {
  upstream = await startRecordingUpstream({ era: 'modern', tools: TOOLS });
  stranger = await startRecordingUpstream({ era: 'legacy', tools: TOOLS });
  gateway = await startGateway({
    configs: [
      { name: 'rec', url: upstream.url, allowedTools: ['echo', 'narrowed'] },
      { name: 'two', url: stranger.url, allowedTools: [] },
      { name: 'strange', url: stranger.url },
    ],
    tokens: [
      { name: 'agent', grants: [{ config: 'rec', allowedTools: ['e*', 'h*'] }, 'two'] },
      { name: 'late', grants: ['rec'], expiresAt: '2020-01-31' },
      { name: 'third', grants: ['strange'] },
    ],
  });
  // The lists are fetched now, so that whatever comes to an upstream from here on is what a test let through.
  for (const token of ['agent', 'third'])
    await send(gateway.mcpUrl, { ...mcpRequest('tools/list'), token: gateway.token(token) });
  settled = requestCount();
});
after(async () => {
  await gateway.close();
  await upstream.close();
  await stranger.close();
});
afterEach(() => assert.equal(requestCount(), settled, 'something came through to an upstream'));

function requestCount(): number {
  return upstream.requests.length + stranger.requests.length;
}

/** A ping to a target that an HTTP client would tidy up. */
async function ping(url: string, line: string, token: string): Promise<{ status: number; text: string }> {
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  const lines = [
    `${line} HTTP/1.1`,
    `Host: ${new URL(url).host}`,
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  const { answers, bytes } = await exchangeRaw(url, `${lines.join('\r\n')}\r\n\r\n${body}`);
  return { status: answers[0]!.status, text: bytes.toString() };
}

function post(sent: Sent): Promise<Answer> {
  return send(gateway.mcpUrl, { token: gateway.token(), headers: { accept: BOTH }, ...sent });
}

function assertUnauthenticated(answer: Answer, message: RegExp): void {
  assert.deepEqual([answer.status, answer.kind], [401, 'json']);
  assert.equal(answer.headers.connection, 'close');
  assert.match(String(answer.headers['www-authenticate']), /^Bearer /);
  // What is no ASCII is replaced, and no example ends in what looks like a quote of it.
  assert.doesNotMatch(String(answer.headers['www-authenticate']), /swb_agt_(?!\.\.\.)/);
  const body = answer.message;
  assert.deepEqual([body.code, body.status], ['unauthenticated', 401]);
  assert.match(String(body.message), message);
}

function assertError(answer: Answer, status: number, code: number, message: RegExp): void {
  assert.deepEqual([answer.status, answer.kind], [status, 'json'], answer.text);
  assert.equal(answer.message.jsonrpc, '2.0');
  assert.equal(answer.message.error?.code, code, answer.text);
  assert.match(answer.message.error.message, message);
}

suite('who is not authenticated', () => {
  const unknown = 'swb_agt_000000000000_0000000000000000000000000000000000000000000_000000';
  const cases: readonly (readonly [what: string, authorization: string | undefined, message: RegExp])[] = [
    ['no header', undefined, /Authorization header is missing.*Bearer swb_agt_/],
    ['an empty header', '', /Authorization header is missing/],
    ['an unknown token', `Bearer ${'x'.repeat(40)}`, /not a token known here/],
    ['a mistyped token', `Bearer ${unknown}`, /truncated or mistyped/],
    ['another scheme', 'Basic dXNlcjpwYXNz', /does not use the Bearer scheme/],
    ['a variable that nobody filled in', `Bearer $${'{SWITCHBOARD_TOKEN}'}`, /variable was not substituted/],
    ['a placeholder', 'Bearer <token>', /variable was not substituted/],
    ['the word twice', `Bearer Bearer ${'x'.repeat(40)}`, /"Bearer" twice/],
    ['two values', `Bearer ${'x'.repeat(40)} y`, /more than one value/],
    ['a value of 5 KB', `Bearer ${'x'.repeat(5000)}`, /256 at most/],
  ];
  for (const [what, authorization, message] of cases) {
    test(`${what} is 401 and says what to do`, async () => {
      const call = toolCall('rec.echo');
      const headers = { ...call.headers, ...(authorization === undefined ? {} : { authorization }) };
      const answer = await send(gateway.mcpUrl, { ...call, headers });
      assertUnauthenticated(answer, message);
      if (authorization !== undefined && authorization.length > 20) {
        assert.equal(answer.text.includes(authorization.slice(7, 27)), false, 'the value is repeated');
      }
    });
  }

  test('an expired token is told its name and since when', async () => {
    const answer = await post({ ...toolCall('rec.echo'), token: gateway.token('late') });
    assertUnauthenticated(answer, /"late".*expired on 2020-01-31T00:00:00Z/);
  });

  test('an API key is not a token, and a token is not an API key', async () => {
    assertUnauthenticated(await post({ ...toolCall('rec.echo'), token: gateway.apiKey }), /This is an API key/);
    const url = `${gateway.url}/v1/explain?tool=rec.echo&token=agent`;
    const answer = await send(url, { method: 'GET', token: gateway.token() });
    assert.deepEqual([answer.status, answer.headers.connection], [401, 'close']);
    assert.match(answer.text, /This is a token/);
  });

  test('a token in the query or in another header is no token', async () => {
    const { body, headers } = toolCall('rec.echo');
    const url = `${gateway.mcpUrl}?token=${gateway.token()}&access_token=${gateway.token()}`;
    const answer = await send(url, { body, headers: { ...headers, 'x-api-key': gateway.token() } });
    assertUnauthenticated(answer, /missing/);
  });

  for (const method of ['GET', 'DELETE', 'PUT', 'HEAD', 'OPTIONS', 'TRACE']) {
    test(`${method} is refused like POST`, async () => {
      const { status, headers } = await send(gateway.mcpUrl, { method });
      assert.deepEqual([status, headers.connection], [401, 'close']);
    });
  }
});

suite('bodies that are too large', () => {
  const SIZE = 10 * 1024 * 1024;

  /** Sends a request's head and then as much of 10 MB as is taken; resolves with what came back and how much was taken. */
  function push(headers: readonly string[], isChunked: boolean): Promise<{ text: string; sentBytes: number }> {
    const framing = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${SIZE}`;
    const lines = [`Host: ${new URL(gateway.url).host}`, 'Content-Type: application/json', framing, ...headers];
    const piece = Buffer.alloc(64 * 1024, 0x20);
    const head = `POST /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
    return pushBody(gateway.url, head, isChunked ? toChunk(piece) : piece, SIZE);
  }

  for (const isChunked of [false, true]) {
    const how = isChunked ? 'chunked' : 'declared';
    test(`10 MB (${how}) of nobody in particular are 401 before they are sent`, async () => {
      const { text, sentBytes } = await push([], isChunked);
      assert.match(text, /^HTTP\/1\.1 401 [\s\S]*\r\nconnection: close\r\n[\s\S]*Authorization header is missing/i);
      assert.ok(sentBytes < SIZE, `${sentBytes} bytes were taken`);
    });

    test(`10 MB (${how}) of an agent are 413, and the connection ends`, async () => {
      const { text } = await push([`Authorization: Bearer ${gateway.token()}`], isChunked);
      assert.match(text, /^HTTP\/1\.1 413 [\s\S]*\r\nconnection: close\r\n/i);
      const message = JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));
      assert.equal(message.error.code, -32600);
      assert.match(message.error.message, /larger than 4194304 bytes/);
    });
  }

  test('the rest of a refused body resets no connection, and what follows it is no request (RFC 9112 §9.6)', async () => {
    const rest = Buffer.alloc(200_000, 0x20);
    const client = await RawHttp1.connect(gateway.url);
    const failures: Error[] = [];
    client.socket.on('error', (error) => failures.push(error));
    client.write(toHttp1(gateway.mcpUrl, { headers: { 'content-length': String(rest.length) } }).head);
    await client.until(/HTTP\/1\.1 401 [\s\S]*\}$/);
    const call = toHttp1(gateway.mcpUrl, { ...toolCall('rec.echo'), token: gateway.token() });
    client.write(rest, call.head, call.body);
    client.socket.end();
    await once(client.socket, 'close');
    assert.deepEqual(failures, []);
    assert.equal(client.text.split('HTTP/1.1').length, 2, client.text);
  });

  test('a client that asks first (Expect) is told 401 and 413 without a 100', async () => {
    for (const [headers, status] of [
      [[], 401],
      [[`Authorization: Bearer ${gateway.token()}`], 413],
    ] as const) {
      const { text } = await push([...headers, 'Expect: 100-continue'], false);
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
    }
  });

  test('the largest allowed body is read whole', async () => {
    const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    const answer = await post({ body: ping + ' '.repeat(4 * 1024 * 1024 - ping.length) });
    assert.equal(answer.status, 200, answer.text);
  });
});

suite('what is no request', () => {
  const MEDIA_TYPES = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json; charset=latin1',
    '',
  ];
  for (const type of MEDIA_TYPES) {
    test(`the media type '${type}' is 415`, async () => {
      const { body } = toolCall('rec.echo');
      const answer = await post({ body, headers: { 'content-type': type } });
      assertError(answer, 415, -32600, /Content-Type must be application\/json/);
      assert.equal(answer.headers.connection, 'close');
    });
  }

  test('a compressed body is 415', async () => {
    const { body } = toolCall('rec.echo');
    assertError(await post({ body, headers: { 'content-encoding': 'gzip' } }), 415, -32600, /compressed/);
  });

  const CALL = '"id":1,"method":"tools/call","params":{"name":"rec.echo"}';
  const BODIES: readonly (readonly [what: string, body: string | Buffer, code: number, message: RegExp])[] = [
    ['an empty body', '', -32700, /empty/],
    ['broken JSON', `{"jsonrpc":"2.0",${CALL}`, -32700, /not valid JSON.*byte \d+/],
    ['a trailing comma', `{"jsonrpc":"2.0",${CALL},}`, -32700, /not valid JSON/],
    ['two messages', `{"jsonrpc":"2.0",${CALL}}{"jsonrpc":"2.0",${CALL}}`, -32700, /goes on behind the message/],
    ['a comment', `{"jsonrpc":"2.0",/**/${CALL}}`, -32700, /not valid JSON/],
    [
      'NaN inside the arguments',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","arguments":{"n":NaN}}}`,
      -32700,
      /not valid JSON/,
    ],
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from(`{"jsonrpc":"2.0",${CALL},"x":"`), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
      -32700,
      /not valid UTF-8/,
    ],
    ['a byte order mark', `\ufeff{"jsonrpc":"2.0",${CALL}}`, -32700, /not valid JSON/],
    [
      'nesting over 64',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","arguments":${'['.repeat(65)}${']'.repeat(65)}}}`,
      -32700,
      /deep|nest/i,
    ],
    ['a batch', `[{"jsonrpc":"2.0",${CALL}}]`, -32600, /Batches are not served/],
    ['a string', '"tools/call"', -32700, /./],
    ['no version', `{${CALL}}`, -32600, /'jsonrpc' must be "2\.0"/],
    ['the id null', `{"jsonrpc":"2.0","id":null,"method":"tools/list"}`, -32600, /'id' must be a string or an integer/],
    [
      'a fractional id',
      `{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}`,
      -32600,
      /'id' must be a string or an integer/,
    ],
    [
      'params as an array',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["rec.echo"]}`,
      -32600,
      /'params' must be an object/,
    ],
    ['a method that is no string', `{"jsonrpc":"2.0","id":1,"method":7}`, -32600, /'method' must be a string/],
    ['neither method nor result', `{"jsonrpc":"2.0","id":1}`, -32600, /needs 'method'/],
    ['method and result', `{"jsonrpc":"2.0","result":{},${CALL}}`, -32600, /not both/],
    ['the method twice', `{"jsonrpc":"2.0","method":"ping",${CALL}}`, -32600, /"method" occurs twice/],
    [
      'the method twice, once escaped',
      `{"jsonrpc":"2.0","\\u006dethod":"ping",${CALL}}`,
      -32600,
      /"method" occurs twice/,
    ],
    [
      'the method in capitals beside it',
      `{"jsonrpc":"2.0","Method":"ping",${CALL}}`,
      -32600,
      /"Method" looks like the key 'method'/,
    ],
    [
      'the params in capitals',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","PARAMS":{"name":"rec.echo"}}`,
      -32600,
      /looks like the key 'params'/,
    ],
    ['the params with a long s', `{"jsonrpc":"2.0","param\u017f":{},${CALL}}`, -32600, /looks like the key 'params'/],
    [
      'the name twice',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","name":"rec.hidden"}}`,
      -32600,
      /"name" occurs twice/,
    ],
    [
      'the name twice, once escaped',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","n\\u0061me":"rec.hidden"}}`,
      -32600,
      /"name" occurs twice/,
    ],
    [
      'the name in capitals beside it',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","Name":"rec.hidden"}}`,
      -32600,
      /"Name" looks like the key 'name'/,
    ],
    [
      'the arguments twice',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","arguments":{},"arguments":{}}}`,
      -32600,
      /"arguments" occurs twice/,
    ],
    [
      'the arguments in capitals',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","aRguments":{}}}`,
      -32600,
      /looks like the key 'arguments'/,
    ],
    [
      'a _meta key twice',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","_meta":{"a":1,"a":2}}}`,
      -32600,
      /"a" occurs twice/,
    ],
    [
      'the progress token in capitals',
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rec.echo","_meta":{"ProgressToken":1}}}`,
      -32600,
      /looks like the key 'progressToken'/,
    ],
  ];
  for (const [what, body, code, message] of BODIES) {
    test(`${what} is 400`, async () => assertError(await post({ body }), 400, code, message));
  }

  test('a name that is missing or no string is -32602', async () => {
    for (const params of ['{}', '{"name":7}', '{"name":null}', '{"name":["rec.echo"]}']) {
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
      assertError(await post({ body }), 400, -32602, /params\.name is required and must be a string/);
    }
  });
});

suite('names that the token does not open', () => {
  const NAMES = [
    'rec.missing',
    'rec.hidden',
    'rec.narrowed',
    'strange.echo',
    'echo',
    'hidden',
    'two.echo',
    'rec__echo',
    'REC.echo',
    'rec.Echo',
    'rec.echo ',
    '',
    'rec',
    '.',
    '__proto__',
    'constructor',
  ];
  for (const era of ['legacy', 'modern'] as const) {
    for (const name of NAMES) {
      test(`'${name}' is unknown, and nothing tells why (${era})`, async () => {
        const answer = await post(toolCall(name, { era, params: '"arguments":{"a":1}' }));
        assert.equal(answer.status, 200, answer.text);
        const error = { code: -32602, message: `Unknown tool: ${name}` };
        assert.deepEqual(answer.message, { jsonrpc: '2.0', id: 1, error });
        assert.equal(answer.headers['server-timing'], undefined);
      });
    }
  }

  test('a name of a megabyte comes back short', async () => {
    const answer = await post(toolCall('x'.repeat(1_000_000)));
    assertError(answer, 200, -32602, /^Unknown tool: x{256}$/);
  });
});

suite('methods that an era does not have', () => {
  for (const [era, method] of [
    ['legacy', 'server/discover'],
    ['legacy', 'tools/Call'],
    ['legacy', 'no/such'],
    ['modern', 'initialize'],
    ['modern', 'ping'],
    ['modern', 'logging/setLevel'],
    ['modern', 'no/such'],
  ] as const) {
    test(`${method} is -32601 in the ${era} era`, async () => {
      const answer = await post(mcpRequest(method, { era }));
      assertError(answer, era === 'modern' ? 404 : 200, -32601, /Method not found/);
      assert.equal(answer.message.id, 1);
    });
  }
});

suite('modern headers and envelope', () => {
  const whole = (): Sent & { body: string } => toolCall('rec.echo', { era: 'modern' });
  const without = (name: string): Record<string, string> =>
    Object.fromEntries(Object.entries(whole().headers ?? {}).filter(([each]) => each !== name));

  for (const [what, headers, message] of [
    ['no MCP-Protocol-Version', () => without('mcp-protocol-version'), /MCP-Protocol-Version is missing/],
    ['no Mcp-Method', () => without('mcp-method'), /Mcp-Method is missing, but the body says "tools\/call"/],
    ['no Mcp-Name', () => without('mcp-name'), /Mcp-Name is missing, but the body says "rec\.echo"/],
    [
      'another revision',
      () => ({ ...whole().headers, 'mcp-protocol-version': '2025-11-25' }),
      /MCP-Protocol-Version says "2025-11-25"/,
    ],
    ['another method', () => ({ ...whole().headers, 'mcp-method': 'tools/list' }), /Mcp-Method says "tools\/list"/],
    ['the method in capitals', () => ({ ...whole().headers, 'mcp-method': 'TOOLS/CALL' }), /Mcp-Method says/],
    ['another name', () => ({ ...whole().headers, 'mcp-name': 'rec.hidden' }), /Mcp-Name says "rec\.hidden"/],
    [
      'another encoded name',
      () => ({ ...whole().headers, 'mcp-name': '=?base64?cmVjLmhpZGRlbg==?=' }),
      /Mcp-Name says/,
    ],
    ['a name badly encoded', () => ({ ...whole().headers, 'mcp-name': '=?base64?cmVjLmVjaG8?=' }), /Mcp-Name says/],
  ] as const) {
    test(`${what} is 400 -32020`, async () => {
      assertError(await post({ ...whole(), headers: headers() }), 400, -32020, message);
    });
  }

  test('initialize under a modern header is 400 -32020', async () => {
    const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}';
    const headers = { 'mcp-protocol-version': '2026-07-28' };
    assertError(await post(mcpRequest('initialize', { params, headers })), 400, -32020, /has no initialize/);
  });

  test('a revision that is not served is 400 -32022, with those that are', async () => {
    for (const revision of ['2025-11-25', '2027-01-01', 'x']) {
      const { body, headers } = whole();
      const sent = {
        body: body.replace('2026-07-28', revision),
        headers: { ...headers, 'mcp-protocol-version': revision },
      };
      const answer = await post(sent);
      assertError(answer, 400, -32022, /not served/);
      assert.deepEqual(answer.message.error!.data, { supported: ['2026-07-28'], requested: revision });
    }
  });

  test('an envelope without capabilities is 400 -32602', async () => {
    const { body, headers } = whole();
    const bare = body.replace(',"io.modelcontextprotocol/clientCapabilities":{}', '');
    assertError(await post({ body: bare, headers: headers! }), 400, -32602, /clientCapabilities.*required/);
  });

  test('a modern header without an envelope is 400 -32602', async () => {
    const answer = await post(toolCall('rec.echo', { headers: { 'mcp-protocol-version': '2026-07-28' } }));
    assertError(answer, 400, -32602, /params\._meta must hold/);
  });

  test('a header sent twice is 400', async () => {
    const { body, headers } = whole();
    const names = Object.entries({ ...headers, 'content-type': 'application/json' }).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const lines = [
      `Host: ${new URL(gateway.url).host}`,
      `Authorization: Bearer ${gateway.token()}`,
      ...names,
      'Mcp-Name: rec.hidden',
      `Content-Length: ${body.length}`,
    ];
    const { bytes } = await exchangeRaw(gateway.url, `POST /mcp HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
    assert.match(bytes.toString(), /^HTTP\/1\.1 400 [\s\S]*mcp-name is sent more than once/);
  });
});

suite('places and callers', () => {
  for (const method of ['GET', 'PUT', 'PATCH', 'TRACE', 'OPTIONS']) {
    test(`${method} on /mcp is 405 and names what is allowed`, async () => {
      const answer = await post({ method });
      // A GET is allowed to sessions, and this is none.
      const allowed = method === 'GET' ? 'POST, DELETE' : 'GET, POST, DELETE';
      assert.deepEqual([answer.status, answer.headers.allow, answer.kind], [405, allowed, 'json']);
      assert.match(String(answer.message.message), /POST/);
    });
  }

  for (const [what, headers] of [
    ['a foreign Host', { host: 'evil.example' }],
    ['a Host that only begins like ours', { host: '127.0.0.1.evil.example' }],
    ['a foreign Origin', { origin: 'https://evil.example' }],
    ['the Origin null', { origin: 'null' }],
    ['an Origin that only begins like ours', { origin: 'http://localhost.evil.example' }],
  ] as const) {
    test(`${what} is 403 before anything else, with a token and without`, async () => {
      for (const url of [gateway.mcpUrl, `${gateway.url}/readyz?detail`, `${gateway.url}/metrics`]) {
        for (const token of [gateway.token(), undefined]) {
          const answer = await send(url, {
            ...toolCall('rec.echo'),
            headers,
            ...(token === undefined ? {} : { token }),
          });
          assert.deepEqual([answer.status, answer.kind, answer.headers.connection], [403, 'json', 'close']);
          assert.equal(answer.message.code, 'forbidden');
          assert.match(String(answer.message.message), /allowed_hosts|allowed_origins/);
        }
      }
    });
  }

  test('an Origin on this machine is served', async () => {
    for (const origin of ['http://localhost:5173', 'http://127.0.0.1:6274', gateway.url, 'http://[::1]:3000']) {
      const answer = await post({ ...mcpRequest('ping'), headers: { origin } });
      assert.equal(answer.status, 200, origin);
    }
  });

  const OTHER_SPELLINGS = [
    '/%6dcp',
    '/mcp%2f',
    '/%2e/mcp',
    '//mcp',
    '/./mcp',
    '/x/../mcp',
    '/mcp;x=1',
    '/mcp\\',
    '/v1//explain',
    '/%761/explain?tool=a.b&token=agent',
    '/v1/../metrics',
    '/livez;x',
  ];
  test("no path has another spelling, on one listener for all and on the operators' own", async (t) => {
    const admin = { listen: { port: 0 } };
    const split = await startGateway({
      configs: [{ name: 'rec', url: 'http://127.0.0.1:9/mcp' }],
      settings: { admin },
    });
    t.after(() => split.close());
    for (const [url, apiKey] of [
      [gateway.url, gateway.apiKey],
      [split.adminUrl, split.apiKey],
    ] as const) {
      for (const path of OTHER_SPELLINGS) {
        for (const token of [gateway.token(), apiKey]) {
          const { status, text } = await ping(url, `POST ${path}`, token);
          assert.equal(status, 404, `${path}: ${text}`);
        }
      }
    }
    assert.equal((await ping(split.adminUrl, 'POST /mcp', split.token())).status, 404);
    assert.equal((await ping(split.adminUrl, 'GET /v1/explain', split.apiKey)).status, 400);
    assert.equal((await ping(split.url, 'POST /mcp', split.token())).status, 200);
    assert.equal((await ping(split.url, 'GET /v1/explain', split.apiKey)).status, 404);
  });

  for (const [method, path] of [
    ['GET', '/.well-known/oauth-protected-resource'],
    ['GET', '/.well-known/oauth-protected-resource/mcp'],
    ['GET', '/.well-known/oauth-authorization-server'],
    ['GET', '/.well-known/oauth-authorization-server/mcp'],
    ['GET', '/.well-known/openid-configuration'],
    ['GET', '/.well-known/openid-configuration/mcp'],
    ['POST', '/register'],
    ['GET', '/'],
    ['POST', '/'],
    ['GET', '/mcp/'],
    ['POST', '/mcp/rec/x'],
    ['GET', '/sse'],
  ] as const) {
    test(`${method} ${path} is 404 in JSON, at once`, async () => {
      const startedMs = performance.now();
      const answer = await send(`${gateway.url}${path}`, { method });
      assert.ok(performance.now() - startedMs < 500);
      assert.equal(answer.status, 404);
      assert.match(answer.headers['content-type']!, /^application\/(problem\+)?json/);
      assert.equal(JSON.parse(answer.text).status, 404);
      const hint =
        path.includes('oauth') || path.includes('openid') || path === '/register' ? /no OAuth.*Bearer/ : /mcp/;
      assert.match(JSON.parse(answer.text).message, hint);
    });
  }
});
