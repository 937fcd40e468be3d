// Finds out which era an upstream speaks and opens legacy sessions (2026-07-28 basic/versioning, basic/transports/
// streamable-http#backward-compatibility). Never probes with `tools/call`: a server might run it.

import type { Dispatcher } from 'undici';
import {
  type ClientCapabilities,
  capabilitiesText,
  capabilityClass,
  RELAYED_CAPABILITIES,
} from '../protocol/client-capabilities.ts';
import {
  type Era,
  LEGACY_REVISIONS,
  META_CLIENT_CAPABILITIES,
  META_CLIENT_INFO,
  META_PROTOCOL_VERSION,
  MODERN_REVISION,
} from '../protocol/era.ts';
import { findMember, type Member } from '../protocol/json-scan.ts';
import type { LogLevel } from '../protocol/log-level.ts';
import { readAbout, type UpstreamAbout } from './about.ts';
import { textOf } from './control-answer.ts';
import { type ControlAnswer, sendControlRequest } from './control-request.ts';
import { type FailureStage, UpstreamError } from './failure.ts';
import { findElements, findMembers, readString, skipSpace } from './loose-json.ts';

/** How an upstream is spoken to on one conversation: everything a call needs to know. */
export interface Link {
  readonly era: Era;
  readonly revision: string;
  /** Set by stateful legacy upstreams only. */
  readonly sessionId: string | undefined;
  /** Flat [name, value, …] array sent with every request of this conversation. */
  readonly headers: readonly string[];
  /** The class of what the upstream was told that the client can be asked; empty for nothing. */
  readonly capabilities: string;
  /** From which level on a legacy upstream was asked for logs. */
  logLevel?: LogLevel;
  /** Its GET stream, if one was opened; `upstream.ts` keeps it. */
  stream?: { close(): void };
  /** Calls that run on it now, and when the last one ended; `links.ts` keeps both. */
  calls: number;
  usedAtMs: number;
}

export interface HandshakeOptions {
  readonly pool: Dispatcher;
  readonly path: string;
  /** Credential and content headers, sent with everything. */
  readonly headers: readonly string[];
  /** `Implementation` as raw JSON. */
  readonly clientInfo: string;
  readonly timeoutMs: number;
  readonly mintId: () => string;
}

const MAX_ANSWER_BYTES = 1024 * 1024;
const UNSUPPORTED_PROTOCOL_VERSION = -32022;

/** The era of an upstream, and what one says of itself that tells it with its era. */
export type Probed =
  | { readonly era: 'modern'; readonly about: UpstreamAbout }
  | { readonly era: 'legacy'; readonly about: undefined };

/** Asks `server/discover`; any answer but a modern one means legacy. Throws `UpstreamError` when the upstream cannot be asked. */
export async function probeEra(options: HandshakeOptions): Promise<Probed> {
  let answer = await probe(options);
  // By its own word it supports what it was asked in (2026-07-28 basic/versioning: a client picks a mutual version and asks again).
  if (answer.answer !== undefined && claimsModern(answer.answer.bytes)) answer = await probe(options);
  const { bytes, result } = answer.answer ?? {};
  if (bytes === undefined || result === undefined || !isModern(bytes, result)) return LEGACY;
  return { era: 'modern', about: readAbout(bytes, result) };
}

async function probe(options: HandshakeOptions): Promise<ControlAnswer> {
  const meta = modernMeta(options.clientInfo);
  const id = options.mintId();
  const body = `{"jsonrpc":"2.0","id":"${id}","method":"server/discover","params":{"_meta":${meta}}}`;
  const headers = [...options.headers, ...modernHeaders('server/discover')];
  const answer = await send(options, headers, body, 'probe', id);
  refuseUnusable(answer, 'probe');
  return answer;
}

const LEGACY: Probed = { era: 'legacy', about: undefined };

const RELAYED = capabilitiesText(RELAYED_CAPABILITIES, MODERN_REVISION);

/** The `_meta` of the gateway's own requests. */
export function modernMeta(clientInfo: string): string {
  return `{"${META_PROTOCOL_VERSION}":"${MODERN_REVISION}","${META_CLIENT_CAPABILITIES}":${RELAYED},"${META_CLIENT_INFO}":${clientInfo}}`;
}

export function modernHeaders(method: string): string[] {
  return ['mcp-protocol-version', MODERN_REVISION, 'mcp-method', method];
}

/** The conversation with a modern upstream: there is none, so one link serves everybody. */
export function modernLink(options: HandshakeOptions): Link {
  const { headers } = options;
  const common = { sessionId: undefined, headers, capabilities: '', calls: 0, usedAtMs: 0 };
  return { era: 'modern', revision: MODERN_REVISION, ...common };
}

