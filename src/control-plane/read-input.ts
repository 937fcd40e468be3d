// From what a client sent to what a use case takes: values are checked against the operation's schema, unknown fields are
// dropped and reported, for newer clients of the same API send them, and every problem names its place.

import * as z from 'zod';
import { GatewayError, type Problem } from '../domain/errors.ts';

type Issue = z.core.$ZodIssue;

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'a string',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'an object',
  array: 'an array',
};

/** Deeper than any schema here, and no stack is used up by a body that is nested without end. */
const MAX_NULLABLE_DEPTH = 16;

const HALF_A_PAIR = 'holds half of a surrogate pair, which no text has';

export interface ReadInput<T> {
  readonly value: T;
  /** Fields that were dropped. */
  readonly warnings: readonly Problem[];
}

/**
 * Checks an object of a request. A `null` stands for a field that is left out, at any depth: the clients' optionals are
 * nullable.
 * Throws `invalid_argument` with a problem for each place.
 */
export function readInput<S extends z.ZodObject>(schema: S, given: unknown): ReadInput<z.output<S>> {
  const known = withoutNulls(given);
  const first = schema.safeParse(known);
  if (first.success) return { value: requireText(first.data), warnings: [] };
  const unknown = first.error.issues.filter((issue) => issue.code === 'unrecognized_keys');
  for (const { path, keys } of unknown) for (const key of keys) dropKey(known, path, key);
  const second = unknown.length === 0 ? first : schema.safeParse(known);
  if (!second.success) throw toRefusal(second.error.issues, known);
  const warnings = unknown.flatMap(({ path, keys }) =>
    keys.map((key) => ({ path: toPath([...path, key]), message: 'is not a field of this request, and was ignored' })),
  );
  return { value: requireText(second.data), warnings };
}

/** A query string as its schema wants it. Throws `invalid_argument`. */
export function readQuery<S extends z.ZodObject>(
  schema: S,
  given: Readonly<Record<string, readonly string[]>>,
): ReadInput<z.output<S>> {
  const values: Record<string, unknown> = {};
  for (const [key, texts] of Object.entries(given)) {
    const [text = '', ...more] = texts;
    if (more.length > 0) throw toError([{ path: key, message: 'is given more than once: give it once' }]);
    if (text !== '') values[key] = toValue(schema.shape[key], text);
  }
  return readInput(schema, values);
}

/** Numbers and booleans come as text; what is neither stays text, and the schema says what is wrong with it. */
function toValue(schema: unknown, text: string): unknown {
  const kind = schema instanceof z.ZodType ? innermost(schema).def.type : undefined;
  if (kind === 'number' && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (kind === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

function innermost(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault
    ? innermost(schema.unwrap() as z.ZodType)
    : schema;
}

function withoutNulls(given: unknown, depth = MAX_NULLABLE_DEPTH): unknown {
  if (depth === 0 || typeof given !== 'object' || given === null) return given;
  if (Array.isArray(given)) return given.map((each) => withoutNulls(each, depth - 1));
  const entries = Object.entries(given).filter(([, value]) => value !== null);
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutNulls(value, depth - 1)]));
}

/** Half of a surrogate pair is no text: a store would keep another in its place, and its record this one. */
function requireText<T>(value: T): T {
  const problems = [...findHalves(value, [])].map((path) => ({ path: toPath(path), message: HALF_A_PAIR }));
  if (problems.length > 0) throw toError(problems);
  return value;
}

function* findHalves(value: unknown, path: readonly PropertyKey[]): Generator<readonly PropertyKey[]> {
  if (typeof value === 'string' && !value.isWellFormed()) yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, each] of Object.entries(value)) {
    const place = [...path, Array.isArray(value) ? Number(key) : key.toWellFormed()];
    if (!key.isWellFormed()) yield place;
    yield* findHalves(each, place);
  }
}

function dropKey(value: unknown, path: readonly PropertyKey[], key: string): void {
  let found = value as Record<PropertyKey, unknown>;
  for (const step of path) found = found[step] as Record<PropertyKey, unknown>;
  delete found[key];
}

function toRefusal(issues: readonly Issue[], given: unknown): GatewayError {
  return toError(
    withoutLooserBounds(issues).map((issue) => ({ path: toPath(issue.path), message: describe(issue, given) })),
  );
}

/** A number that is too large for two bounds is told the one to keep to. */
function withoutLooserBounds(issues: readonly Issue[]): Issue[] {
  const bounds = new Map<string, number>();
  for (const issue of issues) {
    if (issue.code !== 'too_big') continue;
    const path = toPath(issue.path);
    bounds.set(path, Math.min(bounds.get(path) ?? Infinity, Number(issue.maximum)));
  }
  return issues.filter((issue) => issue.code !== 'too_big' || Number(issue.maximum) === bounds.get(toPath(issue.path)));
}

function toError(problems: readonly Problem[]): GatewayError {
  const lines = problems.map(({ path, message }) => (path === '' ? `The body ${message}` : `${path} ${message}`));
  return new GatewayError('invalid_argument', `${lines.join('; ')}.`, { problems });
}

/** `allowed_tools[1]`, as the config file's problems are written. */
function toPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? String(step) : `${text}.${String(step)}`;
  }, '');
}

function describe(issue: Issue, given: unknown): string {
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'never') return issue.message;
    const found = valueAt(given, issue.path);
    const expected = EXPECTED[issue.expected] ?? issue.expected;
    return found === undefined && issue.path.length > 0 ? `is missing: give ${expected}` : `must be ${expected}`;
  }
  if (issue.code === 'invalid_value') return `must be one of ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options)) {
    return `must be one of ${issue.options.map(String).join(', ')}`;
  }
  if (issue.code === 'too_small' && issue.origin !== 'string') return `must be at least ${issue.minimum}`;
  if (issue.code === 'too_big' && (issue.origin === 'number' || issue.origin === 'int')) {
    return `must be at most ${issue.maximum}`;
  }
  return issue.message;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const step of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, step)) return undefined;
    found = (found as Record<PropertyKey, unknown>)[step];
  }
  return found;
}
