// What went wrong with an upstream, in the words a client and an operator are told: never an address, never its text.

import { GatewayError, type UpstreamFailureReason } from '../domain/errors.ts';

/** Where in the conversation with the upstream it went wrong. */
export type FailureStage = 'connect' | 'probe' | 'initialize' | 'list' | 'call';

/** The state of an upstream that does not work now; `sinceMs` is when it stopped working. */
export interface UpstreamFailure {
  readonly reason: UpstreamFailureReason;
  readonly stage: FailureStage;
  readonly message: string;
  readonly sinceMs: number;
  readonly atMs: number;
}

export interface UpstreamErrorOptions {
  readonly cause?: unknown;
  /** The HTTP status of its answer, if one had begun. */
  readonly status?: number;
  /** When it asked to be tried again; from `readRetryAfter`. */
  readonly retryAfterMs?: number | undefined;
}

/** Thrown inside the upstream room; becomes an `UpstreamFailure` once it is known since when. */
export class UpstreamError extends Error {
  readonly reason: UpstreamFailureReason;
  readonly stage: FailureStage;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(reason: UpstreamFailureReason, stage: FailureStage, message: string, options: UpstreamErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'UpstreamError';
    this.reason = reason;
    this.stage = stage;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * What a failure says about the upstream: it is failing, it answered although it refused, or nothing. Statuses under 500
 * are answers: a client that can call forth a 400 must not shut the upstream out for everybody.
 */
export function judgeHealth({ reason, status }: UpstreamError): 'failing' | 'answering' | undefined {
  switch (reason) {
    case 'unreachable':
      return 'failing';
    case 'timeout':
      // Of an answer that had begun it is the call that takes long.
      return status === undefined ? 'failing' : undefined;
    case 'broken_answer':
      return status === undefined || status < 400 || status >= 500 ? 'failing' : 'answering';
    case 'bad_status':
      return status === undefined || status >= 500 ? 'failing' : 'answering';
    case 'credential_refused':
    case 'rate_limited':
    case 'session_lost':
      return 'answering';
    default:
      return undefined;
  }
}

/** How long a client is asked to wait before it tries a broken upstream again, if nobody knows better. */
const RETRY_AFTER_MS = 1000;
/** What an upstream asks for beyond this is not passed on: a client would take it for never. */
const MAX_RETRY_AFTER_MS = 60 * 60 * 1000;

/** The wait that a `Retry-After` header asks for: seconds or a date (RFC 9110 §10.2.3). */
export function readRetryAfter(header: string | string[] | undefined, nowMs: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}

/** The error a client gets: which service, why, since when, and what to do (design §3, table). */
export function toUpstreamFailedError(
  service: string,
  failure: Pick<UpstreamFailure, 'reason' | 'message' | 'sinceMs'> & { readonly retryAfterMs?: number | undefined },
): GatewayError {
  const { retryAfterMs = RETRY_AFTER_MS } = failure;
  const since = new Date(failure.sinceMs).toISOString();
  return new GatewayError(
    'upstream_failed',
    `The upstream of '${service}' failed: ${failure.message} (${failure.reason}, since ${since}). Other services are not affected; try again later or ask the operator of this gateway.`,
    {
      data: {
        source: 'gateway',
        service,
        reason: failure.reason,
        since,
        retry_after_ms: retryAfterMs,
      },
      retryAfterMs,
    },
  );
}
