// Allow-lists: which tools or prompts of one upstream a list of globs admits. What cannot be read admits nothing.
// The only file that imports picomatch. Decisions are made when a catalog is built, never per call.

import picomatch from 'picomatch';
import { isUpstreamToolName, toCanonicalName } from '../domain/tool-name.ts';
import { GlobIndex } from './glob-index.ts';
import {
  expandBraces,
  findGlobProblem,
  type GlobSyntax,
  NO_NEGATION,
  type PatternProblem,
  shownCharacter,
  toRegExp,
} from './glob-syntax.ts';

const MAX_LENGTH = 256;

/** What the names are of. A prompt is named like a tool. */
export type Nameable = 'tool' | 'prompt';

export interface PatternWarning {
  readonly pattern: string;
  readonly message: string;
}

export interface AllowList {
  /** The first pattern, in the list's order, that admits this upstream name, or URI; `undefined` means hidden. */
  match(upstreamName: string): string | undefined;
  /** Alternatives that are tried on a name at worst. */
  readonly size: number;
  /** Patterns, or alternatives of theirs, that admit nothing: unreadable ones, and those that name another service. */
  readonly warnings: readonly PatternWarning[];
}

const TOKEN = /\[[^\]]*\]|./g;

const NO_EXTGLOB = 'there are no groups or repetitions: write alternatives as {a,b}';
const NO_ANCHOR = 'a pattern always covers the whole name: leave it out';
function refusedIn(what: Nameable): ReadonlyMap<string, string> {
  const joined = `service and ${what} are joined by a dot: write \`service.${what}\``;
  return new Map([
    ['!', NO_NEGATION],
    ['^', NO_ANCHOR],
    ['$', NO_ANCHOR],
    [' ', 'a pattern holds no spaces: write each pattern as an entry of its own'],
    ['/', joined],
    [':', joined],
    ['\\', `there is no escaping: no ${what} name holds a character that would need it`],
    ['(', NO_EXTGLOB],
    [')', NO_EXTGLOB],
    ['|', NO_EXTGLOB],
    ['+', NO_EXTGLOB],
    ['@', NO_EXTGLOB],
    [',', 'a comma separates alternatives inside braces only: write {a,b}, or an entry for each pattern'],
    [']', 'no class is open here: write [a-z], or leave `]` out'],
    ['}', 'no brace is open here: write {a,b}, or leave `}` out'],
  ]);
}

function syntaxOf(what: Nameable): GlobSyntax {
  const refused = refusedIn(what);
  return {
    maxLength: MAX_LENGTH,
    literal: /[A-Za-z0-9_.?-]/,
    ofAll: `write \`*\` to allow every ${what}`,
    ofSingle: '',
    refuse: (char) => {
      const known = refused.get(char);
      if (known !== undefined) return `\`${char}\` cannot be used, ${known}`;
      return `${shownCharacter(char)} is in no ${what} name: use letters, digits, \`_\`, \`.\` and \`-\``;
    },
  };
}

const SYNTAX: Readonly<Record<Nameable, GlobSyntax>> = { tool: syntaxOf('tool'), prompt: syntaxOf('prompt') };

/**
 * The first reason why `pattern` is not a glob of design §3.4, or `undefined` when it is one. Syntax: `*`, `?`, `[a-z]`,
 * `{a,b}` over `A-Za-z0-9_.-`; at most 256 characters, 3 stars (a run of stars is one) and 16 alternatives.
 */
export function findPatternProblem(pattern: string, what: Nameable = 'tool'): PatternProblem | undefined {
  return findGlobProblem(pattern, SYNTAX[what]);
}

/**
 * Compiles the allow-list of a config whose service is `service`. Each alternative without a dot is matched against the
 * bare upstream name, each one with a dot against `service.tool` (design §3.4). Never throws: an invalid pattern admits
 * nothing and is reported in `warnings`.
 */
export function compileAllowList(patterns: readonly string[], service: string, what: Nameable = 'tool'): AllowList {
  const warnings: PatternWarning[] = [];
  const [bare, dotted] = [new GlobIndex(translate), new GlobIndex(translate)];
  for (const [order, pattern] of patterns.entries()) {
    const problem = findPatternProblem(pattern, what);
    if (problem !== undefined) {
      warnings.push({ pattern, message: `admits nothing: at position ${problem.position}, ${problem.message}` });
      continue;
    }
    for (const alternative of expandBraces(pattern)) {
      if (!canNameService(alternative, service))
        warnings.push({ pattern, message: strayMessage(alternative, service, what) });
      (alternative.includes('.') ? dotted : bare).add(order, alternative);
    }
  }

  function match(upstreamName: string): string | undefined {
    if (!isUpstreamToolName(upstreamName)) return undefined;
    return patterns[Math.min(bare.find(upstreamName), dotted.find(toCanonicalName(service, upstreamName)))];
  }
  return { match, size: bare.size + dotted.size, warnings };
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

function translate(part: string): string {
  return picomatch.parse(part, PICOMATCH_OPTIONS).output;
}

/** Whether some `service.tool` could match: a dotted alternative that cannot begin like this names another service. */
function canNameService(alternative: string, service: string): boolean {
  if (!alternative.includes('.')) return true;
  const beginning = `${service}.`;
  if (alternative.startsWith(beginning)) return alternative.length > beginning.length;
  // Nothing but a wildcard in front of the dot could still stand for the service.
  if (/^[^*?[]*\./.test(alternative)) return false;
  const star = alternative.indexOf('*');
  const tokens = (star < 0 ? alternative : alternative.slice(0, star)).match(TOKEN) ?? [];
  if (star < 0 && tokens.length <= beginning.length) return false;
  const shared = Math.min(tokens.length, beginning.length);
  return toRegExp(tokens.slice(0, shared).join(''), translate).test(beginning.slice(0, shared));
}

function strayMessage(alternative: string, service: string, what: Nameable): string {
  const dot = alternative.indexOf('.');
  return (
    `\`${alternative}\` admits nothing: it names the service \`${alternative.slice(0, dot)}\` and this is \`${service}\`; ` +
    `write \`${service}${alternative.slice(dot)}\`, or \`${service}.${alternative}\` if the dot is part of the ${what}'s own name`
  );
}
