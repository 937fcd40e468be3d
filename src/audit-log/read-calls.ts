// Reads the calls of one account, newest first, out of all chains of a directory. One request reads a bounded number of
// bytes; its cursor goes on from there.

import { GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import { listChains } from './files.ts';
import { type LoggedCall, type Position, TailReader } from './tail-reader.ts';

export interface CallQuery {
  readonly account: AccountId;
  /** Milliseconds since 1970: not before, and before. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  readonly tokenId?: string | undefined;
  /** The canonical name. */
  readonly tool?: string | undefined;
  readonly service?: string | undefined;
  readonly outcome?: string | undefined;
  /** A config's id, its name, or `name@revision`. */
  readonly config?: string | undefined;
}

export interface CallPage {
  readonly calls: readonly LoggedCall[];
  /** Goes on where this page ends; `null` when nothing is left. A page may be short, or empty, and have one. */
  readonly cursor: string | null;
}

const MAX_LIMIT = 1000;
/** So much of the log is read for one page. */
const MAX_SCANNED_BYTES = 4 * 1024 * 1024;
const MAX_CURSOR_LENGTH = 64 * 1024;

/** One page of what matches. Throws `invalid_argument` for a cursor that is none of ours. */
export function readCalls(
  directory: string,
  query: CallQuery,
  cursor: string | null,
  limit: number,
  maxScannedBytes = MAX_SCANNED_BYTES,
): CallPage {
  const positions = cursor === null ? undefined : parseCursor(cursor);
  const readers = openReaders(directory, query, positions);
  const matches = toFilter(query);
  const calls: LoggedCall[] = [];
  const most = Math.min(limit, MAX_LIMIT);
  while (calls.length < most) {
    const reader = findNewest(readers, maxScannedBytes);
    const record = reader?.peek(0);
    if (reader === undefined || record === undefined) break;
    reader.take();
    if (matches(record)) calls.push(record);
  }
  return { calls, cursor: toCursor(readers) };
}

function openReaders(
  directory: string,
  range: CallQuery,
  positions: ReadonlyMap<string, Position> | undefined,
): TailReader[] {
  const readers: TailReader[] = [];
  for (const [chain, segments] of listChains(directory)) {
    const position = positions?.get(chain);
    // A chain that the cursor does not know is read to its beginning, or was begun since the first page.
    if (positions === undefined || position !== undefined)
      readers.push(new TailReader(chain, segments, position, range));
  }
  return readers;
}

/** The chain with the newest record; `undefined` when there is none, or when finding it takes more than may be read. */
function findNewest(readers: readonly TailReader[], maxScannedBytes: number): TailReader | undefined {
  let newest: TailReader | undefined;
  let newestTime = '';
  const scanned = readers.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  for (const reader of readers) {
    // Every chain may read something, or a page of many chains would never get on.
    const record = reader.peek(Math.max(1, reader.bytesRead + maxScannedBytes - scanned));
    if (record === undefined && !reader.isAtBeginning) return undefined;
    if (record === undefined || record.time <= newestTime) continue;
    newest = reader;
    newestTime = record.time;
  }
  return newest;
}

function toFilter(query: CallQuery): (record: LoggedCall) => boolean {
  const { account, tokenId, tool, service, outcome, config } = query;
  const since = query.sinceMs === undefined ? '' : new Date(query.sinceMs).toISOString();
  const until = query.untilMs === undefined ? '~' : new Date(query.untilMs).toISOString();
  const namesRevision = config?.includes('@') === true;
  const isNarrow = [tokenId, tool, service, outcome, config].some((each) => each !== undefined);
  return (record) => {
    if (record.account !== account || record.time < since || record.time >= until) return false;
    // Of a gap nobody knows what was in it.
    if (!('outcome' in record)) return !isNarrow;
    const name = namesRevision ? record.config : (record.config?.split('@', 1)[0] ?? null);
    return (
      (tokenId === undefined || record.token === tokenId) &&
      (tool === undefined || record.tool === tool) &&
      (service === undefined || record.tool?.startsWith(`${service}.`) === true) &&
      (outcome === undefined || record.outcome === outcome) &&
      (config === undefined || record.config_id === config || name === config)
    );
  };
}

function toCursor(readers: readonly TailReader[]): string | null {
  const positions = readers.flatMap(({ chain, position }) =>
    position === undefined ? [] : [[chain, position.firstBatch, position.offset]],
  );
  return positions.length === 0 ? null : Buffer.from(JSON.stringify(positions)).toString('base64url');
}

/** It only says where to read on; whose records are shown is decided anew for each. */
function parseCursor(cursor: string): ReadonlyMap<string, Position> {
  const positions = new Map<string, Position>();
  try {
    if (cursor.length > MAX_CURSOR_LENGTH) throw refuseCursor();
    for (const [chain, firstBatch, offset] of JSON.parse(Buffer.from(cursor, 'base64url').toString('latin1'))) {
      if (typeof chain !== 'string' || !isCount(firstBatch) || !isCount(offset)) throw refuseCursor();
      positions.set(chain, { firstBatch, offset });
    }
  } catch (cause) {
    throw refuseCursor(cause);
  }
  return positions;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Names the parameter by which cursors come to the one door that reads calls. */
export function refuseCursor(cause?: unknown): GatewayError {
  const message = 'is not `next` of a page of calls: give that, or leave it out';
  const problems = [{ path: 'starting_after', message }];
  return new GatewayError('invalid_argument', `starting_after ${message}.`, { cause, problems });
}
