// `x-mcp-header`: which arguments of a tool its server also wants as `Mcp-Param-*` headers (2026-07-28 basic/transports/
// streamable-http#custom-headers). Declared in the input schema, computed from the bytes of the arguments.

import { decodeHeaderValue, encodeHeaderValue } from './header-value.ts';
import {
  findMember,
  isArrayAt,
  isObjectAt,
  JsonScanner,
  MAX_MEMBERS,
  type Member,
  type Span,
  stringAt,
} from './json-scan.ts';
import { toText } from './splice.ts';

/** One declared header: its lower-case name, and the keys that lead from `arguments` to its value. */
export interface ParamHeader {
  readonly name: string;
  readonly path: readonly string[];
}

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean']);
const ANNOTATION = 'x-mcp-header';
/** Keywords whose value is data and not a schema: what looks like an annotation there is none. */
const DATA_KEYWORDS: ReadonlySet<string> = new Set(['default', 'const', 'enum', 'examples']);
/** Keywords below which keys are names of schemas, and no keywords. */
const NAMED_SCHEMAS: ReadonlySet<string> = new Set([
  'properties',
  '$defs',
  'definitions',
  'patternProperties',
  'dependentSchemas',
]);
/** Deeper schemas are not looked into for annotations out of place. */
const MAX_DEPTH = 64;

/** The headers an input schema declares, or why its tool must not be offered. */
export function readParamHeaders(schema: unknown): readonly ParamHeader[] | string {
  const found: ParamHeader[] = [];
  const problem = visit(schema, [], true, found, 0);
  if (problem !== undefined) return problem;
  const names = new Set(found.map((header) => header.name));
  return names.size === found.length ? found : `its schema gives one ${ANNOTATION} to two properties`;
}

function visit(
  node: unknown,
  path: readonly string[],
  isReachable: boolean,
  found: ParamHeader[],
  depth: number,
): string | undefined {
  if (typeof node !== 'object' || node === null || depth > MAX_DEPTH) return undefined;
  const entries = Object.entries(node);
  if (!Array.isArray(node) && ANNOTATION in node) {
    const problem = readAnnotation(node as Record<string, unknown>, path, isReachable, found);
    if (problem !== undefined) return problem;
  }
  for (const [key, value] of entries) {
    if (DATA_KEYWORDS.has(key)) continue;
    const isNamed = NAMED_SCHEMAS.has(key) && !Array.isArray(node) && typeof value === 'object' && value !== null;
    const children = isNamed ? Object.entries(value as object) : [['', value] as const];
    for (const [name, child] of children) {
      // Anywhere but below `properties` the chain that an argument's value follows has ended.
      const problem =
        isNamed && key === 'properties'
          ? visit(child, [...path, name], isReachable, found, depth + 1)
          : visit(child, path, false, found, depth + 1);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function readAnnotation(
  node: Record<string, unknown>,
  path: readonly string[],
  isReachable: boolean,
  found: ParamHeader[],
): string | undefined {
  const name = node[ANNOTATION];
  if (!isReachable || path.length === 0) return `its schema has ${ANNOTATION} where no argument can be`;
  if (typeof name !== 'string' || !TOKEN.test(name)) return `its schema has an ${ANNOTATION} that is no header name`;
  if (!TYPES.has(node.type)) return `its schema has ${ANNOTATION} on a property that is no string, integer or boolean`;
  found.push({ name: `mcp-param-${name.toLowerCase()}`, path });
  return undefined;
}

/** A header's value as text, `undefined` where the argument is absent, null or of another type, `'ambiguous'` where an object on the way has a key twice, or more keys than are looked through. */
export type ParamValue = { readonly text: string } | 'ambiguous' | undefined;

/** Objects on the way, by where they begin: read once for all headers of a call. */
type KnownObjects = Map<number, readonly Member[] | 'ambiguous'>;

/** Reads the value at `path` inside the arguments object at `argumentsAt`. */
export function readParamValue(
  bytes: Buffer,
  argumentsAt: Span | undefined,
  path: readonly string[],
  known: KnownObjects = new Map(),
): ParamValue {
  let at = argumentsAt;
  for (const key of path) {
    if (at === undefined || !isObjectAt(bytes, at.start)) return undefined;
    const members = readMembers(bytes, at.start, known);
    if (members === 'ambiguous') return members;
    at = findMember(members, key);
  }
  if (at === undefined) return undefined;
  if (isObjectAt(bytes, at.start) || isArrayAt(bytes, at.start)) return undefined;
  const text = stringAt(bytes, at) ?? toScalarText(toText(bytes, at.start, at.end));
  return text === undefined ? undefined : { text };
}

function readMembers(bytes: Buffer, at: number, known: KnownObjects): readonly Member[] | 'ambiguous' {
  let members = known.get(at);
  if (members === undefined) {
    const read: Member[] = [];
    const isRead = new JsonScanner(bytes, undefined, MAX_MEMBERS).readMembers(at, 0, read) >= 0;
    members = isRead ? read : 'ambiguous';
    known.set(at, members);
  }
  return members;
}

/** Integers keep their digits, however many; `1.0` and `1e3` are integers too (JSON Schema 2020-12 §6.1.1). */
function toScalarText(raw: string): string | undefined {
  if (raw === 'true' || raw === 'false' || /^-?\d+$/.test(raw)) return raw;
  const value = Number(raw);
  return raw !== 'null' && Number.isSafeInteger(value) ? String(value) : undefined;
}

/** Flat [name, value, …] array of the headers a call must carry, or `'ambiguous'`. */
export function toParamHeaders(
  bytes: Buffer,
  argumentsAt: Span | undefined,
  declared: readonly ParamHeader[],
): string[] | 'ambiguous' {
  const headers: string[] = [];
  const known: KnownObjects = new Map();
  for (const { name, path } of declared) {
    const value = readParamValue(bytes, argumentsAt, path, known);
    if (value === 'ambiguous') return value;
    if (value !== undefined) headers.push(name, encodeHeaderValue(value.text));
  }
  return headers;
}

/** The first declared header that does not say what the body says; integers are compared as numbers. */
export function findParamMismatch(
  bytes: Buffer,
  argumentsAt: Span | undefined,
  declared: readonly ParamHeader[],
  sent: Readonly<Record<string, string | string[] | undefined>>,
): string | undefined {
  const known: KnownObjects = new Map();
  for (const { name, path } of declared) {
    const value = readParamValue(bytes, argumentsAt, path, known);
    if (value === 'ambiguous') return name;
    const raw = sent[name];
    const said = typeof raw === 'string' ? decodeHeaderValue(raw) : undefined;
    if (value === undefined ? raw !== undefined : said === undefined || !isSame(said, value.text)) return name;
  }
  return undefined;
}

/** The first declared header that was sent twice: Node joins its lines to one value, which a body can be made to agree with. */
export function findRepeatedParam(rawHeaders: readonly string[], declared: readonly ParamHeader[]): string | undefined {
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  return declared.find(({ name }) => names.indexOf(name) !== names.lastIndexOf(name))?.name;
}

function isSame(said: string, text: string): boolean {
  return said === text || (/^-?\d+$/.test(text) && toDigits(said) === toDigits(text));
}

/** An integer by its digits alone: as a double, 9007199254740993 is 9007199254740992. */
function toDigits(text: string): string | undefined {
  const [, sign = '', digits] = /^(-?)(\d+)(?:\.0+)?$/.exec(text) ?? [];
  const plain = digits?.replace(/^0+(?=\d)/, '');
  return plain === undefined || plain === '0' ? plain : sign + plain;
}
