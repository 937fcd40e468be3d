// One call as a line of the log, built by hand: this runs at the end of every call. Never an argument, a result or the
// value of a token.

import type { ErrorCode, UpstreamFailureReason } from '../domain/errors.ts';
import { toMilliseconds } from '../domain/milliseconds.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';

/** Why a call did not end with its upstream's answer. `input_missing`: the client did not give what the upstream asked for. */
export type CallReason =
  | UpstreamFailureReason
  | ErrorCode
  | 'client_left'
  | 'client_cancelled'
  | 'token_revoked'
  | 'input_missing';

/** Who called what by whose decision: the same for every call of a token to a tool, until the configuration changes. */
export interface CallSubject {
  readonly accountId: string;
  readonly tokenId: string;
  /** The canonical name, or a resource's URI; where there is no such thing, what the client asked for; `null` when it named none. */
  readonly tool: string | null;
  readonly config: { readonly id: string; readonly name: string; readonly revision: number } | null;
  /** The pattern of the config's allow-list that let it through, and that of the grant's own. */
  readonly pattern: string | null;
  readonly narrowingPattern: string | null;
  readonly epoch: number | null;
}

/** How one call went. Sizes are of the request's and of the answer's body. */
export interface CallEnd {
  /** One of the methods that are routed to an upstream, such as `tools/call`. */
  readonly method: string;
  readonly outcome: CallOutcome;
  readonly reason: CallReason | null;
  readonly era: 'legacy' | 'modern';
  readonly totalMs: number;
  /** From when the call was sent until the upstream's first byte, or its failure; `null` when it was not sent. */
  readonly upstreamMs: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** 32 hex digits. */
  readonly traceId: string | null;
}

/** A call as the log shows it. */
export interface CallRecord {
  readonly time: string;
  readonly account: string;
  readonly token: string;
  readonly method: string;
  readonly tool: string | null;
  /** `github-readonly@3`: the config's name and revision. */
  readonly config: string | null;
  readonly config_id: string | null;
  readonly pattern: string | null;
  readonly narrowing_pattern: string | null;
  readonly epoch: number | null;
  readonly outcome: CallOutcome;
  readonly reason: CallReason | null;
  readonly era: 'legacy' | 'modern';
  readonly ms: number;
  readonly upstream_ms: number | null;
  readonly request_bytes: number;
  readonly response_bytes: number;
  readonly trace_id: string | null;
}

/** Calls that are not in the log: lost because it could not be written, or refused for that reason. */
export interface CallGap {
  readonly time: string;
  readonly account: string;
  readonly dropped?: number;
  readonly refused?: number;
}

/** The part of a line that `toCallLine` puts between the time and the end; make it once and keep it. */
export function toSubjectText(subject: CallSubject): string {
  const { accountId, tokenId, tool, config, pattern, narrowingPattern, epoch } = subject;
  const named = config === null ? null : `${config.name}@${config.revision}`;
  return (
    `"account":${toAscii(accountId)},"token":${toAscii(tokenId)},"tool":${toAscii(tool)},"config":${toAscii(named)},` +
    `"config_id":${toAscii(config?.id ?? null)},"pattern":${toAscii(pattern)},` +
    `"narrowing_pattern":${toAscii(narrowingPattern)},"epoch":${epoch}`
  );
}

export function toCallLine(time: string, subjectText: string, end: CallEnd): string {
  const reason = end.reason === null ? 'null' : `"${end.reason}"`;
  const upstreamMs = end.upstreamMs === null ? 'null' : toMilliseconds(end.upstreamMs);
  const traceId = end.traceId === null ? 'null' : `"${end.traceId}"`;
  return `{"time":"${time}",${subjectText},"method":"${end.method}","outcome":"${end.outcome}","reason":${reason},"era":"${end.era}","ms":${toMilliseconds(end.totalMs)},"upstream_ms":${upstreamMs},"request_bytes":${end.requestBytes},"response_bytes":${end.responseBytes},"trace_id":${traceId}}\n`;
}

export function toGapLine(time: string, accountId: string, kind: 'dropped' | 'refused', count: number): string {
  return `{"time":"${time}","account":${toAscii(accountId)},"${kind}":${count}}\n`;
}

/** Said in the log itself when the end of a segment had to be cut off after a crash. */
export function toRecoveryLine(time: string, segment: string, cutBytes: number): string {
  return `{"time":"${time}","recovered":{"segment":"${segment}","cut_bytes":${cutBytes}}}\n`;
}

/** JSON in ASCII alone: the log is kept as one byte for a character, and no name can drive the terminal that shows it. */
function toAscii(text: string | null): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** ISO 8601 with milliseconds; formatting the whole of it anew costs more than the rest of a line. */
export class IsoClock {
  #second = Number.NaN;
  #prefix = '';

  at(timeMs: number): string {
    const second = Math.floor(timeMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#prefix = new Date(second * 1000).toISOString().slice(0, -4);
    }
    const rest = timeMs - second * 1000;
    return `${this.#prefix}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`;
  }
}
