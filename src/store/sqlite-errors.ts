// What SQLite's result codes mean to a caller of the store: which are the caller's, which the operator's.

import { GatewayError } from '../domain/errors.ts';
import { toConflict } from './conflict.ts';

const BUSY = 5;
const CORRUPT = 11;
const NOT_A_DATABASE = 26;
const FOREIGN_KEY = 787;
const PRIMARY_KEY = 1555;
const UNIQUE = 2067;

/** A lock is held for moments, and a full disk for longer: seldom enough for both. */
const RETRY_AFTER_MS = 1_000;

/** True when another connection holds the lock: the only failure that waiting cures. */
export function isBusy(error: unknown): boolean {
  return (sqliteCode(error) ?? 0) % 256 === BUSY;
}

/** A failure of a running store as a GatewayError; what is not SQLite's own comes back as it is. */
export function toStoreError(error: unknown): unknown {
  const code = sqliteCode(error);
  if (code === UNIQUE || code === PRIMARY_KEY) {
    const table = /failed: (\w+)\./.exec(textOf(error))?.[1] ?? '';
    return toConflict(table, error);
  }
  if (code === FOREIGN_KEY) return new GatewayError('not_found', 'There is no such account.', { cause: error });
  if (code === undefined && !isClosed(error)) return error;
  return new GatewayError(
    'store_unavailable',
    `The store did not take part: ${textOf(error)}. Nothing was changed; try again.`,
    { cause: error, retryAfterMs: RETRY_AFTER_MS },
  );
}

export function isSqliteError(error: unknown): boolean {
  return sqliteCode(error) !== undefined;
}

/** A failure to open `file`, with what the operator can do about it. */
export function toOpenError(file: string, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const code = (sqliteCode(error) ?? 0) % 256;
  const advice =
    code === NOT_A_DATABASE || code === CORRUPT
      ? 'The file is no SQLite database, or it is damaged: restore a backup, or move it away to start with an empty store.'
      : 'It must be a file that this user may read and write, on a local disk, in a directory this user may write to.';
  return new GatewayError('store_unavailable', `The store ${file} cannot be opened: ${textOf(error)}. ${advice}`, {
    cause: error,
  });
}

function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined;
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_STATE';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
