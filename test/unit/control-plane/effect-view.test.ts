import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toEffectView } from '../../../src/control-plane/effect-view.ts';
import { readRevision, toStoredRevision } from '../../../src/control-plane/revision-chain.ts';
import { verifyChanges } from '../../../src/control-plane/verify-changes.ts';
import { DEFAULT_ACCOUNT } from '../../../src/store/store.ts';

test('a revision from before prompts and resources were recorded is whole in its chain, and is read', async () => {
  const key = Buffer.alloc(32, 7);
  const stored = toStoredRevision(key, DEFAULT_ACCOUNT, undefined, {
    timeMs: 1,
    actor: { kind: 'command', id: null, name: 'command line' },
    requestId: null,
    action: 'update',
    objectKind: 'mcp_config',
    objectId: 'mcp_1',
    objectName: 'github',
    revision: 2,
    effect: { added: ['github.get'], removed: [], addedCount: 1, removedCount: 0 },
    before: null,
    after: null,
  });
  assert.match(stored.content, /"effect":\{"added":\["github.get"\],"removed":\[\],"addedCount":1,"removedCount":0\}/);
  const store = { readRevisions: async () => [stored] };
  assert.deepEqual((await verifyChanges(store, key, DEFAULT_ACCOUNT)).problems, []);
  const none = { added: [], removed: [] };
  assert.deepEqual(toEffectView(readRevision(stored).effect), {
    summary: '+1 −0 tools',
    is_partial: false,
    added: ['github.get'],
    removed: [],
    prompts: none,
    resources: none,
  });
});
