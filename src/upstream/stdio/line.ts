// A message of stdio is a line: line ends between the tokens of a JSON text become spaces, and nothing else changes.

import { JsonScanner } from '../../protocol/json-scan.ts';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;

/** At each end of a line so much is looked at: room for `{"jsonrpc":"2.0",` and an id, with white space. */
const EDGE_BYTES = 160;

const VERSION = String.raw`"jsonrpc"\s*:\s*"2\.0"\s*`;
const ID = String.raw`"id"\s*:\s*"([\w-]{22})"\s*`;
const OUTCOME = String.raw`"(?:result|error)"\s*:`;
const ID_AT_HEAD = new RegExp(String.raw`^\s*\{\s*(?:${VERSION},\s*)?${ID},\s*(?:${VERSION},\s*)?${OUTCOME}`);
const OUTCOME_AT_HEAD = new RegExp(String.raw`^\s*\{\s*(?:${VERSION},\s*)?${OUTCOME}`);
const ID_AT_TAIL = new RegExp(String.raw`,\s*${ID}(?:,\s*${VERSION})?\}\s*$`);

/**
 * The message without raw line ends: most have none and are returned as they are. `undefined` for bytes that have one and
 * are no JSON, in which a line end can stand only between tokens. Python's text streams also end a line at a carriage return.
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
 * Which request a line answers, found by a look at both ends of it: our ids have one form and cannot be guessed. `undefined`
 * when the id does not stand where servers usually write it, and the line must be scanned.
 */
export function findAnsweredId(line: Buffer): string | undefined {
  const head = line.toString('latin1', 0, EDGE_BYTES);
  const atHead = ID_AT_HEAD.exec(head)?.[1];
  if (atHead !== undefined || !OUTCOME_AT_HEAD.test(head)) return atHead;
  return ID_AT_TAIL.exec(line.toString('latin1', Math.max(0, line.length - EDGE_BYTES)))?.[1];
}
