// A strict JSON scanner over bytes (RFC 8259): finds where members are and builds nothing, so that a payload is
// forwarded as it came. JSON.parse is no substitute: it keeps the last of two equal keys and loses 9007199254740993.

import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COLON, COMMA, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts';
import { depthReached, LONG_BYTES, OPEN, skipText, skipValues } from './json-skip.ts';
import { quoted } from './quoted.ts';

/** Deeper nesting is refused: parsers behind us may recurse. */
export const MAX_DEPTH = 64;
/** Keys of one object of a request that the gateway reads itself: 4 MB of tiny keys would hold everybody up for a quarter of a second. */
export const MAX_MEMBERS = 1024;

/** A member of a JSON object: its decoded key, the offset of the key's quote, and the half-open byte span of the value. */
export interface Member {
  readonly key: string;
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Up to here a look at every key is cheaper than a Set; beyond, a body of many keys would cost their square. */
const FEW_KEYS = 12;

/** Strings up to here are skipped faster where they are than by a copy. */
const NEAR_BYTES = 64;

// One table look-up per byte instead of three comparisons.
const PLAIN = 1;
const SPACE = 2;
const DIGIT = 4;
const HEX = 8;
const CLASS = new Uint8Array(256);
for (let byte = 0x20; byte < 256; byte++) if (byte !== QUOTE && byte !== BACKSLASH) CLASS[byte] = PLAIN;
for (const byte of [0x20, 0x09, 0x0a, 0x0d]) CLASS[byte] = (CLASS[byte] ?? 0) | SPACE;
for (let byte = 0x30; byte <= 0x39; byte++) CLASS[byte] = (CLASS[byte] ?? 0) | DIGIT;
for (const char of '0123456789abcdefABCDEF') {
  const byte = char.charCodeAt(0);
  CLASS[byte] = (CLASS[byte] ?? 0) | HEX;
}

const LITERALS = new Map([
  [0x74, 'true'],
  [0x66, 'false'],
  [0x6e, 'null'],
]);

/** An object to be read on the way: the one under `key`, its members going to `into`. */
export interface Descent {
  readonly key: string;
  readonly into: Member[];
  readonly below?: Descent;
}

/** Keys that will probably occur: comparing bytes with them costs a fraction of making and hashing a new string. */
export class ExpectedKeys {
  readonly #byLength: (string[] | undefined)[] = [];

  constructor(keys: Iterable<string>) {
    for (const key of keys) {
      const sameLength = this.#byLength[key.length] ?? [];
      sameLength.push(key);
      this.#byLength[key.length] = sameLength;
    }
  }

  /** The expected key that these bytes spell, if any. */
  find(bytes: Buffer, start: number, end: number): string | undefined {
    const candidates = this.#byLength[end - start];
    if (candidates === undefined) return undefined;
    for (let index = 0; index < candidates.length; index++) {
      const key = candidates[index] as string;
      if (equalsAt(bytes, start, key)) return key;
    }
    return undefined;
  }
}

/** Whether the bytes at `start` spell this ASCII text; from the end, because long names share their beginning. */
function equalsAt(bytes: Buffer, start: number, text: string): boolean {
  let at = text.length - 1;
  while (at >= 0 && bytes[start + at] === text.charCodeAt(at)) at--;
  return at < 0;
}

/** Whether the string at a span is this text, without making it where it is plain ASCII. */
export function isStringAt(bytes: Buffer, span: Span, text: string): boolean {
  if (bytes[span.start] !== QUOTE) return false;
  const isSameLength = span.end - span.start === text.length + 2;
  if (isSameLength && spellsAt(bytes, span.start + 1, text)) return true;
  return stringAt(bytes, span) === text;
}

/**
 * Whether the bytes at `start` are this text, and it stands for itself: of anything but plain ASCII equal bytes do not
 * mean equal text, for `a\u0062` in a header is not the `"a\u0062"` of a body.
 */
function spellsAt(bytes: Buffer, start: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (bytes[start + index] !== code || code === BACKSLASH || code < 0x20 || code > 0x7e) return false;
  }
  return true;
}

