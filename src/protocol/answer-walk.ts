// Walks through a short answer once, and tells what it is: whether it is one whole JSON object, with which outcome, under
// which ids, and what in its result makes it another than a complete one.

import { CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, QUOTE } from './json-bytes.ts';
import { ExpectedKeys, isStringAt, JsonScanner } from './json-scan.ts';

/** Up to here a walk costs about as much as searches at both ends, and finds what is no JSON or has two outcomes. */
export const MAX_WALK_BYTES = 2 * 1024;

const KEYS = new ExpectedKeys([
  ...['jsonrpc', 'id', 'result', 'error', 'method'],
  ...['content', 'structuredContent', 'isError', '_meta', 'resultType', 'inputRequests'],
]);

export class AnswerWalk {
  /** Of the value of the first `id`, and how many there are. */
  readonly id = { start: 0, end: 0 };
  ids = 0;
  hasMethod = false;
  /** `undefined` without one, or with two. */
  outcome: 'result' | 'error' | undefined;
  /** Of the brace that begins the result; 0 where that is no object. */
  resultAt = 0;
  isEmpty = false;
  hasType = false;
  /** Whether the result may be another than a complete one: by its type, or by what it asks for. */
  isOther = false;
  readonly #scan: JsonScanner;
  #outcomes = 0;

  constructor(bytes: Buffer) {
    this.#scan = new JsonScanner(bytes, KEYS);
  }

  /** Whether the bytes are one whole JSON object; only then does the rest mean anything. To be asked once. */
  isWhole(): boolean {
    const scan = this.#scan;
    const end = this.#walkObject(scan.pastSpace(0), (key, start) => this.#take(key, start));
    return end >= 0 && scan.skipSpace(end) === scan.bytes.length;
  }

  #take(key: string, start: number): number {
    if (key === 'result' || key === 'error') this.outcome = this.#outcomes++ === 0 ? key : undefined;
    else if (key === 'method') this.hasMethod = true;
    if (key === 'result' && this.#scan.bytes[start] === OPEN_BRACE) return this.#takeResult(start);
    const end = this.#scan.skipValue(start, 1);
    if (key === 'id' && this.ids++ === 0) {
      this.id.start = start;
      this.id.end = end;
    }
    return end;
  }

  #takeResult(start: number): number {
    this.resultAt = start;
    this.isEmpty = true;
    return this.#walkObject(start, (key, at) => {
      this.isEmpty = false;
      const end = this.#scan.skipValue(at, 2);
      if (key === 'inputRequests') this.isOther = true;
      else if (key === 'resultType') {
        this.isOther ||= this.hasType || !isStringAt(this.#scan.bytes, { start: at, end }, 'complete');
        this.hasType = true;
      }
      return end;
    });
  }

  /** From the brace at `at` to behind the object, or -1. `take` gets a key and where its value begins, and returns its end. */
  #walkObject(at: number, take: (key: string, start: number) => number): number {
    const scan = this.#scan;
    const { bytes } = scan;
    if (bytes[at] !== OPEN_BRACE) return -1;
    at = scan.pastSpace(at + 1);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    for (;;) {
      const keyEnd = bytes[at] === QUOTE ? scan.skipString(at) : -1;
      const colon = keyEnd < 0 ? -1 : scan.pastSpace(keyEnd);
      if (colon < 0 || bytes[colon] !== COLON) return -1;
      const end = take(scan.keyAt(at, keyEnd), scan.pastSpace(colon + 1));
      if (end < 0) return -1;
      at = scan.pastSpace(end);
      if (bytes[at] === CLOSE_BRACE) return at + 1;
      if (bytes[at] !== COMMA) return -1;
      at = scan.pastSpace(at + 1);
    }
  }
}
