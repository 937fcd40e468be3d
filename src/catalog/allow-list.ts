// Allow-lists: which tools of one upstream a list of globs admits. What cannot be read admits nothing.
// The only file that imports picomatch. Decisions are made when a catalog is built, never per call.

import picomatch from 'picomatch';
import { isUpstreamToolName, toCanonicalName } from '../domain/tool-name.ts';

const MAX_LENGTH = 256;
const MAX_STARS = 3;
const MAX_ALTERNATIVES = 16;

/** What is wrong with a pattern, and what to write instead; `position` is the 0-based offset where the trouble begins. */
export interface PatternProblem {
  readonly position: number;
  readonly message: string;
}

export interface PatternWarning {
  readonly pattern: string;
  readonly message: string;
}

export interface AllowList {
  /** The first pattern, in the list's order, that admits this upstream name; `undefined` means hidden. */
  match(upstreamName: string): string | undefined;
  /** Patterns, or alternatives of theirs, that admit nothing: unreadable ones, and those that name another service. */
  readonly warnings: readonly PatternWarning[];
}

const LITERAL = /[A-Za-z0-9_.-]/;
const CLASS_MEMBER = /[A-Za-z0-9_-]/;
/** A range across these would take in characters that its author does not see, such as `[` in `[A-z]`. */
const RANGE_KINDS = [/^[a-z]{2}$/, /^[A-Z]{2}$/, /^[0-9]{2}$/];
const TOKEN = /\[[^\]]*\]|./g;

const NO_NEGATION = 'there is no negation: list what is allowed';
const NO_EXTGLOB = 'there are no groups or repetitions: write alternatives as {a,b}';
const NO_ANCHOR = 'a pattern always covers the whole name: leave it out';
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['!', NO_NEGATION],
  ['^', NO_ANCHOR],
  ['$', NO_ANCHOR],
  [' ', 'a pattern holds no spaces: write each pattern as an entry of its own'],
  ['/', 'service and tool are joined by a dot: write `service.tool`'],
  [':', 'service and tool are joined by a dot: write `service.tool`'],
  ['\\', 'there is no escaping: no tool name holds a character that would need it'],
  ['(', NO_EXTGLOB],
  [')', NO_EXTGLOB],
  ['|', NO_EXTGLOB],
  ['+', NO_EXTGLOB],
  ['@', NO_EXTGLOB],
  [',', 'a comma separates alternatives inside braces only: write {a,b}, or an entry for each pattern'],
  [']', 'no class is open here: write [a-z], or leave `]` out'],
  ['}', 'no brace is open here: write {a,b}, or leave `}` out'],
]);

/**
 * The first reason why `pattern` is not a glob of design §3.4, or `undefined` when it is one. Syntax: `*`, `?`, `[a-z]`,
 * `{a,b}` over `A-Za-z0-9_.-`; at most 256 characters, 3 stars (a run of stars is one) and 16 alternatives.
 */
export function findPatternProblem(pattern: string): PatternProblem | undefined {
  if (pattern === '') return { position: 0, message: 'the pattern is empty: write `*` to allow every tool' };
  if (pattern.length > MAX_LENGTH) {
    return { position: MAX_LENGTH, message: `at most ${MAX_LENGTH} characters: write several patterns` };
  }
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
      const problem = findBraceProblem(pattern, at, close);
      if (problem !== undefined) return problem;
      alternatives *= pattern.slice(at, close).split(',').length;
      if (alternatives > MAX_ALTERNATIVES) {
        return { position: at, message: `at most ${MAX_ALTERNATIVES} alternatives in all: write several patterns` };
      }
    } else if (!(char === '?' || LITERAL.test(char) || isBracePart(pattern, at))) {
      return refuse(pattern, at);
    }
  }
  return undefined;
}

/** Braces do not nest, so a comma or `}` belongs to the last `{` unless a `}` came in between. */
function isBracePart(pattern: string, at: number): boolean {
  const char = pattern[at];
  return (char === ',' || char === '}') && at > 0 && pattern.lastIndexOf('{', at) > pattern.lastIndexOf('}', at - 1);
}

function refuse(pattern: string, position: number): PatternProblem {
  const char = String.fromCodePoint(pattern.codePointAt(position) ?? 0);
  const known = REFUSED.get(char);
  if (known !== undefined) return { position, message: `\`${char}\` cannot be used, ${known}` };
  const shown = /^[\x21-\x7e]$/.test(char) ? `\`${char}\`` : `U+${codePoint(char)}`;
  return { position, message: `${shown} is in no tool name: use letters, digits, \`_\`, \`.\` and \`-\`` };
}

