import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Declared, DeclaredStdio } from '../../../src/control-plane/declared.ts';
import { DeclaredCommands } from '../../../src/control-plane/declared-commands.ts';
import type { McpConfig } from '../../../src/domain/mcp-config.ts';
import { aConfig } from '../../support/store-objects.ts';

const COMMAND: DeclaredStdio = {
  command: 'npx',
  args: ['-y', 'server'],
  env: [
    { name: 'ROOT', value: '/srv' },
    { name: 'KEY', secret: 'KEY' },
    { name: 'USER_KEY', fromGrant: true },
  ],
  cwd: null,
  process: 'credential',
};
const STORED: NonNullable<McpConfig['stdio']> = {
  ...COMMAND,
  env: [
    { name: 'ROOT', value: '/srv' },
    { name: 'KEY', secretId: 'sec_1' },
    { name: 'USER_KEY', fromGrant: true },
  ],
};

function declaring(stdio: DeclaredStdio | null): Declared {
  const { allowedTools, allowedPrompts, allowedResources, authMechanism, limits, description } = aConfig('files');
  const policy = { allowedTools, allowedPrompts, allowedResources, authMechanism, limits, description };
  const config = {
    ...policy,
    name: 'files',
    endpoint: 'stdio:files',
    customHeaders: [],
    tls: null,
    proxy: null,
    stdio,
  };
  return { secrets: [], mcpConfigs: [config], tokens: [], positions: new Map(), digest: '' };
}

function stored(changes: Partial<McpConfig> = {}): McpConfig {
  return aConfig('files', { endpoint: 'stdio:files', stdio: STORED, managedBy: 'file', ...changes });
}

test('a stored command is run only if it is the one that the file declares', () => {
  const commands = new DeclaredCommands(declaring(COMMAND));
  assert.ok(commands.has(stored()));
  // As the store gives it back.
  assert.ok(commands.has(JSON.parse(JSON.stringify(stored()))));
  const others: readonly Partial<McpConfig>[] = [
    { managedBy: 'api' },
    { name: 'other' },
    { stdio: null },
    { stdio: { ...STORED, command: 'sh' } },
    { stdio: { ...STORED, args: ['-y', 'other'] } },
    { stdio: { ...STORED, cwd: '/tmp' } },
    { stdio: { ...STORED, env: [...STORED.env, { name: 'NODE_OPTIONS', value: '--require=/tmp/a.js' }] } },
    {
      stdio: { ...STORED, env: STORED.env.map((each) => (each.name === 'ROOT' ? { name: 'ROOT', value: '/' } : each)) },
    },
  ];
  for (const changes of others) assert.equal(commands.has(stored(changes)), false, JSON.stringify(changes));
  assert.equal(new DeclaredCommands(declaring(null)).has(stored()), false);
});

test('a file that cannot be applied declares nothing', async () => {
  const commands = new DeclaredCommands(declaring(COMMAND));
  const refusal = new Error('conflict');
  const applied = commands.during(declaring(null), async () => {
    assert.equal(commands.has(stored()), false);
    throw refusal;
  });
  await assert.rejects(applied, refusal);
  assert.ok(commands.has(stored()));
  await commands.during(declaring(null), async () => undefined);
  assert.equal(commands.has(stored()), false);
});
