// One JSON-RPC message as the gateway reads it: where its envelope is, and nothing of what is inside `arguments`.

import { isUtf8 } from 'node:buffer';
import type { ErrorCode } from '../domain/errors.ts';
import { findMember, isArrayAt, isObjectAt, JsonScanner, type Member, quoteKey, stringAt } from './json-scan.ts';

/** Member names the protocol gives a meaning to. A case variant of one is refused (Envoy AI Gateway GHSA-4gph-2hhr-5mwg). */
const ENVELOPE_KEYS = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);
const PARAMS_KEYS = new Set([
  'name',
  'arguments',
  '_meta',
  'uri',
  'ref',
  'argument',
  'context',
  'cursor',
  'level',
  'requestId',
  'progressToken',
  'protocolVersion',
  'capabilities',
  'clientInfo',
  'notifications',
  'inputResponses',
  'requestState',
]);
const META_KEYS = new Set([
  'progressToken',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
  'io.modelcontextprotocol/subscriptionId',
]);

/** Longest raw id, in bytes, that is echoed: an id is a correlation handle, not a payload. */
const MAX_ID_BYTES = 512;
const INTEGER = /^-?\d+$/;

/** A scanned message. Spans are offsets into `bytes`; `params` and `meta` are empty when absent. */
export interface Message {
  readonly bytes: Buffer;
  readonly kind: 'request' | 'notification' | 'response';
  /** Empty for a response. */
  readonly method: string;
  /** Absent for a notification. */
  readonly id: Member | undefined;
  readonly paramsAt: Member | undefined;
  readonly params: readonly Member[];
  readonly metaAt: Member | undefined;
  readonly meta: readonly Member[];
}

export interface MessageFault {
  readonly kind: 'fault';
  readonly code: ErrorCode;
  readonly message: string;
  /** Raw id when one could be read, so that the answer can carry it. */
  readonly id: string | undefined;
}

/** Reads one JSON-RPC message strictly (design §3.8). Never throws. */
export function scanMessage(bytes: Buffer): Message | MessageFault {
  if (!isUtf8(bytes)) return fault('parse_error', 'The body is not valid UTF-8.');
  const scan = new JsonScanner(bytes);
  const start = scan.skipSpace(0);
  if (start === bytes.length) return fault('parse_error', 'The body is empty; send one JSON-RPC message.');
  if (isArrayAt(scan.bytes, start)) {
    return fault('invalid_request', 'Batches are not served; send one JSON-RPC message per request.');
  }
  const members: Member[] = [];
  const end = scan.readMembers(start, 0, members);
  if (end < 0) return brokenJson(scan);
  if (scan.skipSpace(end) !== bytes.length) {
    return fault('parse_error', `The body goes on behind the message, at byte ${scan.skipSpace(end)}.`);
  }
  return readEnvelope(scan, members);
}

function readEnvelope(scan: JsonScanner, members: readonly Member[]): Message | MessageFault {
  const id = findMember(members, 'id');
  const idText = id === undefined ? undefined : rawText(scan.bytes, id);
  const variant = findCaseVariant(members, ENVELOPE_KEYS);
  if (variant !== undefined) return fault('invalid_request', variant);
  if (id !== undefined && !isId(scan, id)) {
    return fault('invalid_request', `'id' must be a string or an integer of at most ${MAX_ID_BYTES} bytes.`);
  }
  const version = findMember(members, 'jsonrpc');
  if (version === undefined || stringAt(scan.bytes, version) !== '2.0') {
    return fault('invalid_request', `'jsonrpc' must be "2.0".`, idText);
  }
  const methodAt = findMember(members, 'method');
  if (methodAt === undefined) return readResponse(scan, members, id, idText);
  const method = stringAt(scan.bytes, methodAt);
  if (method === undefined) return fault('invalid_request', `'method' must be a string.`, idText);
  if (findMember(members, 'result') !== undefined || findMember(members, 'error') !== undefined) {
    return fault('invalid_request', `A message has either 'method' or a 'result' or 'error', not both.`, idText);
  }
  return readParams(scan, method, id, findMember(members, 'params'), idText);
}

