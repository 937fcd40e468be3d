// The log. Only declared fields are written, so what nobody thought of (a header, a body, a foreign error's message)
// cannot leak; redaction by list of forbidden names would miss the first new one.

import { type DestinationStream, pino } from 'pino';
import { GatewayError } from '../domain/errors.ts';
import type { LogLevel } from './log-levels.ts';

/** The fields a record may have besides `level`, `time`, `event` and `error`. None of them ever holds a secret. */
export const LOG_FIELDS = [
  'account',
  'api_key_id',
  'attempt',
  'bytes',
  'code',
  'count',
  'duration_ms',
  'epoch',
  'era',
  'file',
  'listen',
  'mcp_config',
  'method',
  'node',
  'outcome',
  'pattern',
  'pid',
  'prompt',
  'reason',
  'retry_after_ms',
  'revision',
  'secret_name',
  'service',
  'setting',
  'signal',
  'since',
  'state',
  'status',
  'stderr',
  'store_kind',
  'token_id',
  'tool',
  'version',
  'warning',
  'worker',
] as const;
export type LogField = (typeof LOG_FIELDS)[number];

export type LogFields = { readonly [F in LogField]?: string | number | boolean | null | undefined } & {
  /** Anything caught. Of an error that is not ours only the name is written, and its frames at level `debug`. */
  readonly error?: unknown;
};

type Write = (event: string, fields?: LogFields) => void;

export interface Logger {
  /** Per request. */
  readonly debug: Write;
  /** Lifecycle. */
  readonly info: Write;
  /** What an operator should look at. */
  readonly warn: Write;
  /** Our own bug. */
  readonly error: Write;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Number of the process among those that serve one port; stands in every line. */
  readonly worker?: number;
  /** Where the lines go; stderr unless told otherwise, for stdout belongs to a command's data. */
  readonly destination?: DestinationStream;
}

const MAX_TEXT = 1024;

/** A JSON line per record: `{"level","time","event",…fields}`. */
export function createLogger({ level, worker, destination }: LoggerOptions): Logger {
  const lines = pino(
    {
      level,
      base: worker === undefined ? null : { worker },
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination ?? pino.destination({ dest: 2, sync: true }),
  );
  const showsFrames = lines.isLevelEnabled('debug');
  const writeAt = (at: Exclude<LogLevel, 'silent'>): Write => {
    if (!lines.isLevelEnabled(at)) return () => {};
    return (event, fields = {}) => lines[at](admitFields(fields, showsFrames), toLogText(event));
  };
  return { debug: writeAt('debug'), info: writeAt('info'), warn: writeAt('warn'), error: writeAt('error') };
}

function admitFields(fields: LogFields, showsFrames: boolean): Record<string, unknown> {
  const admitted: Record<string, unknown> = {};
  for (const field of LOG_FIELDS) {
    const value: unknown = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (typeof value === 'string') admitted[field] = field === 'stderr' ? toLogLines(value) : toLogText(value);
    else if (typeof value === 'number' || typeof value === 'boolean' || value === null) admitted[field] = value;
  }
  if (fields.error !== undefined) admitted.error = describeError(fields.error, showsFrames);
  return admitted;
}

/** Our messages are written to be shown. Foreign ones quote what they failed on: headers, URLs with credentials, bodies. */
function describeError(error: unknown, showsFrames: boolean): Record<string, unknown> {
  if (error instanceof GatewayError) return { code: error.code, message: toLogText(error.message) };
  if (!(error instanceof Error)) return { name: typeof error };
  const name = /^[A-Za-z]\w{0,63}$/.test(error.name) ? error.name : 'Error';
  return showsFrames ? { name, stack: framesOf(error) } : { name };
}

/** The stack without its head, which repeats the message; empty when the message was changed since and the head cannot be told. */
function framesOf({ message, stack = '' }: Error): string[] {
  const headStart = stack.indexOf(message);
  if (headStart < 0) return [];
  const lines = stack.slice(headStart + message.length).split('\n');
  return lines.filter((line) => /^ {4}at /.test(line)).map((line) => toLogText(line.trim()));
}

/** What another program wrote, as it wrote it: in lines. */
function toLogLines(text: string): string[] {
  return text.split('\n').map(toLogText);
}

/** Cut, and with every invisible character spelled out: a log line must not drive the terminal that shows it. */
function toLogText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}
