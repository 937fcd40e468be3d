// From a postgres:// URL to what a connection is made with: address, TLS, timeouts and types.

import { Client, type ClientConfig } from 'pg';
import { GatewayError } from '../domain/errors.ts';
import { fromStoredText } from './postgres-text.ts';

const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 5_000;
/** For a server that is there and says nothing any more: its own timeout cannot tell. */
const ANSWER_TIMEOUT_MS = 6_000;
/** A gateway that stopped in the middle of a write must not hold its account's lock for ever. */
const IDLE_IN_TRANSACTION_MS = 30_000;

const EXPECTED =
  'Write postgres://USER:PASSWORD@HOST:5432/DATABASE, with every special character of user and password %-encoded. ' +
  'PGPASSWORD may hold the password instead.';

export interface PostgresAddress {
  readonly config: ClientConfig;
  /** Host, port, database and user, for messages to the operator; no password. */
  readonly label: string;
}

/**
 * What each `sslmode` of a URL means to the driver. Whoever asks for TLS gets a server whose certificate and name are
 * verified: secrets pass here, and PostgreSQL's own `require` would send them to whoever answers.
 */
const TLS_MODES: ReadonlyMap<string, string> = new Map([
  ['disable', 'disable'],
  ['require', 'verify-full'],
  ['verify-ca', 'verify-full'],
  ['verify-full', 'verify-full'],
  ['no-verify', 'no-verify'],
]);

/** Throws `invalid_argument`, never with a part of the URL that could be a password. */
export function parsePostgresUrl(url: string): PostgresAddress {
  const config: ClientConfig = {
    connectionString: withKnownTlsMode(url),
    fallback_application_name: 'switchboard',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    lock_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    keepAlive: true,
    types: { getTypeParser: toTypeParser },
  };
  return { config, label: describe(config) };
}

function describe(config: ClientConfig): string {
  try {
    // The driver reads the URL, and the files that it names, whenever it makes a client: an unused one shows whether it can.
    const { host, port, database, user } = new Client(config);
    if (database !== undefined && user !== undefined) return `${host}:${port} (database "${database}", user "${user}")`;
  } catch (error) {
    if (isMissingFile(error)) {
      const message = `store.url names the file ${error.path}, which cannot be read (${error.code}): look at sslrootcert, sslcert and sslkey.`;
      throw new GatewayError('invalid_argument', message, { cause: error });
    }
    // Without any other cause, which may quote the URL.
  }
  throw new GatewayError('invalid_argument', `store.url is no URL of a PostgreSQL database. ${EXPECTED}`);
}

function withKnownTlsMode(url: string): string {
  const [, mode] = /[?&]sslmode=([^&#]*)/.exec(url) ?? [];
  if (mode === undefined) return url;
  const known = TLS_MODES.get(mode);
  if (known !== undefined) return url.replace(/([?&]sslmode=)[^&#]*/, `$1${known}`);
  throw new GatewayError(
    'invalid_argument',
    'store.url: sslmode is one of disable, verify-full (certificate and name are checked, also for require and verify-ca; ' +
      'sslrootcert=FILE names the authority) and no-verify (encrypted, to whoever answers).',
  );
}

function isMissingFile(error: unknown): error is Error & { readonly code: string; readonly path: string } {
  return error instanceof Error && 'code' in error && 'path' in error && typeof error.path === 'string';
}

/** Object identifiers of types, fixed by PostgreSQL (pg_type.dat). */
const BYTEA = 17;
const INT8 = 20;
const TEXT = 25;

/** On the connection and not on the driver, whose parsers belong to everybody in the process. Ids, counts and times are below 2^53. */
function toTypeParser(type: number): (text: string) => unknown {
  if (type === INT8) return Number;
  if (type === TEXT) return fromStoredText;
  if (type === BYTEA) return (text) => Buffer.from(text.slice('\\x'.length), 'hex');
  return String;
}
