// What is looked at before a request becomes a call: limits, headers that must agree with the body, whose conversation with
// the upstream it belongs to, and whether its client has come back with something.

import type { Route } from '../catalog/route.ts';
import { capabilityClass, NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import { findMember } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { findParamMismatch, findRepeatedParam } from '../protocol/param-headers.ts';
import type { ExceededLimit } from './calls-in-flight.ts';
import { OVERLOADED, RETRY_AFTER_MS, type Refusal, type RpcRequest } from './exchange.ts';

/** Whose limit it is says who can do something about it. */
export function toRefusal(limit: ExceededLimit, service: string): Refusal {
  if (limit === 'process') return { ...OVERLOADED, data: { ...OVERLOADED.data, service } };
  const isToken = limit === 'token';
  const reason = isToken ? 'rate_limited' : 'overloaded';
  const message = isToken
    ? 'This token has as many calls in flight as it may. Wait for some to end, or ask the operator for more.'
    : `The service ${service} has as many calls in flight as it may. Wait for some to end; other services are not concerned.`;
  const data = { source: 'gateway', service, reason, retry_after_ms: RETRY_AFTER_MS };
  return { code: reason, message, data, retryAfterMs: RETRY_AFTER_MS };
}

/**
 * A principal's calls without a session share one upstream session, never with another principal's; those of clients that
 * can be asked different things do not, because an upstream is told what once for all calls of a session.
 */
export function conversationOf({ exchange, session, era, capabilities }: RpcRequest): string {
  const { id } = exchange.principal.token;
  if (session !== undefined) return session.nonce;
  return era === 'legacy' || capabilities === NO_CAPABILITIES ? id : `${id} ${capabilityClass(capabilities)}`;
}

/** Whether the request brings what an upstream has asked for (2026-07-28 basic/patterns/mrtr). */
export function hasInputs({ params }: Message): boolean {
  for (let index = 0; index < params.length; index++) {
    const key = params[index]?.key;
    if (key === 'requestState' || key === 'inputResponses') return true;
  }
  return false;
}

/** The body says what is called with what; headers that mirror arguments must agree (2026-07-28 streamable-http#custom-headers). */
export function findHeaderMismatch({ message, exchange }: RpcRequest, { tool }: Route): string | undefined {
  if (tool === undefined || tool.paramHeaders.length === 0) return undefined;
  const argumentsAt = findMember(message.params, 'arguments');
  const { headers, rawHeaders } = exchange.request;
  const name =
    findParamMismatch(message.bytes, argumentsAt, tool.paramHeaders, headers) ??
    findRepeatedParam(rawHeaders, tool.paramHeaders);
  return name === undefined
    ? undefined
    : `The header ${name} does not say what params.arguments says. Send it as the tool's input schema asks.`;
}
