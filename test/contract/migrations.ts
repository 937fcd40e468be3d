// What every Store adapter promises of a database that an earlier version has written.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MIGRATIONS, SCHEMA_VERSION_TABLE } from '../../src/store/migrations.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';
import { aConfig, aToken } from '../support/store-objects.ts';

/** Rows as each step left them, as SQLite reads them, for the tables and columns that were new with it. */
const ROWS: readonly string[] = [
  `INSERT INTO accounts VALUES ('${DEFAULT_ACCOUNT}', 'default', 3);
   INSERT INTO mcp_configs (account_id, id, name, endpoint, allowed_tools, auth_mechanism, custom_headers, description, revision, managed_by, create_time_ms)
     VALUES ('${DEFAULT_ACCOUNT}', 'mcp_a', 'a', 'https://mcp.example.com/mcp', '["get_*"]', '{"type":"bearer"}', '[]', NULL, 4, 'file', 1);
   INSERT INTO tokens (account_id, id, name, hash, name_style, grants, managed_by, create_time_ms, expires_at_ms, revoked_at_ms)
     VALUES ('${DEFAULT_ACCOUNT}', 'tok_t', 't', 'hash-of-t', 'underscore', '[]', 'api', 1, NULL, NULL);
   INSERT INTO tool_lists (account_id, key, tools, fetched_at_ms) VALUES ('${DEFAULT_ACCOUNT}', 'k', x'5b5d', 1790000000000);
   INSERT INTO pins VALUES ('master_key', 'fingerprint');`,
  `UPDATE mcp_configs SET limits = '{"calls":7}';`,
  `UPDATE tokens SET revision = 5, devbox_id = 'dbx_d';
   INSERT INTO devboxes (account_id, id, name, mounts, metadata, create_time_ms) VALUES ('${DEFAULT_ACCOUNT}', 'dbx_d', NULL, '[]', '{}', 1);
   INSERT INTO replies (account_id, key, sealed, expires_at_ms) VALUES ('${DEFAULT_ACCOUNT}', 'k', 'v1.s', 9);
   INSERT INTO revisions (account_id, sequence, time_ms, actor_id, action, object_kind, object_id, object_revision, content, mac)
     VALUES ('${DEFAULT_ACCOUNT}', 1, 1, NULL, 'create', 'mcp_config', 'mcp_a', 4, '{}', 'mac');`,
  `UPDATE mcp_configs SET allowed_prompts = '["ask_*"]', allowed_resources = '["file:///docs/*"]';`,
];

/** Runs steps and rows, which are as SQLite reads them, on a new database, in turns; opens the store in it. */
export type OpenAfter = (steps: readonly string[], rows: readonly string[]) => Promise<Store>;

/** All of it as one text. */
export function toSqliteStatements(steps: readonly string[], rows: readonly string[]): string {
  const version = `${SCHEMA_VERSION_TABLE}; INSERT INTO schema_version VALUES (${steps.length});`;
  return [...steps.flatMap((step, index) => [step, rows[index] ?? '']), steps.length === 0 ? '' : version].join('\n');
}

export function migrationContract(name: string, openAfter: OpenAfter): void {
  describe(`a store of an earlier version: ${name}`, () => {
    for (let version = 0; version <= MIGRATIONS.length; version++) {
      test(`of schema ${version} is brought to the newest one, and keeps what it held`, async () => {
        const store = await openAfter(MIGRATIONS.slice(0, version), ROWS.slice(0, version));
        try {
          await assertKept(store, version);
        } finally {
          await store.close();
        }
      });
    }
  });
}

async function assertKept(store: Store, version: number): Promise<void> {
  const { epoch, mcpConfigs, tokens } = await store.readConfiguration(DEFAULT_ACCOUNT);
  assert.deepEqual(await store.accounts(), [{ id: DEFAULT_ACCOUNT, name: 'default' }]);
  assert.equal(epoch, version === 0 ? 0 : 3);
  const unchanged = { allowedTools: ['get_*'], authMechanism: { type: 'bearer' }, customHeaders: [] } as const;
  const config = aConfig('a', {
    ...unchanged,
    limits: version >= 2 ? { calls: 7 } : {},
    ...(version >= 4 ? { allowedPrompts: ['ask_*'], allowedResources: ['file:///docs/*'] } : {}),
    revision: 4,
    managedBy: 'file',
    createTimeMs: 1,
  });
  const token = aToken('t', {
    grants: [],
    expiresAtMs: null,
    ...(version >= 3 ? { revision: 5, devboxId: 'dbx_d' } : {}),
  });
  assert.deepEqual([mcpConfigs, tokens], version === 0 ? [[], []] : [[config], [token]]);
  const lists = version === 0 ? [] : [{ key: 'k', tools: Buffer.from('[]'), fetchedAtMs: 1_790_000_000_000 }];
  assert.deepEqual(await store.readToolLists(DEFAULT_ACCOUNT), lists);
  assert.equal(await store.pin('master_key', 'another'), version === 0 ? 'another' : 'fingerprint');
  assert.equal(await store.countDevboxes(DEFAULT_ACCOUNT, {}), version >= 3 ? 1 : 0);
  assert.equal((await store.readRevisions(DEFAULT_ACCOUNT, { limit: 9 })).length, version >= 3 ? 1 : 0);
  await store.write(DEFAULT_ACCOUNT, (writer) => writer.putMcpConfig({ ...config, description: 'written' }));
  assert.equal((await store.readConfiguration(DEFAULT_ACCOUNT)).mcpConfigs[0]?.description, 'written');
}
