// How a call can end without its upstream's answer: what is recorded of the upstream, and what the client is told.

import type { CallReason } from '../audit-log/call-record.ts';
import type { Route } from '../catalog/route.ts';
import type { UpstreamFailureReason } from '../domain/errors.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import { toUpstreamFailedError, UpstreamError } from '../upstream/failure.ts';
import type { AnswerFailure } from './answer-reader.ts';
import { OVERLOADED, type Refusal } from './exchange.ts';

export interface JsonRpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** `error` is told whatever the client has been sent, `refusal` with a status of its own if that can still be said. */
export interface Ending {
  readonly outcome: CallOutcome;
  readonly reason: CallReason;
  readonly error?: JsonRpcError;
  readonly refusal?: Refusal;
}

/** There is no conversation with the upstream. `connect` has recorded it: of many that waited for one handshake none counts it again. */
export function endUnconnected(route: Route, error: unknown): Ending {
  const { reason, message } = route.upstream.fail(error, 'connect');
  return toEnding(route, { reason, message });
}

/** The circuit breaker is open: what is known to be broken is not tried. */
export function endShut(route: Route): Ending {
  const { failure, retryAfterMs } = route.upstream;
  const cause = failure === undefined ? 'it failed several times' : failure.message;
  const message = `${cause}, and it is given a rest`;
  return toEnding(route, { reason: 'breaker_open', message, retryAfterMs: Math.max(1, retryAfterMs) });
}

/** The upstream has failed. `status` is that of an answer that had begun, `retryAfterMs` what it asks for. */
export function endFailed(
  route: Route,
  { reason, message }: AnswerFailure,
  status: number | undefined,
  retryAfterMs: number | undefined,
): Ending {
  route.upstream.fail(new UpstreamError(reason, 'call', message, status === undefined ? {} : { status }), 'call');
  return toEnding(route, { reason, message, retryAfterMs });
}

/** The request is at fault. */
export function endRefused(refusal: Refusal): Ending {
  return { outcome: 'invalid', reason: refusal.code, refusal };
}

/** The gateway cannot keep up, and the call has not been sent. */
export function endOverloaded(): Ending {
  return { outcome: 'limited', reason: OVERLOADED.code, refusal: OVERLOADED };
}

interface Failure {
  readonly reason: UpstreamFailureReason;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
}

function toEnding({ service, upstream }: Route, failure: Failure): Ending {
  const sinceMs = upstream.failure?.sinceMs ?? Date.now();
  const { jsonRpcCode: code, message, data } = toUpstreamFailedError(service, { ...failure, sinceMs });
  return { outcome: 'upstream_failed', reason: failure.reason, error: { code, message, data } };
}
