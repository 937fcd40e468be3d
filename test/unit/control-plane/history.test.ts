import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { COMMAND, change } from '../../../src/control-plane/change.ts';
import { historyOperations } from '../../../src/control-plane/history.ts';
import type { UseCaseDeps } from '../../../src/control-plane/use-case.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';
import { aConfig } from '../../support/store-objects.ts';

const WRITES = 25;

const directory = await mkdtemp(join(tmpdir(), 'switchboard-history-'));
const store = await openSqliteStore({ file: join(directory, 'history.db') });
after(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

test('a history whose numbers were given more than once, as older versions did, shows each write once', async () => {
  const deps = { store, auditKey: Buffer.alloc(32), now: () => 1 };
  for (let n = 0; n < WRITES; n++) {
    await change(deps, DEFAULT_ACCOUNT, { actor: COMMAND }, (each) =>
      each.put('mcp_config', aConfig('a', { revision: 1 + (n % 3) }), 'update'),
    );
  }
  const history = historyOperations(deps as UseCaseDeps).find(({ name }) => name === 'getMcpConfigHistory')!;
  assert.equal(history.kind, 'read');
  const input = { operator: { accountId: DEFAULT_ACCOUNT }, id: 'mcp_a', query: { limit: 100 }, body: {} };
  const { revisions, has_more } = (await history.run(input as never)) as {
    revisions: readonly { readonly sequence: number }[];
    has_more: boolean;
  };
  assert.deepEqual(
    revisions.map(({ sequence }) => sequence),
    Array.from({ length: WRITES }, (_, n) => WRITES - n),
  );
  assert.equal(has_more, false);
});
