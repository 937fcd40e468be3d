// What is probably not meant about the patterns of an allow-list, judged against the tools that there are.

import { nearest } from '../domain/nearest.ts';
import { compileAllowList, findPatternProblem } from './allow-list.ts';

export const PATTERN_FINDING_KINDS = ['invalid', 'of_other_service', 'without_match', 'shadowed'] as const;
export type PatternFindingKind = (typeof PATTERN_FINDING_KINDS)[number];

export interface PatternFinding {
  readonly kind: PatternFindingKind;
  /** In the list of patterns. */
  readonly index: number;
  readonly pattern: string;
  /** Goes on from the pattern: `matches none of …`. */
  readonly message: string;
}

/** Judged one by one, each on every tool, in one turn of the event loop; of a longer list the rest is not judged. */
const MAX_PATTERNS = 200;
const MAX_MATCHES = 500_000;
/** Patterns a better one is looked for, and names it is looked for among: an edit distance costs microseconds. */
const MAX_SUGGESTIONS = 5;
const MAX_CANDIDATES = 500;

/** `tools` are upstream names, `undefined` when nobody knows them: then only what the patterns say by themselves is judged. */
export function findPatternFindings(
  patterns: readonly string[],
  service: string,
  tools: readonly string[] | undefined,
): PatternFinding[] {
  const earlier = new Set<string>();
  let suggestions = 0;
  const judged = Math.min(MAX_PATTERNS, Math.floor(MAX_MATCHES / Math.max(1, tools?.length ?? 0)));
  return patterns.slice(0, judged).flatMap((pattern, index) => {
    const of = (kind: PatternFindingKind, message: string): PatternFinding => ({ kind, index, pattern, message });
    if (findPatternProblem(pattern) !== undefined) {
      return compileAllowList([pattern], service).warnings.map(({ message }) => of('invalid', message));
    }
    const { match, warnings } = compileAllowList([pattern], service);
    const stray = warnings.map(({ message }) => of('of_other_service', message));
    if (tools === undefined) return stray;
    const matched = tools.filter((tool) => match(tool) !== undefined);
    const isShadowed = matched.length > 0 && matched.every((tool) => earlier.has(tool));
    for (const tool of matched) earlier.add(tool);
    if (isShadowed) return [...stray, of('shadowed', 'decides nothing: earlier patterns allow all that it matches')];
    if (matched.length > 0 || stray.length > 0) return stray;
    const better = suggestions++ < MAX_SUGGESTIONS ? findBetter(pattern, service, tools) : undefined;
    const hint = better === undefined ? '' : `; did you mean '${better}'?`;
    return [of('without_match', `matches none of the ${tools.length} tools there are${hint}`)];
  });
}

/** A pattern like it that matches something. */
function findBetter(pattern: string, service: string, tools: readonly string[]): string | undefined {
  // Where a class or a brace stands, no one letter can be told to be wrong.
  if (/[?[{]/.test(pattern)) return undefined;
  const prefix = pattern.startsWith(`${service}.`) ? `${service}.` : '';
  const [head = '', ...rest] = pattern.slice(prefix.length).split(/(?=\*)/);
  const tail = rest.join('');
  const found = nearest(head, candidatesOf(head, tail, tools));
  if (found === undefined) return undefined;
  const better = `${prefix}${found}${tail}`;
  const { match } = compileAllowList([better], service);
  return tools.some((tool) => match(tool) !== undefined) ? better : undefined;
}

/** Whole names, or, for a pattern that goes on with a star, beginnings of names, about as long as its own. */
function candidatesOf(head: string, tail: string, tools: readonly string[]): string[] {
  // A head of one letter or none is like every beginning.
  if (tail !== '' && head.length < 3) return [];
  const lengths = tail === '' ? [Number.POSITIVE_INFINITY] : [0, 1, -1].map((more) => head.length + more);
  const candidates = new Set(tools.flatMap((name) => lengths.map((length) => name.slice(0, length))));
  const isClose = ({ length }: string): boolean => Math.abs(length - head.length) <= head.length / 3;
  return [...candidates].filter(isClose).slice(0, MAX_CANDIDATES);
}