function readResponse(
  scan: JsonScanner,
  members: readonly Member[],
  id: Member | undefined,
  idText: string | undefined,
): Message | MessageFault {
  const hasResult = findMember(members, 'result') !== undefined;
  const hasError = findMember(members, 'error') !== undefined;
  if (hasResult === hasError) {
    return fault('invalid_request', `A message needs 'method', or one of 'result' and 'error'.`, idText);
  }
  return {
    bytes: scan.bytes,
    kind: 'response',
    method: '',
    id,
    paramsAt: undefined,
    params: [],
    metaAt: undefined,
    meta: [],
  };
}

function readParams(
  scan: JsonScanner,
  method: string,
  id: Member | undefined,
  paramsAt: Member | undefined,
  idText: string | undefined,
): Message | MessageFault {
  const params: Member[] = [];
  const meta: Member[] = [];
  let metaAt: Member | undefined;
  if (paramsAt !== undefined) {
    if (!isObjectAt(scan.bytes, paramsAt.start)) return fault('invalid_request', `'params' must be an object.`, idText);
    if (scan.readMembers(paramsAt.start, 1, params) < 0) return repeatedKey(scan, 'params', idText);
    const variant = findCaseVariant(params, PARAMS_KEYS);
    if (variant !== undefined) return fault('invalid_request', `params: ${variant}`, idText);
    metaAt = findMember(params, '_meta');
    if (metaAt !== undefined) {
      if (!isObjectAt(scan.bytes, metaAt.start))
        return fault('invalid_params', `'params._meta' must be an object.`, idText);
      if (scan.readMembers(metaAt.start, 2, meta) < 0) return repeatedKey(scan, 'params._meta', idText);
      const metaVariant = findCaseVariant(meta, META_KEYS);
      if (metaVariant !== undefined) return fault('invalid_request', `params._meta: ${metaVariant}`, idText);
    }
  }
  const kind = id === undefined ? 'notification' : 'request';
  return { bytes: scan.bytes, kind, method, id, paramsAt, params, metaAt, meta };
}

/** The bytes of a member's value as text; for ids and other values known to be short. */
export function rawText(bytes: Buffer, at: Member): string {
  return bytes.toString('utf8', at.start, at.end);
}

function isId(scan: JsonScanner, id: Member): boolean {
  if (id.end - id.start > MAX_ID_BYTES) return false;
  return stringAt(scan.bytes, id) !== undefined || INTEGER.test(rawText(scan.bytes, id));
}

/**
 * Finds a key that a case-insensitive parser would take for a protocol key. `toUpperCase` first, so that U+017F (ſ)
 * and U+212A (K) fold to `s` and `k` as they do in such parsers (CVE-2026-27896).
 */
function findCaseVariant(members: readonly Member[], known: ReadonlySet<string>): string | undefined {
  for (let index = 0; index < members.length; index++) {
    const { key } = members[index] as Member;
    if (known.has(key)) continue;
    const folded = key.toUpperCase().toLowerCase();
    for (const name of known) {
      if (name.length === folded.length && name.toLowerCase() === folded) {
        return `${quoteKey(key)} looks like the key '${name}'; write it exactly so.`;
      }
    }
  }
  return undefined;
}

function fault(code: ErrorCode, message: string, id?: string): MessageFault {
  return { kind: 'fault', code, message, id };
}

function brokenJson(scan: JsonScanner): MessageFault {
  const isRepeated = scan.problem.endsWith('occurs twice');
  return isRepeated
    ? fault('invalid_request', `The message is ambiguous: ${scan.problem}.`)
    : fault('parse_error', `The body is not valid JSON: ${scan.problem}, at byte ${scan.problemAt}.`);
}

function repeatedKey(scan: JsonScanner, where: string, id: string | undefined): MessageFault {
  return fault('invalid_request', `'${where}' is ambiguous: ${scan.problem}.`, id);
}

/** A JSON-RPC error answer. Without an id the member is left out: it could not be read (2026-07-28 basic/index#error-responses). */
export function errorAnswer(
  id: string | undefined,
  error: { readonly code: number; readonly message: string; readonly data?: unknown },
): string {
  const idMember = id === undefined ? '' : `"id":${id},`;
  return `{"jsonrpc":"2.0",${idMember}"error":${JSON.stringify(error)}}`;
}

/** A JSON-RPC result answer; `id` and `result` are raw JSON. */
export function resultAnswer(id: string, result: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
}
