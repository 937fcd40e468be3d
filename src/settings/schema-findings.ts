// The schema's issues as sentences an operator can act on. A value is never repeated: it may be a secret in the wrong place.

import type * as z from 'zod';
import { nearest } from '../domain/nearest.ts';
import type { Finding } from './file-problem.ts';
import type { JsonSchema } from './schema.ts';
import type { Path } from './yaml-source.ts';

type Issue = z.core.$ZodIssue;

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping (key: value)',
  array: 'a list',
};

function valueAt(value: unknown, path: Path): unknown {
  let found = value;
  for (const step of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, step)) return undefined;
    found = (found as Record<string | number, unknown>)[step];
  }
  return found;
}

/** Every schema that may describe the value at `path`: one, or the alternatives of a union. */
function schemasAt(schema: JsonSchema, path: Path): JsonSchema[] {
  let found = [schema];
  for (const step of path) {
    found = found
      .flatMap((each) => [each, ...(each.oneOf ?? [])])
      .flatMap((each) => (typeof step === 'number' ? each.items : each.properties?.[step]) ?? []);
  }
  return found.flatMap((each) => [each, ...(each.oneOf ?? [])]);
}

function knownKeys(schema: JsonSchema, path: Path): string[] {
  const properties = schemasAt(schema, path).flatMap((each) => Object.entries(each.properties ?? {}));
  return [...new Set(properties.filter(([, property]) => property.not === undefined).map(([key]) => key))];
}

function describeFound(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return typeof value === 'string' ? 'text' : `a ${typeof value}`;
}

function describeMissing(schema: JsonSchema, path: Path): string {
  const description = schemasAt(schema, path).find(
    (each) => each.description !== undefined && each.not === undefined,
  )?.description;
  return description === undefined ? 'is missing' : `is missing: ${description}`;
}

function describeType(expected: string, found: unknown): string {
  const needsQuotes = expected === 'string' && (typeof found === 'number' || typeof found === 'boolean');
  const sentence = `must be ${EXPECTED[expected] ?? expected}, found ${describeFound(found)}`;
  return needsQuotes ? `${sentence}: put it in quotes` : sentence;
}

function toChoice(path: Path, found: unknown, choices: readonly string[]): Finding {
  const list = choices.join(', ');
  if (found === undefined) return { path, part: 'value', message: `is missing: write one of ${list}` };
  const suggestion = typeof found === 'string' ? nearest(found, choices) : undefined;
  return { path, part: 'value', message: `must be one of ${list}`, ...(suggestion !== undefined && { suggestion }) };
}

function toUnknownKey(path: Path, key: string, schema: JsonSchema): Finding {
  const known = knownKeys(schema, path);
  const suggestion = nearest(key, known);
  const place: Pick<Finding, 'path' | 'part'> = { path: [...path, key], part: 'key' };
  return suggestion === undefined
    ? { ...place, message: `is not a known key; known here: ${known.join(', ')}` }
    : { ...place, message: 'is not a known key', suggestion };
}

function toFindings(issue: Issue, value: unknown, schema: JsonSchema): Finding[] {
  const path = issue.path as Path;
  const found = valueAt(value, path);
  const say = (message: string): Finding[] => [{ path, part: 'value', message }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => toUnknownKey(path, key, schema));
    case 'invalid_type':
      if (found === undefined && path.length > 0) return say(describeMissing(schema, path));
      return issue.expected === 'never'
        ? [{ path, part: 'key', message: issue.message }]
        : say(describeType(issue.expected, found));
    case 'invalid_value':
      return [toChoice(path, found, issue.values.map(String))];
    case 'invalid_union':
      return 'options' in issue && Array.isArray(issue.options)
        ? [toChoice(path, found, issue.options.map(String))]
        : say(issue.message);
    case 'too_small':
      return say(
        issue.origin === 'number' || issue.origin === 'int' ? `must be at least ${issue.minimum}` : issue.message,
      );
    case 'too_big':
      return say(
        issue.origin === 'number' || issue.origin === 'int' ? `must be at most ${issue.maximum}` : issue.message,
      );
    default:
      return say(issue.message);
  }
}

/** Turns the schema's issues about `value` into findings; a key that is missing because it is misspelt is told once. */
export function findSchemaProblems(issues: readonly Issue[], value: unknown, schema: JsonSchema): Finding[] {
  const findings = issues.flatMap((issue) => toFindings(issue, value, schema));
  const misspelt = new Set(
    findings
      .filter(({ part, suggestion }) => part === 'key' && suggestion !== undefined)
      .map(({ path, suggestion }) => JSON.stringify([...path.slice(0, -1), suggestion])),
  );
  return findings.filter(({ path }) => valueAt(value, path) !== undefined || !misspelt.has(JSON.stringify(path)));
}
