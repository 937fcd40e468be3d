// The gateway managed by an agent, through /admin/mcp: with the SDK clients of both lines, in both eras.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { NOT_OFFERED, OFFERS } from '../../src/control-plane/management-tools.ts';
import { createOperations, type OperationsDeps } from '../../src/control-plane/operations.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { connectManagementClient, type ManagementClient } from '../support/management-clients.ts';
import { BOTH, ENVELOPE, MODERN, send } from '../support/mcp-http.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';
import { CLIENT_KINDS, connectClient } from '../support/sdk-clients.ts';

const TOOLS = ['get_issue', 'search_issues', 'delete_issue'];
const SECRET = 'canary-value-of-a-secret';

let upstream: RecordingUpstream;
let gateway: TestGateway;
let url: string;
const clients: ManagementClient[] = [];

before(async () => {
  upstream = await startRecordingUpstream({
    era: 'modern',
    tools: TOOLS.map((name) => `{"name":"${name}","inputSchema":{"type":"object"}}`),
  });
  gateway = await startGateway({
    configs: [{ name: 'declared', url: upstream.url }],
    settings: {
      upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] },
      allowed_origins: ['https://ops.example.com'],
    },
  });
  url = `${gateway.url}/admin/mcp`;
  await post('/v1/secrets', { name: 'CANARY', value: SECRET });
});

after(async () => {
  for (const client of clients) await client.close();
  await gateway.close();
  await upstream.close();
});

async function connect(key = gateway.apiKey, kind: (typeof CLIENT_KINDS)[number] = 'v2 pinned') {
  const client = await connectManagementClient(kind, url, key);
  clients.push(client);
  return client;
}

// biome-ignore lint/suspicious/noExplicitAny: answers of all operations
async function post(path: string, body: unknown): Promise<any> {
  const { text } = await send(gateway.url + path, { token: gateway.apiKey, body: JSON.stringify(body) });
  return JSON.parse(text);
}

function makeKey(name: string, role: string): Promise<string> {
  return post('/v1/api-keys', { name, role }).then(({ api_key }) => api_key);
}

for (const kind of CLIENT_KINDS) {
  test(`an agent reads, previews, creates, checks and deletes: ${kind}`, async () => {
    const client = await connect(gateway.apiKey, kind);
    const name = `tracker-${kind.replace(' ', '')}`;
    const wish = { name, endpoint: upstream.url, allowed_tools: ['get_*', 'nothing_*'] };
    assert.match(client.instructions ?? '', /Read before you write/);

    const context = await client.call('get-account-context');
    assert.equal(context.view.url, gateway.mcpUrl);
    assert.equal(context.view.api_key.role, 'editor', 'whatever the key may do in REST');
    assert.ok(context.view.counts.mcp_configs >= 1);

    const preview = await client.call('preview-mcp-config', wish);
    assert.deepEqual(
      preview.view.appear.map((tool: { name: string }) => tool.name),
      ['tracker.get_issue'],
      preview.text,
    );
    assert.match(JSON.stringify(preview.view.warnings), /nothing_\*/);

    const created = await client.call('create-mcp-config', wish);
    assert.equal(created.view.revision, 1, created.text);
    assert.equal((await client.call('get-account-context')).view.epoch, context.view.epoch + 1);
    const issues = await client.call('list-issues');
    assert.ok(Array.isArray(issues.view.issues));
    const generated = await client.call('generate-config');
    assert.match(generated.text, new RegExp(`name: ${name}\\n`));
    assert.equal(generated.view.yaml, await client.read('switchboard://config.yaml'));

    const change = { mcp_config: name, allowed_tools: ['get_*', 'search_*'] };
    const previewed = await client.call('preview-mcp-config-update', change);
    assert.deepEqual(
      previewed.view.appear.map((tool: { name: string }) => tool.name),
      ['tracker.search_issues'],
    );
    for (const unconfirmed of [change, { ...change, confirm_revision: 7 }]) {
      const refused = await client.call('update-mcp-config', unconfirmed);
      assert.equal(refused.isError, true);
      assert.match(refused.text, /Call get-mcp-config first/);
    }
    assert.equal((await client.call('get-mcp-config', { mcp_config: name })).view.revision, 1);
    const updated = await client.call('update-mcp-config', { ...change, confirm_revision: 1 });
    assert.equal(updated.view.revision, 2, updated.text);

    for (const unconfirmed of [{}, { confirm_revision: null }, { confirm_revision: 1 }, { confirm_revision: '2' }]) {
      const refused = await client.call('delete-mcp-config', { mcp_config: name, ...unconfirmed });
      assert.equal(refused.isError, true, JSON.stringify(unconfirmed));
      assert.match(refused.text, /confirm_revision/);
    }
    const { revision } = (await client.call('get-mcp-config', { mcp_config: name })).view;
    const deleted = await client.call('delete-mcp-config', { mcp_config: name, confirm_revision: revision });
    assert.equal(deleted.isError, false, deleted.text);
    const gone = await client.call('get-mcp-config', { mcp_config: name });
    assert.match(gone.text, /There is no McpConfig/);

    const { id } = deleted.view;
    const history = await client.call('get-history', { mcp_config: id });
    const [newest] = history.view.revisions;
    assert.equal(newest.action, 'delete');
    const stale = await client.call('revert-mcp-config', { mcp_config: id, revision: 1, confirm_revision: revision });
    assert.match(stale.text, /Call get-history first/);
    const back = { mcp_config: id, revision: 1, confirm_revision: newest.revision };
    assert.deepEqual((await client.call('revert-mcp-config', back)).view.allowed_tools, wish.allowed_tools);
    const diff = await client.call('diff-revisions', { mcp_config: name, from: 2 });
    assert.deepEqual(
      diff.view.fields.map(({ field }: { field: string }) => field),
      ['allowed_tools'],
    );
    const audit = await client.call('query-audit', { object_id: id });
    assert.deepEqual(
      audit.view.changes.map(({ action, actor }: Record<string, { kind: string }>) => [action, actor?.kind]),
      ['revert', 'delete', 'update', 'create'].map((action) => [action, 'api_key']),
    );
  });
}

