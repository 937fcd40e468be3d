import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { type ApplyDependencies, applyDeclared } from '../../../src/control-plane/config-file.ts';
import type { Declared, DeclaredMcpConfig, DeclaredToken } from '../../../src/control-plane/declared.ts';
import { GatewayError } from '../../../src/domain/errors.ts';
import { Secret } from '../../../src/domain/secret.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../../src/store/store.ts';
import { aToken } from '../../support/store-objects.ts';

let directory: string;
let store: Store;
let files = 0;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'switchboard-apply-'));
});
after(() => rm(directory, { recursive: true }));
beforeEach(async () => {
  store = await openSqliteStore({ file: join(directory, `${files++}.db`) });
});
afterEach(() => store.close());

let clock = 1000;
let seals = 0;
/** Seals differ from one another, as real ones do; the references they were made for are checked when opened. */
const deps: Omit<ApplyDependencies, 'store'> = {
  auditKey: Buffer.alloc(32),
  sealSecret: (ref, plaintext) => JSON.stringify([ref, plaintext, seals++]),
  openSecret: (ref, sealed) => {
    const [sealedFor, plaintext] = JSON.parse(sealed);
    assert.deepEqual(sealedFor, ref);
    return new Secret(plaintext);
  },
  hashToken: (text) => `hash of ${text}`,
  now: () => clock++,
};

const CONFIG: DeclaredMcpConfig = {
  name: 'github-readonly',
  endpoint: 'https://api.example.com:8443/mcp',
  allowedTools: ['get_*'],
  allowedPrompts: [],
  allowedResources: [],
  authMechanism: { type: 'bearer' },
  customHeaders: [{ name: 'x-key', secret: 'GITHUB_TOKEN' }],
  tls: null,
  proxy: null,
  stdio: null,
  limits: {},
  description: null,
};
const TOKEN: DeclaredToken = {
  name: 'devbox',
  value: new Secret('token-a'),
  grants: [{ mcpConfig: 'github-readonly', secret: 'GITHUB_TOKEN', allowedTools: null }],
  nameStyle: 'dot',
  expiresAtMs: null,
};
const DECLARED: Declared = {
  secrets: [{ name: 'GITHUB_TOKEN', value: new Secret('ghp_1') }],
  mcpConfigs: [CONFIG],
  tokens: [TOKEN],
  positions: new Map(),
  digest: '',
};
const EMPTY: Declared = { secrets: [], mcpConfigs: [], tokens: [], positions: new Map(), digest: '' };

const apply = (declared: Declared) => applyDeclared(DEFAULT_ACCOUNT, declared, { ...deps, store });
const configuration = () => store.readConfiguration(DEFAULT_ACCOUNT);

async function refusal(declared: Declared): Promise<GatewayError> {
  try {
    await apply(declared);
  } catch (error) {
    assert.ok(error instanceof GatewayError);
    return error;
  }
  return assert.fail('the file was applied');
}

test('what the file declares is stored as managed by the file, with names resolved to ids', async () => {
  assert.deepEqual(await apply(DECLARED), { created: 3, updated: 0, deleted: 0, unchanged: 0, warnings: [] });
  const { secrets, mcpConfigs, tokens } = await configuration();
  const [secret] = secrets;
  const [config] = mcpConfigs;
  assert.equal(secret?.version, 1);
  assert.deepEqual(config?.customHeaders, [{ name: 'x-key', secretId: secret?.id }]);
  assert.equal(config?.revision, 1);
  assert.equal(tokens[0]?.hash, 'hash of token-a');
  assert.deepEqual(tokens[0]?.grants, [
    { mcpConfigId: config?.id, secretId: secret?.id, allowedTools: null, secretOrigin: 'https://api.example.com:8443' },
  ]);
  assert.deepEqual(
    [secret, config, tokens[0]].map((each) => each?.managedBy),
    ['file', 'file', 'file'],
  );
});

test('applying the same file again changes nothing and raises no epoch', async () => {
  await apply(DECLARED);
  const once = await configuration();
  assert.deepEqual(await apply(DECLARED), { created: 0, updated: 0, deleted: 0, unchanged: 3, warnings: [] });
  assert.deepEqual(await configuration(), once);
});

test('a whole file is one step of the epoch', async () => {
  const { epoch } = await configuration();
  await apply(DECLARED);
  assert.equal((await configuration()).epoch, epoch + 1);
});

test('an edited config keeps its id and gains a revision; nothing else is written', async () => {
  await apply(DECLARED);
  const first = await configuration();
  const edited = { ...DECLARED, mcpConfigs: [{ ...CONFIG, allowedTools: ['get_*', 'list_*'] }] };
  assert.deepEqual(await apply(edited), { created: 0, updated: 1, deleted: 0, unchanged: 2, warnings: [] });
  const second = await configuration();
  assert.deepEqual(second.mcpConfigs, [{ ...first.mcpConfigs[0], allowedTools: ['get_*', 'list_*'], revision: 2 }]);
  assert.deepEqual([second.secrets, second.tokens], [first.secrets, first.tokens]);
});

