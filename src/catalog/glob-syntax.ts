// The syntax of globs (design §3.4): `*`, `?`, `[a-z]` and `{a,b}` over an alphabet, bounded in what a match may cost.

/** What is wrong with a pattern, and what to write instead; `position` is the 0-based offset where the trouble begins. */
export interface PatternProblem {
  readonly position: number;
  readonly message: string;
}

export interface GlobSyntax {
  readonly maxLength: number;
  /** What stands for itself, and `?`. */
  readonly literal: RegExp;
  /** What an empty pattern is to be replaced by. */
  readonly ofAll: string;
  /** Why a character that is neither literal nor syntax is refused. */
  readonly refuse: (char: string) => string;
  /** Goes on from a pair of braces that holds no alternatives. */
  readonly ofSingle: string;
}

const MAX_STARS = 3;
const MAX_ALTERNATIVES = 16;
const CLASS_MEMBER = /[A-Za-z0-9_-]/;
/** A range across these would take in characters that its author does not see, such as `[` in `[A-z]`. */
const RANGE_KINDS = [/^[a-z]{2}$/, /^[A-Z]{2}$/, /^[0-9]{2}$/];
export const NO_NEGATION = 'there is no negation: list what is allowed';

/** The first reason why `pattern` is not a glob: at most 3 stars (a run of stars is one) and 16 alternatives. */
export function findGlobProblem(pattern: string, syntax: GlobSyntax): PatternProblem | undefined {
  if (pattern === '') return { position: 0, message: `the pattern is empty: ${syntax.ofAll}` };
  if (pattern.length > syntax.maxLength) {
    return { position: syntax.maxLength, message: `at most ${syntax.maxLength} characters: write several patterns` };
  }
  return findProblemInParts(pattern, syntax);
}

function findProblemInParts(pattern: string, syntax: GlobSyntax): PatternProblem | undefined {
  let stars = 0;
  let alternatives = 1;
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at);
    if (char === '*') {
      if (pattern[at - 1] !== '*' && ++stars > MAX_STARS) {
        return { position: at, message: `at most ${MAX_STARS} stars: write several patterns` };
      }
    } else if (char === '[') {
      const close = pattern.indexOf(']', at);
      const problem = findClassProblem(pattern, at, close);
      if (problem !== undefined) return problem;
      at = close;
    } else if (char === '{') {
      const close = pattern.indexOf('}', at);
      const problem = findBraceProblem(pattern, at, close, syntax);
      if (problem !== undefined) return problem;
      alternatives *= pattern.slice(at, close).split(',').length;
      if (alternatives > MAX_ALTERNATIVES) {
        return { position: at, message: `at most ${MAX_ALTERNATIVES} alternatives in all: write several patterns` };
      }
    } else if (!(syntax.literal.test(char) || isBracePart(pattern, at))) {
      return { position: at, message: syntax.refuse(String.fromCodePoint(pattern.codePointAt(at) ?? 0)) };
    }
  }
  return undefined;
}

/** A character as a message may show it. */
export function shownCharacter(char: string): string {
  if (/^[\x21-\x7e]$/.test(char)) return `\`${char}\``;
  return `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Braces do not nest, so a comma or `}` belongs to the last `{` unless a `}` came in between. */
function isBracePart(pattern: string, at: number): boolean {
  const char = pattern[at];
  return (char === ',' || char === '}') && at > 0 && pattern.lastIndexOf('{', at) > pattern.lastIndexOf('}', at - 1);
}

function findClassProblem(pattern: string, open: number, close: number): PatternProblem | undefined {
  if (close < 0) return { position: open, message: 'the class opened here is not closed: add `]`' };
  if (close === open + 1) return { position: open, message: 'the class is empty: put the allowed characters in it' };
  for (let at = open + 1; at < close; at++) {
    const from = pattern.charAt(at);
    if (from === '!' || from === '^') return { position: at, message: `\`${from}\` cannot be used, ${NO_NEGATION}` };
    if (!CLASS_MEMBER.test(from)) {
      return { position: at, message: 'a class holds letters, digits, `_` and `-` only' };
    }
    if (pattern[at + 1] === '-' && at + 2 < close) {
      const to = pattern.charAt(at + 2);
      if (from > to || !RANGE_KINDS.some((kind) => kind.test(from + to))) {
        return { position: at, message: 'a range ascends within a-z, A-Z or 0-9, as in [a-f]' };
      }
      at += 2;
    } else if (from === '-' && at > open + 1 && at < close - 1) {
      return { position: at, message: 'inside a class, put `-` first or last' };
    }
  }
  return undefined;
}

function findBraceProblem(
  pattern: string,
  open: number,
  close: number,
  { ofSingle }: GlobSyntax,
): PatternProblem | undefined {
  if (close < 0) return { position: open, message: 'the brace opened here is not closed: add `}`' };
  const nested = pattern.indexOf('{', open + 1);
  if (nested >= 0 && nested < close) return { position: nested, message: 'braces do not nest: write several patterns' };
  const options = pattern.slice(open + 1, close).split(',');
  if (options.length < 2)
    return { position: open, message: `braces hold two alternatives or more, as in {a,b}${ofSingle}` };
  // `{get_,}*` would admit everything by a slip of the keyboard.
  if (options.includes('')) return { position: open, message: 'an alternative is empty: remove the extra comma' };
  return undefined;
}

/** Every alternative of a pattern that is a glob. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const close = pattern.indexOf('}', open);
  const tails = expandBraces(pattern.slice(close + 1));
  const options = pattern.slice(open + 1, close).split(',');
  return options.flatMap((option) => tails.map((tail) => pattern.slice(0, open) + option + tail));
}

/**
 * The stars are ours: the first place where a middle part fits is always good enough, so a look-ahead fixes it and nothing
 * is tried twice. Left to picomatch, three stars against a hostile 257-character name cost 1.5 ms instead of 0.3 µs, times
 * every alternative and every tool. `translate` makes a regular expression of the text between stars.
 */
export function toRegExp(alternative: string, translate: (part: string) => string, flags?: string): RegExp {
  const [head = '', ...others] = alternative.split(/\*+/).map((part) => (part === '' ? '' : translate(part)));
  const tail = others.pop();
  if (tail === undefined) return new RegExp(`^${head}$`, flags);
  const middle = others.map((part, index) => `(?=(.*?${part}))\\${index + 1}`).join('');
  return new RegExp(`^${head}${middle}.*${tail}$`, flags);
}
