// The answer that nearly every call gets: one short JSON object with our id and a complete result. One walk tells that it
// is one, and where the client's id goes; whatever else an upstream may say is left to those who look closer.

import type { AnswerRewrite } from './answer-splice.ts';
import { CLOSE_BRACE, COLON, COMMA, OPEN_BRACE, QUOTE } from './json-bytes.ts';
import { ExpectedKeys, isStringAt, JsonScanner } from './json-scan.ts';

/** Up to here a walk costs less than searches at both ends, and finds what is no JSON or has two outcomes. */
export const MAX_PLAIN_BYTES = 2 * 1024;

const KEYS = new ExpectedKeys([
  ...['jsonrpc', 'id', 'result', 'error', 'method'],
  ...['content', 'structuredContent', 'isError', '_meta', 'resultType', 'inputRequests'],
]);

/**
 * The answer with the client's id in the place of ours, and what a result must have for the client's era; `text` is its
 * latin1 text, and so is what is returned. `undefined` when it is not plain: no whole JSON object, not of this request, an
 * error, a request for input, of a type that is not `complete`, with a key twice on which any of that depends, or to be
 * reshaped.
 */
export function rewritePlainAnswer(bytes: Buffer, text: string, rewrite: AnswerRewrite): string | undefined {
  if (bytes.length > MAX_PLAIN_BYTES || rewrite.stripsResultType || rewrite.wrapsStructuredContent) return undefined;
  const walk = new PlainWalk(bytes);
  if (!walk.isPlain() || !isStringAt(bytes, walk.id, rewrite.upstreamId)) return undefined;
  const { addedMembers, clientId } = rewrite;
  const { start, end } = walk.id;
  if (addedMembers.length === 0) return text.slice(0, start) + clientId + text.slice(end);
  if (walk.hasType) return undefined;
  const at = walk.resultAt + 1;
  const added = walk.isEmpty ? addedMembers : `${addedMembers},`;
  return at < start
    ? text.slice(0, at) + added + text.slice(at, start) + clientId + text.slice(end)
    : text.slice(0, start) + clientId + text.slice(end, at) + added + text.slice(at);
}

class PlainWalk {
  /** Of the value of `id`. */
  readonly id = { start: 0, end: 0 };
  /** Of the brace that begins the result. */
  resultAt = 0;
  isEmpty = false;
  hasType = false;
  readonly #scan: JsonScanner;

  constructor(bytes: Buffer) {
    this.#scan = new JsonScanner(bytes, KEYS);
  }

  isPlain(): boolean {
    const scan = this.#scan;
    const { bytes } = scan;
    let at = scan.pastSpace(0);
    if (bytes[at] !== OPEN_BRACE) return false;
    do {
      const keyAt = scan.pastSpace(at + 1);
      const keyEnd = this.#skipKey(keyAt);
      const start = this.#skipColon(keyEnd);
      if (start < 0) return false;
      const end = this.#take(scan.keyAt(keyAt, keyEnd), start);
      if (end < 0) return false;
      at = scan.pastSpace(end);
    } while (bytes[at] === COMMA);
    const isWhole = bytes[at] === CLOSE_BRACE && scan.skipSpace(at + 1) === bytes.length;
    return isWhole && this.id.end > 0 && this.resultAt > 0;
  }

  /** From the value at `start` to behind it, or -1 where it makes the answer no plain one. */
  #take(key: string, start: number): number {
    if (key === 'error' || key === 'method') return -1;
    if (key === 'result') return this.resultAt > 0 ? -1 : this.#takeResult(start);
    const end = this.#scan.skipValue(start, 1);
    if (key !== 'id') return end;
    if (this.id.end > 0) return -1;
    this.id.start = start;
    this.id.end = end;
    return end;
  }

  #takeResult(start: number): number {
    const scan = this.#scan;
    const { bytes } = scan;
    if (bytes[start] !== OPEN_BRACE) return -1;
    this.resultAt = start;
    let at = scan.pastSpace(start + 1);
    if (bytes[at] === CLOSE_BRACE) {
      this.isEmpty = true;
      return at + 1;
    }
    for (;;) {
      const keyEnd = this.#skipKey(at);
      const valueAt = this.#skipColon(keyEnd);
      if (valueAt < 0) return -1;
      const key = scan.keyAt(at, keyEnd);
      const end = scan.skipValue(valueAt, 2);
      if (end < 0 || key === 'inputRequests') return -1;
      if (key === 'resultType') {
        if (this.hasType || !isStringAt(bytes, { start: valueAt, end }, 'complete')) return -1;
        this.hasType = true;
      }
      at = scan.pastSpace(end);
      if (bytes[at] === CLOSE_BRACE) return at + 1;
      if (bytes[at] !== COMMA) return -1;
      at = scan.pastSpace(at + 1);
    }
  }

  #skipKey(at: number): number {
    return this.#scan.bytes[at] === QUOTE ? this.#scan.skipString(at) : -1;
  }

  /** From behind a key to where its value begins. */
  #skipColon(at: number): number {
    if (at < 0) return -1;
    const colon = this.#scan.pastSpace(at);
    return this.#scan.bytes[colon] === COLON ? this.#scan.pastSpace(colon + 1) : -1;
  }
}