suite('a token', () => {
  test('is made as a link, used by an agent, narrowed and revoked, and its value never passes through the model', async () => {
    const client = await connect();
    const wish = { name: 'made', grants: [{ mcp_config: 'declared' }] };
    const unread = await client.call('create-token', wish);
    assert.match(unread.text, /Call get-account-context first/);
    const { epoch } = (await client.call('get-account-context')).view;
    const stale = await client.call('create-token', { ...wish, confirm_revision: epoch - 1 });
    assert.match(stale.text, new RegExp(`The account is at revision ${epoch}, .*Call get-account-context first`));
    const made = await client.call('create-token', { ...wish, confirm_revision: epoch });
    assert.equal(made.isError, false, made.text);
    assert.doesNotMatch(made.text, /swb_agt_/);

    const { text } = await send(made.view.claim_url, { method: 'POST' });
    const claimed = JSON.parse(text);
    const agent = await connectClient('v2 pinned', claimed.url, claimed.token);
    assert.deepEqual((await agent.toolNames()).toSorted(), TOOLS.map((name) => `declared.${name}`).toSorted());
    const explained = await client.call('explain-tool', { tool: 'declared.get_issue', token: 'made' });
    assert.equal(explained.view.is_callable, true);

    const narrowed = { token: 'made', grants: [{ mcp_config: 'declared', allowed_tools: ['get_*'] }] };
    assert.match((await client.call('update-token', narrowed)).text, /Call get-token first/);
    const { revision } = (await client.call('get-token', { token: 'made' })).view;
    assert.equal((await client.call('update-token', { ...narrowed, confirm_revision: revision })).isError, false);
    assert.deepEqual(await agent.toolNames(), ['declared.get_issue']);
    const catalog = await client.call('get-catalog', { token: 'made' });
    assert.equal(catalog.view.total_count, 1);

    assert.match((await client.call('revoke-token', { token: 'made' })).text, /Call get-token first/);
    const revoked = await client.call('revoke-token', { token: 'made', confirm_revision: revision + 1 });
    assert.equal(typeof revoked.view.revoke_time_ms, 'number', revoked.text);
    await assert.rejects(agent.toolNames());
    const listed = await client.call('list-tokens', { name: 'made' });
    assert.equal(listed.view.total_count, 1);
    await agent.close();
  });
});

