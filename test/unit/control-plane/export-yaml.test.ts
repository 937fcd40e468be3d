import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Declared } from '../../../src/control-plane/declared.ts';
import { certificatesOf, toYaml } from '../../../src/control-plane/export-yaml.ts';
import { readEnvironment } from '../../../src/settings/environment.ts';
import { formatProblem } from '../../../src/settings/file-problem.ts';
import { loadSettings } from '../../../src/settings/load-settings.ts';
import { type AccountConfiguration, DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { createAuthority, withoutOpenssl } from '../../support/certificates.ts';
import { aConfig, aSecret, aToken } from '../../support/store-objects.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'switchboard-export-'));
});
after(() => rm(folder, { recursive: true }));

const EMPTY: AccountConfiguration = {
  accountId: DEFAULT_ACCOUNT,
  epoch: 1,
  mcpConfigs: [],
  secrets: [],
  tokens: [],
  apiKeys: [],
};

const grant = (mcpConfigId: string, rest: object = {}) => ({
  mcpConfigId,
  secretId: null,
  allowedTools: null,
  secretOrigin: 'https://mcp.example.com',
  ...rest,
});

const FULL: AccountConfiguration = {
  ...EMPTY,
  secrets: [aSecret('a-key'), aSecret('A_KEY'), aSecret('7')],
  mcpConfigs: [
    aConfig('plain', {
      authMechanism: { type: 'bearer' },
      customHeaders: [],
      description: 'yes: "no"\n# not a comment',
    }),
    aConfig('full-one', {
      allowedTools: ['*', 'full.{a,b}', '[a-c]?'],
      allowedPrompts: ['ask_*'],
      allowedResources: ['file:///docs/*.md', "a://#{b,c}/?q=%20&r=(s)!'", '@x:y'],
      customHeaders: [
        { name: 'x-team', value: 'a "quoted" value: #1' },
        { name: 'x-key', secretId: 'sec_a-key' },
      ],
      proxy: { url: 'http://proxy.example.com:3128', secretId: 'sec_7' },
      limits: { callTimeoutMs: 900_000, calls: 7 },
    }),
  ],
  tokens: [
    aToken('agent', {
      nameStyle: 'underscore',
      expiresAtMs: Date.UTC(2099, 0, 31, 1, 2, 3),
      grants: [
        grant('mcp_full-one', { secretId: 'sec_A_KEY', allowedTools: ['a*'] }),
        grant('mcp_plain'),
        grant('mcp_gone'),
      ],
    }),
    aToken('devbox', { id: 'tok_d', hash: 'hash-d', devboxId: 'dbx_1', grants: [] }),
    aToken('revoked', { id: 'tok_r', hash: 'hash-r', managedBy: 'api', revokedAtMs: 5, grants: [] }),
  ],
};

async function readBack(configuration: AccountConfiguration): Promise<Declared> {
  const file = join(folder, 'switchboard.yaml');
  const yaml = await toYaml(configuration);
  await writeFile(file, yaml);
  for (const { path, pem } of certificatesOf(configuration)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), pem);
  }
  const variables = [...yaml.matchAll(/\benv: (\w+)$/gm)].map(([, name]) => name ?? '');
  assert.equal(new Set(variables).size, variables.length);
  const environment = Object.fromEntries(variables.map((name) => [name, `${name}:value-of-more-than-32-characters`]));
  const outcome = await loadSettings(file, readEnvironment(environment));
  if (!outcome.ok) assert.fail(outcome.problems.map(formatProblem).join('\n') + yaml);
  return outcome.settings.declared;
}

test('what is exported declares every config, secret and token that it was made from', async () => {
  const { secrets, mcpConfigs, tokens } = await readBack(FULL);
  assert.deepEqual(
    secrets.map(({ name, value }) => [name, value.reveal().replace(/:.*/, '')]),
    [
      ['7', '_7'],
      ['A_KEY', 'A_KEY'],
      ['a-key', 'A_KEY_2'],
    ],
  );
  const [full, plain] = mcpConfigs;
  const { id: _, revision: __, managedBy: ___, createTimeMs: ____, ...expected } = FULL.mcpConfigs[1]!;
  assert.deepEqual(full, {
    ...expected,
    customHeaders: [
      { name: 'x-team', value: 'a "quoted" value: #1' },
      { name: 'x-key', secret: 'a-key' },
    ],
    proxy: { url: 'http://proxy.example.com:3128', secret: '7' },
  });
  assert.equal(plain?.description, 'yes: "no"\n# not a comment');
  assert.deepEqual(
    tokens.map(({ value: _value, ...token }) => token),
    [
      {
        name: 'agent',
        nameStyle: 'underscore',
        expiresAtMs: Date.UTC(2099, 0, 31, 1, 2, 3),
        grants: [
          { mcpConfig: 'full-one', secret: 'A_KEY', allowedTools: ['a*'] },
          { mcpConfig: 'plain', secret: null, allowedTools: null },
        ],
      },
    ],
  );
});

