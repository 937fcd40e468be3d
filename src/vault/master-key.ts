// Where the master key comes from: a value, a file, or a file made beside the store at the first start.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { GatewayError } from '../domain/errors.ts';
import { decodeBase64url } from './base64url.ts';
import { KEY_BYTES, stretchPassphrase } from './cipher.ts';

const MIN_PASSPHRASE_CHARACTERS = 32;
const MIN_DISTINCT_CHARACTERS = 8;
const EXPECTED =
  'Expected is 32 bytes as base64 or hex (`openssl rand -base64 32` makes them) or a passphrase of at least 32 characters.';

/** The key all others derive from. A class with a private field, so that logging it shows nothing. */
export class MasterKey {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  reveal(): Buffer {
    return this.#bytes;
  }
}

export interface MasterKeySource {
  /** The key itself; see `parseMasterKey`. */
  readonly value?: string;
  /** A file that holds the key and that only its owner can read. */
  readonly file?: string;
  /** Where a key is kept, made at the first start, when neither of the others is given. */
  readonly beside?: string;
}

/** Throws `invalid_argument` for a key that is missing, given twice, weak, or readable by others. */
export function readMasterKey(source: MasterKeySource): MasterKey {
  const { value, file, beside } = source;
  if (value !== undefined && file !== undefined) {
    throw refuse('The master key is given both as a value and as a file. Keep one of the two.');
  }
  if (value !== undefined) return parseMasterKey(value, 'SWITCHBOARD_MASTER_KEY');
  if (file !== undefined) return readKeyFile(file);
  if (beside !== undefined) {
    if (!existsSync(beside)) createKeyFile(beside);
    return readKeyFile(beside);
  }
  throw refuse(`There is no master key. Set SWITCHBOARD_MASTER_KEY or SWITCHBOARD_MASTER_KEY_FILE. ${EXPECTED}`);
}

/**
 * One rule for every source, after trimming: 64 hex digits, or the 43 characters (44 with `=`) of 32 bytes in base64 or
 * base64url, are those bytes; anything else is a passphrase, of 32 characters at least. Few different characters
 * (a placeholder, a key of zeros) are refused in every form. `place` begins the error message.
 */
function parseMasterKey(text: string, place: string): MasterKey {
  const key = text.trim();
  if (new Set(key).size < MIN_DISTINCT_CHARACTERS && key.length >= MIN_PASSPHRASE_CHARACTERS) {
    throw refuse(`${place} repeats a few characters and can be guessed. ${EXPECTED}`);
  }
  if (/^[0-9a-fA-F]{64}$/.test(key)) return new MasterKey(Buffer.from(key, 'hex'));
  const bytes = decodeBase64url(key.replace(/=$/, '').replaceAll('+', '-').replaceAll('/', '_'));
  if (bytes?.length === KEY_BYTES) return new MasterKey(bytes);
  if (key.length < MIN_PASSPHRASE_CHARACTERS) {
    throw refuse(`${place} has ${key.length} characters. ${EXPECTED}`);
  }
  return new MasterKey(stretchPassphrase(key));
}

function readKeyFile(file: string): MasterKey {
  let text: string;
  let mode: number;
  try {
    const descriptor = openSync(file, 'r');
    try {
      // The mode of what was opened, not of the path: the two may differ by the time of a second look.
      mode = fstatSync(descriptor).mode;
      text = readFileSync(descriptor, 'utf8');
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(`The master key file ${file} cannot be read: ${reason}.`, error);
  }
  // Windows reports 0666 for every file; its access lists are not visible here.
  if ((mode & 0o077) !== 0 && process.platform !== 'win32') {
    const shown = (mode & 0o777).toString(8).padStart(4, '0');
    throw refuse(`The master key file ${file} is open to other users (mode ${shown}). Close it: chmod 600 ${file}`);
  }
  return parseMasterKey(text, `The master key file ${file}`);
}

/** Makes the file whole or not at all. Of two processes that start together one wins, and both then read its key. */
function createKeyFile(file: string): void {
  const draft = `${file}.${randomBytes(8).toString('hex')}`;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const descriptor = openSync(draft, 'wx', 0o600);
    writeSync(descriptor, `${randomBytes(KEY_BYTES).toString('base64url')}\n`);
    fsyncSync(descriptor);
    closeSync(descriptor);
    // A link and not a rename: a rename would put the loser's key over the winner's, under which secrets may be sealed already.
    linkSync(draft, file);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(
      `The master key file ${file} cannot be created: ${reason}. Set SWITCHBOARD_MASTER_KEY instead.`,
      error,
    );
  } finally {
    rmSync(draft, { force: true });
  }
  syncDirectory(dirname(file));
}

/** A new name survives a power cut only once its directory is on disk. Windows opens no directories. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(directory, 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

function refuse(message: string, cause?: unknown): GatewayError {
  return new GatewayError('invalid_argument', message, { cause });
}