/** The decoded string at a span that includes its quotes, or `undefined` when it is no string. */
export function stringAt(bytes: Buffer, span: Span): string | undefined {
  if (bytes[span.start] !== QUOTE) return undefined;
  const raw = bytes.toString('utf8', span.start + 1, span.end - 1);
  return raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
}

export function isObjectAt(bytes: Buffer, at: number): boolean {
  return bytes[at] === OPEN_BRACE;
}

export function isArrayAt(bytes: Buffer, at: number): boolean {
  return bytes[at] === OPEN_BRACKET;
}

/**
 * Walks one JSON text. Every `skip…` and `read…` takes the offset where something begins and returns the offset
 * behind it, or -1 with `problem` and `problemAt` set. Assumes valid UTF-8 (check with `isUtf8` first).
 */
export class JsonScanner {
  readonly bytes: Buffer;
  problem = '';
  problemAt = 0;
  /** Of a problem that `readMembers` has with a text that may be valid JSON. */
  problemKind: 'syntax' | 'repeated_key' | 'too_many_keys' = 'syntax';
  /** Whether a member was read whose key is not, letter for letter, an expected one. */
  hasUnexpectedKey = false;
  readonly #expected: ExpectedKeys | undefined;
  readonly #maxMembers: number;
  readonly #longBytes: number;

  /**
   * `maxMembers` is for each object whose members are read; what is skipped may hold any number. With `longBytes` or more
   * to come json-skip.wat skips what is valid; the outcome is the same.
   */
  constructor(bytes: Buffer, expected?: ExpectedKeys, maxMembers = 2 ** 30, longBytes = LONG_BYTES) {
    this.bytes = bytes;
    this.#expected = expected;
    this.#maxMembers = maxMembers;
    this.#longBytes = longBytes;
  }

  fail(at: number, problem: string): -1 {
    this.problem = problem;
    this.problemAt = at;
    return -1;
  }

