import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { sql } from 'kysely';
import { GatewayError } from '../../src/domain/errors.ts';
import type { AccountId } from '../../src/domain/mcp-config.ts';
import { MIGRATIONS, toPostgres } from '../../src/store/migrations.ts';
import { openStore } from '../../src/store/open-store.ts';
import { openPostgresStore } from '../../src/store/postgres.ts';
import { parsePostgresUrl } from '../../src/store/postgres-address.ts';
import { toStoreError } from '../../src/store/postgres-errors.ts';
import { createPool } from '../../src/store/postgres-pool.ts';
import { fromStoredText, toStoredText } from '../../src/store/postgres-text.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';
import { eventually } from '../support/eventually.ts';
import { PASSWORD, POSTGRES_ABSENT, type PostgresServer, startPostgres } from '../support/postgres.ts';
import { aSecret, aToken } from '../support/store-objects.ts';
import { isolationContract } from './isolation.ts';
import { migrationContract, toSqliteStatements } from './migrations.ts';
import { storeContract, until } from './store.ts';

const OTHER = 'acct_other' as AccountId;

/** Asserts a refusal that names each part, and neither the password nor an address. */
function isUnavailable(...parts: readonly RegExp[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError, String(error));
    assert.equal(error.code, 'store_unavailable');
    assert.equal(error.retryAfterMs, 1_000);
    for (const part of parts) assert.match(error.message, part);
    assert.doesNotMatch(error.message, /127\.0\.0\.1|pass:word|pass%3Aword/);
    return true;
  };
}

