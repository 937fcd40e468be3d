import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { change } from '../../../src/control-plane/change.ts';
import { toMcpConfigView } from '../../../src/control-plane/mcp-configs.ts';
import { readRevision } from '../../../src/control-plane/revision-chain.ts';
import { originOf, type StdioCommand, secretIdsOf } from '../../../src/domain/mcp-config.ts';
import { isSuspended } from '../../../src/domain/principal.ts';
import { openStore } from '../../../src/store/open-store.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { aConfig } from '../../support/store-objects.ts';

const STDIO: StdioCommand = {
  command: '/usr/bin/hush',
  args: ['--hush'],
  env: [
    { name: 'HUSH', value: 'hush' },
    { name: 'KEY', secretId: 'sec_key' },
    { name: 'TOKEN', fromGrant: true },
  ],
  cwd: '/hush',
  process: 'session',
};
const FILES = aConfig('files', { endpoint: 'stdio:files', stdio: STDIO, customHeaders: [], managedBy: 'file' });

test('a process is an origin by itself, and where it has moved from or to suspends a grant', () => {
  assert.equal(originOf('stdio:files'), 'stdio:files');
  assert.equal(originOf('https://a.example:443/mcp'), 'https://a.example');
  assert.deepEqual(secretIdsOf(FILES), ['sec_key']);
  const grant = { mcpConfigId: FILES.id, secretId: 'sec_a', allowedTools: null };
  assert.equal(isSuspended({ ...grant, secretOrigin: 'stdio:files' }, FILES), false);
  assert.equal(isSuspended({ ...grant, secretOrigin: 'stdio:other' }, FILES), true);
  assert.equal(isSuspended({ ...grant, secretOrigin: 'https://a.example' }, FILES), true);
});

test('neither what is shown of a process nor its record says how it is started', async () => {
  assert.doesNotMatch(JSON.stringify(toMcpConfigView(FILES)), /hush|HUSH|KEY/);
  const folder = await mkdtemp(join(tmpdir(), 'switchboard-stdio-'));
  const store = await openStore(`sqlite:${join(folder, 'a.db')}`);
  try {
    const deps = { store, auditKey: Buffer.alloc(32), now: () => 1 };
    const actor = { kind: 'file', id: null, name: 'config file' } as const;
    await change(deps, DEFAULT_ACCOUNT, { actor }, (each) => each.put('mcp_config', FILES, 'create'));
    const [stored] = await store.readRevisions(DEFAULT_ACCOUNT, { limit: 1 });
    assert.ok(stored);
    assert.equal(readRevision(stored).after?.endpoint, 'stdio:files');
    assert.doesNotMatch(stored.content, /hush|HUSH|KEY/);
    assert.deepEqual((await store.readConfiguration(DEFAULT_ACCOUNT)).mcpConfigs, [FILES]);
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
});
