import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, test } from 'node:test';
import { GatewayError } from '../../src/domain/errors.ts';
import type { AccountId } from '../../src/domain/mcp-config.ts';
import { MIGRATIONS } from '../../src/store/migrations.ts';
import { openStore } from '../../src/store/open-store.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { openReader, openWriter } from '../../src/store/sqlite-connection.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';
import { aSecret } from '../support/store-objects.ts';
import { isolationContract } from './isolation.ts';
import { migrationContract, toSqliteStatements } from './migrations.ts';
import { storeContract, until } from './store.ts';

const directory = mkdtempSync(join(tmpdir(), 'switchboard-store-'));
after(() => rmSync(directory, { recursive: true }));

let files = 0;
const newFile = () => join(directory, `${++files}.db`);

const open = async () => {
  const file = newFile();
  const handles: Store[] = [];
  const reopen = async () => {
    const store = await openSqliteStore({ file, pollMs: 5 });
    handles.push(store);
    return store;
  };
  return {
    store: await reopen(),
    reopen,
    addAccount: async (id: AccountId) => {
      const database = new DatabaseSync(file);
      database.prepare('INSERT INTO accounts (account_id, name, epoch) VALUES (?, ?, 0)').run(id, 'other');
      database.close();
    },
    cleanup: async () => {
      for (const handle of handles) await handle.close();
    },
  };
};

storeContract('sqlite', open);
isolationContract('sqlite', open);
migrationContract('sqlite', async (steps, rows) => {
  const file = newFile();
  const database = new DatabaseSync(file);
  database.exec(toSqliteStatements(steps, rows));
  database.close();
  return openSqliteStore({ file });
});

function refusal(...parts: readonly (string | RegExp)[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'store_unavailable');
    for (const part of parts) assert.match(error.message, typeof part === 'string' ? new RegExp(part) : part);
    return true;
  };
}

/** Runs a program against the store in `file` in a process of its own; it prints a line for every committed write. */
function writeFromAnotherProcess(file: string, count: number): ChildProcess {
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const program = `
    import { openSqliteStore } from ${module('../../src/store/sqlite.ts')};
    const store = await openSqliteStore({ file: ${JSON.stringify(file)} });
    for (let i = 0; i < ${count}; i++) {
      const secret = { id: 'sec_' + i, name: 's' + i, version: 1, sealed: 'x', origins: [], managedBy: 'api', createTimeMs: i, updateTimeMs: i };
      await store.write('acct_default', async (writer) => {
        await writer.putSecret(secret);
        await writer.putSecret({ ...secret, id: 'sec_twin_' + i, name: 'twin' + i });
      });
      process.stdout.write(i + '\\n');
    }
    await store.close();`;
  return spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
}

