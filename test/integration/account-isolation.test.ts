// Two accounts through every operation of the REST API: what is one's is not there for the other, whether it is asked for
// by id or by name, listed, paged behind or referred to. The cases are made from the OpenAPI document.

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, send } from '../support/mcp-http.ts';
import { type DescribedOperation, fetchOpenApi, type JsonSchema, operationsOf } from '../support/openapi.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/recording-upstream.ts';

/** One account, with one object of each kind. */
interface Account {
  readonly key: string;
  /** Ids by the collection in the path. */
  readonly ids: Readonly<Record<string, string>>;
  readonly names: Readonly<Record<string, string>>;
  /** What no other account is told. */
  readonly marks: readonly string[];
}

const accounts: Account[] = [];
const agent = new Agent({ keepAlive: true });
let gateway: TestGateway;
let upstream: RecordingUpstream;
let operations: readonly DescribedOperation[];

function ask(key: string, method: string, path: string, body?: object, headers = {}): Promise<Answer> {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  return send(gateway.url + path, { method, token: key, headers, ...json }, agent);
}

// biome-ignore lint/suspicious/noExplicitAny: answers of all operations
async function make(key: string, path: string, body: object): Promise<any> {
  const { status, text } = await ask(key, 'POST', path, body);
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

async function fill(key: string, prefix: string): Promise<Account> {
  const description = `described-by-${prefix}`;
  const names = {
    'mcp-configs': `${prefix}-config`,
    secrets: `${prefix}-secret`,
    'mcp-tokens': `${prefix}-token`,
    'api-keys': `${prefix}-key`,
    devboxes: `${prefix}-devbox`,
  };
  const config = { name: names['mcp-configs'], endpoint: upstream.url, allowed_tools: ['*'], description };
  const granted = { mcp_config: config.name, secret: names.secrets };
  const made = {
    'mcp-configs': await make(key, '/v1/mcp-configs', config),
    secrets: await make(key, '/v1/secrets', { name: names.secrets, value: `value-of-${prefix}` }),
    'mcp-tokens': await make(key, '/v1/mcp-tokens', { name: names['mcp-tokens'], grants: [granted] }),
    'api-keys': await make(key, '/v1/api-keys', { name: names['api-keys'], role: 'owner' }),
    devboxes: await make(key, '/v1/devboxes', { name: names.devboxes, mcp: { VARIABLE: granted } }),
  };
  const ids = Object.fromEntries(Object.entries(made).map(([kind, { id }]) => [kind, id as string]));
  return {
    key,
    ids,
    names,
    marks: [...Object.values(ids), ...Object.values(names), description, `value-of-${prefix}`],
  };
}

before(async () => {
  upstream = await startRecordingUpstream({ era: 'modern' });
  gateway = await startGateway({
    configs: [],
    tokens: [],
    limits: { api_requests_per_minute: 100_000 },
    settings: { upstreams: { allow_http: true, allow_cidrs: ['127.0.0.0/8'] } },
  });
  operations = operationsOf(await fetchOpenApi(gateway.url));
  const { api_key } = await make(gateway.apiKey, '/v1/accounts', { name: 'second' });
  accounts.push(await fill(gateway.apiKey, 'first'), await fill(api_key, 'second'));
});

after(async () => {
  agent.destroy();
  await gateway.close();
  await upstream.close();
});

/** Whoever asks for something of another's may be told what they said, and nothing else of it. */
function assertUntold({ marks }: Account, text: string, asked = ''): void {
  for (const mark of marks)
    assert.ok(mark === asked || !text.includes(mark), `${mark} is told in ${text.slice(0, 300)}`);
}

/** All that its owner is told. */
async function readAll({ key, ids }: Account): Promise<unknown> {
  const told = [];
  for (const { method, path, query } of operations) {
    if (method !== 'GET' || query.some(({ required }) => required) || path === '/v1/accounts') continue;
    const kind = path.split('/')[2]!;
    const { status, message } = await ask(key, 'GET', path.replace('{id}', ids[kind] ?? ''));
    told.push({ path, status, message });
  }
  return told;
}

/** Bodies that an operation takes for an object that is there. */
const BODIES: Readonly<Record<string, object>> = {
  updateSecret: { value: 'of the intruder' },
  revertMcpConfig: { revision: 1 },
  confirmEndpoint: { origin: 'http://127.0.0.1' },
};

/** How an operation's body refers to an McpConfig or a secret; `own` names objects of who asks. */
const REFERENCES: Readonly<Record<string, (kind: 'mcp_config' | 'secret', id: string, own: Account) => object>> = {
  createMcpConfig: (_kind, id) => ({
    name: 'mine',
    endpoint: upstream.url,
    allowed_tools: [],
    custom_headers: header(id),
  }),
  updateMcpConfig: (_kind, id) => ({ custom_headers: header(id) }),
  previewMcpConfig: (_kind, id) => ({ name: 'mine', endpoint: upstream.url, allowed_tools: [], secret: id }),
  previewMcpConfigUpdate: (_kind, id) => ({ secret: id }),
  createMcpToken: (kind, id, own) => ({ name: 'mine', grants: [grant(kind, id, own)] }),
  createTokenClaim: (kind, id, own) => ({ name: 'mine', grants: [grant(kind, id, own)] }),
  updateMcpToken: (kind, id, own) => ({ grants: [grant(kind, id, own)] }),
  createDevbox: (kind, id, own) => ({ mcp: { VARIABLE: grant(kind, id, own) } }),
  createDevboxAndAwaitRunning: (kind, id, own) => ({ mcp: [grant(kind, id, own)] }),
  createDevboxMcpToken: (kind, id, own) => grant(kind, id, own),
};

function header(secret: string): object[] {
  return [{ name: 'X-Key', secret }];
}

function grant(kind: 'mcp_config' | 'secret', id: string, { names }: Account): object {
  return { mcp_config: names['mcp-configs'], secret: names.secrets, [kind]: id };
}

/** Names of all fields, at any depth. */
function fieldsOf(schema: JsonSchema | undefined): string[] {
  const { properties = {}, items, additionalProperties: more, anyOf = [], oneOf = [] } = schema ?? {};
  const nested = [...Object.values(properties), ...anyOf, ...oneOf, items, typeof more === 'object' ? more : undefined];
  return [...Object.keys(properties), ...nested.flatMap((each) => (each === undefined ? [] : fieldsOf(each)))];
}

for (const [which, other] of [
  [0, 1],
  [1, 0],
] as const) {
  suite(`an owner of the ${which === 0 ? 'default' : 'other'} account`, () => {
    let own: Account;
    let theirs: Account;
    let unchanged: unknown;

    before(async () => {
      own = accounts[which]!;
      theirs = accounts[other]!;
      unchanged = await readAll(theirs);
    });

    test('finds nothing of the other by id or by name', async () => {
      const asked = operations.filter(({ hasId }) => hasId);
      assert.notEqual(asked.length, 0);
      for (const { name, method, path } of asked) {
        const kind = path.split('/')[2]!;
        for (const id of [theirs.ids[kind] ?? assert.fail(`no object for ${path}`), theirs.names[kind]!]) {
          const references = REFERENCES[name]?.('secret', own.ids.secrets!, own);
          const body = method === 'GET' ? undefined : { ...references, ...BODIES[name] };
          const { status, text } = await ask(own.key, method, path.replace('{id}', id), body);
          assert.equal(status, 404, `${name}: ${text}`);
          assertUntold(theirs, text, id);
        }
      }
    });

    test('is shown nothing of the other in a list, whatever it is filtered by', async () => {
      for (const { name, path, query, method, hasId } of operations) {
        if (method !== 'GET' || hasId || name === 'listAccounts') continue;
        const needed = query.filter(({ required }) => required).map((each) => `${each.name}=x`);
        assertUntold(theirs, (await ask(own.key, 'GET', `${path}?${needed.join('&')}`)).text);
        for (const each of query.filter(({ schema }) => schema.type === 'string' && schema.enum === undefined)) {
          for (const mark of theirs.marks) {
            const rest = needed.filter((pair) => !pair.startsWith(`${each.name}=`));
            const { status, text } = await ask(
              own.key,
              'GET',
              `${path}?${[...rest, `${each.name}=${mark}`].join('&')}`,
            );
            assert.ok(status < 500, text);
            assertUntold(theirs, text, mark);
          }
        }
      }
    });

    test('cannot refer to what the other has', async () => {
      const referring = operations.filter(({ body }) =>
        fieldsOf(body).some((field) => /^(?:mcp_config|secret)$/.test(field)),
      );
      assert.deepEqual(referring.map(({ name }) => name).sort(), Object.keys(REFERENCES).sort());
      for (const { name, method, path, body } of referring) {
        for (const [field, kind] of [
          ['mcp_config', 'mcp-configs'],
          ['secret', 'secrets'],
        ] as const) {
          if (!fieldsOf(body).includes(field)) continue;
          for (const id of [theirs.ids[kind]!, theirs.names[kind]!]) {
            const sent = REFERENCES[name]!(field, id, own);
            const { status, text, message } = await ask(
              own.key,
              method,
              path.replace('{id}', own.ids[path.split('/')[2]!]!),
              sent,
            );
            assert.deepEqual([status, message.code], [400, 'invalid_argument'], `${name}: ${text}`);
            assertUntold(theirs, text, id);
          }
        }
      }
    });

    test('has left the other as it was', async () => {
      assert.deepEqual(await readAll(theirs), unchanged);
    });
  });
}

test('two accounts may have objects of one name, and requests of one id', async () => {
  const headers = { 'x-request-id': 'said-by-both' };
  const answers = [];
  for (const { key } of accounts)
    answers.push(await ask(key, 'POST', '/v1/secrets', { name: 'BOTH', value: 'x' }, headers));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200],
  );
  assert.equal(new Set(answers.map(({ message }) => message.id)).size, 2);
  assert.ok(answers.every((answer) => answer.headers['idempotent-replayed'] === undefined));
});

test('only the default account makes and lists accounts', async () => {
  const { key } = accounts[1]!;
  for (const [method, body] of [['GET'], ['POST', { name: 'third' }]] as const) {
    const { status, text } = await ask(key, method, '/v1/accounts', body);
    assert.equal(status, 403, text);
    assertUntold(accounts[0]!, text);
  }
});
