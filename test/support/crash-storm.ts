// Kills a process that writes to a store at random moments, and the store's server as well where it has one. After each
// kill every acknowledged write has to be there, of every other one all or nothing, and their chain has to verify.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { verifyChanges } from '../../src/control-plane/verify-changes.ts';
import { openStore } from '../../src/store/open-store.ts';
import { DEFAULT_ACCOUNT, type Store } from '../../src/store/store.ts';
import { scratchFolder } from './cli.ts';
import { POSTGRES_ABSENT, startPostgres } from './postgres.ts';
import { STORM_KEY } from './storm-key.ts';

const PROGRAM = new URL('crash-writer.ts', import.meta.url).pathname;
/** Halves the time that each process takes to start. */
const compileCache = await scratchFolder();
/** What the program says first. */
const OPEN = 'open\n';
/** A write takes some milliseconds: the kill comes before, in and after a few of them. */
const LONGEST_LIFE_MS = 60;
const LONGEST_START_MS = 400;
const RUNNING_MS = 20_000;

interface CrashStormOptions {
  readonly url: string;
  readonly rounds: number;
  /** Ends the store's server as a crash would, and starts it again; used in every tenth round. */
  readonly crashServer?: () => Promise<void>;
}

interface CrashStormFigures {
  readonly acknowledged: number;
  /** Committed, and the process was killed before it could say so. */
  readonly unsaid: number;
}

/** Fails when a write that was acknowledged is lost, or any is there in part. */
async function crashStorm({ url, rounds, crashServer }: CrashStormOptions): Promise<CrashStormFigures> {
  let [acknowledged, total] = [0, 0];
  for (let round = 1; round <= rounds; round++) {
    const isServerToCrash = crashServer !== undefined && round % 10 === 0;
    const said = await writeUntilKilled(url, startOf(round), isServerToCrash ? crashServer : async () => {});
    const store = await openStore(url);
    try {
      total = await assertWhole(store, said, `round ${round}`);
    } finally {
      await store.close();
    }
    acknowledged += said.length;
  }
  return { acknowledged, unsaid: total - acknowledged };
}

/**
 * Declares a storm on each store, of that many kills. `isDurable` has the server write as it would for a power cut, which
 * a kill is not.
 */
export function testCrashStorms(rounds: number, isDurable = false): void {
  const title = (store: string) => `every acknowledged write is in ${store}, and none in part, ${rounds} times`;
  const tell = (t: TestContext, { acknowledged, unsaid }: CrashStormFigures) =>
    t.diagnostic(`${acknowledged} writes were acknowledged and kept, ${unsaid} more were committed before the kill`);

  test(title('SQLite'), async (t) => {
    const url = `sqlite:${join(await scratchFolder(), 'switchboard.db')}`;
    tell(t, await crashStorm({ url, rounds }));
  });

  test(title('PostgreSQL'), { skip: POSTGRES_ABSENT }, async (t) => {
    const server = await startPostgres({ isDurable });
    const crashServer = async () => {
      await server.stop('crash');
      await server.start();
    };
    tell(t, await crashStorm({ url: await server.createDatabase(), rounds, crashServer }));
  });
}

interface Said {
  readonly slot: number;
  readonly number: number;
}

/** From when on a process may be killed: anywhere in opening the store, in its first write, or in a later one. */
type Start = 'spawn' | 'open' | 'write';

function startOf(round: number): Start {
  if (round % 10 === 1) return 'spawn';
  return round % 4 === 0 ? 'open' : 'write';
}

async function writeUntilKilled(url: string, from: Start, crashServer: () => Promise<void>): Promise<readonly Said[]> {
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCache };
  const child = spawn(process.execPath, [PROGRAM, url], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const closed = once(child, 'close');
  const output = { stdout: '', stderr: '' };
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
    if (from !== 'write' || output.stdout.length > OPEN.length) begin();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), RUNNING_MS);
  if (from !== 'spawn') await Promise.race([begun, closed]);
  await delay(Math.random() * (from === 'spawn' ? LONGEST_START_MS : LONGEST_LIFE_MS));
  await crashServer();
  child.kill('SIGKILL');
  await closed;
  clearTimeout(limit);
  if (from !== 'spawn') assert.ok(output.stdout.startsWith(OPEN), output.stderr);
  // A line may be cut by the kill.
  const lines = output.stdout.split('\n').slice(1, -1);
  return lines.map((line) => {
    const [slot, number] = line.split(' ').map(Number);
    return { slot: slot ?? -1, number: number ?? -1 };
  });
}

/** Gives the number of writes that were ever committed. */
async function assertWhole(store: Store, said: readonly Said[], round: string): Promise<number> {
  const { epoch, secrets, mcpConfigs } = await store.readConfiguration(DEFAULT_ACCOUNT);
  const revisions = await store.readRevisions(DEFAULT_ACCOUNT, { limit: Number.MAX_SAFE_INTEGER });
  const devboxes = await store.readDevboxes(DEFAULT_ACCOUNT, { limit: Number.MAX_SAFE_INTEGER });
  const [last] = revisions;
  const reply = await store.write(DEFAULT_ACCOUNT, (writer) =>
    writer.findReply(`${last?.objectId.slice('slot_'.length)} ${last?.sequence}`),
  );
  const newest = new Map<string, number>();
  for (const { objectId, sequence } of revisions.toReversed()) newest.set(objectId.slice('slot_'.length), sequence);
  const numbers = (all: readonly (readonly [string, number])[]) => Object.fromEntries(all.toSorted());
  const expected = numbers([...newest]);
  assert.deepEqual(numbers(secrets.map(({ id, version }) => [id.slice('sec_s'.length), version])), expected, round);
  assert.deepEqual(
    numbers(mcpConfigs.map(({ id, revision }) => [id.slice('mcp_c'.length), revision])),
    expected,
    round,
  );
  assert.deepEqual(
    numbers(devboxes.map(({ id, createTimeMs }) => [id.slice('dbx_'.length), createTimeMs])),
    expected,
    round,
  );
  assert.equal(reply === undefined, last === undefined, round);
  assert.deepEqual(
    revisions.map(({ sequence }) => sequence),
    revisions.map((_, index) => revisions.length - index),
    round,
  );
  assert.equal(epoch, revisions.length, round);
  assert.deepEqual((await verifyChanges(store, STORM_KEY, DEFAULT_ACCOUNT)).problems, [], round);
  for (const { slot, number } of said) {
    const revision = revisions[revisions.length - number];
    assert.equal(revision?.objectId, `slot_${slot}`, `${round}: the acknowledged write ${number} is lost`);
  }
  return revisions.length;
}
