// A real PostgreSQL server for one test file: its files in a folder of their own, on a free port of 127.0.0.1.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { eventually } from './eventually.ts';
import { SCRATCH } from './scratch.ts';

export interface PostgresServer {
  /** The URL of a new, empty database. */
  createDatabase(options?: string): Promise<string>;
  /** Runs statements as the superuser, in the database of `url` or in one of the server's own. */
  execute(sql: string, url?: string): Promise<void>;
  /** The rows that a query gives. */
  query(sql: string, url: string): Promise<readonly Record<string, unknown>[]>;
  /** Ends the server and all connections: as an administrator would, or as a crash would. */
  stop(how?: 'fast' | 'crash'): Promise<void>;
  /** Starts it again, on the port it had, unless it runs. */
  start(): Promise<void>;
  /** `SIGSTOP` has every connection hang, as a network does that drops packets; `SIGCONT` ends that. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
}

export interface PostgresOptions {
  /** Whether what is committed has to survive a crash of the server. It does not unless told: tests are faster so. */
  readonly isDurable?: boolean;
}

/** With all that has to be encoded in a URL. */
export const PASSWORD = 'pass:word/with?special';
const START_MS = 20_000;

const run = promisify(execFile);

/** At the end of the test file, for an `after` inside a `before` hook runs when that hook ends. */
const leftovers: (() => Promise<void>)[] = [];
after(async () => {
  for (const remove of leftovers) await remove();
});

/** The folder of PostgreSQL's programs. Debian keeps `initdb` off the path. */
function findPrograms(): string | undefined {
  const versions = '/usr/lib/postgresql';
  const installed = existsSync(versions) ? readdirSync(versions).map((version) => join(versions, version, 'bin')) : [];
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...installed.toReversed()];
  return folders.find((folder) => isProgram(join(folder, 'initdb')) && isProgram(join(folder, 'postgres')));
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const programs = findPrograms();

/** For the `skip` option of a test: why PostgreSQL cannot be started here, or `false`. */
export const POSTGRES_ABSENT: string | false =
  programs === undefined ? 'PostgreSQL (initdb and postgres) is not installed' : false;

/** Another user than root, as which PostgreSQL refuses to run. */
async function findUser(): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = async (option: string) => Number((await run('id', [option, 'nobody'])).stdout);
  return { uid: await idOf('-u'), gid: await idOf('-g') };
}

/** Starts a server that runs until the test file ends. */
export async function startPostgres({ isDurable = false }: PostgresOptions = {}): Promise<PostgresServer> {
  if (programs === undefined) throw new Error('PostgreSQL is not installed');
  const user = await findUser();
  const folder = mkdtempSync(join(SCRATCH, 'switchboard-postgres-'));
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const options = { ...user, cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C' } };
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, PASSWORD);
  const initial = ['-D', data, '-U', 'postgres', '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'];
  await run(join(programs, 'initdb'), [...initial, '--auth=scram-sha-256', `--pwfile=${passwordFile}`], options);
  const port = await findFreePort();
  const urlOf = (database: string) =>
    `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${database}`;
  const adminUrl = urlOf('postgres');
  let server: ChildProcess | undefined;

  const isRunning = () => server !== undefined && server.exitCode === null && server.signalCode === null;
  const start = async () => {
    if (isRunning()) return;
    const durability = isDurable ? 'on' : 'off';
    const settings = {
      listen_addresses: '127.0.0.1',
      port,
      unix_socket_directories: '',
      fsync: durability,
      full_page_writes: durability,
      // The store has to ask for it by itself.
      synchronous_commit: 'off',
      shared_buffers: '16MB',
      max_connections: 60,
      deadlock_timeout: '50ms',
      log_min_messages: 'panic',
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    server = spawn(join(programs, 'postgres'), ['-D', data, ...flags], { ...options, stdio: 'ignore' });
    await eventually(async () => isAnswering(adminUrl, server), START_MS);
  };
  const stop: PostgresServer['stop'] = async (how = 'fast') => {
    const stopped = server;
    if (stopped === undefined || !isRunning()) return;
    // SIGQUIT has it end as after a crash, without leaving children behind (postgres, "Shutting Down the Server").
    stopped.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await once(stopped, 'exit');
  };
  leftovers.push(async () => {
    await stop('crash');
    rmSync(folder, { recursive: true, force: true });
  });
  await start();
  let databases = 0;
  return {
    start,
    stop,
    execute: async (sql, url = adminUrl) => {
      await query(url, sql);
    },
    query: (sql, url) => query(url, sql),
    signalAll: async (signal) => {
      const pid = server?.pid ?? 0;
      const { stdout } = await run('pgrep', ['-P', String(pid)]);
      for (const each of [pid, ...stdout.split('\n').map(Number)]) if (each > 0) process.kill(each, signal);
    },
    createDatabase: async (options = '') => {
      const name = `test_${++databases}`;
      await query(adminUrl, `CREATE DATABASE ${name} ${options}`);
      return urlOf(name);
    },
  };
}

async function isAnswering(url: string, server: ChildProcess | undefined): Promise<boolean> {
  if (server?.exitCode !== null) throw new Error(`postgres ended with ${server?.exitCode} at its start`);
  try {
    await query(url, 'SELECT 1');
    return true;
  } catch {
    return false;
  }
}

async function query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  // A server that ends a connection fails the query on it as well.
  client.on('error', () => {});
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** PostgreSQL does not take 0 for any free port. */
async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}