test('the secrets of TLS and proxy are stored by their ids, and a renewed certificate is a revision', async () => {
  const tls = { ca: 'ca', clientCertificate: 'certificate', clientKey: 'GITHUB_TOKEN', serverName: null };
  const proxy = { url: 'http://10.0.0.9:3128', secret: 'GITHUB_TOKEN' };
  const config = { ...CONFIG, tls, proxy, limits: { calls: 2 } };
  const declared = { ...DECLARED, mcpConfigs: [config] };
  await apply(declared);
  const { mcpConfigs, secrets } = await configuration();
  const { clientKey: _, ...certificates } = tls;
  assert.deepEqual(mcpConfigs[0]?.tls, { ...certificates, clientKeySecretId: secrets[0]?.id });
  assert.deepEqual(mcpConfigs[0]?.proxy, { url: proxy.url, secretId: secrets[0]?.id });
  assert.deepEqual(mcpConfigs[0]?.limits, { calls: 2 });
  assert.equal((await apply(declared)).unchanged, 3);
  await apply({ ...DECLARED, mcpConfigs: [{ ...config, tls: { ...tls, clientCertificate: 'renewed' } }] });
  assert.equal((await configuration()).mcpConfigs[0]?.revision, 2);
});

test('a config that moves to another origin takes its grants with it', async () => {
  await apply(DECLARED);
  const moved = { ...DECLARED, mcpConfigs: [{ ...CONFIG, endpoint: 'https://elsewhere.example.com/mcp' }] };
  assert.deepEqual(await apply(moved), { created: 0, updated: 3, deleted: 0, unchanged: 0, warnings: [] });
  const { tokens, secrets } = await configuration();
  assert.equal(tokens[0]?.grants[0]?.secretOrigin, 'https://elsewhere.example.com');
  // Bound to both, and its value is the same: no new version.
  assert.deepEqual(secrets[0]?.origins, ['https://api.example.com:8443', 'https://elsewhere.example.com']);
  assert.equal(secrets[0]?.version, 1);
});

test('a new value of a secret is a new version under the same id', async () => {
  await apply(DECLARED);
  const [before] = (await configuration()).secrets;
  await apply({ ...DECLARED, secrets: [{ name: 'GITHUB_TOKEN', value: new Secret('ghp_2') }] });
  const [secret] = (await configuration()).secrets;
  assert.equal(secret?.id, before?.id);
  assert.equal(secret?.version, 2);
  assert.equal(secret?.createTimeMs, before?.createTimeMs);
  assert.ok(secret && before && secret.updateTimeMs > before.updateTimeMs);
});

test('what is no longer declared is deleted, and what the API made stays', async () => {
  await apply(DECLARED);
  const [config] = (await configuration()).mcpConfigs;
  await store.write(DEFAULT_ACCOUNT, (writer) =>
    writer.putMcpConfig({ ...config!, id: 'mcp_api', name: 'made-by-api', managedBy: 'api' }),
  );
  assert.deepEqual(await apply(EMPTY), { created: 0, updated: 0, deleted: 3, unchanged: 0, warnings: [] });
  const { secrets, mcpConfigs, tokens } = await configuration();
  assert.deepEqual([secrets, tokens, mcpConfigs.map(({ id }) => id)], [[], [], ['mcp_api']]);
});

test('a config that leaves the file, or gets another name, is a warning with the live tokens of the API that it leaves', async () => {
  await apply(DECLARED);
  const [config] = (await configuration()).mcpConfigs;
  const grants = [{ mcpConfigId: config!.id, secretId: null, allowedTools: null, secretOrigin: null }];
  await store.write(DEFAULT_ACCOUNT, async (writer) => {
    await writer.putToken(aToken('bot', { grants, expiresAtMs: null }));
    await writer.putToken(aToken('revoked', { grants, revokedAtMs: 5 }));
    await writer.putToken(aToken('expired', { grants, expiresAtMs: 5 }));
    await writer.putToken(aToken('other', { expiresAtMs: null }));
  });
  const { warnings } = await apply({
    ...EMPTY,
    secrets: DECLARED.secrets,
    mcpConfigs: [{ ...CONFIG, name: 'github' }],
  });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^the McpConfig 'github-readonly' is gone from the file, .* the grants of token bot gave/);
});

