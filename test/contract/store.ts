// What every Store adapter promises. An adapter's own test file calls this with a way to open an empty store.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../../src/domain/errors.ts';
import type { AccountId } from '../../src/domain/mcp-config.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';
import { aConfig, aDevbox, anApiKey, aReply, aRevision, aSecret, aToken } from '../support/store-objects.ts';

export interface OpenedStore {
  readonly store: Store;
  /** A second handle on what the first one stores; the first stays open. */
  readonly reopen: () => Promise<Store>;
  /** Adds an account by whatever means the adapter has. */
  readonly addAccount: (id: AccountId) => Promise<void>;
  /** Closes every handle. */
  readonly cleanup: () => Promise<void>;
}

const OTHER_ACCOUNT = 'acct_other' as AccountId;

/** Polls until `condition` holds; fails after two seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += 5) {
    assert.ok(waitedMs < 2000, `waited in vain until ${what}`);
    await delay(5);
  }
}

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof GatewayError && error.code === code;
}

export function storeContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`the store contract: ${name}`, () => {
    let opened: OpenedStore;
    let store: Store;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.cleanup());

    test('a new store has the default account, at epoch 0, with nothing configured', async () => {
      assert.deepEqual(await store.accounts(), [{ id: DEFAULT_ACCOUNT, name: 'default' }]);
      assert.deepEqual(await store.epochs(), new Map([[DEFAULT_ACCOUNT, 0]]));
      assert.deepEqual(await store.readConfiguration(DEFAULT_ACCOUNT), {
        accountId: DEFAULT_ACCOUNT,
        epoch: 0,
        mcpConfigs: [],
        secrets: [],
        tokens: [],
        apiKeys: [],
      });
    });

    test('what a write leaves behind is what everybody else reads, and the same objects but for what was written', async () => {
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        for (const name of ['a', 'b', 'c']) await writer.putMcpConfig(aConfig(name));
        await writer.putSecret(aSecret('1'));
        await writer.putToken(aToken('t'));
        await writer.putApiKey(anApiKey('k'));
      });
      const other = await opened.reopen();
      const before = await store.readConfiguration(DEFAULT_ACCOUNT);
      for (const known of [undefined, before]) {
        await store.write(DEFAULT_ACCOUNT, async (writer) => {
          const { mcpConfigs, epoch } = await writer.readConfiguration(known);
          const changes = {
            createTimeMs: mcpConfigs[0]!.createTimeMs,
            description: `at ${epoch}`,
            limits: { calls: 3 },
          };
          await writer.putMcpConfig(aConfig(`new-${epoch}`, { ...changes, createTimeMs: 1 }));
          await writer.putMcpConfig(aConfig('b', changes));
          await writer.deleteMcpConfig('mcp_c');
          await writer.putSecret(aSecret('2', { version: epoch }));
          await writer.putToken(aToken('t', { revision: epoch, grants: [] }));
          await writer.putApiKey(anApiKey('l'));
        });
        const left = await store.readConfiguration(DEFAULT_ACCOUNT);
        assert.deepEqual(left, await other.readConfiguration(DEFAULT_ACCOUNT));
        const again = await store.readConfiguration(DEFAULT_ACCOUNT, left);
        assert.equal(again, left);
      }
      const [a] = (await store.readConfiguration(DEFAULT_ACCOUNT, before)).mcpConfigs.filter(
        ({ name }) => name === 'a',
      );
      assert.equal(
        a,
        before.mcpConfigs.find(({ name }) => name === 'a'),
      );
    });

    test('every object comes back as it was put, through another handle too', async () => {
      const config = aConfig('a', {
        tls: { ca: '-----BEGIN\n', clientCertificate: null, clientKeySecretId: 'sec_1', serverName: 'mcp.internal' },
        proxy: { url: 'http://proxy.example.com:3128', secretId: null },
        limits: { callTimeoutMs: 1, calls: 2 },
        allowedPrompts: ['ask_*'],
        allowedResources: ['file:///docs/*', 'ui://{a,b}/?'],
        stdio: {
          command: 'node',
          args: ['server.js', '--root', '/srv/docs'],
          env: [
            { name: 'MODE', value: 'read-only' },
            { name: 'KEY', secretId: 'sec_1' },
            { name: 'TOKEN', fromGrant: true },
          ],
          cwd: '/srv',
          process: 'session',
        },
        description: 'Größe \u0000 "x"',
      });
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putMcpConfig(config);
        await writer.putSecret(aSecret('s'));
        await writer.putToken(aToken('t', { expiresAtMs: null, revokedAtMs: 5 }));
        await writer.putApiKey(anApiKey('k', { revokedAtMs: 9 }));
      });
      const expected = {
        accountId: DEFAULT_ACCOUNT,
        epoch: 1,
        mcpConfigs: [config],
        secrets: [aSecret('s')],
        tokens: [aToken('t', { expiresAtMs: null, revokedAtMs: 5 })],
        apiKeys: [anApiKey('k', { revokedAtMs: 9 })],
      };
      assert.deepEqual(await store.readConfiguration(DEFAULT_ACCOUNT), expected);
      assert.deepEqual(await (await opened.reopen()).readConfiguration(DEFAULT_ACCOUNT), expected);
    });

    test('putting an id again replaces the object, and objects are listed oldest first', async () => {
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putMcpConfig(aConfig('young', { createTimeMs: 20 }));
        await writer.putMcpConfig(aConfig('old', { createTimeMs: 10 }));
        await writer.putMcpConfig(aConfig('renamed', { id: 'mcp_young', createTimeMs: 20, revision: 2 }));
      });
      const { mcpConfigs } = await store.readConfiguration(DEFAULT_ACCOUNT);
      assert.deepEqual(
        mcpConfigs.map(({ id, name, revision }) => [id, name, revision]),
        [
          ['mcp_old', 'old', 1],
          ['mcp_young', 'renamed', 2],
        ],
      );
    });

    test('deleted objects are gone', async () => {
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putMcpConfig(aConfig('a'));
        await writer.putSecret(aSecret('s'));
        await writer.putToken(aToken('t'));
      });
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.deleteMcpConfig('mcp_a');
        await writer.deleteSecret('sec_s');
        await writer.deleteToken('tok_t');
      });
      const { epoch, mcpConfigs, secrets, tokens } = await store.readConfiguration(DEFAULT_ACCOUNT);
      assert.deepEqual({ epoch, mcpConfigs, secrets, tokens }, { epoch: 2, mcpConfigs: [], secrets: [], tokens: [] });
    });

    test('the epoch rises by one for a write of many changes, and not for a write of none', async () => {
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putMcpConfig(aConfig('a'));
        await writer.putMcpConfig(aConfig('b'));
        await writer.putSecret(aSecret('s'));
      });
      assert.equal((await store.epochs()).get(DEFAULT_ACCOUNT), 1);
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.readConfiguration();
        await writer.deleteMcpConfig('mcp_absent');
      });
      assert.equal((await store.epochs()).get(DEFAULT_ACCOUNT), 1);
    });

    test('a write gives back what its work returned', async () => {
      assert.equal(await store.write(DEFAULT_ACCOUNT, async () => 42), 42);
    });

    test('a write sees its own changes, and others see them only once it is committed', async () => {
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putMcpConfig(aConfig('a'));
        assert.equal((await writer.readConfiguration()).mcpConfigs.length, 1);
        assert.equal((await store.readConfiguration(DEFAULT_ACCOUNT)).mcpConfigs.length, 0);
      });
      assert.equal((await store.readConfiguration(DEFAULT_ACCOUNT)).mcpConfigs.length, 1);
    });

    test('an error thrown by the work rolls every change back and reaches the caller as it is', async () => {
      await store.write(DEFAULT_ACCOUNT, (writer) => writer.putMcpConfig(aConfig('kept')));
      const failure = new Error('changed my mind');
      const work = store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putSecret(aSecret('s'));
        await writer.deleteMcpConfig('mcp_kept');
        throw failure;
      });
      await assert.rejects(work, (error) => error === failure);
      const { epoch, mcpConfigs, secrets } = await store.readConfiguration(DEFAULT_ACCOUNT);
      assert.deepEqual([epoch, mcpConfigs.length, secrets.length], [1, 1, 0]);
    });

    test('after a throw nothing is left of any kind of change', async () => {
      const listed = () => store.readRevisions(DEFAULT_ACCOUNT, { limit: 9 });
      const work = store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putMcpConfig(aConfig('a'));
        await writer.putSecret(aSecret('s'));
        await writer.putToken(aToken('t'));
        await writer.putApiKey(anApiKey('k'));
        await writer.putDevbox(aDevbox('dbx_d'));
        await writer.createAccount({ id: OTHER_ACCOUNT, name: 'other' }, anApiKey('other'));
        await writer.putReply(aReply('reply'), 0);
        await writer.appendRevision(aRevision(1));
        assert.deepEqual(await writer.lastRevision(), aRevision(1));
        throw new Error('changed my mind');
      });
      await assert.rejects(work, { message: 'changed my mind' });
      const { epoch, mcpConfigs, secrets, tokens, apiKeys } = await store.readConfiguration(DEFAULT_ACCOUNT);
      assert.deepEqual([epoch, mcpConfigs, secrets, tokens, apiKeys], [0, [], [], [], []]);
      assert.deepEqual([await listed(), await store.readDevboxes(DEFAULT_ACCOUNT, { limit: 9 })], [[], []]);
      assert.equal((await store.accounts()).length, 1);
      assert.equal(await store.write(DEFAULT_ACCOUNT, (writer) => writer.findReply('reply')), undefined);
    });

    test('of two who take a reply at once one gets it, and then it is gone', async () => {
      const other = await opened.reopen();
      await store.write(DEFAULT_ACCOUNT, (writer) => writer.putReply(aReply('once'), 0));
      const take = (handle: Store) => handle.write(DEFAULT_ACCOUNT, (writer) => writer.takeReply('once'));
      const taken = await Promise.all([take(store), take(other), take(store)]);
      assert.deepEqual(
        taken.filter((each) => each !== undefined),
        [aReply('once')],
      );
      assert.equal(await store.write(DEFAULT_ACCOUNT, (writer) => writer.findReply('once')), undefined);
      assert.equal((await store.epochs()).get(DEFAULT_ACCOUNT), 0);
    });

    test('two writes never append a revision of one number', async () => {
      const other = await opened.reopen();
      const append = (handle: Store) =>
        handle.write(DEFAULT_ACCOUNT, async (writer) => {
          const last = await writer.lastRevision();
          await writer.appendRevision(aRevision((last?.sequence ?? 0) + 1));
        });
      await Promise.all(Array.from({ length: 20 }, (_, i) => append(i % 2 ? store : other)));
      const revisions = await store.readRevisions(DEFAULT_ACCOUNT, { limit: 100 });
      assert.deepEqual(
        revisions.map(({ sequence }) => sequence),
        Array.from({ length: 20 }, (_, i) => 20 - i),
      );
    });

    test('revisions are found by the revision of their object, newest first', async () => {
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        for (let n = 1; n <= 6; n++) {
          await writer.appendRevision(aRevision(n, { objectId: `mcp_${n % 2}`, objectRevision: Math.ceil(n / 2) }));
        }
      });
      const find = async (query: object) =>
        (await store.readRevisions(DEFAULT_ACCOUNT, { limit: 9, objectId: 'mcp_1', ...query })).map(
          (each) => each.sequence,
        );
      assert.deepEqual(await find({}), [5, 3, 1]);
      assert.deepEqual(await find({ objectRevision: 2 }), [3]);
      assert.deepEqual(await find({ beforeObjectRevision: 3, limit: 1 }), [3]);
      assert.deepEqual(await find({ objectRevision: 4 }), []);
    });

    test('a writer knows the highest revision that is recorded of an object, its own records included', async () => {
      const highest = await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.appendRevision(aRevision(1, { objectRevision: 12 }));
        await writer.appendRevision(aRevision(2, { objectRevision: 9 }));
        await writer.appendRevision(aRevision(3, { objectId: 'mcp_b', objectRevision: 40 }));
        return [await writer.lastRevisionOf('mcp_a'), await writer.lastRevisionOf('mcp_none')];
      });
      assert.deepEqual(highest, [12, 0]);
    });

    test('devboxes are listed newest first, from any of them on, counted, and found by their ids', async () => {
      const boxes = [
        aDevbox('dbx_d', { createTimeMs: 3 }),
        aDevbox('dbx_c', { createTimeMs: 2, endTimeMs: 5 }),
        aDevbox('dbx_b', { createTimeMs: 2, name: 'b' }),
        aDevbox('dbx_a', { createTimeMs: 1 }),
      ];
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        for (const box of boxes) await writer.putDevbox(box);
      });
      const list = (query: object) => store.readDevboxes(DEFAULT_ACCOUNT, { limit: 9, ...query });
      assert.deepEqual(await list({}), boxes);
      assert.deepEqual(await list({ after: boxes[1], limit: 1 }), [boxes[2]]);
      assert.deepEqual(await list({ hasEnded: false, after: boxes[0] }), boxes.slice(2));
      assert.deepEqual(await list({ hasEnded: true }), [boxes[1]]);
      const filters = [{}, { hasEnded: true }, { hasEnded: false }];
      const counts = await Promise.all(filters.map((filter) => store.countDevboxes(DEFAULT_ACCOUNT, filter)));
      assert.deepEqual(counts, [4, 1, 3]);
      assert.deepEqual(await store.findDevbox(DEFAULT_ACCOUNT, 'dbx_b'), boxes[2]);
      assert.equal(await store.findDevbox(DEFAULT_ACCOUNT, 'dbx_e'), undefined);
    });

    test('a writer kept beyond its transaction changes nothing', async () => {
      const kept = await store.write(DEFAULT_ACCOUNT, async (writer) => writer);
      await assert.rejects(kept.putSecret(aSecret('late')));
      assert.deepEqual((await store.readConfiguration(DEFAULT_ACCOUNT)).secrets, []);
    });

    test('writes that start together do not lose one another, from two handles either', async () => {
      const other = await opened.reopen();
      const increment = (handle: Store) =>
        handle.write(DEFAULT_ACCOUNT, async (writer) => {
          const [counter] = (await writer.readConfiguration()).secrets;
          await writer.putSecret(aSecret('counter', { version: (counter?.version ?? 0) + 1 }));
        });
      await Promise.all(Array.from({ length: 20 }, (_, i) => increment(i % 2 ? store : other)));
      const { epoch, secrets } = await store.readConfiguration(DEFAULT_ACCOUNT);
      assert.deepEqual([epoch, secrets[0]?.version], [20, 20]);
    });

    test('a configuration read while writes go on is of one epoch', async () => {
      const writes = Array.from({ length: 20 }, () =>
        store.write(DEFAULT_ACCOUNT, async (writer) => {
          const version = (await writer.readConfiguration()).epoch + 1;
          await writer.putSecret(aSecret('s', { version }));
          await writer.putMcpConfig(aConfig('a', { revision: version }));
        }),
      );
      const reads = Array.from({ length: 20 }, () => store.readConfiguration(DEFAULT_ACCOUNT));
      for (const { epoch, secrets, mcpConfigs } of await Promise.all(reads)) {
        assert.deepEqual([secrets[0]?.version ?? 0, mcpConfigs[0]?.revision ?? 0], [epoch, epoch]);
      }
      await Promise.all(writes);
    });

    test('a second object of a taken name or value is a conflict that says so', async () => {
      const put = (work: Parameters<Store['write']>[1]) => store.write(DEFAULT_ACCOUNT, work);
      await put(async (writer) => {
        await writer.putMcpConfig(aConfig('a'));
        await writer.putSecret(aSecret('s'));
        await writer.putToken(aToken('t'));
        await writer.putApiKey(anApiKey('k'));
      });
      await assert.rejects(
        put((writer) => writer.putMcpConfig(aConfig('a', { id: 'mcp_2' }))),
        isError('conflict'),
      );
      await assert.rejects(
        put((writer) => writer.putSecret(aSecret('s', { id: 'sec_2' }))),
        isError('conflict'),
      );
      await assert.rejects(
        put((writer) => writer.putToken(aToken('t', { id: 'tok_2' }))),
        isError('conflict'),
      );
      await assert.rejects(
        put((writer) => writer.putApiKey(anApiKey('k', { id: 'key_2' }))),
        {
          message: 'Another API key has this value. Give every API key a value of its own.',
        },
      );
      assert.equal((await store.epochs()).get(DEFAULT_ACCOUNT), 1);
    });

    test('an account that does not exist is said to be missing', async () => {
      const nobody = 'acct_nobody' as AccountId;
      await assert.rejects(store.readConfiguration(nobody), isError('not_found'));
      await assert.rejects(
        store.write(nobody, (writer) => writer.putSecret(aSecret('s'))),
        isError('not_found'),
      );
    });

    test('no method of one account reads, replaces or deletes what another account has', async () => {
      await opened.addAccount(OTHER_ACCOUNT);
      const fill = (account: AccountId, mark: string) =>
        store.write(account, async (writer) => {
          await writer.putMcpConfig(aConfig('a', { description: mark }));
          await writer.putSecret(aSecret('s', { sealed: mark }));
          await writer.putToken(aToken('t', { hash: `token-${mark}` }));
          await writer.putApiKey(anApiKey('k', { hash: `key-${mark}` }));
        });
      const list = { key: 'same', tools: Buffer.from('[]'), fetchedAtMs: 1 };
      await fill(DEFAULT_ACCOUNT, 'first');
      await store.putToolList(DEFAULT_ACCOUNT, list);
      const before = await store.readConfiguration(DEFAULT_ACCOUNT);

      await fill(OTHER_ACCOUNT, 'second');
      await store.putToolList(OTHER_ACCOUNT, { ...list, tools: Buffer.from('[1]') });
      await store.write(OTHER_ACCOUNT, async (writer) => {
        assert.equal((await writer.readConfiguration()).mcpConfigs[0]?.description, 'second');
        await writer.deleteMcpConfig('mcp_a');
        await writer.deleteSecret('sec_s');
        await writer.deleteToken('tok_t');
      });
      await store.deleteToolLists(OTHER_ACCOUNT, 100);

      assert.deepEqual(await store.readConfiguration(DEFAULT_ACCOUNT), before);
      assert.deepEqual(await store.readToolLists(DEFAULT_ACCOUNT), [list]);
      assert.deepEqual(await store.readToolLists(OTHER_ACCOUNT), []);
      assert.deepEqual(
        [...(await store.epochs())],
        [
          [DEFAULT_ACCOUNT, 1],
          [OTHER_ACCOUNT, 2],
        ],
      );
    });

    test('tool lists keep their bytes, are replaced by key, and are dropped by age', async () => {
      const bytes = Buffer.from([0, 255, 0x5b, 0x5d]);
      await store.putToolList(DEFAULT_ACCOUNT, { key: 'a', tools: Buffer.from('old'), fetchedAtMs: 1 });
      await store.putToolList(DEFAULT_ACCOUNT, { key: 'a', tools: bytes, fetchedAtMs: 10 });
      await store.putToolList(DEFAULT_ACCOUNT, { key: 'b', tools: Buffer.alloc(0), fetchedAtMs: 9 });
      await store.deleteToolLists(DEFAULT_ACCOUNT, 10);
      assert.deepEqual(await store.readToolLists(DEFAULT_ACCOUNT), [{ key: 'a', tools: bytes, fetchedAtMs: 10 }]);
      assert.equal((await store.epochs()).get(DEFAULT_ACCOUNT), 0);
    });

    test('the first value pinned under a name stays, for every handle', async () => {
      const other = await opened.reopen();
      assert.equal(await store.pin('master_key', 'one'), 'one');
      assert.equal(await other.pin('master_key', 'two'), 'one');
      assert.equal(await other.pin('another', 'two'), 'two');
    });

    test('a handle hears of its own write at once and after the commit, and of nothing that was rolled back', async () => {
      const heard: AccountId[] = [];
      const unsubscribe = store.onChange((accountId) => heard.push(accountId));
      await store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putSecret(aSecret('s'));
        assert.deepEqual(heard, []);
      });
      await Promise.resolve();
      assert.deepEqual(heard, [DEFAULT_ACCOUNT]);
      await assert.rejects(
        store.write(DEFAULT_ACCOUNT, async (writer) => {
          await writer.putSecret(aSecret('s2'));
          throw new Error('no');
        }),
      );
      unsubscribe();
      await store.write(DEFAULT_ACCOUNT, (writer) => writer.putSecret(aSecret('s3')));
      assert.deepEqual(heard, [DEFAULT_ACCOUNT]);
    });

    test('a handle hears of the writes of another handle, of that account only', async () => {
      await opened.addAccount(OTHER_ACCOUNT);
      const other = await opened.reopen();
      const heard: AccountId[] = [];
      store.onChange((accountId) => heard.push(accountId));
      await other.write(OTHER_ACCOUNT, (writer) => writer.putSecret(aSecret('s')));
      await until(() => heard.includes(OTHER_ACCOUNT), 'the other handle is heard');
      assert.ok(!heard.includes(DEFAULT_ACCOUNT));
    });

    test('close waits for the write under way, may be repeated, and what follows is refused', async () => {
      const write = store.write(DEFAULT_ACCOUNT, (writer) => writer.putSecret(aSecret('s')));
      await Promise.all([store.close(), write]);
      await store.close();
      await assert.rejects(store.readConfiguration(DEFAULT_ACCOUNT), isError('store_unavailable'));
      const { secrets } = await (await opened.reopen()).readConfiguration(DEFAULT_ACCOUNT);
      assert.equal(secrets.length, 1);
    });
  });
}