describe('the PostgreSQL store', { skip: POSTGRES_ABSENT }, () => {
  let server: PostgresServer;
  /** One for all tests that want a new store: emptied in between, as making one takes long. */
  let shared: string;
  before(async () => {
    server = await startPostgres();
    shared = await server.createDatabase();
    await (await openStore(shared)).close();
  });

  const open = async (url = shared) => {
    await server.execute('TRUNCATE accounts, pins CASCADE', shared);
    const handles: Store[] = [];
    const reopen = async () => {
      const store = await openPostgresStore({ url, pollMs: 20 });
      handles.push(store);
      return store;
    };
    return {
      store: await reopen(),
      reopen,
      addAccount: (id: AccountId) => server.execute(`INSERT INTO accounts VALUES ('${id}', 'other', 0)`, shared),
      cleanup: async () => {
        await Promise.all(handles.map((handle) => handle.close()));
      },
    };
  };

  storeContract('postgres', () => open());
  isolationContract('postgres', () => open());
  migrationContract('postgres', async (steps, rows) => {
    const text = toSqliteStatements(steps, rows).replaceAll(/x'(\w+)'/g, "'\\x$1'");
    await server.execute(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${toPostgres(text)}`, shared);
    return openPostgresStore({ url: shared });
  });

  /** Runs `work` with two stores on the shared database, emptied, that has another account. */
  async function withTwo(work: (store: Store, other: Store) => Promise<void>, url = shared): Promise<void> {
    const { store, reopen, addAccount, cleanup } = await open(url);
    await addAccount(OTHER);
    try {
      await work(store, await reopen());
    } finally {
      await cleanup();
    }
  }
  const put = (store: Store, name: string, account: AccountId = DEFAULT_ACCOUNT) =>
    store.write(account, (writer) => writer.putSecret(aSecret(name)));
  const namesOf = async (store: Store) =>
    (await store.readConfiguration(DEFAULT_ACCOUNT)).secrets.map(({ name }) => name).toSorted();
  const endSessions = () =>
    server.execute(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchboard'`);

  test('its connections acknowledge a commit when it is on disk, though this server is set not to wait', async () => {
    const pool = createPool(parsePostgresUrl(shared).config, 1);
    const { rows } = await sql<{ synchronousCommit: string }>`SHOW synchronous_commit`.execute(pool.sql);
    await pool.close();
    assert.deepEqual(rows, [{ synchronousCommit: 'on' }]);
  });

  test('a notification tells of a write long before the next poll', async () => {
    await withTwo(async (store) => {
      const follower = await openPostgresStore({ url: shared, pollMs: 60_000 });
      const heard: AccountId[] = [];
      follower.onChange((account) => heard.push(account));
      // The first write may come before the follower listens; it reads the epochs once it does.
      await put(store, 'a', OTHER);
      await until(() => heard.includes(OTHER), 'the first write is heard');
      await put(store, 'b');
      await until(() => heard.includes(DEFAULT_ACCOUNT), 'the second write is heard');
      await follower.close();
    });
  });

  test('an epoch that rose without a notification is heard of all the same', async () => {
    await withTwo(async (store) => {
      const heard: AccountId[] = [];
      store.onChange((account) => heard.push(account));
      await server.execute(`UPDATE accounts SET epoch = epoch + 1 WHERE account_id = '${OTHER}'`, shared);
      await until(() => heard.includes(OTHER), 'the poll has seen it');
    });
  });

  test('a write under way, and thirty that wait for it, hold up neither another account nor a read', async () => {
    await withTwo(async (store, other) => {
      const begun = Promise.withResolvers<void>();
      const { promise: held, resolve: release } = Promise.withResolvers<void>();
      const first = store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putSecret(aSecret('first'));
        begun.resolve();
        await held;
      });
      await begun.promise;
      const waiting = Array.from({ length: 30 }, (_, i) => put(i % 2 ? store : other, `s${i}`));
      await Promise.all([put(store, 'x', OTHER), put(other, 'y', OTHER)]);
      assert.deepEqual(await namesOf(store), []);
      await store.putToolList(DEFAULT_ACCOUNT, { key: 'k', tools: Buffer.from('[]'), fetchedAtMs: 1 });
      release();
      await Promise.all([first, ...waiting]);
      assert.equal((await namesOf(other)).length, 31);
    });
  });

  test('of two writes that wait for each other, one is done again from its beginning', async () => {
    await withTwo(async (store, other) => {
      let [begun, runs] = [0, 0];
      const work = (handle: Store, account: AccountId, hashes: readonly string[]) =>
        handle.write(account, async (writer) => {
          const [first = '', second = ''] = hashes;
          runs++;
          await writer.putToken(aToken('first', { hash: first }));
          begun++;
          await eventually(() => begun >= 2);
          await writer.putToken(aToken('second', { hash: second }));
        });
      const outcomes = await Promise.allSettled([
        work(store, DEFAULT_ACCOUNT, ['one', 'two']),
        work(other, OTHER, ['two', 'one']),
      ]);
      // Begun again, it may take the first token before the other has woken up: then one of them is undone once more.
      assert.ok(runs >= 3, `${runs} runs`);
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
      const rejected = outcomes.find((outcome) => outcome.status === 'rejected');
      assert.equal(rejected?.reason.message, 'Another token has this value. Give every token a value of its own.');
    });
  });

  test('a session ended in the middle of a write changes nothing, and the next call has a new one', async () => {
    await withTwo(async (store) => {
      const write = store.write(DEFAULT_ACCOUNT, async (writer) => {
        await writer.putSecret(aSecret('lost'));
        await endSessions();
        await writer.putSecret(aSecret('lost too'));
      });
      await assert.rejects(write, isUnavailable(/Nothing was changed; try again/));
      await eventually(() =>
        put(store, 'kept').then(
          () => true,
          () => false,
        ),
      );
      assert.deepEqual(await namesOf(store), ['kept']);
    });
  });

  test('without an answer to a commit it says that the outcome is not known', () => {
    const error = toStoreError(new Error('Connection terminated unexpectedly'), 'commit');
    assert.ok(isUnavailable(/Whether the change was made is not known: read before you try again/)(error));
  });

  test('with the server stopped every call fails at once, and all goes on by itself when it is back', async () => {
    await withTwo(async (store, other) => {
      await put(store, 'before');
      const heard: AccountId[] = [];
      store.onChange((account) => heard.push(account));
      await server.stop('crash');
      const startedMs = performance.now();
      await assert.rejects(store.readConfiguration(DEFAULT_ACCOUNT), isUnavailable(/PostgreSQL cannot be reached/));
      await assert.rejects(put(store, 'refused'), isUnavailable(/Nothing was changed/));
      await assert.rejects(store.epochs(), isUnavailable());
      await assert.rejects(store.pin('a', 'b'), isUnavailable());
      assert.ok(performance.now() - startedMs < 1_000);
      await server.start();
      assert.deepEqual(await namesOf(store), ['before']);
      await put(other, 'after', OTHER);
      await until(() => heard.includes(OTHER), 'the feed is back');
    });
  });

  test('a server that is there and answers nothing is given up, and used again when it answers', async () => {
    const url = `${shared}?query_timeout=200`;
    await withTwo(async (store) => {
      await put(store, 'before');
      await server.signalAll('SIGSTOP');
      try {
        await assert.rejects(store.readConfiguration(DEFAULT_ACCOUNT), isUnavailable(/cannot be reached/));
        await assert.rejects(put(store, 'lost'), isUnavailable(/Nothing was changed/));
      } finally {
        await server.signalAll('SIGCONT');
      }
      assert.deepEqual(await namesOf(store), ['before']);
      await put(store, 'after');
    }, url);
  });

  test('gateways that start together on an empty database migrate it once', async () => {
    const url = await server.createDatabase();
    const stores = await Promise.all(Array.from({ length: 4 }, () => openStore(url)));
    for (const store of stores) assert.equal((await store.accounts()).length, 1);
    await Promise.all(stores.map((store) => store.close()));
    const [row, ...more] = await server.query('SELECT version FROM schema_version', url);
    assert.deepEqual([row, more], [{ version: String(MIGRATIONS.length) }, []]);
  });

  test('a schema newer than this build is refused, and left as it is', async () => {
    const url = await server.createDatabase();
    await (await openStore(url)).close();
    await server.execute('UPDATE schema_version SET version = 99; DELETE FROM accounts', url);
    await assert.rejects(openStore(url), { code: 'store_unavailable', message: /\(schema 99, this one knows \d+\)/ });
    assert.deepEqual(await server.query('SELECT * FROM accounts', url), []);
  });

  describe('what cannot be opened is refused with what to do, and without the password', () => {
    const cases: readonly [fact: string, edit: (url: URL) => void, expected: RegExp][] = [
      [
        'a wrong password',
        (url) => Object.assign(url, { password: 'wrong-hunter2' }),
        /\(database "test_1", user "postgres"\) cannot be opened: password authentication failed.*Correct user and password/,
      ],
      [
        'no password',
        (url) => Object.assign(url, { password: '' }),
        /Write the password in store\.url, or set PGPASSWORD/,
      ],
      [
        'an unknown database',
        (url) => Object.assign(url, { pathname: '/nowhere' }),
        /database "nowhere" does not exist\. Make it with: createdb/,
      ],
      [
        'a port where nobody listens',
        (url) => Object.assign(url, { port: '1' }),
        /ECONNREFUSED.*Is the server running/,
      ],
      [
        'TLS that the server does not speak',
        (url) => url.searchParams.set('sslmode', 'require'),
        /does not support SSL.*sslmode=disable/,
      ],
      [
        'a mode of TLS that is none',
        (url) => url.searchParams.set('sslmode', 'prefer'),
        /sslmode is one of disable, verify-full/,
      ],
      [
        'an authority that is not there',
        (url) => url.searchParams.set('sslrootcert', '/gone.pem'),
        /names the file \/gone\.pem, which cannot be read \(ENOENT\)/,
      ],
    ];
    for (const [fact, edit, expected] of cases) {
      test(fact, async () => {
        const url = new URL(shared);
        edit(url);
        await assert.rejects(openStore(url.href), (error) => {
          assert.ok(error instanceof GatewayError);
          assert.match(error.message, expected);
          assert.doesNotMatch(error.message, /hunter2|pass:word|pass%3Aword/);
          return true;
        });
      });
    }

    test('a database of something else', async () => {
      const url = await server.createDatabase();
      await server.execute('CREATE TABLE accounts (id INTEGER)', url);
      await assert.rejects(openStore(url), { message: /give Switchboard a database of its own/ });
      assert.deepEqual(await server.query("SELECT to_regclass('schema_version') AS found", url), [{ found: null }]);
    });

    test('a database of another encoding', async () => {
      const url = await server.createDatabase("ENCODING 'SQL_ASCII' TEMPLATE template0");
      await assert.rejects(openStore(url), { message: /is encoded in SQL_ASCII.*createdb --encoding=UTF8/ });
    });
  });
});