test('an account without anything is a file that declares nothing', async () => {
  const { secrets, mcpConfigs, tokens } = await readBack(EMPTY);
  assert.deepEqual([secrets, mcpConfigs, tokens], [[], [], []]);
});

test('the same account is the same file, in whatever order it is read', async () => {
  const turned = {
    ...FULL,
    secrets: FULL.secrets.toReversed(),
    mcpConfigs: FULL.mcpConfigs.toReversed(),
    tokens: FULL.tokens.toReversed(),
  };
  assert.equal(await toYaml(turned), await toYaml(FULL));
});

test('a process is named, and how it is started is left to the file that says it', async () => {
  const stdio = {
    command: '/usr/bin/files',
    args: ['--root=/srv'],
    env: [{ name: 'LEVEL', value: 'hush' }],
    cwd: null,
    process: 'session',
  } as const;
  const files = aConfig('files', {
    endpoint: 'stdio:files',
    stdio,
    customHeaders: [],
    allowedResources: ['file:///*'],
  });
  const tokens = [aToken('t', { grants: [grant('mcp_files')] })];
  const yaml = await toYaml({ ...EMPTY, mcpConfigs: [files], tokens });
  assert.match(yaml, /# Its upstream is a process: copy `stdio` from .*\n\s+- name: files\n\s+allowed_tools:/);
  assert.match(yaml, /mcp_config: files/);
  assert.doesNotMatch(yaml, /usr|srv|LEVEL|hush|endpoint/);
});

test('no sealed value and no hash is in it', async () => {
  const yaml = await toYaml(FULL);
  for (const { sealed } of FULL.secrets) assert.ok(!yaml.includes(sealed));
  for (const { hash } of FULL.tokens) assert.ok(!yaml.includes(hash));
});

test('of tokens of one name the one in force is declared, and one that the file declares even if it was revoked', async () => {
  const tokens = [
    aToken('again', { id: 'tok_1', hash: '1', revokedAtMs: 5, grants: [] }),
    aToken('again', { id: 'tok_2', hash: '2', managedBy: 'api', nameStyle: 'underscore', grants: [] }),
    aToken('file', { id: 'tok_3', hash: '3', managedBy: 'file', revokedAtMs: 5, grants: [] }),
  ];
  const declared = await readBack({ ...EMPTY, tokens });
  assert.deepEqual(
    declared.tokens.map(({ name, nameStyle }) => [name, nameStyle]),
    [
      ['again', 'underscore'],
      ['file', 'underscore'],
    ],
  );
});

test('a grant that is suspended is marked, as declaring it would confirm it', async () => {
  const moved = aConfig('moved', { endpoint: 'https://elsewhere.example.com/mcp', customHeaders: [] });
  const tokens = [aToken('t', { grants: [grant('mcp_moved', { secretId: 'sec_s' })] })];
  const yaml = await toYaml({ ...EMPTY, mcpConfigs: [moved], secrets: [aSecret('s')], tokens });
  assert.match(yaml, /# Suspended: .*\n\s+- mcp_config: moved/);
  assert.doesNotMatch(await toYaml(FULL), /Suspended/);
});

test('certificates are files beside it', { skip: withoutOpenssl }, async () => {
  const authority = await createAuthority(folder);
  const tls = {
    ca: authority.certificate,
    clientCertificate: null,
    clientKeySecretId: null,
    serverName: 'mcp.internal',
  };
  const declared = await readBack({ ...EMPTY, secrets: [aSecret('1')], mcpConfigs: [aConfig('c', { tls })] });
  assert.deepEqual(declared.mcpConfigs[0]?.tls, {
    ca: authority.certificate,
    clientCertificate: null,
    clientKey: null,
    serverName: 'mcp.internal',
  });
});
