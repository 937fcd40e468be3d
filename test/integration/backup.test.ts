// Backup and restore: what was there is there again, in either kind of store, or nothing was changed.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, beforeEach, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { GatewayError } from '../../src/domain/errors.ts';
import { backUp, restore } from '../../src/store/backup.ts';
import { MIGRATIONS } from '../../src/store/migrations.ts';
import { openStore } from '../../src/store/open-store.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';
import { toSqliteStatements } from '../contract/migrations.ts';
import { runCli, scratchFolder } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { configFile, startGateway, variablesOf } from '../support/gateway.ts';
import { POSTGRES_ABSENT, type PostgresServer, startPostgres } from '../support/postgres.ts';
import { aConfig, aDevbox, anApiKey, aReply, aRevision, aSecret, aToken } from '../support/store-objects.ts';

const OTHER = { id: 'acct_other', name: 'Ändere "x"' } as { id: typeof DEFAULT_ACCOUNT; name: string };
const NASTY = 'line\nfeed \r \u2028 \u0000 \u0001 \u00010 "quoted" \\ Größe 🦊';

let folder: string;
let file: string;
let files = 0;
before(async () => {
  folder = await scratchFolder();
});
beforeEach(() => {
  file = join(folder, `${++files}.backup`);
});
const newSqlite = () => Promise.resolve(`sqlite:${join(folder, `${++files}.db`)}`);

/** Something in every table, twice. */
async function fill(url: string): Promise<void> {
  await using(url, async (store) => {
    await store.pin('master_key', 'ab'.repeat(16));
    await store.write(DEFAULT_ACCOUNT, (writer) => writer.createAccount(OTHER, anApiKey('first')));
    for (const account of [DEFAULT_ACCOUNT, OTHER.id]) {
      await store.write(account, async (writer) => {
        await writer.putMcpConfig(aConfig('a', { description: NASTY, limits: { calls: 3 } }));
        await writer.putSecret(aSecret('s', { sealed: 'v1.sealed' }));
        await writer.putToken(aToken('t', { hash: `token-of-${account}`, expiresAtMs: null, devboxId: 'dbx_d' }));
        await writer.putApiKey(anApiKey('k', { hash: `key-of-${account}` }));
        await writer.putDevbox(aDevbox('dbx_d', { name: NASTY, endTimeMs: 7 }));
        await writer.appendRevision(aRevision(1, { content: JSON.stringify({ text: NASTY }) }));
        await writer.putReply(aReply('reply'), 0);
      });
      await store.putToolList(account, { key: 'k', tools: Buffer.from([0, 1, 0xff, 0x5c, 0x0a]), fetchedAtMs: 9 });
    }
  });
}

/** All that the port tells, without the epochs, which a restore raises. */
async function stateOf(url: string): Promise<unknown> {
  return using(url, async (store) => {
    const accounts = await store.accounts();
    const states = accounts.map(async ({ id }) => {
      const { epoch: _, ...configuration } = await store.readConfiguration(id);
      const reply = await store.write(id, (writer) => writer.findReply('reply'));
      const revisions = await store.readRevisions(id, { limit: 9 });
      return [
        configuration,
        revisions,
        await store.readDevboxes(id, { limit: 9 }),
        await store.readToolLists(id),
        reply,
      ];
    });
    return [accounts, await Promise.all(states), await store.pin('master_key', 'none')];
  });
}

async function using<T>(url: string, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(url);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

const isRefused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof GatewayError, String(error));
  assert.match(error.message, message);
  return error.code === code;
};

/** The lines of a backup with a last line that fits them. */
function sign(lines: readonly string[]): string {
  const text = lines.map((line) => `${line}\n`).join('');
  const sha256 = createHash('sha256').update(text).digest('hex');
  return `${text}${JSON.stringify({ rows: lines.length - 1, sha256 })}\n`;
}

