// The heads of all chains in one small signed file that can be kept where the log is not: with it, verification finds
// what was cut off at the end. Several processes may share the file.

import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { GatewayError } from '../domain/errors.ts';
import { codeOf, replaceFile } from './files.ts';
import { type CallLogKeys, type ChainHead, isMac, macOf } from './format.ts';

/** The newest record of an account's chain of configuration changes. */
export interface ChangeHead {
  readonly sequence: number;
  readonly mac: string;
}

export interface Checkpoint {
  /** By chain id. */
  readonly calls: Readonly<Record<string, ChainHead>>;
  /** By account id. */
  readonly changes: Readonly<Record<string, ChangeHead>>;
}

const EMPTY: Checkpoint = { calls: {}, changes: {} };
const SIGNED = /^(\{.*),"mac":"([0-9a-f]{64})"\}\n$/;
/** Who holds the lock longer has died: it is held for one read and one write. */
const LOCK_STALE_MS = 10_000;

/** The checkpoint in `file`, or `undefined` when there is none. Throws `invalid_argument` for one that was not signed with these keys. */
export function readCheckpoint(file: string, keys: CallLogKeys): Checkpoint | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const [, body, mac] = SIGNED.exec(text) ?? [];
  if (body === undefined || mac === undefined || !isMac(keys.notes, `checkpoint ${body}`, mac)) {
    throw new GatewayError(
      'invalid_argument',
      `The checkpoint ${file} was not signed with this master key, or was changed since. Use a copy of it that was not.`,
    );
  }
  // What is signed is what was written here.
  return JSON.parse(`${body}}`) as Checkpoint;
}

/**
 * Adds heads to the checkpoint; one that is there and newer stays. Returns false when another process is writing it at
 * this moment. A checkpoint that is not ours is moved aside and never overwritten: it may be what shows a forgery.
 */
export function mergeIntoCheckpoint(file: string, keys: CallLogKeys, heads: Checkpoint, timeMs: number): boolean {
  mkdirSync(dirname(file), { recursive: true });
  const lock = `${file}.lock`;
  if (!tryLock(lock)) return false;
  try {
    const known = readOrMoveAside(file, keys, timeMs);
    const calls = newest(known.calls, heads.calls, ({ batch }) => batch);
    const changes = newest(known.changes, heads.changes, ({ sequence }) => sequence);
    const body = JSON.stringify({ time: new Date(timeMs).toISOString(), calls, changes }).slice(0, -1);
    replaceFile(file, `${body},"mac":"${macOf(keys.notes, `checkpoint ${body}`)}"}\n`);
    return true;
  } finally {
    rmSync(lock, { force: true });
  }
}

function readOrMoveAside(file: string, keys: CallLogKeys, timeMs: number): Checkpoint {
  try {
    return readCheckpoint(file, keys) ?? EMPTY;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    renameSync(file, `${file}.refused-${timeMs}`);
    return EMPTY;
  }
}

function newest<H>(
  known: Readonly<Record<string, H>>,
  added: Readonly<Record<string, H>>,
  numberOf: (head: H) => number,
): Record<string, H> {
  const all = { ...known };
  for (const [id, head] of Object.entries(added)) {
    const before = all[id];
    if (before === undefined || numberOf(before) <= numberOf(head)) all[id] = head;
  }
  return all;
}

function tryLock(lock: string): boolean {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      closeSync(openSync(lock, 'wx', 0o600));
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      const ageMs = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0);
      if (ageMs < LOCK_STALE_MS) return false;
      rmSync(lock, { force: true });
    }
  }
  return false;
}
