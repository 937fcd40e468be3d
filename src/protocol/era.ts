// Decides once, at the edge, which era a message belongs to. From there each era has its own table of methods.

import type { ErrorCode } from '../domain/errors.ts';
import { decodeHeaderValue, isSentinel } from './header-value.ts';
import { findMember, isObjectAt, isStringAt, stringAt } from './json-scan.ts';
import type { Message } from './jsonrpc.ts';
import { LOG_LEVELS, readLogLevel } from './log-level.ts';
import { quoted } from './quoted.ts';

export type Era = 'legacy' | 'modern';

export const MODERN_REVISION = '2026-07-28';
/** Newest first: the first is offered to a client whose own revision is unknown. */
export const LEGACY_REVISIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const;
/** What a client that names no revision speaks (2025-11-25 basic/transports#protocol-version-header). */
const ASSUMED_LEGACY_REVISION = '2025-03-26';

export const META_PROTOCOL_VERSION = 'io.modelcontextprotocol/protocolVersion';
export const META_CLIENT_CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
export const META_CLIENT_INFO = 'io.modelcontextprotocol/clientInfo';
export const META_LOG_LEVEL = 'io.modelcontextprotocol/logLevel';
export const META_SERVER_INFO = 'io.modelcontextprotocol/serverInfo';
export const META_SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';

/** The MCP headers of a request, as received; each at most once. */
export interface McpHeaders {
  readonly protocolVersion: string | undefined;
  readonly method: string | undefined;
  readonly name: string | undefined;
}

export interface EraRefusal {
  readonly era: 'refused';
  readonly code: ErrorCode;
  readonly message: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export type Classification = { readonly era: Era; readonly revision: string } | EraRefusal;

/** The parameter that `Mcp-Name` mirrors (2026-07-28 basic/transports/streamable-http#standard-headers). */
const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
]);

/** The ladder of 2026-07-28 basic/versioning: the envelope in the body decides, headers must agree with it. */
export function classify(message: Message, headers: McpHeaders): Classification {
  if (message.kind === 'response') return ofResponse(headers);
  const version = findMember(message.meta, META_PROTOCOL_VERSION);
  if (version === undefined) return withoutEnvelope(message, headers);
  const isModern = isStringAt(message.bytes, version, MODERN_REVISION);
  const revision = isModern ? MODERN_REVISION : stringAt(message.bytes, version);
  if (revision === undefined) return refuse('invalid_params', `_meta["${META_PROTOCOL_VERSION}"] must be a string.`);
  const said = headers.protocolVersion;
  if (said !== undefined && said !== revision) return mismatch('MCP-Protocol-Version', said, revision);
  if (revision !== MODERN_REVISION) return unsupportedVersion(revision);
  if (message.kind === 'notification') return MODERN;
  return checkEnvelope(message) ?? checkHeaders(message, headers) ?? MODERN;
}

const MODERN: Classification = { era: 'modern', revision: MODERN_REVISION };
const LEGACY: ReadonlyMap<string, Classification> = new Map(
  LEGACY_REVISIONS.map((revision) => [revision, { era: 'legacy', revision }]),
);

/** The modern era knows no requests of a server, so there is nothing that a client could answer. */
function ofResponse(headers: McpHeaders): Classification {
  if (headers.protocolVersion !== MODERN_REVISION) return legacy(headers);
  return refuse('invalid_request', `In revision ${MODERN_REVISION} a client sends no responses.`);
}

function withoutEnvelope(message: Message, headers: McpHeaders): Classification {
  const { protocolVersion } = headers;
  // Revisions are ISO dates, so they compare as strings.
  if (protocolVersion === undefined || protocolVersion < MODERN_REVISION) return legacy(headers);
  if (message.kind === 'notification') return MODERN;
  if (message.method === 'initialize') {
    return refuse(
      'header_mismatch',
      `MCP-Protocol-Version says ${quoted(protocolVersion)}, which has no initialize; send a legacy revision or a _meta envelope.`,
    );
  }
  return refuse(
    'invalid_params',
    `params._meta must hold "${META_PROTOCOL_VERSION}" and "${META_CLIENT_CAPABILITIES}" in revision ${quoted(protocolVersion)}.`,
  );
}

function legacy(headers: McpHeaders): Classification {
  const known = LEGACY.get(headers.protocolVersion ?? ASSUMED_LEGACY_REVISION);
  if (known !== undefined) return known;
  const revision = headers.protocolVersion ?? '';
  return refuse(
    'invalid_request',
    `MCP-Protocol-Version ${quoted(revision)} is not served; served are ${[MODERN_REVISION, ...LEGACY_REVISIONS].join(', ')}.`,
  );
}

function checkEnvelope(message: Message): EraRefusal | undefined {
  const capabilities = findMember(message.meta, META_CLIENT_CAPABILITIES);
  if (capabilities === undefined || !isObjectAt(message.bytes, capabilities.start)) {
    return refuse(
      'invalid_params',
      `params._meta["${META_CLIENT_CAPABILITIES}"] is required and must be an object; {} means none.`,
    );
  }
  const info = findMember(message.meta, META_CLIENT_INFO);
  if (info !== undefined && !isObjectAt(message.bytes, info.start)) {
    return refuse('invalid_params', `params._meta["${META_CLIENT_INFO}"] must be an object.`);
  }
  const level = findMember(message.meta, META_LOG_LEVEL);
  return level === undefined || readLogLevel(message.bytes, level) !== undefined
    ? undefined
    : refuse('invalid_params', `params._meta["${META_LOG_LEVEL}"] must be one of ${LOG_LEVELS.join(', ')}.`);
}

function checkHeaders(message: Message, headers: McpHeaders): EraRefusal | undefined {
  if (headers.protocolVersion !== MODERN_REVISION) {
    return mismatch('MCP-Protocol-Version', headers.protocolVersion, MODERN_REVISION);
  }
  if (headers.method !== message.method) return mismatch('Mcp-Method', headers.method, message.method);
  const mirrored = NAMED_BY.get(message.method);
  if (mirrored === undefined) return undefined;
  const at = findMember(message.params, mirrored);
  const { name } = headers;
  if (at !== undefined && name !== undefined && !isSentinel(name)) {
    if (isStringAt(message.bytes, at, name)) return undefined;
  }
  const value = at === undefined ? undefined : stringAt(message.bytes, at);
  if (value === undefined) return refuse('invalid_params', `params.${mirrored} is required and must be a string.`);
  return name !== undefined && decodeHeaderValue(name) === value ? undefined : mismatch('Mcp-Name', name, value);
}

function unsupportedVersion(requested: string): EraRefusal {
  return {
    era: 'refused',
    code: 'unsupported_protocol_version',
    message: `Protocol version ${quoted(requested)} is not served with a _meta envelope.`,
    data: { supported: [MODERN_REVISION], requested },
  };
}

function mismatch(header: string, sent: string | undefined, expected: string): EraRefusal {
  const said = sent === undefined ? 'is missing' : `says ${quoted(sent)}`;
  return refuse('header_mismatch', `${header} ${said}, but the body says ${quoted(expected)}.`);
}

function refuse(code: ErrorCode, message: string): EraRefusal {
  return { era: 'refused', code, message };
}