function backupContract(name: string, newUrl: () => Promise<string>): void {
  test(`${name}: everything comes back, at epochs that no gateway has seen`, async () => {
    const [from, to] = [await newUrl(), await newUrl()];
    await fill(from);
    const { rows, schema, keyFingerprint } = await backUp(from, file);
    assert.deepEqual([schema, keyFingerprint], [MIGRATIONS.length, 'ab'.repeat(16)]);
    assert.deepEqual(await restore(to, file), { rows, schema, keyFingerprint });
    assert.deepEqual(await stateOf(to), await stateOf(from));
    const epochs = await using(from, (store) => store.epochs());
    for (const [id, epoch] of await using(to, (store) => store.epochs())) assert.ok(epoch > (epochs.get(id) ?? 0));
  });

  test(`${name}: a backup is of one moment, and nothing waits for it`, async () => {
    const url = await newUrl();
    await using(url, async (store) => {
      let isOver = false;
      const writes = (async () => {
        for (let i = 0; !isOver; i++) {
          await store.write(DEFAULT_ACCOUNT, async (writer) => {
            await writer.putSecret(aSecret(`s${i}`));
            await writer.putMcpConfig(aConfig(`twin-${i}`));
            await writer.appendRevision(aRevision(i + 1));
          });
          // SQLite answers within one turn of the event loop.
          await nextTurn();
        }
      })();
      for (let i = 0; i < 5; i++) {
        await eventually(async () => ((await store.epochs()).get(DEFAULT_ACCOUNT) ?? 0) > i);
        await backUp(url, file);
        const counts = new Map<string, number>();
        for (const line of (await readFile(file, 'utf8')).split('\n')) {
          const table = /^\{"table":"(\w+)"/.exec(line)?.[1] ?? '';
          counts.set(table, (counts.get(table) ?? 0) + 1);
        }
        assert.equal(counts.get('secrets'), counts.get('mcp_configs'));
        assert.equal(counts.get('secrets'), counts.get('revisions'));
      }
      isOver = true;
      await writes;
    });
  });

  test(`${name}: a store that holds something is replaced on demand only, and who runs on it hears of that`, async () => {
    const [from, to] = [await newUrl(), await newUrl()];
    await fill(from);
    await backUp(from, file);
    await using(to, async (store) => {
      for (let i = 0; i < 5; i++) await store.write(DEFAULT_ACCOUNT, (writer) => writer.putSecret(aSecret(`own${i}`)));
      const before = await stateOf(to);
      await assert.rejects(restore(to, file), isRefused('conflict', /not empty\. Nothing was restored\..*--force/));
      assert.deepEqual(await stateOf(to), before);
      let hasHeard = false;
      store.onChange(() => {
        hasHeard = true;
      });
      await restore(to, file, { replaces: true });
      await eventually(() => hasHeard);
      assert.equal((await store.readConfiguration(DEFAULT_ACCOUNT)).epoch, 1_000_000);
      await store.write(DEFAULT_ACCOUNT, (writer) => writer.deleteToken('tok_none'));
    });
    assert.deepEqual(await stateOf(to), await stateOf(from));
  });

  test(`${name}: a row that the database refuses leaves everything as it was`, async () => {
    const url = await newUrl();
    await fill(url);
    await backUp(url, file);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n').slice(0, -1);
    await writeFile(file, sign([...lines, lines.at(-1) ?? '']));
    const before = await stateOf(url);
    await assert.rejects(restore(url, file, { replaces: true }), { code: 'store_unavailable' });
    assert.deepEqual(await stateOf(url), before);
  });
}

describe('SQLite', () => {
  backupContract('SQLite', newSqlite);

  test('the file is for its owner, is there whole or not at all, and holds nothing but what is sealed', async () => {
    const url = await newSqlite();
    await fill(url);
    await writeFile(file, 'an older backup', { mode: 0o644 });
    await backUp(url, file);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const [head] = (await readFile(file, 'utf8')).split('\n');
    assert.deepEqual(JSON.parse(head ?? ''), { switchboard_backup: 1, schema: MIGRATIONS.length });
    await assert.rejects(backUp(url, join(folder, 'nowhere', 'x.backup')), { code: 'ENOENT' });
    assert.deepEqual(
      (await readdir(folder)).filter((name) => /\.backup\./.test(name)),
      [],
    );
  });

  test('a file that belongs to the store is not written over', async () => {
    const url = await newSqlite();
    await fill(url);
    const path = url.slice('sqlite:'.length);
    await symlink(path, `${path}.link`);
    const before = await stateOf(url);
    for (const own of [path, `${path}.link`]) {
      await assert.rejects(backUp(url, own), isRefused('invalid_argument', /belongs to the store itself/));
    }
    assert.deepEqual(await stateOf(url), before);
  });

  test('where there is no store, none is made by a backup', async () => {
    const url = await newSqlite();
    await assert.rejects(backUp(url, file), isRefused('store_unavailable', /There is no store at/));
    await assert.rejects(stat(url.slice('sqlite:'.length)), { code: 'ENOENT' });
  });

  test('a backup of an earlier schema is brought to the newest one', async () => {
    const [from, to] = [await newSqlite(), await newSqlite()];
    const database = new DatabaseSync(from.slice('sqlite:'.length));
    database.exec('PRAGMA journal_mode = WAL');
    database.exec(
      toSqliteStatements(MIGRATIONS.slice(0, 1), [
        `INSERT INTO accounts VALUES ('${DEFAULT_ACCOUNT}', 'default', 3);
         INSERT INTO secrets VALUES ('${DEFAULT_ACCOUNT}', 'sec_s', 's', 1, 'v1.sealed-s', 'file', 1, 2);`,
      ]),
    );
    database.close();
    assert.equal((await backUp(from, file)).schema, 1);
    await restore(to, file);
    const { epoch, secrets } = await using(to, (store) => store.readConfiguration(DEFAULT_ACCOUNT));
    assert.deepEqual([epoch, secrets], [1_000_000, [aSecret('s')]]);
  });
});

describe('a file that is no whole backup is refused, and the store is left as it was', () => {
  let url: string;
  let whole: string;
  before(async () => {
    url = await newSqlite();
    await fill(url);
    file = join(folder, 'whole.backup');
    await backUp(url, file);
    whole = await readFile(file, 'utf8');
  });

  async function assertRefused(text: string, message: RegExp): Promise<void> {
    await writeFile(file, text);
    const before = await stateOf(url);
    await assert.rejects(restore(url, file, { replaces: true }), isRefused('invalid_argument', message));
    assert.deepEqual(await stateOf(url), before);
    const fresh = await newSqlite();
    await assert.rejects(restore(fresh, file), GatewayError);
    await assert.rejects(stat(fresh.slice('sqlite:'.length)), { code: 'ENOENT' });
  }
  const lines = () => whole.trimEnd().split('\n');
  const TORN = /is torn or was changed.*Nothing was restored/;

  test('cut in the middle', () => assertRefused(whole.slice(0, whole.length / 2), TORN));
  test('cut after a line', () => assertRefused(`${lines().slice(0, 5).join('\n')}\n`, TORN));
  test('cut in its last line', () => assertRefused(whole.slice(0, -20), TORN));
  test('one character changed', () => assertRefused(whole.replace('hash-of', 'hash-0f'), TORN));
  test('one line left out', () => assertRefused([...lines().slice(0, 3), ...lines().slice(4), ''].join('\n'), TORN));
  test('lines after the last', () => assertRefused(`${whole}${lines()[1]}\n`, TORN));
  test('empty', () => assertRefused('', /is no backup of Switchboard/));
  test('something else', () => assertRefused('name: value\n', /is no backup of Switchboard/));
  test('a table that is none of ours', () => {
    return assertRefused(sign([lines()[0] ?? '', '{"table":"sqlite_schema","row":{}}']), TORN);
  });
  test('a column that is SQL', () => {
    return assertRefused(sign([lines()[0] ?? '', '{"table":"pins","row":{"name\\") VALUES (1); --":1}}']), TORN);
  });
  test('of a newer schema', () => {
    return assertRefused(
      sign(['{"switchboard_backup":1,"schema":99}']),
      /newer Switchboard \(schema 99, this one knows/,
    );
  });
  test('of a newer format', () => assertRefused(sign(['{"switchboard_backup":2}']), /newer Switchboard/));
});

describe('PostgreSQL', { skip: POSTGRES_ABSENT }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  backupContract('PostgreSQL', () => server.createDatabase());

  test('a backup of SQLite restores into PostgreSQL, and that one into SQLite again', async () => {
    const [first, second, third] = [await newSqlite(), await server.createDatabase(), await newSqlite()];
    await fill(first);
    await backUp(first, file);
    await restore(second, file);
    assert.deepEqual(await stateOf(second), await stateOf(first));
    await backUp(second, file);
    await restore(third, file);
    assert.deepEqual(await stateOf(third), await stateOf(first));
  });
});

describe('the commands', () => {
  test('back up beside a running gateway, and restore into another store, which needs the same master key', async () => {
    const options = { configs: [{ name: 'wiki', url: 'http://127.0.0.1:9/mcp', credential: 'canary-credential' }] };
    const gateway = await startGateway({ ...options, folder });
    const elsewhere = await scratchFolder();
    await writeFile(join(elsewhere, 'switchboard.json'), configFile(options));
    const run = (cwd: string, ...args: readonly string[]) =>
      runCli([...args, '-c', 'switchboard.json'], { cwd, env: variablesOf(options) });
    try {
      const made = await run(folder, 'backup', file);
      assert.equal(made.code, 0, made.stderr);
      assert.match(
        made.stdout,
        /holds \d+ rows of schema \d+\. Its secrets and tokens are of use only with the master key of fingerprint [0-9a-f]{8}…/,
      );
      assert.doesNotMatch(await readFile(file, 'utf8'), /canary-credential/);
      const restored = await run(elsewhere, 'restore', file);
      assert.deepEqual([restored.code, restored.stderr], [0, '']);
      assert.match(restored.stdout, /^The store now holds \d+ rows of schema/);
      const keyless = await run(elsewhere, 'keys', 'list');
      assert.match(keyless.stderr, /The master key is not the one this store was made with/);
    } finally {
      await gateway.close();
    }
  });
});
