// Objects as the store keeps them, with every field filled: for tests that care for a few of them.

import type { McpConfig, StoredSecret } from '../../src/domain/mcp-config.ts';
import type { StoredApiKey, StoredToken } from '../../src/domain/principal.ts';
import type { Devbox } from '../../src/domain/revision.ts';
import type { StoredReply, StoredRevision } from '../../src/store/store.ts';

export function aConfig(name: string, changes: Partial<McpConfig> = {}): McpConfig {
  return {
    id: `mcp_${name}`,
    name,
    endpoint: 'https://mcp.example.com/mcp',
    allowedTools: ['get_*', 'github.search_*'],
    allowedPrompts: [],
    allowedResources: [],
    authMechanism: { type: 'header', key: 'x-api-key' },
    customHeaders: [
      { name: 'x-team', value: 'a "quoted" value' },
      { name: 'x-key', secretId: 'sec_1' },
    ],
    tls: null,
    proxy: null,
    limits: {},
    stdio: null,
    description: null,
    revision: 1,
    managedBy: 'api',
    createTimeMs: 1_790_000_000_000,
    ...changes,
  };
}

export function aSecret(name: string, changes: Partial<StoredSecret> = {}): StoredSecret {
  return {
    id: `sec_${name}`,
    name,
    version: 1,
    sealed: `v1.sealed-${name}`,
    origins: [],
    managedBy: 'file',
    createTimeMs: 1,
    updateTimeMs: 2,
    ...changes,
  };
}

export function aToken(name: string, changes: Partial<StoredToken> = {}): StoredToken {
  return {
    id: `tok_${name}`,
    name,
    hash: `hash-of-${name}`,
    previousHash: null,
    previousExpiresAtMs: null,
    devboxId: null,
    revision: 1,
    nameStyle: 'underscore',
    grants: [
      { mcpConfigId: 'mcp_b', secretId: 'sec_1', allowedTools: ['get_*'], secretOrigin: 'https://mcp.example.com' },
      { mcpConfigId: 'mcp_a', secretId: null, allowedTools: null, secretOrigin: null },
    ],
    managedBy: 'api',
    createTimeMs: 1,
    expiresAtMs: 1_790_000_000_000,
    revokedAtMs: null,
    ...changes,
  };
}

export function anApiKey(name: string, changes: Partial<StoredApiKey> = {}): StoredApiKey {
  return {
    id: `key_${name}`,
    name,
    hash: `hash-of-${name}`,
    role: 'editor',
    createTimeMs: 1,
    revokedAtMs: null,
    ...changes,
  };
}

export function aDevbox(id: string, changes: Partial<Devbox> = {}): Devbox {
  const mounts = [{ variable: 'MCP_TOKEN', mcpConfigId: 'mcp_a', secretId: null }];
  return { id, name: null, mounts, metadata: { team: 'a' }, createTimeMs: 1, endTimeMs: null, ...changes };
}

export function aRevision(sequence: number, changes: Partial<StoredRevision> = {}): StoredRevision {
  const known = { actorId: 'key_k', action: 'create', objectKind: 'mcp_config', objectId: 'mcp_a' } as const;
  const objectRevision = sequence;
  return {
    sequence,
    timeMs: sequence * 10,
    ...known,
    objectRevision,
    content: '{"n":1e400}',
    mac: `mac-${sequence}`,
    ...changes,
  };
}

export function aReply(key: string, changes: Partial<StoredReply> = {}): StoredReply {
  return { key, sealed: 'v1.sealed', expiresAtMs: 1_000, ...changes };
}
