// What is probably not meant about the patterns of an allow-list, judged against what there is to allow.

import { type McpConfig, serviceOf } from '../domain/mcp-config.ts';
import { nearest } from '../domain/nearest.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import { type AllowList, compileAllowList, findPatternProblem, type Nameable } from './allow-list.ts';
import type { Field } from './feature-policy.ts';
import type { PatternProblem } from './glob-syntax.ts';
import type { Inventory } from './inventory.ts';
import { compileUriAllowList, findUriPatternProblem } from './uri-allow-list.ts';

export type PatternFindingKind = 'invalid' | 'of_other_service' | 'without_match' | 'shadowed';

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

/** What there is to be allowed, by upstream names and URIs; `undefined` when nobody knows it. */
export interface KnownNames {
  readonly tools: readonly string[] | undefined;
  readonly prompts: readonly string[] | undefined;
  readonly resources: readonly string[] | undefined;
  /** Texts of URI templates. */
  readonly templates: readonly string[];
}

/** In what upstreams list, together; of none, nothing is known. */
export function namesIn(inventories: readonly Inventory[]): KnownNames {
  if (inventories.length === 0) return { tools: undefined, prompts: undefined, resources: undefined, templates: [] };
  const of = (kind: ListKind) => [...new Set(inventories.flatMap((inventory) => [...inventory[kind].keys()]))];
  return { tools: of('tools'), prompts: of('prompts'), resources: of('resources'), templates: of('templates') };
}

export interface ConfigFinding extends PatternFinding {
  readonly field: Field;
}

/** Of all patterns of a config. Of what nobody knows, only what the patterns say by themselves is judged. */
export function findConfigFindings(config: McpConfig, known: KnownNames): ConfigFinding[] {
  const service = serviceOf(config.name);
  const { templates } = known;
  const resources = known.resources && [...known.resources, ...templates];
  const tools = findPatternFindings(config.allowedTools, service, known.tools);
  const prompts = judge(config.allowedPrompts, ofNames('prompt', service, known.prompts));
  const uris = judge(config.allowedResources, {
    compile: compileUriAllowList,
    findProblem: findUriPatternProblem,
    there: resources,
    noun: 'resources',
  });
  return [
    ...tools.map((each) => ({ ...each, field: 'allowed_tools' as const })),
    ...prompts.map((each) => ({ ...each, field: 'allowed_prompts' as const })),
    ...uris
      .filter(({ kind, pattern }) => kind !== 'without_match' || !mayMatchUnlisted(pattern, templates))
      .map((each) => ({ ...each, field: 'allowed_resources' as const })),
  ];
}

/**
 * Resources of MCP Apps are linked by tools and need no list; those of a template are in none. By beginnings alone: to match
 * many patterns with many templates takes seconds.
 */
function mayMatchUnlisted(pattern: string, templates: readonly string[]): boolean {
  if (pattern.startsWith('ui://')) return true;
  const [beginning = ''] = pattern.split(/[*?[{]/);
  const beginnings = templates.map((template) => template.split('{', 1).join());
  return beginnings.some((each) => each.startsWith(beginning) || beginning.startsWith(each));
}

/** Of patterns over the names of tools: of a config, or of a grant that narrows it. */
export function findPatternFindings(
  patterns: readonly string[],
  service: string,
  tools: readonly string[] | undefined,
): PatternFinding[] {
  return judge(patterns, ofNames('tool', service, tools));
}

function ofNames(what: Nameable, service: string, there: readonly string[] | undefined): Subject {
  return {
    compile: (list) => compileAllowList(list, service, what),
    findProblem: (pattern) => findPatternProblem(pattern, what),
    service,
    there,
    noun: `${what}s`,
  };
}

interface Subject {
  readonly compile: (patterns: readonly string[]) => AllowList;
  readonly findProblem: (pattern: string) => PatternProblem | undefined;
  /** What names may be written with, before a dot. */
  readonly service?: string;
  readonly there: readonly string[] | undefined;
  readonly noun: string;
}

function judge(patterns: readonly string[], subject: Subject): PatternFinding[] {
  const { compile, findProblem, there, noun } = subject;
  const earlier = new Set<string>();
  let suggestions = 0;
  const judged = Math.min(MAX_PATTERNS, Math.floor(MAX_MATCHES / Math.max(1, there?.length ?? 0)));
  return patterns.slice(0, judged).flatMap((pattern, index) => {
    const of = (kind: PatternFindingKind, message: string): PatternFinding => ({ kind, index, pattern, message });
    const { match, warnings } = compile([pattern]);
    if (findProblem(pattern) !== undefined) return warnings.map(({ message }) => of('invalid', message));
    const stray = warnings.map(({ message }) => of('of_other_service', message));
    if (there === undefined) return stray;
    const matched = there.filter((each) => match(each) !== undefined);
    const isShadowed = matched.length > 0 && matched.every((each) => earlier.has(each));
    for (const each of matched) earlier.add(each);
    if (isShadowed) return [...stray, of('shadowed', 'decides nothing: earlier patterns allow all that it matches')];
    if (matched.length > 0 || stray.length > 0) return stray;
    const better = suggestions++ < MAX_SUGGESTIONS ? findBetter(pattern, subject, there) : undefined;
    const hint = better === undefined ? '' : `; did you mean '${better}'?`;
    return [of('without_match', `matches none of the ${there.length} ${noun} there are${hint}`)];
  });
}

/** A pattern like it that matches something. */
function findBetter(pattern: string, { compile, service }: Subject, there: readonly string[]): string | undefined {
  // Where a class or a brace stands, no one letter can be told to be wrong.
  if (/[?[{]/.test(pattern)) return undefined;
  const prefix = service !== undefined && pattern.startsWith(`${service}.`) ? `${service}.` : '';
  const [head = '', ...rest] = pattern.slice(prefix.length).split(/(?=\*)/);
  const tail = rest.join('');
  const found = nearest(head, candidatesOf(head, tail, there));
  if (found === undefined) return undefined;
  const better = `${prefix}${found}${tail}`;
  const { match } = compile([better]);
  return there.some((each) => match(each) !== undefined) ? better : undefined;
}

/** Whole names, or, for a pattern that goes on with a star, beginnings of names, about as long as its own. */
function candidatesOf(head: string, tail: string, there: readonly string[]): string[] {
  // A head of one letter or none is like every beginning.
  if (tail !== '' && head.length < 3) return [];
  const lengths = tail === '' ? [Number.POSITIVE_INFINITY] : [0, 1, -1].map((more) => head.length + more);
  const candidates = new Set(there.flatMap((name) => lengths.map((length) => name.slice(0, length))));
  const isClose = ({ length }: string): boolean => Math.abs(length - head.length) <= head.length / 3;
  return [...candidates].filter(isClose).slice(0, MAX_CANDIDATES);
}
