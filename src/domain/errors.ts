// The closed table of errors the gateway makes itself. One row gives the HTTP status and the JSON-RPC code;
// an upstream handler's own error never passes through here, it travels as the bytes it came in.

/** Whose mistake it is, for those who read the table in the README. */
export type Fault = 'client' | 'gateway' | 'upstream';

export type ErrorCode =
  | 'invalid_argument'
  | 'not_found'
  | 'conflict'
  | 'revision_mismatch'
  | 'unauthenticated'
  | 'forbidden'
  | 'method_not_allowed'
  | 'payload_too_large'
  | 'unsupported_media_type'
  | 'parse_error'
  | 'invalid_request'
  | 'invalid_params'
  | 'method_not_found'
  | 'unknown_tool'
  | 'unknown_prompt'
  | 'unknown_resource'
  | 'unknown_request'
  | 'unknown_request_state'
  | 'unknown_cursor'
  | 'unknown_session'
  | 'header_mismatch'
  | 'missing_client_capability'
  | 'unsupported_protocol_version'
  | 'upstream_failed'
  | 'rate_limited'
  | 'overloaded'
  | 'store_unavailable'
  | 'internal';

interface ErrorRow {
  readonly status: number;
  readonly jsonRpcCode: number;
  /** Where revisions before 2026-07-28 have a code of their own. */
  readonly legacyJsonRpcCode?: number;
  readonly fault: Fault;
  readonly title: string;
}

/** HTTP status and JSON-RPC code of every error code (design §3, MCP 2026-07-28 basic/index#error-codes). */
export const ERRORS: Readonly<Record<ErrorCode, ErrorRow>> = {
  invalid_argument: { status: 400, jsonRpcCode: -32602, fault: 'client', title: 'Invalid argument' },
  not_found: { status: 404, jsonRpcCode: -32601, fault: 'client', title: 'Not found' },
  // 400, not 409: Runloop's clients retry a 409 five times.
  conflict: { status: 400, jsonRpcCode: -32602, fault: 'client', title: 'Conflict' },
  revision_mismatch: { status: 412, jsonRpcCode: -32602, fault: 'client', title: 'Another revision' },
  unauthenticated: { status: 401, jsonRpcCode: -32600, fault: 'client', title: 'Not authenticated' },
  forbidden: { status: 403, jsonRpcCode: -32600, fault: 'client', title: 'Forbidden' },
  method_not_allowed: { status: 405, jsonRpcCode: -32600, fault: 'client', title: 'Method not allowed' },
  payload_too_large: { status: 413, jsonRpcCode: -32600, fault: 'client', title: 'Request body too large' },
  unsupported_media_type: { status: 415, jsonRpcCode: -32600, fault: 'client', title: 'Unsupported media type' },
  parse_error: { status: 400, jsonRpcCode: -32700, fault: 'client', title: 'Parse error' },
  invalid_request: { status: 400, jsonRpcCode: -32600, fault: 'client', title: 'Invalid request' },
  invalid_params: { status: 400, jsonRpcCode: -32602, fault: 'client', title: 'Invalid params' },
  method_not_found: { status: 404, jsonRpcCode: -32601, fault: 'client', title: 'Method not found' },
  unknown_tool: { status: 200, jsonRpcCode: -32602, fault: 'client', title: 'Unknown tool' },
  unknown_prompt: { status: 200, jsonRpcCode: -32602, fault: 'client', title: 'Unknown prompt' },
  unknown_resource: {
    status: 200,
    jsonRpcCode: -32602,
    // 2025-11-25 server/resources#error-handling.
    legacyJsonRpcCode: -32002,
    fault: 'client',
    title: 'Unknown resource',
  },
  unknown_request: { status: 400, jsonRpcCode: -32600, fault: 'client', title: 'Unknown request' },
  unknown_request_state: { status: 200, jsonRpcCode: -32602, fault: 'client', title: 'Unknown request state' },
  unknown_cursor: { status: 200, jsonRpcCode: -32602, fault: 'client', title: 'Unknown cursor' },
  unknown_session: { status: 404, jsonRpcCode: -32600, fault: 'client', title: 'Unknown session' },
  header_mismatch: { status: 400, jsonRpcCode: -32020, fault: 'client', title: 'Header mismatch' },
  missing_client_capability: { status: 400, jsonRpcCode: -32021, fault: 'client', title: 'Missing client capability' },
  unsupported_protocol_version: {
    status: 400,
    jsonRpcCode: -32022,
    fault: 'client',
    title: 'Unsupported protocol version',
  },
  upstream_failed: { status: 200, jsonRpcCode: -32603, fault: 'upstream', title: 'Upstream failed' },
  rate_limited: { status: 429, jsonRpcCode: -32603, fault: 'client', title: 'Rate limited' },
  overloaded: { status: 503, jsonRpcCode: -32603, fault: 'gateway', title: 'Overloaded' },
  store_unavailable: { status: 503, jsonRpcCode: -32603, fault: 'gateway', title: 'Store unavailable' },
  internal: { status: 500, jsonRpcCode: -32603, fault: 'gateway', title: 'Internal error' },
};

/**
 * The body of a refusal that is no JSON-RPC: `message` on top, as Runloop's clients show it. The status may be another than
 * the code's own, as 431 is.
 */
export function toProblemBody(
  status: number,
  code: ErrorCode,
  message: string,
  problems: readonly Problem[] = [],
): string {
  const errors = problems.length === 0 ? {} : { errors: problems };
  return JSON.stringify({ message, code, title: ERRORS[code].title, status, ...errors });
}

/** Why a call could not be answered by its upstream: the closed set of `data.reason` and of the metric label. */
export const UPSTREAM_FAILURE_REASONS = [
  'unreachable',
  'timeout',
  'bad_status',
  'broken_answer',
  'credential_refused',
  'address_refused',
  'session_lost',
  'breaker_open',
  'rate_limited',
  'overloaded',
] as const;
export type UpstreamFailureReason = (typeof UPSTREAM_FAILURE_REASONS)[number];

/** One problem in an input, at its place: `path` is written as `mcp_configs[0].allowed_tools[1]`. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

export interface GatewayErrorOptions {
  readonly cause?: unknown;
  readonly problems?: readonly Problem[];
  /** JSON-RPC `error.data`; must hold nothing secret. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** When to try again; sent as `Retry-After`. */
  readonly retryAfterMs?: number;
}

/** The value of a `Retry-After` header: whole seconds, and never so few that the retry comes too early (RFC 9110 §10.2.3). */
export function toRetryAfter(retryAfterMs: number): string {
  return String(Math.ceil(retryAfterMs / 1000));
}

/** The only error our own code throws. `message` is shown to clients: it teaches, and never holds a secret or an address. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly problems: readonly Problem[];
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: GatewayErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.problems = options.problems ?? [];
    this.data = options.data;
    this.retryAfterMs = options.retryAfterMs;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get jsonRpcCode(): number {
    return ERRORS[this.code].jsonRpcCode;
  }
}
