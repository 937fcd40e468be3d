// What one account may do to another through the Store port: nothing. There is a case for every method of the port, and
// a method without one does not compile.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { AccountId } from '../../src/domain/mcp-config.ts';
import { DEFAULT_ACCOUNT, type Store, type Writer } from '../../src/store/store.ts';
import { aConfig, aDevbox, anApiKey, aReply, aRevision, aSecret, aToken } from '../support/store-objects.ts';
import type { OpenedStore } from './store.ts';

const OWNER = 'acct_owner' as AccountId;
const INTRUDER = DEFAULT_ACCOUNT;
/** Stands in everything the owner has, but in the ids, which the intruder knows. */
const CANARY = 'canary-of-the-owner';

type StoreMethod = Exclude<keyof Store, 'accounts' | 'epochs' | 'onChange' | 'pin' | 'close' | 'write'>;
type Cases<Method extends string, On> = Readonly<Record<Method, (on: On) => Promise<unknown>>>;

/** Every call with the ids and keys of what the owner has. */
const STORE_CASES: Cases<StoreMethod, Store> = {
  readConfiguration: (store) => store.readConfiguration(INTRUDER),
  readRevisions: (store) => store.readRevisions(INTRUDER, { limit: 100, objectId: 'mcp_a' }),
  readDevboxes: (store) => store.readDevboxes(INTRUDER, { limit: 100 }),
  countDevboxes: async (store) => assert.equal(await store.countDevboxes(INTRUDER, {}), 0),
  findDevbox: (store) => store.findDevbox(INTRUDER, 'dbx_d'),
  readToolLists: (store) => store.readToolLists(INTRUDER),
  putToolList: (store) => store.putToolList(INTRUDER, { key: 'list', tools: Buffer.from('[1]'), fetchedAtMs: 1 }),
  deleteToolLists: (store) => store.deleteToolLists(INTRUDER, Number.MAX_SAFE_INTEGER),
};

const WRITER_CASES: Cases<keyof Writer, Writer> = {
  readConfiguration: (writer) => writer.readConfiguration(),
  putMcpConfig: (writer) => writer.putMcpConfig(aConfig('a')),
  deleteMcpConfig: (writer) => writer.deleteMcpConfig('mcp_a'),
  putSecret: (writer) => writer.putSecret(aSecret('s')),
  deleteSecret: (writer) => writer.deleteSecret('sec_s'),
  putToken: (writer) => writer.putToken(aToken('t', { hash: 'of-the-intruder' })),
  deleteToken: (writer) => writer.deleteToken('tok_t'),
  putApiKey: (writer) => writer.putApiKey(anApiKey('k', { hash: 'of-the-intruder' })),
  putDevbox: (writer) => writer.putDevbox(aDevbox('dbx_d')),
  findDevbox: (writer) => writer.findDevbox('dbx_d'),
  createAccount: (writer) => writer.createAccount({ id: 'acct_new' as AccountId, name: 'new' }, anApiKey('k')),
  lastRevision: (writer) => writer.lastRevision(),
  lastRevisionOf: async (writer) => assert.equal(await writer.lastRevisionOf('mcp_a'), 0),
  appendRevision: (writer) => writer.appendRevision(aRevision(1)),
  findReply: (writer) => writer.findReply('reply'),
  takeReply: (writer) => writer.takeReply('reply'),
  putReply: (writer) => writer.putReply(aReply('reply'), Number.MAX_SAFE_INTEGER),
};

async function fill(store: Store): Promise<void> {
  await store.write(OWNER, async (writer) => {
    await writer.putMcpConfig(aConfig('a', { description: CANARY }));
    await writer.putSecret(aSecret('s', { sealed: CANARY }));
    await writer.putToken(aToken('t', { hash: CANARY }));
    await writer.putApiKey(anApiKey('k', { hash: CANARY }));
    await writer.putDevbox(aDevbox('dbx_d', { name: CANARY }));
    await writer.appendRevision(aRevision(1, { content: CANARY }));
    await writer.putReply(aReply('reply', { sealed: CANARY }), 0);
  });
  await store.putToolList(OWNER, { key: 'list', tools: Buffer.from(CANARY), fetchedAtMs: 1 });
}

/** All that the port tells the owner. */
async function stateOf(store: Store): Promise<Record<string, unknown>> {
  return {
    configuration: await store.readConfiguration(OWNER),
    revisions: await store.readRevisions(OWNER, { limit: 100 }),
    devboxes: await store.readDevboxes(OWNER, { limit: 100 }),
    toolLists: await store.readToolLists(OWNER),
    reply: await store.write(OWNER, (writer) => writer.findReply('reply')),
  };
}

function holdsCanary(value: unknown): boolean {
  // A tool list is bytes, which JSON would spell as numbers.
  const text = JSON.stringify(value, (_key, each) => (each?.type === 'Buffer' ? String(Buffer.from(each.data)) : each));
  return (text ?? '').includes(CANARY);
}

export function isolationContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`accounts are strangers to each other: ${name}`, () => {
    let opened: OpenedStore;
    let owned: Record<string, unknown>;
    before(async () => {
      opened = await open();
      await opened.addAccount(OWNER);
      await fill(opened.store);
      owned = await stateOf(opened.store);
      for (const [what, value] of Object.entries(owned)) assert.ok(holdsCanary(value), `${what} has no canary`);
    });
    after(() => opened.cleanup());

    async function assertIsolated(call: (store: Store) => Promise<unknown>): Promise<void> {
      assert.equal(holdsCanary(await call(opened.store)), false);
      assert.deepEqual(await stateOf(opened.store), owned);
    }

    for (const [method, call] of Object.entries(STORE_CASES)) {
      test(`${method} neither shows nor changes what another account has`, () => assertIsolated(call));
    }
    for (const [method, call] of Object.entries(WRITER_CASES)) {
      test(`a writer's ${method} neither shows nor changes what another account has`, () =>
        assertIsolated((store) => store.write(INTRUDER, call)));
    }
  });
}