test('a name that the API owns is refused with both owners, and nothing is changed', async () => {
  await apply(DECLARED);
  const { mcpConfigs, tokens, secrets } = await configuration();
  await store.write(DEFAULT_ACCOUNT, async (writer) => {
    await writer.putMcpConfig({ ...mcpConfigs[0]!, id: 'mcp_api', name: 'a', managedBy: 'api' });
    await writer.putSecret({ ...secrets[0]!, id: 'sec_api', name: 'A', managedBy: 'api' });
    await writer.putToken({ ...tokens[0]!, id: 'tok_api', name: 't', hash: 'hash of token-x', managedBy: 'api' });
  });
  const untouched = await configuration();
  const error = await refusal({
    ...DECLARED,
    secrets: [...DECLARED.secrets, { name: 'A', value: new Secret('x') }],
    mcpConfigs: [CONFIG, { ...CONFIG, name: 'a' }],
    tokens: [
      { ...TOKEN, value: new Secret('token-x') },
      { ...TOKEN, name: 't', value: new Secret('token-b') },
    ],
  });
  assert.equal(error.code, 'conflict');
  assert.deepEqual(error.problems, [
    {
      path: 'secrets[1].name',
      message: "'A' already belongs to sec_api, which was made through the API: rename one, or delete that one",
    },
    {
      path: 'mcp_configs[1].name',
      message: "'a' already belongs to mcp_api, which was made through the API: rename one, or delete that one",
    },
    {
      path: 'tokens[1].name',
      message: "'t' already belongs to tok_api, which was made through the API: rename one, or delete that one",
    },
    {
      path: 'tokens[0].value_from',
      message: "has the value of the token 't', which was made through the API: use another value",
    },
  ]);
  assert.deepEqual(await configuration(), untouched);
});

test('two tokens may swap their values and keep their ids', async () => {
  const pair = (a: string, b: string): Declared => ({
    ...DECLARED,
    tokens: [
      { ...TOKEN, value: new Secret(a) },
      { ...TOKEN, name: 'other', value: new Secret(b) },
    ],
  });
  await apply(pair('token-a', 'token-b'));
  const idOf = new Map((await configuration()).tokens.map(({ name, id }) => [name, id]));
  await apply(pair('token-b', 'token-a'));
  for (const { name, id, hash } of (await configuration()).tokens) {
    assert.equal(id, idOf.get(name));
    assert.equal(hash, name === 'devbox' ? 'hash of token-b' : 'hash of token-a');
  }
});

test('a revoked token stays revoked until the file gives it another value', async () => {
  await apply(DECLARED);
  const [token] = (await configuration()).tokens;
  await store.write(DEFAULT_ACCOUNT, (writer) => writer.putToken({ ...token!, revokedAtMs: 5 }));
  assert.equal((await apply(DECLARED)).unchanged, 3);
  assert.equal((await configuration()).tokens[0]?.revokedAtMs, 5);
  await apply({ ...DECLARED, tokens: [{ ...TOKEN, value: new Secret('token-b') }] });
  assert.equal((await configuration()).tokens[0]?.revokedAtMs, null);
});

test('what is taken out of the file and put back has the id it had, so that grants made through the API work again', async () => {
  await apply(DECLARED);
  const before = await configuration();
  await apply(EMPTY);
  await apply(DECLARED);
  const after = await configuration();
  assert.deepEqual(
    after.mcpConfigs.map(({ id }) => id),
    before.mcpConfigs.map(({ id }) => id),
  );
  assert.deepEqual(
    after.secrets.map(({ id }) => id),
    before.secrets.map(({ id }) => id),
  );
});

test('what is taken out of the file and put back goes on counting its revisions, whatever it is now', async () => {
  await apply(DECLARED);
  await apply({ ...DECLARED, mcpConfigs: [{ ...CONFIG, description: 'edited' }] });
  const versionOf = async () => {
    const { secrets, mcpConfigs, tokens } = await configuration();
    return [secrets[0]?.version, mcpConfigs[0]?.revision, tokens[0]?.revision];
  };
  assert.deepEqual(await versionOf(), [1, 2, 1]);
  await apply(EMPTY);
  await apply({ ...DECLARED, secrets: [{ name: 'GITHUB_TOKEN', value: new Secret('ghp_2') }] });
  // Its deletion is a revision, too.
  assert.deepEqual(await versionOf(), [3, 4, 3]);
  await apply(EMPTY);
  await apply(DECLARED);
  assert.deepEqual(await versionOf(), [5, 6, 5]);
  const revisions = await store.readRevisions(DEFAULT_ACCOUNT, { limit: 100 });
  const named = revisions.map(({ objectId, objectRevision }) => `${objectId} ${objectRevision}`);
  assert.equal(new Set(named).size, named.length);
});

test('a revoked token of the API gives its name up to the file', async () => {
  await store.write(DEFAULT_ACCOUNT, (writer) =>
    writer.putToken(aToken('devbox', { id: 'tok_old', name: 'devbox', hash: 'old', revokedAtMs: 1 })),
  );
  await apply(DECLARED);
  const { tokens } = await configuration();
  assert.deepEqual(tokens.map(({ managedBy }) => managedBy).toSorted(), ['api', 'file']);
});
