// The levels of `notifications/message` (RFC 5424 §6.2.1), and which messages a client has asked for.

import { findMember, type Span, stringAt } from './json-scan.ts';
import type { Message } from './jsonrpc.ts';

/** From the one that says most to the one that says least. */
export const LOG_LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The level at a span; `undefined` for anything else. */
export function readLogLevel(bytes: Buffer, at: Span): LogLevel | undefined {
  const text = stringAt(bytes, at);
  return LOG_LEVELS.find((level) => level === text);
}

/** Whether a client that asked for logs from this level on gets a log message. One of no known level goes only to who asked for all. */
export function passesLog({ bytes, params }: Message, from: LogLevel | undefined): boolean {
  if (from === undefined) return false;
  const at = findMember(params, 'level');
  const level = at && readLogLevel(bytes, at);
  return level === undefined ? from === LOG_LEVELS[0] : saysMore(from, level) || from === level;
}

/** Whether a level lets more messages through than another. */
export function saysMore(level: LogLevel, than: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(than);
}