describe('a PostgreSQL URL', () => {
  test('that is none is refused without repeating it', async () => {
    for (const url of [
      `postgres://user:${PASSWORD}@host:port/db`,
      'postgres://u:hunter2@h:99999/d',
      'postgresql://[hunter2/x',
    ]) {
      await assert.rejects(openStore(url), (error) => {
        assert.ok(error instanceof GatewayError && error.code === 'invalid_argument');
        assert.match(error.message, /no URL of a PostgreSQL database\. Write postgres:\/\/USER:PASSWORD@HOST/);
        assert.doesNotMatch(`${error.message} ${error.cause}`, /hunter2|pass:word/);
        return true;
      });
    }
  });

  test('that asks for TLS verifies certificate and name, whatever the word', () => {
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      const { config } = parsePostgresUrl(`postgres://u:p@h/d?sslmode=${mode}`);
      assert.match(config.connectionString ?? '', /sslmode=verify-full$/);
    }
  });
});

describe('text that PostgreSQL cannot hold', () => {
  test('comes back as it was put', () => {
    const text = fc.string({ unit: fc.constantFrom('\u0000', '\u0001', '0', '1', 'a') });
    fc.assert(
      fc.property(text, (before) => {
        const stored = String(toStoredText(before));
        assert.ok(!stored.includes('\u0000'));
        assert.equal(fromStoredText(stored), before);
      }),
    );
  });
});