suite('what an agent is shown', () => {
  test('every operation is a tool, or is kept back for a reason', () => {
    const names = createOperations({} as OperationsDeps).map(({ name }) => name);
    assert.deepEqual([...Object.keys(OFFERS), ...Object.keys(NOT_OFFERED)].toSorted(), names.toSorted());
  });

  test('no two tools have a name, and no tool two arguments of one name', () => {
    const names = Object.values(OFFERS).map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    for (const { name, query, body } of createOperations({} as OperationsDeps)) {
      const offer = OFFERS[name];
      const given = [...Object.keys(query.shape), ...Object.keys(body.shape), offer?.object, 'confirm_revision'];
      if (offer !== undefined) assert.equal(new Set(given).size, given.length, name);
    }
  });

  test('tools say what they take, what they give and what they do', async () => {
    const { tools } = await connect();
    assert.equal(tools.length, Object.keys(OFFERS).length);
    const operations = createOperations({} as OperationsDeps);
    for (const tool of tools) {
      const [name] = Object.entries(OFFERS).find(([, offer]) => offer.name === tool.name) ?? [];
      const operation = operations.find((each) => each.name === name);
      assert.match(tool.name, /^[a-z]+(?:-[a-z]+)*$/);
      assert.ok((tool.title ?? '').length > 0 && (tool.description ?? '').length > 40, tool.name);
      assert.ok(tool.outputSchema !== undefined, tool.name);
      const { readOnlyHint, destructiveHint, idempotentHint, openWorldHint } = tool.annotations ?? {};
      for (const hint of [readOnlyHint, destructiveHint, idempotentHint, openWorldHint]) {
        assert.equal(typeof hint, 'boolean', tool.name);
      }
      assert.equal(readOnlyHint, operation?.kind === 'read', tool.name);
      const isConfirmed = tool.inputSchema.required?.includes('confirm_revision') === true;
      assert.equal(isConfirmed, !readOnlyHint && tool.name !== 'create-mcp-config', tool.name);
      assert.equal(destructiveHint, /^(?:update|delete|revoke|revert)-/.test(tool.name), tool.name);
      if (operation?.path.includes('{id}')) assert.match(tool.inputSchema.required?.join() ?? '', /mcp_config|token/);
    }
  });

  test('the schema of the config file, the configuration and a prompt are there', async () => {
    const client = await connect();
    assert.deepEqual(await client.resources(), ['switchboard://config.schema.json', 'switchboard://config.yaml']);
    assert.equal(JSON.parse(await client.read('switchboard://config.schema.json')).title, 'Switchboard config');
    await assert.rejects(client.read('switchboard://other'), /not found/i);
    const text = await client.prompt('least-privilege-access', { access: 'read "issues"', devbox: 'ci-7' });
    assert.match(text, /the devbox "ci-7" least-privilege access to "read \\"issues\\""/);
    for (const [name] of text.matchAll(/\b(?:get|list|create|preview|explain|revoke)-[a-z-]+/g)) {
      assert.ok(
        client.tools.some((tool) => tool.name === name),
        name,
      );
    }
    await assert.rejects(client.prompt('least-privilege-access', {}), /access is missing/);
  });

  test('no value of a secret, and no way to give one', async () => {
    const client = await connect();
    const secrets = await client.call('list-secrets');
    assert.match(secrets.text, /"name":"CANARY"/);
    const all = [secrets.text, (await client.call('generate-config')).text, (await client.call('query-audit')).text];
    assert.ok(all.every((text) => !text.includes(SECRET)));
    assert.ok(client.tools.every(({ inputSchema }) => !Object.hasOwn(inputSchema.properties ?? {}, 'value')));
  });
});

