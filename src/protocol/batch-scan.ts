// A batch of revision 2025-03-26, cut into its messages (2025-03-26 basic/index#batching, JSON-RPC 2.0 §6). Each is read
// on its own bytes and as strictly as one that comes alone, so that what a batch may hold is what may be sent without it.

import { isUtf8 } from 'node:buffer';
import { META_PROTOCOL_VERSION } from './era.ts';
import { CLOSE_BRACKET, COMMA, OPEN_BRACE, QUOTE } from './json-bytes.ts';
import { findMember, isArrayAt, isObjectAt, JsonScanner } from './json-scan.ts';
import { type Message, type MessageFault, rawText, scanMessage } from './jsonrpc.ts';

/** More messages in one body would be a way around what one connection can ask for at a time. */
export const MAX_BATCH_MESSAGES = 100;

/** Whether a body is an array; the first byte of an ordinary one says that it is none. */
export function isBatch(bytes: Buffer): boolean {
  return bytes[0] !== OPEN_BRACE && isArrayAt(bytes, new JsonScanner(bytes).skipSpace(0));
}

/** The messages of a body that is an array, in its order; or why it is refused as a whole. Never throws. */
export function scanBatch(bytes: Buffer): readonly (Message | MessageFault)[] | MessageFault {
  if (!isUtf8(bytes)) return fault('parse_error', 'The body is not valid UTF-8.');
  const parts = readParts(bytes);
  if ('kind' in parts) return parts;
  const messages = parts.map(scanPart);
  const used = new Map<string, number>();
  for (const message of messages) {
    const key = idKey(message);
    if (key !== undefined) used.set(key, (used.get(key) ?? 0) + 1);
  }
  return messages.map((message) => {
    const key = idKey(message);
    return key === undefined || used.get(key) === 1 ? message : refuseRepeated(message);
  });
}

/** The bytes of each element. What is no JSON as a whole has no elements (JSON-RPC 2.0 §6). */
function readParts(bytes: Buffer): readonly Buffer[] | MessageFault {
  const scan = new JsonScanner(bytes);
  const parts: Buffer[] = [];
  let at = scan.skipSpace(scan.skipSpace(0) + 1);
  if (bytes[at] === CLOSE_BRACKET) return fault('invalid_request', 'The batch is empty; send at least one message.');
  for (;;) {
    const start = scan.skipSpace(at);
    // As if each came alone: its nesting is not counted from the array.
    const end = scan.skipValue(start, 0);
    if (end < 0) return brokenJson(scan.problem, scan.problemAt);
    if (parts.length === MAX_BATCH_MESSAGES) {
      return fault('invalid_request', `The batch holds more than ${MAX_BATCH_MESSAGES} messages; send several.`);
    }
    parts.push(bytes.subarray(start, end));
    at = scan.skipSpace(end);
    if (bytes[at] === CLOSE_BRACKET) break;
    if (bytes[at] !== COMMA) return brokenJson("expected ',' or ']'", at);
    at++;
  }
  const rest = scan.skipSpace(at + 1);
  return rest === bytes.length ? parts : fault('parse_error', `The body goes on behind the batch, at byte ${rest}.`);
}

function scanPart(bytes: Buffer): Message | MessageFault {
  if (!isObjectAt(bytes, 0)) return fault('invalid_request', 'A batch holds JSON-RPC messages and nothing else.');
  const message = scanMessage(bytes);
  if (message.kind !== 'request') return message;
  const id = readId(message);
  if (message.method === 'initialize') {
    // 2025-03-26 basic/lifecycle#initialization: what it agrees on decides how the others are to be read.
    return fault('invalid_request', 'initialize is not served in a batch; send it alone.', id);
  }
  return findMember(message.meta, META_PROTOCOL_VERSION) === undefined
    ? message
    : fault('invalid_request', 'A message with a _meta envelope is not served in a batch; send it alone.', id);
}

/** Two answers with one id could not be told apart, so none of the requests is served. */
function refuseRepeated(message: Message | MessageFault): MessageFault {
  return fault('invalid_request', 'Several requests of this batch have this id; give each its own.', readId(message));
}

/** Names the id that an answer to this message would carry; a response carries one of the other direction. */
function idKey(message: Message | MessageFault): string | undefined {
  const id = message.kind === 'response' ? undefined : readId(message);
  if (id === undefined || id.charCodeAt(0) !== QUOTE) return id;
  // However it is escaped; no number begins with a quote.
  return `"${JSON.parse(id) as string}`;
}

function readId(message: Message | MessageFault): string | undefined {
  if (message.kind === 'fault') return message.id;
  return message.id === undefined ? undefined : rawText(message.bytes, message.id);
}

function brokenJson(problem: string, at: number): MessageFault {
  return fault('parse_error', `The body is not valid JSON: ${problem}, at byte ${at}.`);
}

function fault(code: MessageFault['code'], message: string, id?: string): MessageFault {
  return { kind: 'fault', code, message, id };
}
