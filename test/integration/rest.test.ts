// The REST API as an operator's script sees it: roles, inputs and refusals.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';

interface Asked {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
}

interface Told {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of all operations
  readonly body: any;
}

let gateway: TestGateway;
const keys: Record<string, string> = {};

async function ask({ method, path, body }: Asked, key = gateway.apiKey): Promise<Told> {
  const response = await fetch(gateway.url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

const post = (path: string, body?: unknown, key?: string) => ask({ method: 'POST', path, body }, key);
const get = (path: string, key?: string) => ask({ method: 'GET', path }, key);

before(async () => {
  gateway = await startGateway({ configs: [{ name: 'declared', url: 'http://127.0.0.1:9/mcp' }] });
  for (const role of ['viewer', 'editor', 'owner']) {
    keys[role] = (await post('/v1/api-keys', { name: role, role })).body.api_key;
  }
});

after(() => gateway.close());

const CONFIG = { name: 'made', endpoint: 'https://mcp.example.com/mcp', allowed_tools: ['*'] };

suite('each operation needs its role:', () => {
  const ROLES = ['viewer', 'editor', 'owner'];
  const OPERATIONS: readonly [least: string, asked: Asked][] = [
    ['viewer', { method: 'GET', path: '/v1/mcp-configs' }],
    ['viewer', { method: 'GET', path: '/v1/mcp-configs/none' }],
    ['editor', { method: 'POST', path: '/v1/mcp-configs', body: {} }],
    ['editor', { method: 'POST', path: '/v1/mcp-configs/none' }],
    ['editor', { method: 'POST', path: '/v1/mcp-configs/none/delete' }],
    ['viewer', { method: 'GET', path: '/v1/mcp-configs/none/history' }],
    ['viewer', { method: 'GET', path: '/v1/mcp-configs/none/diff' }],
    ['editor', { method: 'POST', path: '/v1/mcp-configs/none/revert', body: { revision: 1 } }],
    ['owner', { method: 'POST', path: '/v1/mcp-configs/none/confirm_endpoint', body: { origin: 'x' } }],
    ['viewer', { method: 'GET', path: '/v1/secrets' }],
    ['viewer', { method: 'GET', path: '/v1/secrets/none' }],
    ['editor', { method: 'POST', path: '/v1/secrets', body: {} }],
    ['editor', { method: 'POST', path: '/v1/secrets/none', body: { value: 'x' } }],
    ['editor', { method: 'POST', path: '/v1/secrets/none/delete' }],
    ['viewer', { method: 'GET', path: '/v1/mcp-tokens' }],
    ['viewer', { method: 'GET', path: '/v1/mcp-tokens/none' }],
    ['editor', { method: 'POST', path: '/v1/mcp-tokens', body: {} }],
    ['editor', { method: 'POST', path: '/v1/mcp-tokens/none' }],
    ['editor', { method: 'POST', path: '/v1/mcp-tokens/none/revoke' }],
    ['editor', { method: 'POST', path: '/v1/mcp-tokens/none/rotate' }],
    ['editor', { method: 'POST', path: '/v1/mcp-token-claims', body: {} }],
    ['viewer', { method: 'GET', path: '/v1/devboxes' }],
    ['viewer', { method: 'GET', path: '/v1/devboxes/none' }],
    ['viewer', { method: 'POST', path: '/v1/devboxes/none/wait_for_status' }],
    ['editor', { method: 'POST', path: '/v1/devboxes', body: { mcp: [] } }],
    ['editor', { method: 'POST', path: '/v1/devboxes/create_and_await_running' }],
    ['editor', { method: 'POST', path: '/v1/devboxes/none/create_mcp_token', body: { mcp_config: 'none' } }],
    ['editor', { method: 'POST', path: '/v1/devboxes/none/shutdown' }],
    ['viewer', { method: 'GET', path: '/v1/accounts/me' }],
    ['viewer', { method: 'GET', path: '/v1/accounts/me/context' }],
    ['owner', { method: 'GET', path: '/v1/accounts' }],
    ['owner', { method: 'POST', path: '/v1/accounts', body: {} }],
    ['owner', { method: 'GET', path: '/v1/api-keys' }],
    ['owner', { method: 'POST', path: '/v1/api-keys', body: {} }],
    ['owner', { method: 'POST', path: '/v1/api-keys/none/revoke' }],
    ['viewer', { method: 'GET', path: '/v1/audit?limit=1' }],
    ['viewer', { method: 'GET', path: '/v1/export' }],
    ['viewer', { method: 'GET', path: '/v1/explain?tool=a&token=none' }],
    ['viewer', { method: 'GET', path: '/v1/catalog?token=none' }],
    ['viewer', { method: 'GET', path: '/v1/issues' }],
    ['viewer', { method: 'POST', path: '/v1/mcp-configs/preview', body: {} }],
    ['viewer', { method: 'POST', path: '/v1/mcp-configs/none/preview' }],
  ];

  test('the table is whole', async () => {
    const { paths } = (await get('/openapi.json')).body as { paths: Record<string, Record<string, unknown>> };
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    const tabled = OPERATIONS.map(
      ([, { method, path }]) => `${method.toLowerCase()} ${path.replace('none', '{id}').replace(/\?.*/, '')}`,
    );
    assert.deepEqual(tabled.toSorted(), described.toSorted());
  });

  for (const [least, asked] of OPERATIONS) {
    test(`${asked.method} ${asked.path} is for ${least} and above`, async () => {
      for (const role of ROLES) {
        const { status, body } = await ask(asked, keys[role]);
        const isAllowed = ROLES.indexOf(role) >= ROLES.indexOf(least);
        assert.equal(status === 403, !isAllowed, `${role}: ${status} ${body.message}`);
        if (!isAllowed) assert.match(body.message, new RegExp(`has the role ${role}, and \\w+ needs ${least}`));
      }
    });
  }
});

suite('a body that cannot be used is refused at its place:', () => {
  const cases: readonly [what: string, body: unknown, paths: readonly string[]][] = [
    ['nothing', undefined, ['name', 'endpoint', 'allowed_tools']],
    ['null for a required field', { ...CONFIG, name: null }, ['name']],
    ['a number for a name', { ...CONFIG, name: 7 }, ['name']],
    ['an empty name', { ...CONFIG, name: '' }, ['name']],
    ['a name of other letters', { ...CONFIG, name: 'söme' }, ['name']],
    ['text for a list', { ...CONFIG, allowed_tools: '*' }, ['allowed_tools']],
    ['a hostile glob', { ...CONFIG, allowed_tools: ['ok', '*a*b*c*d*'] }, ['allowed_tools[1]']],
    ['an endpoint of another scheme', { ...CONFIG, endpoint: 'ftp://example.com/' }, ['endpoint']],
    ['an endpoint with a password', { ...CONFIG, endpoint: 'https://a:b@example.com/' }, ['endpoint']],
    ['an endpoint that points inside', { ...CONFIG, endpoint: 'https://10.0.0.1/mcp' }, ['endpoint']],
    ['an endpoint over plain http', { ...CONFIG, endpoint: 'http://mcp.example.com/' }, ['endpoint']],
    ['a reserved header', { ...CONFIG, custom_headers: [{ name: 'Host', value: 'x' }] }, ['custom_headers[0].name']],
    [
      'a secret that is not there',
      { ...CONFIG, custom_headers: [{ name: 'X-A', secret: 'no' }] },
      ['custom_headers[0].secret'],
    ],
    ['a header mechanism without its key', { ...CONFIG, auth_mechanism: { type: 'header' } }, ['auth_mechanism.key']],
    ['half of a character', { ...CONFIG, description: 'half of \ud83d' }, ['description']],
    ['an array', [], ['']],
  ];
  for (const [what, body, paths] of cases) {
    test(what, async () => {
      const told = await post('/v1/mcp-configs', body);
      assert.equal(told.status, 400, JSON.stringify(told.body));
      assert.deepEqual(
        told.body.errors.map(({ path }: { path: string }) => path),
        paths,
      );
      for (const path of paths) assert.ok(told.body.message.includes(path));
    });
  }

  test('what is no JSON, without repeating it', async () => {
    const { status, body } = await post('/v1/secrets', '{"name":"A","value":"canary');
    assert.deepEqual([status, body.message], [400, 'The body is not valid JSON.']);
  });

  test('what is nested without end', async () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    assert.equal((await post('/v1/mcp-configs', `{"deep":${deep}}`)).status, 400);
    assert.equal((await post('/v1/mcp-configs', `{"allowed_tools":${deep}}`)).status, 400);
  });

  test('what is too large', async () => {
    assert.deepEqual((await post('/v1/mcp-configs', 'x'.repeat(10_000_000))).status, 413);
  });
});

test('a field that is not known is ignored, and said so', async () => {
  const { status, body } = await post('/v1/mcp-configs', { ...CONFIG, name: 'newer', colour: 'red' });
  assert.equal(status, 200);
  assert.deepEqual(body.warnings, [{ path: 'colour', message: 'is not a field of this request, and was ignored' }]);
});

test('what the config file declares is shown as its own, and not changed', async () => {
  const { body } = await get('/v1/mcp-configs/declared');
  assert.equal(body.managed_by, 'file');
  for (const path of [`/v1/mcp-configs/${body.id}`, `/v1/mcp-configs/${body.id}/delete`]) {
    const told = await post(path, { description: 'mine' });
    assert.equal(told.status, 400);
    assert.match(told.body.message, /is declared at switchboard\.json:\d+:\d+: change it there\.$/);
  }
  const { body: tokens } = await get('/v1/mcp-tokens');
  const own = tokens.mcp_tokens.find(({ managed_by }: { managed_by: string }) => managed_by === 'file');
  const kept = await post(`/v1/mcp-tokens/${own.id}/revoke`);
  assert.match(
    kept.body.message,
    / change it there\. To revoke it at once: switchboard tokens revoke \S+ --config FILE\.$/,
  );
});

test('an McpConfig that a live token is granted is not deleted, and the token is named', async () => {
  const { id } = (await post('/v1/mcp-configs', { ...CONFIG, name: 'granted' })).body;
  const token = (await post('/v1/mcp-tokens', { name: 'holder', grants: [{ mcp_config: 'granted' }] })).body;
  const refused = await post(`/v1/mcp-configs/${id}/delete`);
  assert.equal(refused.status, 400);
  assert.match(refused.body.message, new RegExp(`in use by live tokens: holder \\(${token.id}\\)`));
  assert.equal((await post(`/v1/mcp-tokens/${token.id}/revoke`)).status, 200);
  assert.equal((await post(`/v1/mcp-configs/${id}/delete`)).status, 200);
});

test('a secret that something uses is not deleted, and its users are named', async () => {
  await post('/v1/secrets', { name: 'USED', value: 'x' });
  const headers = [{ name: 'X-Key', secret: 'USED' }];
  const { body } = await post('/v1/mcp-configs', { ...CONFIG, name: 'user', custom_headers: headers });
  assert.match(body.custom_headers[0].secret, /^sec_/);
  const refused = await post('/v1/secrets/USED/delete');
  assert.equal(refused.status, 400);
  assert.match(refused.body.message, /in use by McpConfig user/);
  await post(`/v1/mcp-configs/${body.id}`, { custom_headers: [] });
  assert.equal((await post('/v1/secrets/USED/delete')).status, 200);
});

test('the API key of the request does not revoke itself', async () => {
  const { api_keys } = (await get('/v1/api-keys', keys.owner)).body;
  const own = api_keys.find(({ name }: { name: string }) => name === 'owner');
  const refused = await post(`/v1/api-keys/${own.id}/revoke`, {}, keys.owner);
  assert.deepEqual([refused.status, refused.body.code], [400, 'conflict']);
});