suite('who may do what', () => {
  test('a viewer is shown what it may use, and told what it may not', async () => {
    const key = await makeKey('looks', 'viewer');
    const client = await connect(key);
    assert.ok(client.tools.every(({ annotations }) => annotations?.readOnlyHint === true));
    assert.ok(client.tools.some(({ name }) => name === 'generate-config'));
    const refused = await client.call('create-mcp-config', { name: 'x', endpoint: upstream.url, allowed_tools: [] });
    assert.equal(refused.isError, true);
    assert.match(refused.text, /has the role viewer, and createMcpConfig needs editor/);
  });

  test('another account sees nothing of this one, and changes nothing', async () => {
    const other = await connect((await post('/v1/accounts', { name: 'other' })).api_key);
    const { counts } = (await other.call('get-account-context')).view;
    assert.deepEqual(counts, { mcp_configs: 0, secrets: 0, tokens: 0 });
    const mine = await (await connect()).call('get-mcp-config', { mcp_config: 'declared' });
    for (const [name, args] of [
      ['get-mcp-config', {}],
      ['update-mcp-config', { description: 'taken', confirm_revision: mine.view.revision }],
      ['delete-mcp-config', { confirm_revision: mine.view.revision }],
      ['get-history', {}],
      ['diff-revisions', {}],
      ['revert-mcp-config', { revision: 1, confirm_revision: mine.view.revision }],
    ] as const) {
      for (const mcp_config of [mine.view.id, 'declared']) {
        const refused = await other.call(name, { mcp_config, ...args });
        assert.equal(refused.isError, true, name);
        assert.match(refused.text, /There is no McpConfig/, name);
      }
    }
    assert.doesNotMatch((await other.call('generate-config')).text, /declared|CANARY/);
    assert.deepEqual((await other.call('query-audit', { object_kind: 'mcp_config' })).view.changes, []);
  });

  test('a key that is wrong or revoked is told so with 401', async () => {
    for (const token of [undefined, 'wrong', gateway.token()]) {
      const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
      const answer = await send(url, token === undefined ? { body } : { body, token });
      assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, 'Bearer']);
      assert.ok(JSON.parse(answer.text).message.length > 20);
    }
  });
});

suite('what cannot be used is refused, in words that help', () => {
  let client: ManagementClient;
  before(async () => {
    client = await connect();
  });
  const cases: readonly [what: string, name: string, args: Record<string, unknown>, said: RegExp][] = [
    [
      'an argument that is misspelt',
      'create-mcp-config',
      { name: 'x', endpoint: 'https://a.example/', alowed_tools: [] },
      /did you mean allowed_tools\?/,
    ],
    [
      'a field inside an argument that is unknown',
      'create-mcp-config',
      {
        name: 'x',
        endpoint: 'https://a.example/',
        allowed_tools: [],
        custom_headers: [{ name: 'a', value: 'b', c: 1 }],
      },
      /custom_headers\[0\]\.c is not a field/,
    ],
    [
      'a hostile glob',
      'create-mcp-config',
      { name: 'x', endpoint: 'https://a.example/', allowed_tools: ['a', '*a*b*c*d*'] },
      /"path":"allowed_tools\[1\]"/,
    ],
    ['an object that is not named', 'get-mcp-config', {}, /mcp_config is missing/],
    ['an object that is not text', 'get-mcp-config', { mcp_config: 7 }, /mcp_config must be a string/],
    [
      'a duplicate',
      'create-mcp-config',
      { name: 'declared', endpoint: 'https://a.example/', allowed_tools: [] },
      /exists already/,
    ],
    [
      'a change of what the config file declares',
      'update-mcp-config',
      { mcp_config: 'declared', description: 'x', confirm_revision: 1 },
      /is declared at switchboard\.json:\d+/,
    ],
    ['a page that is not there', 'list-mcp-configs', { starting_after: 'none' }, /"path":"starting_after"/],
  ];
  for (const [what, name, args, said] of cases) {
    test(what, async () => {
      const answer = await client.call(name, args);
      assert.equal(answer.isError, true);
      assert.match(answer.text, said);
      assert.doesNotMatch(answer.text, /\n {4}at |node:/);
    });
  }

  test('a tool that is not there, by both eras', async () => {
    for (const kind of ['v1', 'v2 pinned'] as const) {
      await assert.rejects(
        (await connect(gateway.apiKey, kind)).call('create-secret', {}),
        /Unknown tool: create-secret/,
      );
    }
  });
});