  #failRepeated(at: number, key: string): -1 {
    this.problemKind = 'repeated_key';
    return this.fail(at, `the key ${quoted(key)} occurs twice`);
  }

  #failTooMany(at: number): -1 {
    this.problemKind = 'too_many_keys';
    return this.fail(at, `an object has more than ${this.#maxMembers} keys`);
  }

  skipSpace(at: number): number {
    const bytes = this.bytes;
    const end = bytes.length;
    while (at < end && (CLASS[bytes[at] as number] as number) & SPACE) at++;
    return at;
  }

  /** Like `skipSpace`, and cheaper where there is probably none. */
  pastSpace(at: number): number {
    return at < this.bytes.length && (this.bytes[at] as number) <= 0x20 ? this.skipSpace(at) : at;
  }

  /** Skips one value of any kind. `depth` is how many containers are already open around it. */
  // biome-ignore lint/complexity/noExcessiveCognitiveComplexity: one loop without a call per token is what keeps a dense body at a few ns per byte
  skipValue(at: number, depth: number): number {
    const bytes = this.bytes;
    const floor = depth;
    for (;;) {
      if (bytes.length - at >= this.#longBytes) {
        const from = at;
        at = skipValues(bytes, at, depth, floor, MAX_DEPTH);
        depth = depthReached();
        if (at > from && depth === floor) return at;
      }
      let byte = bytes[at];
      while ((CLASS[byte as number] as number) & SPACE) byte = bytes[++at];
      if (byte === QUOTE) at = this.skipString(at);
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (depth >= MAX_DEPTH) return this.fail(at, `nested deeper than ${MAX_DEPTH} levels`);
        const isObject = byte === OPEN_BRACE;
        at = this.skipSpace(at + 1);
        if (bytes[at] === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) at++;
        else {
          OPEN[depth++] = byte;
          if (isObject) at = this.#skipColon(this.#skipKey(at));
          if (at < 0) return -1;
          continue;
        }
      } else at = this.#skipScalar(at);
      if (at < 0) return -1;

      // A value has ended: close what closes, then go on behind the next comma.
      for (;;) {
        if (depth === floor) return at;
        byte = bytes[at];
        while ((CLASS[byte as number] as number) & SPACE) byte = bytes[++at];
        const inObject = OPEN[depth - 1] === OPEN_BRACE;
        if (byte === COMMA) {
          at++;
          if (inObject) at = this.#skipColon(this.#skipKey(this.skipSpace(at)));
          if (at < 0) return -1;
          break;
        }
        if (byte !== (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
          return this.fail(at, inObject ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        at++;
        depth--;
      }
    }
  }

  /**
   * Skips a string from its opening quote. The loop looks at the length itself: a read beyond the end makes the code that V8
   * has compiled for it two to three times slower, for good and for everybody, and anybody can send a body that is cut off.
   */
  skipString(at: number): number {
    const bytes = this.bytes;
    const end = bytes.length;
    const start = at++;
    for (;;) {
      const near = Math.min(at + NEAR_BYTES, end);
      while (at < near && (CLASS[bytes[at] as number] as number) & PLAIN) at++;
      if (at === near) at = this.#skipFar(at);
      if (at >= end) return this.fail(start, 'a string is not closed');
      const byte = bytes[at];
      if (byte === QUOTE) return at + 1;
      if (byte !== BACKSLASH) return this.fail(at, 'a control character stands unescaped in a string');
      at = this.#skipEscape(at);
      if (at < 0) return -1;
    }
  }

  /** Past plain bytes inside a string that is not a short one. */
  #skipFar(at: number): number {
    const bytes = this.bytes;
    const end = bytes.length;
    if (end - at >= this.#longBytes) return skipText(bytes, at);
    while (at < end && (CLASS[bytes[at] as number] as number) & PLAIN) at++;
    return at;
  }

  /**
   * Reads the members of the object that begins at `at`; appends them to `into`. Refuses a key that occurs twice after
   * unescaping. With `descent`, the object under its key is read in the same walk.
   */
  readMembers(at: number, depth: number, into: Member[], descent?: Descent): number {
    const bytes = this.bytes;
    if (bytes[at] !== OPEN_BRACE) return this.fail(at, 'expected an object');
    if (depth >= MAX_DEPTH) return this.fail(at, `nested deeper than ${MAX_DEPTH} levels`);
    at = this.skipSpace(at + 1);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    let seen: Set<string> | undefined;
    for (;;) {
      const keyStart = at;
      const keyEnd = this.#skipKey(at);
      at = this.#skipColon(keyEnd);
      if (at < 0) return -1;
      const isMany = into.length >= FEW_KEYS;
      if (isMany && into.length >= this.#maxMembers) return this.#failTooMany(keyStart);
      const key = this.keyAt(keyStart, keyEnd);
      if (isMany) seen ??= new Set(into.map((member) => member.key));
      if (isRepeated(key, into, seen)) return this.#failRepeated(keyStart, key);
      const start = this.pastSpace(at);
      const end =
        key === descent?.key && bytes[start] === OPEN_BRACE
          ? this.readMembers(start, depth + 1, descent.into, descent.below)
          : this.skipValue(start, depth + 1);
      if (end < 0) return -1;
      into.push({ key, keyStart, start, end });
      at = this.pastSpace(end);
      if (bytes[at] === CLOSE_BRACE) return at + 1;
      if (bytes[at] !== COMMA) return this.fail(at, "expected ',' or '}'");
      at = this.pastSpace(at + 1);
    }
  }

  /** Reads the element spans of the array that begins at `at`, which are `most` at most. */
  readElements(at: number, depth: number, into: Span[], most = Number.POSITIVE_INFINITY): number {
    const bytes = this.bytes;
    if (bytes[at] !== OPEN_BRACKET) return this.fail(at, 'expected an array');
    at = this.skipSpace(at + 1);
    if (bytes[at] === CLOSE_BRACKET) return at + 1;
    for (;;) {
      const start = this.skipSpace(at);
      const end = this.skipValue(start, depth + 1);
      if (end < 0) return -1;
      if (into.length === most) return this.fail(start, `expected at most ${most} elements`);
      into.push({ start, end });
      at = this.skipSpace(end);
      if (bytes[at] === CLOSE_BRACKET) return at + 1;
      if (bytes[at] !== COMMA) return this.fail(at, "expected ',' or ']'");
      at++;
    }
  }

  #skipKey(at: number): number {
    return this.bytes[at] === QUOTE ? this.skipString(at) : this.fail(at, 'expected a key in quotes');
  }

  /** From behind a key, or -1 when there is none, to behind its colon. */
  #skipColon(at: number): number {
    if (at < 0) return -1;
    if (this.bytes[at] === COLON) return at + 1;
    at = this.skipSpace(at);
    return this.bytes[at] === COLON ? at + 1 : this.fail(at, "expected ':'");
  }

  /** The key whose quotes are in the span. */
  keyAt(start: number, end: number): string {
    const key = this.#expected?.find(this.bytes, start + 1, end - 1);
    if (key !== undefined) return key;
    this.hasUnexpectedKey = true;
    return stringAt(this.bytes, { start, end }) as string;
  }

  #skipEscape(at: number): number {
    switch (this.bytes[at + 1]) {
      case QUOTE:
      case BACKSLASH:
      case 0x2f: // '/'
      case 0x62: // 'b'
      case 0x66: // 'f'
      case 0x6e: // 'n'
      case 0x72: // 'r'
      case 0x74: // 't'
        return at + 2;
      case 0x75: // 'u'
        return this.#isHex(at + 2) && this.#isHex(at + 3) && this.#isHex(at + 4) && this.#isHex(at + 5)
          ? at + 6
          : this.fail(at, "expected four hexadecimal digits behind '\\u'");
      default:
        return this.fail(at, 'an unknown escape');
    }
  }

  #isHex(at: number): boolean {
    return ((CLASS[this.bytes[at] as number] as number) & HEX) !== 0;
  }

  #skipScalar(at: number): number {
    const bytes = this.bytes;
    const byte = bytes[at];
    if (byte === undefined) return this.fail(at, 'the text ends where a value was expected');
    const literal = LITERALS.get(byte);
    if (literal !== undefined) {
      return equalsAt(bytes, at, literal) ? at + literal.length : this.fail(at, 'an unknown literal');
    }
    return this.#skipNumber(at);
  }

  #skipNumber(start: number): number {
    const bytes = this.bytes;
    let at = start;
    if (bytes[at] === 0x2d) at++; // '-'
    if (bytes[at] === 0x30) at++;
    else {
      const digits = this.#skipDigits(at);
      if (digits === at) return this.fail(start, 'expected a value');
      at = digits;
    }
    if (bytes[at] === 0x2e) {
      const digits = this.#skipDigits(at + 1);
      if (digits === at + 1) return this.fail(at, "expected a digit behind '.'");
      at = digits;
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      at++;
      if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
      const digits = this.#skipDigits(at);
      if (digits === at) return this.fail(at, 'expected a digit in the exponent');
      at = digits;
    }
    return at;
  }

  #skipDigits(at: number): number {
    const bytes = this.bytes;
    const end = bytes.length;
    while (at < end && (CLASS[bytes[at] as number] as number) & DIGIT) at++;
    return at;
  }
}

/** The member called `key`, or `undefined`. */
export function findMember(members: readonly Member[], key: string): Member | undefined {
  for (let index = 0; index < members.length; index++) {
    const member = members[index] as Member;
    if (member.key === key) return member;
  }
  return undefined;
}

/** Whether the key is there already; adds it to `seen`, which holds the keys once they are many. */
function isRepeated(key: string, members: readonly Member[], seen: Set<string> | undefined): boolean {
  if (seen === undefined) return findMember(members, key) !== undefined;
  const { size } = seen;
  return seen.add(key).size === size;
}
