import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toStoredRevision } from '../../src/control-plane/revision-chain.ts';
import { verifyChanges } from '../../src/control-plane/verify-changes.ts';
import { NO_EFFECT } from '../../src/domain/revision.ts';
import { DEFAULT_ACCOUNT, type RevisionQuery, type StoredRevision } from '../../src/store/store.ts';

const KEY = Buffer.alloc(32, 7);

function chainOf(length: number): StoredRevision[] {
  const chain: StoredRevision[] = [];
  for (let index = 0; index < length; index++) {
    chain.push(
      toStoredRevision(KEY, DEFAULT_ACCOUNT, chain.at(-1), {
        timeMs: index,
        actor: { kind: 'api_key', id: `key_${index % 3}`, name: 'ops' },
        requestId: null,
        action: 'update',
        objectKind: 'mcp_config',
        objectId: `mcp_${index % 4}`,
        objectName: 'github',
        revision: index + 1,
        effect: NO_EFFECT,
        before: null,
        after: { id: `mcp_${index % 4}`, description: `${index}` },
      }),
    );
  }
  return chain;
}

/** Rows as a database gives them back: newest first, whatever was done to them. */
function verify(rows: readonly StoredRevision[], checkpoint?: StoredRevision, account = DEFAULT_ACCOUNT) {
  const readRevisions = async (_: unknown, { before = Infinity, limit }: RevisionQuery) =>
    rows
      .filter(({ sequence }) => sequence < before)
      .toSorted((a, b) => b.sequence - a.sequence)
      .slice(0, limit);
  return verifyChanges({ readRevisions }, KEY, account, checkpoint);
}

const chains = fc.integer({ min: 2, max: 12 }).map(chainOf);

test('a chain that nobody has touched is whole, with and without a checkpoint of any age', async () => {
  for (const length of [0, 1, 2, 999, 1000, 1001]) {
    const chain = chainOf(length);
    const { problems, revisions, head } = await verify(chain, chain[Math.floor(length / 2)]);
    assert.deepEqual([problems, revisions, head?.mac], [[], length, chain.at(-1)?.mac]);
  }
});

test('any edit of a row, of its text or of a column it is found by, is found', async () => {
  const edits: ((row: StoredRevision) => StoredRevision)[] = [
    (row) => ({ ...row, content: row.content.replace('"ops"', '"ceo"') }),
    (row) => ({ ...row, content: `${row.content} ` }),
    (row) => ({ ...row, timeMs: row.timeMs + 1 }),
    (row) => ({ ...row, actorId: 'key_9' }),
    (row) => ({ ...row, objectId: 'mcp_9' }),
    (row) => ({ ...row, objectRevision: row.objectRevision + 1 }),
    (row) => ({ ...row, action: 'delete' }),
    (row) => ({ ...row, objectKind: 'secret' }),
    (row) => ({ ...row, mac: row.mac.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) }),
  ];
  await fc.assert(
    fc.asyncProperty(chains, fc.nat(), fc.constantFrom(...edits), async (chain, at, edit) => {
      const index = at % chain.length;
      const { problems } = await verify(chain.map((row, each) => (each === index ? edit(row) : row)));
      assert.notDeepEqual(problems, []);
    }),
    { numRuns: 300 },
  );
});

test('a row that is deleted, or two that change places, are found; a cut end is found by the checkpoint', async () => {
  await fc.assert(
    fc.asyncProperty(chains, fc.nat(), fc.nat(), async (chain, at, other) => {
      const [index, second] = [at % chain.length, other % chain.length];
      const last = chain.at(-1);
      const without = chain.filter((_, each) => each !== index);
      const isEnd = index === chain.length - 1;
      assert.equal((await verify(without)).problems.length > 0, !isEnd);
      assert.notDeepEqual((await verify(without, last)).problems, []);
      assert.notDeepEqual((await verify(chain.slice(0, index), last)).problems, []);
      if (index === second) return;
      const [a, b] = [chain[index] as StoredRevision, chain[second] as StoredRevision];
      const swapped = chain.map((row, each) => {
        if (each === index) return { ...b, sequence: a.sequence };
        return each === second ? { ...a, sequence: b.sequence } : row;
      });
      assert.notDeepEqual((await verify(swapped)).problems, []);
    }),
    { numRuns: 300 },
  );
});

test('a chain of another account, or of another key, is none', async () => {
  const chain = chainOf(3);
  assert.notDeepEqual((await verify(chain, undefined, 'acct_other' as typeof DEFAULT_ACCOUNT)).problems, []);
});
