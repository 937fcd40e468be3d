// Allow-lists of resources: which URIs a list of globs admits. A URI is compared as it is spelled, nothing decoded.

import type { AllowList, PatternWarning } from './allow-list.ts';
import { GlobIndex } from './glob-index.ts';
import { expandBraces, findGlobProblem, type GlobSyntax, type PatternProblem, shownCharacter } from './glob-syntax.ts';

const MAX_LENGTH = 512;
/** A read is judged when it is called, so what it names is bounded; no URI that is served needs more. */
const MAX_URI_LENGTH = 4096;

const OF_QUESTION_MARK = 'write `?`, which stands for any one character';
const REFUSED: ReadonlyMap<string, string> = new Map([
  [' ', 'a URI holds no spaces: write %20, or each pattern as an entry of its own'],
  [',', `outside braces: ${OF_QUESTION_MARK}, {a,b}, or an entry for each pattern`],
  [']', `no class is open here: ${OF_QUESTION_MARK}, or [a-z]`],
  ['}', 'no brace is open here: write {a,b}, or leave `}` out'],
  ['\\', 'there is no escaping: to stand for one of `?*[]{},`, write `?`'],
]);

const SYNTAX: GlobSyntax = {
  maxLength: MAX_LENGTH,
  // What RFC 3986 §2 lets stand in a URI, but for `*?[],`, which are syntax here.
  literal: /[A-Za-z0-9._~:/?#@!$&'()+;=%-]/,
  ofAll: 'write `*` to allow every resource',
  ofSingle: '; to allow what a template such as `notes://{id}` stands for, write `*` in the place of `{id}`',
  refuse: (char) => {
    const known = REFUSED.get(char);
    if (known !== undefined) return `\`${char}\` cannot be used, ${known}`;
    return `${shownCharacter(char)} is in no URI: write it percent-encoded, as the upstream lists it, or \`?\``;
  },
};

/**
 * The first reason why `pattern` is no glob over URIs, or `undefined` when it is one: `*` (any characters, `/` too), `?`,
 * `[a-z]`, `{a,b}`, and every other character of a URI for itself; at most 512 characters, 3 stars and 16 alternatives.
 */
export function findUriPatternProblem(pattern: string): PatternProblem | undefined {
  return findGlobProblem(pattern, SYNTAX);
}

/**
 * The list is used by whoever resolves it: `file:///docs/../key` would be admitted as one of `file:///docs/*`, and read
 * elsewhere. What is encoded counts, once or more, for upstreams decode it; so does what they cut off: `/..;/`, `/..%00`.
 */
const PARENT_SEGMENT = /(?:[/\\:]|%(?:25)*(?:2f|5c))(?:\.|%(?:25)*2e){2}(?:[/\\?#;\s]|%(?:25)*(?:2f|5c|3b|20|00)|$)/i;

/** No URI holds them; in a log or a header they would begin another line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]|\p{Surrogate}/u;

/** Compiles `allowed_resources`. Never throws: an invalid pattern admits nothing and is reported in `warnings`. */
export function compileUriAllowList(patterns: readonly string[]): AllowList {
  const warnings: PatternWarning[] = [];
  const index = new GlobIndex(translate, 'u');
  for (const [order, pattern] of patterns.entries()) {
    const problem = findUriPatternProblem(pattern);
    if (problem === undefined) for (const alternative of expandBraces(pattern)) index.add(order, alternative);
    else warnings.push({ pattern, message: `admits nothing: at position ${problem.position}, ${problem.message}` });
  }

  function match(uri: string): string | undefined {
    return index.size === 0 || findUriProblem(uri) !== undefined ? undefined : patterns[index.find(uri)];
  }
  return { match, size: index.size, warnings };
}

/** Why no pattern whatever admits this URI, or this text of a template; `undefined` for one that a pattern may admit. */
export function findUriProblem(uri: string): string | undefined {
  if (uri === '' || uri.length > MAX_URI_LENGTH) return `it is not of 1 to ${MAX_URI_LENGTH} characters`;
  if (CONTROL.test(uri)) return 'it holds a control character, or half a character';
  return PARENT_SEGMENT.test(uri) ? 'it leads elsewhere than it says, by a segment `..`' : undefined;
}

/** A pattern that admits this URI, and as little else as a pattern can say. */
export function toUriPattern(uri: string): string {
  return Array.from(uri, (char) => (SYNTAX.literal.test(char) ? char : '?')).join('');
}

/** The text between stars, which is classes, `?` and what stands for itself. */
function translate(part: string): string {
  return part.replace(/\[[^\]]*\]|./gs, (token) => {
    if (token.length > 1) return token;
    return token === '?' ? '.' : token.replace(/[.$()+/]/, '\\$&');
  });
}