/** `initialize` and `notifications/initialized` (2025-11-25 basic/lifecycle). Throws `UpstreamError`. */
export async function openLegacyLink(
  options: HandshakeOptions,
  declared: ClientCapabilities,
): Promise<{ link: Link; about: UpstreamAbout }> {
  const [offered] = LEGACY_REVISIONS;
  const capabilities = capabilitiesText(declared, offered);
  const params = `{"protocolVersion":"${offered}","capabilities":${capabilities},"clientInfo":${options.clientInfo}}`;
  const id = options.mintId();
  const body = `{"jsonrpc":"2.0","id":"${id}","method":"initialize","params":${params}}`;
  const answer = await send(options, options.headers, body, 'initialize', id);
  refuseUnusable(answer, 'initialize');
  const { bytes, result } = answer.answer ?? {};
  const revision = bytes && result && textOf(bytes, result, 'protocolVersion');
  if (bytes === undefined || result === undefined || revision === undefined) {
    throw new UpstreamError('broken_answer', 'initialize', 'it does not answer initialize as an MCP server does');
  }
  if (!(LEGACY_REVISIONS as readonly string[]).includes(revision)) {
    throw new UpstreamError('broken_answer', 'initialize', 'it speaks no protocol revision that this gateway knows');
  }
  const sessionId = readSessionId(answer);
  const headers = [...options.headers, 'mcp-protocol-version', revision];
  if (sessionId !== undefined) headers.push('mcp-session-id', sessionId);
  await send(options, headers, '{"jsonrpc":"2.0","method":"notifications/initialized"}', 'initialize');
  const common = { sessionId, headers, capabilities: capabilityClass(declared), calls: 0, usedAtMs: 0 };
  const link: Link = { era: 'legacy', revision, ...common };
  return { link, about: readAbout(bytes, result) };
}

/** `server/discover` was answered with the modern revision among others. */
export function isModern(bytes: Buffer, result: readonly Member[]): boolean {
  return namesModern(bytes, findMember(result, 'supportedVersions'));
}

/** An error -32022 that names the modern revision among those that are supported. */
function claimsModern(bytes: Buffer): boolean {
  const error = membersOf(bytes, findMembers(bytes, skipSpace(bytes, 0)), 'error');
  const code = findMember(error, 'code');
  if (code === undefined || bytes.toString('latin1', code.start, code.end) !== String(UNSUPPORTED_PROTOCOL_VERSION)) {
    return false;
  }
  return namesModern(bytes, findMember(membersOf(bytes, error, 'data'), 'supported'));
}

function membersOf(bytes: Buffer, members: readonly Member[] | undefined, key: string): readonly Member[] {
  const at = findMember(members ?? [], key);
  return (at && findMembers(bytes, at.start)) ?? [];
}

function namesModern(bytes: Buffer, at: Member | undefined): boolean {
  const spans = at === undefined ? [] : (findElements(bytes, at.start) ?? []);
  return spans.some((span) => readString(bytes, span) === MODERN_REVISION);
}

/** Neither a refused credential nor a server error says anything about the era. */
function refuseUnusable(answer: ControlAnswer, stage: FailureStage): void {
  const { status } = answer;
  if (status === 401 || status === 403) {
    throw new UpstreamError('credential_refused', stage, 'it refused the credential this gateway holds for it');
  }
  if (status === 429) throw new UpstreamError('rate_limited', stage, 'it limits the rate of requests');
  if (status >= 500 || (status >= 300 && status < 400)) {
    throw new UpstreamError('bad_status', stage, `it answered HTTP ${status}`, { status });
  }
}

/** A session id outside visible ASCII could not be sent back (2025-11-25 basic/transports#session-management). */
function readSessionId(answer: ControlAnswer): string | undefined {
  const value = answer.headers['mcp-session-id'];
  if (typeof value !== 'string') return undefined;
  if (/^[\x21-\x7e]{1,2048}$/.test(value)) return value;
  throw new UpstreamError('broken_answer', 'initialize', 'it sent a session id that no header can carry');
}

function send(
  options: HandshakeOptions,
  headers: readonly string[],
  body: string,
  stage: FailureStage,
  id?: string,
): Promise<ControlAnswer> {
  const { pool, path, timeoutMs } = options;
  return sendControlRequest(pool, { path, headers, body, id, stage, timeoutMs, maxBytes: MAX_ANSWER_BYTES });
}
