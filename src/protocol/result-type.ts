// What kind of result a modern upstream gives: a complete one, or a request for input (2026-07-28 basic/index#results).
// Looked for natively, since nearly every answer is complete, and walked through only where that does not settle it.

import { COMPLETE } from './answer-splice.ts';
import { COLON, COMMA, OPEN_BRACE } from './json-bytes.ts';
import { isStringAt, JsonScanner, type Span } from './json-scan.ts';
import { toText } from './splice.ts';

const INPUT_REQUIRED = '"input_required"';
const INPUT_REQUESTS = '"inputRequests"';
const RESULT_TYPE = '"resultType"';

/** Whether an answer, or its beginning, may be something else than an error or a complete result. `text` is its latin1 text, if there is one. */
export function mayBeIncomplete(bytes: Buffer, text: string | undefined): boolean {
  const source = text ?? bytes;
  if (source.includes(INPUT_REQUIRED)) return true;
  const at = source.indexOf(RESULT_TYPE);
  // The type may come last, behind what is asked for.
  return at < 0 ? source.includes(INPUT_REQUESTS) : toText(bytes, at, at + COMPLETE.length) !== COMPLETE;
}

/**
 * Whether the result of a whole answer has a type that is not `complete`. Without a type it is: so were those of all
 * revisions before. Of types that are said twice each counts, since a client may go by either.
 */
export function hasOtherType(bytes: Buffer): boolean {
  const scan = new JsonScanner(bytes);
  let isOther = false;
  eachMember(scan, scan.skipSpace(0), 0, (outer, result) => {
    if (outer !== 'result') return;
    eachMember(scan, result.start, 1, (key, type) => {
      isOther ||= key === 'resultType' && !isStringAt(bytes, type, 'complete');
    });
  });
  return isOther;
}

/** The members of the object at `at`, if there is one, as far as they can be read. Keys may repeat. */
function eachMember(scan: JsonScanner, at: number, depth: number, visit: (key: string, value: Span) => void): void {
  if (scan.bytes[at] !== OPEN_BRACE) return;
  do {
    const keyAt = scan.skipSpace(at + 1);
    const keyEnd = scan.skipString(keyAt);
    const colon = scan.skipSpace(keyEnd);
    if (keyEnd < 0 || scan.bytes[colon] !== COLON) return;
    const start = scan.skipSpace(colon + 1);
    const end = scan.skipValue(start, depth + 1);
    if (end < 0) return;
    visit(scan.keyAt(keyAt, keyEnd), { start, end });
    at = scan.skipSpace(end);
  } while (scan.bytes[at] === COMMA);
}
