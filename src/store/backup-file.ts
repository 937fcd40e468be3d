// The file of a backup: a line of JSON that says what it is, one for each row, and one that proves the others whole.
// The format is the same for every database, so that a store can move from one to another.

import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GatewayError } from '../domain/errors.ts';
import { tablesOf } from './migrations.ts';
import type { Cell, Row } from './raw-tables.ts';

const FORMAT = 1;
const BUFFERED_CHARACTERS = 1 << 16;
const NEWLINE = 0x0a;

export interface TableRow {
  readonly table: string;
  readonly row: Row;
}

/**
 * Writes the backup whole or not at all, readable by its owner only; a file that is there is replaced. Gives the number
 * of rows. Throws the errors of the file system.
 */
export async function writeBackup(file: string, schema: number, rows: AsyncIterable<TableRow>): Promise<number> {
  const draft = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    let count: number;
    try {
      count = await writeLines(handle, schema, rows);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    await syncDirectory(dirname(file));
    return count;
  } finally {
    await rm(draft, { force: true });
  }
}

async function writeLines(handle: FileHandle, schema: number, rows: AsyncIterable<TableRow>): Promise<number> {
  const hash = createHash('sha256');
  let [count, buffered] = [0, ''];
  const flush = async () => {
    hash.update(buffered);
    await handle.write(buffered);
    buffered = '';
  };
  buffered += toLine({ switchboard_backup: FORMAT, schema });
  for await (const { table, row } of rows) {
    buffered += toLine({ table, row: mapCells(row, toJsonCell) });
    count++;
    if (buffered.length >= BUFFERED_CHARACTERS) await flush();
  }
  await flush();
  await handle.write(toLine({ rows: count, sha256: hash.digest('hex') }));
  return count;
}

/** A new name survives a power cut only once its directory is on disk. Windows opens no directories. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  await using handle = await open(directory, 'r');
  await handle.sync();
}

/**
 * Reads a backup from its beginning: its schema, then its rows. The rows end with an error when the file proves torn or
 * changed, which its last line tells: read them all before you trust the first. Throws `invalid_argument`, and the errors
 * of the file system.
 */
export async function readBackup(
  file: string,
): Promise<{ readonly schema: number; readonly rows: AsyncIterable<TableRow> }> {
  const lines = linesOf(file);
  const first = await lines.next();
  const head = first.done ? undefined : toObject(first.value);
  if (head?.switchboard_backup === undefined) throw refuse(file, 'is no backup of Switchboard');
  const { schema } = head;
  if (head.switchboard_backup !== FORMAT || typeof schema !== 'number') {
    throw refuse(file, 'was made by a newer Switchboard: restore it with that one');
  }
  return { schema, rows: rowsOf(file, schema, lines, first.value ?? Buffer.alloc(0)) };
}

async function* rowsOf(
  file: string,
  schema: number,
  lines: AsyncIterable<Buffer>,
  head: Buffer,
): AsyncGenerator<TableRow> {
  const tables = new Set(tablesOf(schema));
  const hash = createHash('sha256').update(head);
  let count = 0;
  let isProved = false;
  for await (const line of lines) {
    const object = toObject(line);
    if (isProved || object === undefined) throw damaged(file);
    if (typeof object.table === 'string' && tables.has(object.table) && isRow(object.row)) {
      count++;
      hash.update(line);
      yield { table: object.table, row: mapCells(object.row, fromJsonCell) };
    } else if (object.rows === count && object.sha256 === hash.digest('hex')) isProved = true;
    else throw damaged(file);
  }
  if (!isProved) throw damaged(file);
}

/** Split at line feeds alone, each with its own; the last may lack it. */
async function* linesOf(file: string): AsyncGenerator<Buffer> {
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield Buffer.concat([rest, chunk.subarray(start, end + 1)]);
      rest = Buffer.alloc(0);
      start = end + 1;
    }
    rest = Buffer.concat([rest, chunk.subarray(start)]);
  }
  if (rest.length > 0) yield rest;
}

function toLine(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

function toObject(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString());
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** The names of columns go into SQL. */
function isRow(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.keys(value).every((column) => /^[a-z_]+$/.test(column));
}

function mapCells<From, To>(row: Readonly<Record<string, From>>, map: (cell: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, map(cell)]));
}

function toJsonCell(cell: Cell): unknown {
  return Buffer.isBuffer(cell) ? { base64: cell.toString('base64') } : cell;
}

function fromJsonCell(cell: unknown): Cell {
  if (typeof cell === 'object' && cell !== null && 'base64' in cell) return Buffer.from(String(cell.base64), 'base64');
  return cell as Cell;
}

function damaged(file: string): GatewayError {
  return refuse(
    file,
    'is torn or was changed: its last line, with the number and the SHA-256 of the others, does not fit',
  );
}

function refuse(file: string, what: string): GatewayError {
  return new GatewayError('invalid_argument', `${file} ${what}. Nothing was restored.`);
}
