// Finds the parts of a JSON text by its quotes and brackets alone, so that a part that is broken or nested too deep does
// not hide the others. A part found here has been checked for nothing: it is read strictly before it is used.

import { isUtf8 } from 'node:buffer';
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from '../protocol/json-bytes.ts';
import { JsonScanner, type Member, type Span, stringAt } from '../protocol/json-scan.ts';

/** So many containers in one object are tried to be skipped as valid JSON: the answer's outline has few, and long ones. */
const MAX_TRIES = 8;

/** The elements of the array at `at`, or `undefined` when there is none or its brackets do not add up. */
export function findElements(bytes: Buffer, at: number): Span[] | undefined {
  const spans: Span[] = [];
  const end = walk(bytes, at, OPEN_BRACKET, CLOSE_BRACKET, (start, partEnd) => {
    spans.push({ start, end: partEnd });
    return true;
  });
  return end < 0 ? undefined : spans;
}

/** The members of the object at `at`; `undefined` also when a key cannot be read or occurs twice. */
export function findMembers(bytes: Buffer, at: number): Member[] | undefined {
  const members: Member[] = [];
  const seen = new Set<string>();
  const end = walk(bytes, at, OPEN_BRACE, CLOSE_BRACE, (keyStart, partEnd) => {
    const keyEnd = skipString(bytes, keyStart);
    const key = bytes[keyStart] === QUOTE ? readString(bytes, { start: keyStart, end: keyEnd }) : undefined;
    const colon = skipSpace(bytes, keyEnd);
    if (key === undefined || seen.has(key) || bytes[colon] !== COLON) return false;
    seen.add(key);
    members.push({ key, keyStart, start: skipSpace(bytes, colon + 1), end: partEnd });
    return true;
  });
  return end < 0 ? undefined : members;
}

/** The decoded string at a span, or `undefined` when the span is not exactly one well-formed string. */
export function readString(bytes: Buffer, span: Span): string | undefined {
  const part = bytes.subarray(span.start, span.end);
  if (part[0] !== QUOTE || !isUtf8(part) || new JsonScanner(part).skipString(0) !== part.length) return undefined;
  return stringAt(part, { start: 0, end: part.length });
}

/** What is wrong with a part that stands inside `depth` containers, read strictly, or `undefined`. */
export function findJsonProblem(part: Buffer, depth: number): string | undefined {
  if (!isUtf8(part)) return 'it is not valid UTF-8';
  const scan = new JsonScanner(part);
  const end = scan.skipValue(0, depth);
  if (end < 0) return scan.problem;
  return end === part.length ? undefined : 'something stands behind its end';
}

export function skipSpace(bytes: Buffer, at: number): number {
  while (isSpace(bytes[at])) at++;
  return at;
}

/** Hands over what stands between the commas of one container; returns the offset behind it, or -1. */
function walk(
  bytes: Buffer,
  at: number,
  open: number,
  close: number,
  onPart: (start: number, end: number) => boolean,
): number {
  if (bytes[at] !== open) return -1;
  at = skipSpace(bytes, at + 1);
  if (bytes[at] === close) return at + 1;
  const valid = new ValidSkips(bytes, open === OPEN_BRACE ? MAX_TRIES : 0);
  for (;;) {
    const end = skipPart(bytes, at, valid);
    if (end >= bytes.length || !onPart(at, trimEnd(bytes, at, end))) return -1;
    if (bytes[end] === close) return end + 1;
    if (bytes[end] !== COMMA) return -1;
    at = skipSpace(bytes, end + 1);
  }
}

/** Skips whole containers at the speed of the strict scanner, which ends a valid one where its brackets end it. */
class ValidSkips {
  readonly #scan: JsonScanner;
  #left: number;

  constructor(bytes: Buffer, tries: number) {
    this.#scan = new JsonScanner(bytes);
    this.#left = tries;
  }

  /** The offset behind the container at `at`, or -1 when it is not valid or there were enough. */
  skip(at: number): number {
    return this.#left-- > 0 ? this.#scan.skipValue(at, 0) : -1;
  }
}

/** The offset of the comma or bracket that ends the part at `at`, or the end of the text. */
function skipPart(bytes: Buffer, at: number, valid: ValidSkips): number {
  let depth = 0;
  while (at < bytes.length) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = skipString(bytes, at);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      const end = depth === 0 ? valid.skip(at) : -1;
      if (end > 0) {
        at = end;
        continue;
      }
      depth++;
    } else if (depth === 0 && (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET)) return at;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
    at++;
  }
  return at;
}

function skipString(bytes: Buffer, at: number): number {
  at++;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return Math.min(at + 1, bytes.length);
}

function trimEnd(bytes: Buffer, start: number, end: number): number {
  while (end > start && isSpace(bytes[end - 1])) end--;
  return end;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