suite('over plain HTTP', () => {
  const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
  const modern = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":${ENVELOPE}}}`;
  const modernHeaders = { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/list' };

  for (const accept of ['application/json', 'text/event-stream', '*/*', BOTH, undefined]) {
    test(`a client that accepts ${accept ?? 'whatever it may be'} is answered`, async () => {
      for (const [body, headers] of [
        [list, {}],
        [modern, modernHeaders],
      ] as const) {
        const accepting = accept === undefined ? {} : { accept };
        const answer = await send(url, { token: gateway.apiKey, body, headers: { ...headers, ...accepting } });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.kind, accept === 'text/event-stream' ? 'sse' : 'json');
        assert.ok(answer.message.result.tools.length > 20);
        assert.match(String(answer.headers.ratelimit), /^"api-key";r=\d+;t=\d+$/);
      }
    });
  }

  const refusals: readonly [what: string, status: number, sent: Parameters<typeof send>[1]][] = [
    ['a batch', 400, { body: `[${list},${list}]` }],
    ['what is not JSON', 400, { body: '{' }],
    ['what is not UTF-8', 400, { body: Buffer.from([0x22, 0xff, 0x22]) }],
    ['a body beyond 1 MiB', 413, { body: JSON.stringify('x'.repeat(1024 * 1024)) }],
    ['another media type', 415, { body: list, headers: { 'content-type': 'text/plain' } }],
    ['GET', 405, { method: 'GET', headers: { accept: 'text/event-stream' } }],
    ['DELETE', 405, { method: 'DELETE' }],
  ];
  for (const [what, status, sent] of refusals) {
    test(`${what} is answered with ${status}`, async () => {
      const answer = await send(url, { token: gateway.apiKey, ...sent });
      assert.equal(answer.status, status, answer.text);
      assert.ok((answer.message.error?.message ?? '').length > 10);
    });
  }

  test('JSON that is no message, or too deep to be one, is refused and breaks nothing', async () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create-mcp-config","arguments":{"name":${deep}}}}`;
    for (const body of ['null', '7', '"x"', '{}', '{"jsonrpc":"2.0","id":1}', deep, `{"deep":${deep}}`, call]) {
      const { status, text } = await send(url, { token: gateway.apiKey, body });
      assert.ok(status < 500, `${body.slice(0, 40)}: ${status}`);
      assert.match(text, /"error":|"isError":true/, body.slice(0, 40));
    }
  });

  test('pages of allowed origins may call it', async () => {
    const preflight = { origin: 'https://ops.example.com', 'access-control-request-method': 'POST' };
    const { status, headers } = await send(url, { method: 'OPTIONS', headers: preflight });
    assert.deepEqual([status, headers['access-control-allow-origin']], [204, 'https://ops.example.com']);
  });

  test('a subscription is refused, as nothing is announced', async () => {
    const body = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":${ENVELOPE}}}`;
    const headers = { 'mcp-protocol-version': MODERN, 'mcp-method': 'subscriptions/listen', accept: BOTH };
    const answer = await send(url, { token: gateway.apiKey, body, headers });
    assert.equal(typeof answer.message.error?.code, 'number', answer.text);
  });
});

test('with an admin listener it is there, and claim links are where agents are', async () => {
  const apart = await startGateway({
    configs: [],
    tokens: [],
    settings: { admin: { listen: { host: '127.0.0.1', port: 0 } } },
  });
  try {
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
    const statuses = await Promise.all(
      [apart.url, apart.adminUrl].map(
        async (base) => (await send(`${base}/admin/mcp`, { token: apart.apiKey, body })).status,
      ),
    );
    assert.deepEqual(statuses, [404, 200]);
    const claim = { name: 'made', grants: [] };
    const made = await send(`${apart.adminUrl}/v1/mcp-token-claims`, {
      token: apart.apiKey,
      body: JSON.stringify(claim),
    });
    const { claim_url } = JSON.parse(made.text);
    assert.ok(claim_url.startsWith(`${apart.url}/claim/`));
    assert.equal((await send(claim_url, { method: 'POST' })).status, 200);
  } finally {
    await apart.close();
  }
});
