// One JSON-RPC message as the gateway reads it: where its envelope is, and nothing of what is inside `arguments`.

import { isUtf8 } from 'node:buffer';
import type { ErrorCode } from '../domain/errors.ts';
import { QUOTE } from './json-bytes.ts';
import {
  ExpectedKeys,
  findMember,
  isArrayAt,
  isObjectAt,
  isStringAt,
  JsonScanner,
  MAX_MEMBERS,
  type Member,
  stringAt,
} from './json-scan.ts';
import { quoted } from './quoted.ts';

/** Member names the protocol gives a meaning to. A case variant of one is refused (Envoy AI Gateway GHSA-4gph-2hhr-5mwg). */
const ENVELOPE_KEYS = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'];
const PARAMS_KEYS = [
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
];
const META_KEYS = [
  'progressToken',
  'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientCapabilities',
  'io.modelcontextprotocol/clientInfo',
  'io.modelcontextprotocol/logLevel',
  'io.modelcontextprotocol/subscriptionId',
];

/** Of notifications, which come by the dozen: what is written so is no variant of a protocol key. */
const NOTIFICATION_KEYS = ['progress', 'total', 'message', 'logger', 'data'];

const EXPECTED = new ExpectedKeys([...ENVELOPE_KEYS, ...PARAMS_KEYS, ...META_KEYS, ...NOTIFICATION_KEYS]);
const ENVELOPE_BY_FOLDED = byFolded(ENVELOPE_KEYS);
const PARAMS_BY_FOLDED = byFolded(PARAMS_KEYS);
const META_BY_FOLDED = byFolded(META_KEYS);
const METHODS = new ExpectedKeys([
  'tools/call',
  'tools/list',
  'prompts/get',
  'resources/read',
  'completion/complete',
  'initialize',
  'ping',
  'server/discover',
  'notifications/progress',
  'notifications/message',
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
  const scan = new JsonScanner(bytes, EXPECTED, MAX_MEMBERS);
  const start = scan.skipSpace(0);
  if (start === bytes.length) return fault('parse_error', 'The body is empty; send one JSON-RPC message.');
  if (isArrayAt(bytes, start)) {
    return fault('invalid_request', 'Batches are not served; send one JSON-RPC message per request.');
  }
  const members: Member[] = [];
  const params: Member[] = [];
  const meta: Member[] = [];
  const descent = { key: 'params', into: params, below: { key: '_meta', into: meta } };
  const end = scan.readMembers(start, 0, members, descent);
  if (end < 0) return brokenJson(scan, members);
  if (scan.skipSpace(end) !== bytes.length) {
    return fault('parse_error', `The body goes on behind the message, at byte ${scan.skipSpace(end)}.`);
  }
  const variant = scan.hasUnexpectedKey ? findCaseVariant(members, ENVELOPE_BY_FOLDED, '') : undefined;
  if (variant !== undefined) return fault('invalid_request', variant);
  const message = readEnvelope(bytes, members, params, meta);
  return scan.hasUnexpectedKey && message.kind !== 'fault' ? refuseVariants(message) : message;
}

/** One look at each member, since this runs for every message. */
function readEnvelope(
  bytes: Buffer,
  members: readonly Member[],
  params: readonly Member[],
  meta: readonly Member[],
): Message | MessageFault {
  let id: Member | undefined;
  let version: Member | undefined;
  let methodAt: Member | undefined;
  let paramsAt: Member | undefined;
  let answers = 0;
  for (let index = 0; index < members.length; index++) {
    const member = members[index] as Member;
    if (member.key === 'id') id = member;
    else if (member.key === 'jsonrpc') version = member;
    else if (member.key === 'method') methodAt = member;
    else if (member.key === 'params') paramsAt = member;
    else if (member.key === 'result' || member.key === 'error') answers++;
  }
  if (id !== undefined && !isId(bytes, id)) {
    return fault('invalid_request', `'id' must be a string or an integer of at most ${MAX_ID_BYTES} bytes.`);
  }
  const metaAt = findMember(params, '_meta');
  const problem = findEnvelopeProblem(bytes, version, methodAt, answers) ?? findObjectProblem(bytes, paramsAt, metaAt);
  if (problem !== undefined) return { ...problem, id: id === undefined ? undefined : rawText(bytes, id) };
  const kind = methodAt === undefined ? 'response' : id === undefined ? 'notification' : 'request';
  const method = methodAt === undefined ? '' : readMethod(bytes, methodAt);
  return { bytes, kind, method, id, paramsAt, params, metaAt, meta };
}

/** The method, as one of the expected strings where it is one. */
function readMethod(bytes: Buffer, at: Member): string {
  return METHODS.find(bytes, at.start + 1, at.end - 1) ?? (stringAt(bytes, at) as string);
}

function findEnvelopeProblem(
  bytes: Buffer,
  version: Member | undefined,
  method: Member | undefined,
  answers: number,
): MessageFault | undefined {
  if (version === undefined || !isStringAt(bytes, version, '2.0')) {
    return fault('invalid_request', `'jsonrpc' must be "2.0".`);
  }
  if (method === undefined) {
    return answers === 1
      ? undefined
      : fault('invalid_request', `A message needs 'method', or one of 'result' and 'error'.`);
  }
  if (bytes[method.start] !== QUOTE) return fault('invalid_request', `'method' must be a string.`);
  return answers === 0
    ? undefined
    : fault('invalid_request', `A message has either 'method' or a 'result' or 'error', not both.`);
}

function findObjectProblem(
  bytes: Buffer,
  paramsAt: Member | undefined,
  metaAt: Member | undefined,
): MessageFault | undefined {
  if (paramsAt !== undefined && !isObjectAt(bytes, paramsAt.start)) {
    return fault('invalid_request', `'params' must be an object.`);
  }
  return metaAt === undefined || isObjectAt(bytes, metaAt.start)
    ? undefined
    : fault('invalid_params', `'params._meta' must be an object.`);
}

function refuseVariants(message: Message): Message | MessageFault {
  const { bytes, id, params, meta } = message;
  const variant =
    findCaseVariant(params, PARAMS_BY_FOLDED, 'params: ') ?? findCaseVariant(meta, META_BY_FOLDED, 'params._meta: ');
  if (variant === undefined) return message;
  return fault('invalid_request', variant, id === undefined ? undefined : rawText(bytes, id));
}

/** Whether two ids are the same JSON string, however it is escaped, or the same text of a number. */
export function isSameId(bytes: Buffer, id: Member, otherBytes: Buffer, other: Member): boolean {
  const text = stringAt(bytes, id);
  return text === undefined ? rawText(bytes, id) === rawText(otherBytes, other) : text === stringAt(otherBytes, other);
}

/** The bytes of a member's value as text; for ids and other values known to be short. */
export function rawText(bytes: Buffer, at: Member): string {
  return bytes.toString('utf8', at.start, at.end);
}

function isId(bytes: Buffer, id: Member): boolean {
  if (id.end - id.start > MAX_ID_BYTES) return false;
  return bytes[id.start] === QUOTE || INTEGER.test(rawText(bytes, id));
}

/** Protocol keys by what they fold to, and the length of the longest. */
export interface FoldedKeys {
  readonly names: ReadonlyMap<string, string>;
  readonly longest: number;
}

export function byFolded(keys: readonly string[]): FoldedKeys {
  return {
    names: new Map(keys.map((key) => [fold(key), key])),
    longest: Math.max(...keys.map((key) => key.length)),
  };
}

/** `toUpperCase` first, so that U+017F (ſ) and U+212A (K) fold to `s` and `k` as they do in case-insensitive parsers (CVE-2026-27896). */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** Finds a key that a case-insensitive parser would take for a protocol key; says so, in the object at `where`. */
export function findCaseVariant(members: readonly Member[], known: FoldedKeys, where: string): string | undefined {
  for (let index = 0; index < members.length; index++) {
    const { key } = members[index] as Member;
    // Folding never shortens, and a key may be megabytes long.
    if (key.length > known.longest) continue;
    const name = known.names.get(fold(key));
    if (name !== undefined && name !== key) {
      return `${where}${quoted(key)} looks like the key '${name}'; write it exactly so.`;
    }
  }
  return undefined;
}

function fault(code: ErrorCode, message: string, id?: string): MessageFault {
  return { kind: 'fault', code, message, id };
}

function brokenJson(scan: JsonScanner, members: readonly Member[]): MessageFault {
  const { problem, problemKind, problemAt } = scan;
  if (problemKind === 'syntax') {
    return fault('parse_error', `The body is not valid JSON: ${problem}, at byte ${problemAt}.`);
  }
  // Of two ids neither is echoed.
  const id = problem.startsWith('the key "id"') ? undefined : findMember(members, 'id');
  const idText = id !== undefined && isId(scan.bytes, id) ? rawText(scan.bytes, id) : undefined;
  const message =
    problemKind === 'repeated_key'
      ? `The message is ambiguous: ${problem}, at byte ${problemAt}.`
      : `The message is refused: ${problem}, at byte ${problemAt}. The envelope, params and params._meta may have so many each; send more inside params.arguments.`;
  return fault('invalid_request', message, idText);
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
