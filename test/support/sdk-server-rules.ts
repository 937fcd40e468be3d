// What an MCP server built on the official SDKs refuses before any handler sees the request: v1 (1.32, legacy) and
// v2 (2.4, modern only). Statuses, codes and order are observed, not derived (the legacy texts too: gateways tell eras by them).

import type { IncomingHttpHeaders } from 'node:http';

export interface ClientMessage {
  /** Absent in a response to a server's request. */
  readonly method: string | undefined;
  /** The id's JSON text, byte for byte; absent in a notification. */
  readonly idText: string | undefined;
  readonly params: Readonly<Record<string, unknown>>;
}

/** An HTTP-level error: `error` is raw JSON of the JSON-RPC error object. */
export interface Refusal {
  readonly status: number;
  readonly error: string;
}

const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '2024-10-07'];
const MODERN_VERSION = '2026-07-28';
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
const CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities';

/** Where the `Mcp-Name` header's value stands in the params (MCP 2026-07-28 basic/transports/streamable-http). */
const NAME_PARAM: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
};

/** Reads a message for routing only; `undefined` when it is no JSON object. */
export function parseClientMessage(body: Buffer): ClientMessage | undefined {
  const idTexts = new Map<unknown, string | undefined>();
  try {
    const message = JSON.parse(body.toString(), function (this: unknown, key, value, context?: { source?: string }) {
      // JSON.parse would lose the digits of a large id; its source text is kept per object, the root's is asked for below.
      if (key === 'id') idTexts.set(this, context?.source);
      return value;
    });
    if (typeof message !== 'object' || message === null || Array.isArray(message)) return undefined;
    return { method: message.method, idText: idTexts.get(message), params: message.params ?? {} };
  } catch {
    return undefined;
  }
}

export const PARSE_ERROR = refusal(400, -32700, 'Parse error: Invalid JSON');
export const METHOD_NOT_ALLOWED = refusal(405, -32000, 'Method not allowed.');
export const METHOD_NOT_FOUND = refusal(404, -32601, 'Method not found');

/** Rules of both eras for the headers of a POST. */
export function refusalOfMediaTypes(headers: IncomingHttpHeaders): Refusal | undefined {
  const { accept = '', 'content-type': contentType = '' } = headers;
  if (!accept.includes('application/json') || !accept.includes('text/event-stream')) {
    const text = 'Not Acceptable: Client must accept both application/json and text/event-stream';
    return refusal(406, -32000, text);
  }
  if (contentType.split(';')[0]?.trim().toLowerCase() !== 'application/json') {
    return refusal(415, -32000, 'Unsupported Media Type: Content-Type must be application/json');
  }
  return undefined;
}

/** Session and version rules of v1. `sessions` are the ids in force, `undefined` for a stateless server. */
export function refusalOfLegacy(
  headers: IncomingHttpHeaders,
  method: string | undefined,
  sessions: ReadonlySet<string> | undefined,
): Refusal | undefined {
  if (method === 'initialize') return undefined;
  const sessionId = headers['mcp-session-id'];
  if (sessions !== undefined && sessionId === undefined) {
    return refusal(400, -32000, 'Bad Request: Server not initialized');
  }
  if (sessions !== undefined && !sessions.has(String(sessionId))) return refusal(404, -32001, 'Session not found');
  const version = headers['mcp-protocol-version'];
  if (version === undefined || LEGACY_VERSIONS.includes(String(version))) return undefined;
  const supported = `(supported versions: ${LEGACY_VERSIONS.join(', ')})`;
  return refusal(400, -32000, `Bad Request: Unsupported protocol version: ${version} ${supported}`);
}

/** The version v1 answers `initialize` with: the client's if it knows it, else its own latest. */
export function negotiateLegacyVersion(requested: unknown): string {
  const [latest = ''] = LEGACY_VERSIONS;
  return LEGACY_VERSIONS.find((version) => version === requested) ?? latest;
}

/** Envelope and header rules of v2 without its legacy fallback, in its order of precedence. */
export function refusalOfModern(headers: IncomingHttpHeaders, message: ClientMessage): Refusal | undefined {
  const { method = '', idText, params } = message;
  if (idText === undefined) return undefined;
  const envelope = (params._meta ?? {}) as Readonly<Record<string, unknown>>;
  const version = envelope[VERSION_KEY];
  const headerVersion = headers['mcp-protocol-version'];
  if (version === undefined && headerVersion === MODERN_VERSION) {
    return refusal(400, -32602, `Invalid params: the request is missing ${VERSION_KEY} in _meta`);
  }
  if (version !== MODERN_VERSION) return unsupportedVersion(version ?? headerVersion ?? params.protocolVersion);
  if (headerVersion !== version) return mismatch('MCP-Protocol-Version', headerVersion, version);
  if (headers['mcp-method'] !== method) return mismatch('Mcp-Method', headers['mcp-method'], method);
  const nameParam = NAME_PARAM[method];
  const headerName = decodeHeaderValue(headers['mcp-name']);
  if (nameParam !== undefined && headerName !== params[nameParam]) {
    return mismatch('Mcp-Name', headerName, params[nameParam]);
  }
  const capabilities = envelope[CAPABILITIES_KEY];
  if (typeof capabilities === 'object' && capabilities !== null) return undefined;
  return refusal(400, -32602, `Invalid _meta envelope: ${CAPABILITIES_KEY}: missing`);
}

function unsupportedVersion(requested: unknown): Refusal {
  const data = { supported: [MODERN_VERSION], requested: requested ?? '2025-03-26' };
  return refusal(400, -32022, `Unsupported protocol version: ${data.requested}`, data);
}

function mismatch(header: string, headerValue: unknown, bodyValue: unknown): Refusal {
  const text = `Bad Request: the ${header} header names ${JSON.stringify(headerValue)}, the body ${JSON.stringify(bodyValue)}`;
  return refusal(400, -32020, text);
}

function decodeHeaderValue(value: string | string[] | undefined): string | undefined {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(String(value))?.[1];
  return encoded === undefined ? value?.toString() : Buffer.from(encoded, 'base64').toString();
}

function refusal(status: number, code: number, message: string, data?: object): Refusal {
  return { status, error: JSON.stringify({ code, message, data }) };
}
