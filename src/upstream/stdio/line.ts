// A message of stdio is a line. Nothing of it changes but a line end between two tokens, which JSON allows, into a space.

import { JsonScanner } from '../../protocol/json-scan.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;

/** Room for `{"jsonrpc":"2.0",` and an id, with white space. */
const EDGE_BYTES = 160;

const VERSION = String.raw`"jsonrpc"\s*:\s*"2\.0"\s*`;
const ID = String.raw`"id"\s*:\s*"([\w-]{22})"\s*`;
const OUTCOME = String.raw`"(?:result|error)"\s*:`;
const ID_AT_HEAD = new RegExp(String.raw`^\s*\{\s*(?:${VERSION},\s*)?${ID},\s*(?:${VERSION},\s*)?${OUTCOME}`);
const OUTCOME_AT_HEAD = new RegExp(String.raw`^\s*\{\s*(?:${VERSION},\s*)?${OUTCOME}`);
const ID_AT_TAIL = new RegExp(String.raw`,\s*${ID}(?:,\s*${VERSION})?\}\s*$`);

/**
 * The message without raw line ends: as it is where it has none, which is the rule. `undefined` for bytes with a line end
 * that are no JSON: inside a string none can stand. A carriage return counts: Python's text streams end a line at one.
 */
export function toOneLine(message: Buffer): Buffer | undefined {
  if (!message.includes(LINE_FEED) && !message.includes(CARRIAGE_RETURN)) return message;
  if (!isJson(message)) return undefined;
  const line = Buffer.from(message);
  for (const end of [LINE_FEED, CARRIAGE_RETURN]) {
    for (let at = line.indexOf(end); at >= 0; at = line.indexOf(end, at + 1)) line[at] = SPACE;
  }
  return line;
}

function isJson(bytes: Buffer): boolean {
  const scan = new JsonScanner(bytes);
  const end = scan.skipValue(scan.skipSpace(0), 0);
  return end >= 0 && scan.skipSpace(end) === bytes.length;
}

/**
 * Which request a line answers; `undefined` when the id does not stand where servers write it, and the line must be walked
 * through. Our ids are of one form and cannot be guessed, so a look at both ends of a line tells it.
 */
export function findAnsweredId(line: Buffer): string | undefined {
  const head = line.toString('latin1', 0, EDGE_BYTES);
  const atHead = ID_AT_HEAD.exec(head)?.[1];
  if (atHead !== undefined || !OUTCOME_AT_HEAD.test(head)) return atHead;
  return ID_AT_TAIL.exec(line.toString('latin1', Math.max(0, line.length - EDGE_BYTES)))?.[1];
}
