// What the failures of PostgreSQL, and of the way to it, mean to a caller of the store and to the operator.

import { DatabaseError } from 'pg';
import { GatewayError } from '../domain/errors.ts';
import { toConflict } from './conflict.ts';

const UNIQUE = '23505';
const FOREIGN_KEY = '23503';
const RETRY_AFTER_MS = 1_000;

/** Failures of which PostgreSQL says that the same transaction may succeed when it is tried again. */
const TRANSIENT: ReadonlySet<string | undefined> = new Set(['40001', '40P01']);

/** By SQLSTATE or its class. Without names and addresses: clients read it. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ['25006', 'PostgreSQL is read-only here'],
  ['53', 'PostgreSQL is out of connections, memory or disk'],
  ['55P03', 'another write held the lock for too long'],
  ['57014', 'PostgreSQL did not answer in time'],
  ['57', 'PostgreSQL is stopping or starting'],
  ['28', 'PostgreSQL refused the connection'],
  ['3D', 'PostgreSQL refused the connection'],
  ['42', 'PostgreSQL refused the statement'],
]);

/** A failure of a running store. `sql` is what was asked for; without it, it was a connection. */
export function toStoreError(error: unknown, sql?: string): unknown {
  if (error instanceof GatewayError) return error;
  if (error instanceof DatabaseError) {
    if (error.code === UNIQUE) return toConflict(error.table ?? '', error);
    if (error.code === FOREIGN_KEY) return new GatewayError('not_found', 'There is no such account.', { cause: error });
  }
  const outcome = isOutcomeKnown(error, sql)
    ? 'Nothing was changed; try again.'
    : 'Whether the change was made is not known: read before you try again.';
  return new GatewayError('store_unavailable', `The store did not take part: ${reasonOf(error)}. ${outcome}`, {
    cause: error,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** A commit that was sent may have been done when the answer is lost; one that was refused was not. */
function isOutcomeKnown(error: unknown, sql: string | undefined): boolean {
  return sql !== 'commit' || (error instanceof DatabaseError && error.severity === 'ERROR');
}

function reasonOf(error: unknown): string {
  if (!(error instanceof DatabaseError)) return 'PostgreSQL cannot be reached';
  const code = error.code ?? '';
  const reason = REASONS.get(code) ?? REASONS.get(code.slice(0, 2)) ?? 'PostgreSQL failed';
  return `${reason} (SQLSTATE ${code})`;
}

/** True when the transaction was undone by the database and may be done again from its beginning. */
export function isTransient(error: unknown): boolean {
  const cause = error instanceof GatewayError ? error.cause : error;
  return cause instanceof DatabaseError && TRANSIENT.has(cause.code);
}

/** The driver's own error when no answer came; the connection cannot be used any more then. */
export function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** A failure to open the store, with what the operator can do about it. `label` says where it is. */
function toOpenError(label: string, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const text = error instanceof Error ? error.message || error.name : String(error);
  return new GatewayError(
    'store_unavailable',
    `The store in PostgreSQL at ${label} cannot be opened: ${text}. ${adviceFor(error)}`,
    {
      cause: error,
    },
  );
}

/** Passes the result on, and failures as `toOpenError` tells them. */
export async function explained<T>(label: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toOpenError(label, error);
  }
}

const NO_ANSWER = 'Is the server running, and are host and port right?';

/** By SQLSTATE or code of the system. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['28P01', 'Correct user and password in store.url, or in PGUSER and PGPASSWORD.'],
  ['28000', 'Does the user exist, and does pg_hba.conf of the server let it in from here? With sslmode=verify-full?'],
  ['3D000', 'Make it with: createdb --encoding=UTF8 NAME'],
  [
    '42501',
    'The user needs the right to make tables: GRANT CREATE ON SCHEMA public TO USER, or a database of its own.',
  ],
  ['42P07', 'The database holds tables of something else: give Switchboard a database of its own.'],
  ['42703', 'The database holds tables of something else: give Switchboard a database of its own.'],
  ['25006', 'It is a read-only replica: name the primary in store.url.'],
  ['53300', 'Raise max_connections of the server: each gateway takes up to 13.'],
  ['57P03', 'It is starting or stopping: try again.'],
  ['ECONNREFUSED', NO_ANSWER],
  ['ENOENT', NO_ANSWER],
  ['ENOTFOUND', 'There is no host of this name.'],
  ['EAI_AGAIN', 'The name of the host cannot be looked up now.'],
]);

function adviceFor(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const advice = ADVICE.get(code);
  if (advice !== undefined) return advice;
  const text = error instanceof Error ? error.message : '';
  if (text.includes('password must be')) return 'Write the password in store.url, or set PGPASSWORD.';
  if (text.includes('does not support SSL')) return 'Set ssl = on in the server, or sslmode=disable in store.url.';
  if (/CERT|SIGNATURE|ALTNAME/.test(code)) {
    return 'Name the authority of its certificate with sslrootcert=FILE in store.url; the certificate must be for this host.';
  }
  return NO_ANSWER;
}