function codePoint(char: string): string {
  return (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
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

function findBraceProblem(pattern: string, open: number, close: number): PatternProblem | undefined {
  if (close < 0) return { position: open, message: 'the brace opened here is not closed: add `}`' };
  const nested = pattern.indexOf('{', open + 1);
  if (nested >= 0 && nested < close) return { position: nested, message: 'braces do not nest: write several patterns' };
  const options = pattern.slice(open + 1, close).split(',');
  if (options.length < 2) return { position: open, message: 'braces hold two alternatives or more, as in {a,b}' };
  // `{get_,}*` would admit everything by a slip of the keyboard.
  if (options.includes('')) return { position: open, message: 'an alternative is empty: remove the extra comma' };
  return undefined;
}

interface Alternative {
  readonly isDotted: boolean;
  readonly regExp: RegExp;
}

/**
 * Compiles the allow-list of a config whose service is `service`. Each alternative without a dot is matched against the
 * bare upstream name, each one with a dot against `service.tool` (design §3.4). Never throws: an invalid pattern admits
 * nothing and is reported in `warnings`.
 */
export function compileAllowList(patterns: readonly string[], service: string): AllowList {
  const warnings: PatternWarning[] = [];
  const rules: { pattern: string; alternatives: readonly Alternative[] }[] = [];
  for (const pattern of patterns) {
    const problem = findPatternProblem(pattern);
    if (problem !== undefined) {
      warnings.push({ pattern, message: `admits nothing: at position ${problem.position}, ${problem.message}` });
      continue;
    }
    const alternatives = expandBraces(pattern);
    for (const alternative of alternatives) {
      if (!canNameService(alternative, service))
        warnings.push({ pattern, message: strayMessage(alternative, service) });
    }
    rules.push({
      pattern,
      alternatives: alternatives.map((text) => ({ isDotted: text.includes('.'), regExp: toRegExp(text) })),
    });
  }

  function match(upstreamName: string): string | undefined {
    if (!isUpstreamToolName(upstreamName)) return undefined;
    const canonicalName = toCanonicalName(service, upstreamName);
    const admits = ({ isDotted, regExp }: Alternative) => regExp.test(isDotted ? canonicalName : upstreamName);
    return rules.find((rule) => rule.alternatives.some(admits))?.pattern;
  }
  return { match, warnings };
}

function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open < 0) return [pattern];
  const close = pattern.indexOf('}', open);
  const tails = expandBraces(pattern.slice(close + 1));
  const options = pattern.slice(open + 1, close).split(',');
  return options.flatMap((option) => tails.map((tail) => pattern.slice(0, open) + option + tail));
}

/** Without these, picomatch lets `*` stop at a leading dot and reads `!`, extglobs and slashes as syntax. */
const PICOMATCH_OPTIONS = {
  bash: true,
  dot: true,
  fastpaths: false,
  literalBrackets: false,
  maxLength: MAX_LENGTH,
  nobrace: true,
  noextglob: true,
  nonegate: true,
  strictSlashes: true,
  windows: false,
};

/**
 * picomatch translates the text between stars. The stars are ours: the first place where a middle part fits is always
 * good enough, so a look-ahead fixes it and nothing is tried twice. Left to picomatch, three stars against a hostile
 * 257-character name cost 1.5 ms instead of 0.3 µs, times every alternative and every tool.
 */
function toRegExp(alternative: string): RegExp {
  const [head = '', ...others] = alternative.split(/\*+/).map(translate);
  const tail = others.pop();
  if (tail === undefined) return new RegExp(`^${head}$`);
  const middle = others.map((part, index) => `(?=(.*?${part}))\\${index + 1}`).join('');
  return new RegExp(`^${head}${middle}.*${tail}$`);
}

function translate(part: string): string {
  return part === '' ? '' : picomatch.parse(part, PICOMATCH_OPTIONS).output;
}

/** Whether some `service.tool` could match: a dotted alternative that cannot begin like this names another service. */
function canNameService(alternative: string, service: string): boolean {
  if (!alternative.includes('.')) return true;
  const beginning = `${service}.`;
  const star = alternative.indexOf('*');
  const tokens = (star < 0 ? alternative : alternative.slice(0, star)).match(TOKEN) ?? [];
  if (star < 0 && tokens.length <= beginning.length) return false;
  const shared = Math.min(tokens.length, beginning.length);
  return toRegExp(tokens.slice(0, shared).join('')).test(beginning.slice(0, shared));
}

function strayMessage(alternative: string, service: string): string {
  const dot = alternative.indexOf('.');
  return (
    `\`${alternative}\` admits nothing: it names the service \`${alternative.slice(0, dot)}\` and this is \`${service}\`; ` +
    `write \`${service}${alternative.slice(dot)}\`, or \`${service}.${alternative}\` if the dot is part of the tool's own name`
  );
}
