// The record of writes in a gateway's store, read beside the gateway as `switchboard audit verify` reads it.

import assert from 'node:assert/strict';
import { readRevision } from '../../src/control-plane/revision-chain.ts';
import { verifyChanges } from '../../src/control-plane/verify-changes.ts';
import type { Revision } from '../../src/domain/revision.ts';
import { openVaulted } from '../../src/gateway/vaulted.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';

/**
 * The revisions of the default account, oldest first. Fails unless the chain of every account is whole, and what the
 * default account has is what its record says: nothing was written without its revision, and no revision without it.
 */
export async function readWholeRecord(storeFile: string): Promise<readonly Revision[]> {
  const { store, keys } = await openVaulted({ store: { url: `sqlite:${storeFile}` } }, {});
  try {
    for (const { id } of await store.accounts()) {
      const { problems } = await verifyChanges(store, keys.audit, id);
      assert.deepEqual(problems, [], id);
    }
    const stored = await store.readRevisions(DEFAULT_ACCOUNT, { limit: Number.MAX_SAFE_INTEGER });
    const record = stored.map(readRevision).reverse();
    const [found, recorded] = [await objectsIn(store), objectsOf(record)];
    for (const id of new Set([...Object.keys(found), ...Object.keys(recorded)])) {
      assert.deepEqual(found[id], recorded[id], id);
    }
    return record;
  } finally {
    await store.close();
  }
}

type Objects = Readonly<Record<string, unknown>>;

function objectsOf(record: readonly Revision[]): Objects {
  const objects = record.filter(({ objectKind }) => objectKind !== 'account');
  const last = new Map(objects.map(({ objectId, after }) => [objectId, after]));
  return Object.fromEntries([...last].filter(([, after]) => after !== null).sort());
}

async function objectsIn(store: Store): Promise<Objects> {
  const { mcpConfigs, secrets, tokens, apiKeys } = await store.readConfiguration(DEFAULT_ACCOUNT);
  const devboxes = await store.readDevboxes(DEFAULT_ACCOUNT, { limit: Number.MAX_SAFE_INTEGER });
  const all = [...mcpConfigs, ...secrets, ...tokens, ...apiKeys, ...devboxes].map((each) => [
    each.id,
    withoutSecrets(each),
  ]);
  return Object.fromEntries(all.sort());
}

function withoutSecrets(object: object): unknown {
  const { sealed: _, hash: __, previousHash: ___, stdio: ____, ...rest } = object as Record<string, unknown>;
  return JSON.parse(JSON.stringify(rest));
}