describe('the SQLite store', () => {
  test('its file is 0600 in a 0700 directory, and so are the files SQLite puts beside it', async () => {
    const file = join(directory, 'new', 'deep', 'switchboard.db');
    const store = await openSqliteStore({ file });
    const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);
    assert.deepEqual([join(directory, 'new'), join(directory, 'new', 'deep'), file, `${file}-wal`].map(modeOf), [
      '700',
      '700',
      '600',
      '600',
    ]);
    await store.close();
  });

  test('every open, the first and a later one, runs with the pragmas that keep an acknowledged write', async () => {
    const file = newFile();
    await (await openSqliteStore({ file })).close();
    for (const database of [openWriter(file), openReader(file), openWriter(file)]) {
      const pragma = (name: string) => Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
      assert.deepEqual(['synchronous', 'journal_mode', 'foreign_keys', 'trusted_schema', 'busy_timeout'].map(pragma), [
        2,
        'wal',
        1,
        0,
        5000,
      ]);
      database.close();
    }
  });

  test('a change made by another process is heard of', async () => {
    const file = newFile();
    const store = await openSqliteStore({ file, pollMs: 5 });
    const heard: AccountId[] = [];
    store.onChange((accountId) => heard.push(accountId));
    const child = writeFromAnotherProcess(file, 1);
    await once(child, 'exit');
    await until(() => heard.length > 0, 'the other process is heard');
    assert.equal((await store.readConfiguration(DEFAULT_ACCOUNT)).secrets.length, 2);
    await store.close();
  });

  test('after SIGKILL every acknowledged write is there, and each is whole', async () => {
    const file = newFile();
    const child = writeFromAnotherProcess(file, 1_000_000);
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.length > 60) child.kill('SIGKILL');
    });
    await once(child, 'close');
    const acknowledged = output.split('\n').slice(0, -1).map(Number);
    const store = await openSqliteStore({ file });
    const { epoch, secrets } = await store.readConfiguration(DEFAULT_ACCOUNT);
    assert.ok(acknowledged.length > 5 && epoch >= acknowledged.length);
    assert.equal(secrets.length, epoch * 2);
    const ids = new Set(secrets.map(({ id }) => id));
    for (const i of acknowledged) assert.ok(ids.has(`sec_${i}`) && ids.has(`sec_twin_${i}`));
    await store.close();
  });

  test('a file that was deleted or replaced takes no more writes, is still read, and takes them again when it is back', async () => {
    const file = newFile();
    const store = await openSqliteStore({ file });
    const put = (name: string) => store.write(DEFAULT_ACCOUNT, (writer) => writer.putSecret(aSecret(name)));
    await put('kept');
    renameSync(file, `${file}.away`);
    const isRefused = refusal(/was deleted or replaced while it was in use.*Put the file back, or restart/);
    await assert.rejects(put('lost'), isRefused);
    await assert.rejects(
      store.putToolList(DEFAULT_ACCOUNT, { key: 'k', tools: Buffer.from('[]'), fetchedAtMs: 1 }),
      isRefused,
    );
    writeFileSync(file, 'another file');
    await assert.rejects(put('lost'), isRefused);
    const names = async () => (await store.readConfiguration(DEFAULT_ACCOUNT)).secrets.map(({ name }) => name);
    assert.deepEqual(await names(), ['kept']);
    renameSync(`${file}.away`, file);
    await put('again');
    assert.deepEqual((await names()).toSorted(), ['again', 'kept']);
    await store.close();
  });

  test('a write waits for the write of another handle without stopping the process', async () => {
    const file = newFile();
    const [store, other] = [await openSqliteStore({ file }), await openSqliteStore({ file })];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = store.write(DEFAULT_ACCOUNT, async (writer) => {
      await writer.putSecret(aSecret('first'));
      await held;
    });
    const second = other.write(DEFAULT_ACCOUNT, (writer) => writer.putSecret(aSecret('second')));
    setImmediate(release);
    await Promise.all([first, second]);
    assert.equal((await store.epochs()).get(DEFAULT_ACCOUNT), 2);
    await Promise.all([store.close(), other.close()]);
  });

  test('handles opened at the same moment on a new file migrate it once', async () => {
    const file = newFile();
    const children = [0, 1, 2].map(() => writeFromAnotherProcess(file, 1));
    const exits = await Promise.all(children.map((child) => once(child, 'exit')));
    assert.deepEqual(
      exits.map(([code]) => code),
      [0, 0, 0],
    );
    const database = new DatabaseSync(file);
    assert.deepEqual(
      database
        .prepare('SELECT version FROM schema_version')
        .all()
        .map((row) => row.version),
      [MIGRATIONS.length],
    );
    database.close();
  });

  test('a schema newer than this build is refused, and left as it is', async () => {
    const file = newFile();
    await (await openSqliteStore({ file })).close();
    const database = new DatabaseSync(file);
    database.exec('UPDATE schema_version SET version = 7; DELETE FROM accounts');
    await assert.rejects(openSqliteStore({ file }), {
      message: `The store ${file} was written by a newer Switchboard (schema 7, this one knows ${MIGRATIONS.length}). Start the newer version, or restore a backup.`,
    });
    assert.deepEqual(database.prepare('SELECT * FROM accounts').all(), []);
    database.close();
  });

  test('a file that is no database is refused, and left as it is', async () => {
    const file = newFile();
    writeFileSync(file, 'name: not-a-database\n'.repeat(100));
    await assert.rejects(openSqliteStore({ file }), refusal(file, /no SQLite database/, /restore a backup/));
    assert.match(readFileSync(file, 'utf8'), /^name: not-a-database/);
  });

  test('a database damaged in the middle is refused', async () => {
    const file = newFile();
    const store = await openSqliteStore({ file });
    await store.write(DEFAULT_ACCOUNT, (writer) => writer.putSecret(aSecret('s')));
    await store.close();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0xa5, 4096, bytes.length - 4096));
    await assert.rejects(openSqliteStore({ file }), refusal(file, /damaged/, /[Rr]estore a backup/));
  });

  test('a directory, and a path through a file, are refused with what is expected', async () => {
    const folder = join(directory, 'folder.db');
    mkdirSync(folder);
    await assert.rejects(
      openSqliteStore({ file: folder }),
      refusal(folder, /must be a file that this user may read and write/),
    );
    const through = join(newFile(), 'x.db');
    writeFileSync(join(through, '..'), '');
    await assert.rejects(openSqliteStore({ file: through }), refusal(through, /must be a file/));
  });
});

describe('a store URL', () => {
  const isInvalid = (error: unknown) => error instanceof GatewayError && error.code === 'invalid_argument';

  test('sqlite:PATH opens that file', async () => {
    const file = newFile();
    const store = await openStore(`sqlite:${file}`);
    await store.close();
    assert.ok(statSync(file).isFile());
  });

  test('of another database is refused without repeating its password', async () => {
    await assert.rejects(openStore('mysql://user:hunter2@127.0.0.1/db'), (error) => {
      assert.ok(isInvalid(error) && error instanceof Error);
      assert.match(error.message, /in SQLite or in PostgreSQL, not in "mysql:"/);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
  });

  test('without a file is refused', async () => {
    for (const url of ['', 'sqlite:', 'sqlite::memory:', 'sqlite://x.db', '.switchboard/x.db', 'constructor:']) {
      await assert.rejects(openStore(url), isInvalid, url);
    }
  });
});
