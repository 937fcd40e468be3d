import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Inventory, locateLists, readInventory } from '../../../src/catalog/inventory.ts';
import { ToolChanges } from '../../../src/catalog/tool-changes.ts';

function listOf(...tools: readonly object[]): Inventory {
  return readInventory(locateLists(Buffer.from(JSON.stringify(tools)))!, 0);
}

const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: 'object' }, ...more });

/** What is told after lists that came one after another, at 1, 2, … ms. */
async function after(...lists: readonly Inventory[]): Promise<string[]> {
  const changes = new ToolChanges();
  for (const [index, list] of lists.entries()) {
    const before = lists[index - 1];
    if (before !== undefined) await changes.note(before, list, index);
  }
  return changes.all().map((change) => `${change.tool} ${change.parts.join()} at ${change.atMs}`);
}

describe('ToolChanges', () => {
  it('names the tools that are not what they were first, and what of them', async () => {
    const first = listOf(tool('b'), tool('a', { description: 'x' }), tool('same'));
    const second = listOf(
      tool('same'),
      tool('a', { description: 'y' }),
      tool('b', { annotations: { readOnlyHint: true } }),
    );
    assert.deepEqual(await after(first, second), ['a description at 1', 'b annotations at 1']);
  });

  it('compares with what was first, however often a tool changes, and forgets one that changes back', async () => {
    const lists = ['x', 'y', 'z'].map((description) => listOf(tool('a', { description })));
    assert.deepEqual(await after(...lists), ['a description at 2']);
    assert.deepEqual(await after(...lists, lists[0]!), []);
  });

  it('knows a tool that went away and comes back as another', async () => {
    const first = listOf(tool('a', { title: 'x' }));
    assert.deepEqual(await after(first, listOf(), listOf(tool('a', { title: 'y' }))), ['a title at 2']);
    assert.deepEqual(await after(first, listOf(), first), []);
    assert.deepEqual(await after(first, listOf(tool('a', { title: 'y' })), listOf()), [], 'what is gone is not told');
  });

  it('says nothing of new tools, of other members, and of keys in another order', async () => {
    const first = listOf(
      tool('a', { outputSchema: { type: 'object', properties: { p: {}, q: {} } }, _meta: { n: 1 } }),
    );
    const second = listOf(tool('new'), {
      _meta: { n: 2 },
      outputSchema: { properties: { q: {}, p: {} }, type: 'object' },
      ...tool('a'),
    });
    assert.deepEqual(await after(first, second), []);
  });

  it('watches a thousand tools of an upstream, and no more', async () => {
    const lists = ['x', 'y'].map((description) =>
      listOf(...Array.from({ length: 1_200 }, (_, index) => tool(`t${index}`, { description }))),
    );
    assert.equal((await after(...lists)).length, 1_000);
  });
});
