// Every call ends as one record of the audit log: here a call, or a request that never became one, is put into
// its words.

import { performance } from 'node:perf_hooks';
import type { AuditLog } from '../audit-log/audit-log.ts';
import { type CallReason, toSubjectText } from '../audit-log/call-record.ts';
import type { Route } from '../catalog/route.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import type { Refusal, RpcRequest } from './exchange.ts';
import type { UpstreamCall } from './upstream-call.ts';

/** W3C Trace Context §3.2: version, trace id, parent id, flags. All zeros are no id. */
const TRACEPARENT = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|$)/;
/** What a client makes up as a name, and a URI, is kept this far. */
const MAX_NAME_LENGTH = 256;

interface Subject {
  readonly tokenId: string;
  readonly text: string;
}

/** What a request was for that does not become a call. */
interface NoCall {
  /** Where it would have gone, if there is such a route; else the name that was asked for, if it named one. */
  readonly of: Route | string | undefined;
  readonly outcome: CallOutcome;
  readonly epoch?: number;
}

export class CallAudit {
  readonly #log: AuditLog | undefined;
  readonly #subjects = new WeakMap<Route, Subject>();

  constructor(log: AuditLog | undefined) {
    this.#log = log?.recordsCalls ? log : undefined;
  }

  /** Whether a call may begin; false where it could not be recorded, and the operator wants no such call. */
  admits({ exchange }: RpcRequest): boolean {
    return this.#log === undefined || this.#log.admits(exchange.principal.accountId);
  }

  ended(call: UpstreamCall, outcome: CallOutcome, reason: CallReason | null, nowMs: number): void {
    if (this.#log === undefined) return;
    const { request, route, reply } = call;
    const { exchange, message, era } = request;
    this.#log.record(route.accountId, this.#subjectOf(route, exchange.principal.token.id), {
      method: message.method,
      outcome,
      reason,
      era,
      totalMs: nowMs - exchange.startedMs,
      upstreamMs: call.upstreamMs(nowMs),
      requestBytes: message.bytes.length,
      responseBytes: reply.bytes,
      traceId: findTraceId(request),
    });
  }

  /** Refuses a request before it becomes a call, and records that. */
  refuse(request: RpcRequest, refusal: Refusal, noCall: NoCall): void {
    this.#record(request, noCall, refusal.code, request.refuse(refusal));
  }

  /** A legacy client has said that it wants no answer, while its tool was looked for. */
  cancelled(request: RpcRequest, name: string, epoch: number): void {
    this.#record(request, { of: name, outcome: 'cancelled', epoch }, 'client_cancelled', 0);
  }

  #record(request: RpcRequest, { of, outcome, epoch }: NoCall, reason: CallReason, responseBytes: number): void {
    if (this.#log === undefined) return;
    const { exchange, message, era } = request;
    const { accountId, token } = exchange.principal;
    const subject =
      typeof of === 'object'
        ? this.#subjectOf(of, token.id)
        : toSubjectText({
            accountId,
            tokenId: token.id,
            tool: of?.slice(0, MAX_NAME_LENGTH) ?? null,
            config: null,
            pattern: null,
            narrowingPattern: null,
            epoch: epoch ?? null,
          });
    this.#log.record(accountId, subject, {
      method: message.method,
      outcome,
      reason,
      era,
      totalMs: performance.now() - exchange.startedMs,
      upstreamMs: null,
      requestBytes: message.bytes.length,
      responseBytes,
      traceId: findTraceId(request),
    });
  }

  #subjectOf(route: Route, tokenId: string): string {
    const known = this.#subjects.get(route);
    if (known?.tokenId === tokenId) return known.text;
    const { id, name, revision } = route.grant.config.config;
    const text = toSubjectText({
      accountId: route.accountId,
      tokenId,
      tool: route.canonicalName.slice(0, MAX_NAME_LENGTH),
      config: { id, name, revision },
      pattern: route.admission.pattern,
      narrowingPattern: route.admission.narrowingPattern ?? null,
      epoch: route.epoch,
    });
    this.#subjects.set(route, { tokenId, text });
    return text;
  }
}

/** What the message says (SEP-414), else what its HTTP request says. */
function findTraceId({ message, exchange }: RpcRequest): string | null {
  const at = findMember(message.meta, 'traceparent');
  const header = exchange.request.headers.traceparent;
  const text = at === undefined ? header : stringAt(message.bytes, at);
  return typeof text === 'string' ? (TRACEPARENT.exec(text)?.[1] ?? null) : null;
}
