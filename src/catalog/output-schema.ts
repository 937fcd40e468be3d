// Whether clients of SDK v1 can compile an output schema. They compile all of a list with Ajv (draft-07, not strict)
// while they read it, so one that does not compile costs them every tool of every upstream.

type Json = Readonly<Record<string, unknown>>;
type Rule = (value: unknown, schema: Json) => boolean;

/** Ajv recurses over subschemas and references alike; it has been seen to overflow its stack from 490 levels on. */
const MAX_LEVELS = 250;
/** It writes code for every subschema, and again for every reference that it replaces by its target. */
const MAX_SCHEMAS = 10_000;

const TYPES: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);

const isNumber = (value: unknown): boolean => typeof value === 'number';
const isString = (value: unknown): boolean => typeof value === 'string';
const isBoolean = (value: unknown): boolean => typeof value === 'boolean';
const isSchema = (value: unknown): boolean => isObject(value) || isBoolean(value);
const isList = (value: unknown): boolean => Array.isArray(value);
/** Not supported by Ajv, or with conditions of its own; or a name in a registry that all tools of a client share. */
const isRefused = (): boolean => false;

function forKeys(keys: string, rule: Rule): (readonly [string, Rule])[] {
  return keys.split(' ').map((key) => [key, rule]);
}

/** What a keyword must hold; Ajv throws for anything else. Keywords that are not here are nothing to it. */
const RULES: ReadonlyMap<string, Rule> = new Map([
  ...forKeys('maximum minimum exclusiveMaximum exclusiveMinimum multipleOf', isNumber),
  ...forKeys('maxLength minLength maxItems minItems maxProperties minProperties', isNumber),
  ...forKeys('not if then else propertyNames additionalItems additionalProperties contains', isSchema),
  ...forKeys('properties patternProperties dependencies $defs definitions', isObject),
  ...forKeys('anyOf oneOf allOf', isList),
  ...forKeys('$ref $anchor $dynamicAnchor format', isString),
  ...forKeys('id $id $async formatMaximum formatMinimum formatExclusiveMaximum formatExclusiveMinimum', isRefused),
  ['items', (value) => isSchema(value) || isList(value)],
  ['type', (value) => isTypes(toArray(value))],
  [
    'nullable',
    (value, { type }) =>
      isBoolean(value) && isTypes(toArray(type)) && (value === true || !toArray(type).includes('null')),
  ],
  ['pattern', isPattern],
  ['uniqueItems', isBoolean],
  ['enum', (value) => Array.isArray(value) && value.length > 0],
  ['required', (value) => Array.isArray(value) && value.every(isString)],
]);
const ALTERNATIVES: ReadonlySet<string> = new Set(['anyOf', 'oneOf']);
/** Values, in which a client looks for no names. */
const VALUES: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'required']);

/** What Ajv compiles in one piece: the schema, or the target of a reference. */
interface Extent {
  schemas: number;
  levels: number;
  hasReference: boolean;
}

/**
 * Whether an output schema certainly compiles, as it is shown to a legacy client. Conservative: rejects some that would
 * compile, among them all that name a part of themselves by `$id` or refer to anything outside themselves.
 */
export function isCompilable(schema: Json): boolean {
  return new SchemaCheck(schema).run();
}

class SchemaCheck {
  readonly #root: Json;
  readonly #references: string[] = [];
  readonly #anchors = new Map<string, Json>();
  readonly #extents = new Map<Json, Extent>();
  #extent: Extent = { schemas: 0, levels: 0, hasReference: false };

  constructor(root: Json) {
    this.#root = root;
  }

  run(): boolean {
    if (!this.#measure(this.#root) || this.#isCircular(this.#root)) return false;
    let { schemas, levels } = this.#extent;
    let deepestLeaf = 0;
    // Grows on the way: a target may hold references of its own.
    for (const reference of this.#references) {
      const target = this.#resolve(reference);
      if (typeof target === 'boolean') continue;
      if (target === undefined) return false;
      const known = this.#extents.get(target);
      if (known === undefined && (this.#isCircular(target) || !this.#measure(target))) return false;
      const extent = known ?? this.#extent;
      if (!extent.hasReference) deepestLeaf = Math.max(deepestLeaf, extent.levels);
      else if (known === undefined) levels += extent.levels;
      if (!extent.hasReference || known === undefined) schemas += extent.schemas;
      if (levels + deepestLeaf > MAX_LEVELS || schemas > MAX_SCHEMAS) return false;
    }
    return levels <= MAX_LEVELS && schemas <= MAX_SCHEMAS;
  }

  #measure(schema: Json): boolean {
    this.#extent = { schemas: 0, levels: 0, hasReference: false };
    this.#extents.set(schema, this.#extent);
    return this.#checkSchema(schema, 1);
  }

  #checkSchema(schema: unknown, level: number): boolean {
    if (typeof schema === 'boolean') return true;
    if (!isObject(schema)) return false;
    this.#extent.schemas++;
    this.#extent.levels = Math.max(this.#extent.levels, level);
    return Object.entries(schema).every(([key, value]) => {
      const rule = RULES.get(key);
      return rule === undefined ? isNameless(key, value) : this.#checkKeyword(schema, key, rule, level);
    });
  }

  #checkKeyword(schema: Json, key: string, rule: Rule, level: number): boolean {
    const value = schema[key];
    if (!rule(value, schema)) return false;
    if (key === '$ref') return this.#noteReference(String(value), level);
    if (key.endsWith('nchor')) return this.#noteAnchor(String(value), schema, key);
    if (rule === isObject) return this.#checkMap(value as Json, key, level + 1);
    if (Array.isArray(value) && (rule === isList || key === 'items')) {
      // The code of an alternative stands inside that of the one before, at about half the cost of a level.
      const step = ALTERNATIVES.has(key) ? 0.5 : 0;
      return value.every((item, index) => this.#checkSchema(item, level + 1 + index * step));
    }
    return (rule !== isSchema && key !== 'items') || this.#checkSchema(value, level + 1);
  }

  #checkMap(map: Json, key: string, level: number): boolean {
    return Object.entries(map).every(([name, value]) => {
      if (key === 'patternProperties' && !isPattern(name)) return false;
      return key === 'dependencies' && Array.isArray(value) ? value.every(isString) : this.#checkSchema(value, level);
    });
  }

  #noteReference(reference: string, level: number): boolean {
    this.#extent.hasReference = true;
    this.#extent.levels = Math.max(this.#extent.levels, level + 1);
    return this.#references.push(reference) <= MAX_SCHEMAS;
  }

  /** An anchor must be found in the first walk, where Ajv looks for it, and only once. */
  #noteAnchor(name: string, schema: Json, key: string): boolean {
    const known = this.#anchors.get(name);
    if (key === '$dynamicAnchor' && name === schema.$anchor) return false;
    if (known !== undefined) return known === schema;
    this.#anchors.set(name, schema);
    return this.#extents.size === 1 && /^[a-z_][-a-z0-9._]*$/i.test(name);
  }

  /** References that lead to nothing but one another never end, for Ajv neither. */
  #isCircular(target: Json): boolean {
    const seen = new Set<unknown>();
    let next: unknown = target;
    while (isObject(next) && typeof next.$ref === 'string') {
      if (seen.has(next)) return true;
      seen.add(next);
      next = this.#resolve(next.$ref);
    }
    return false;
  }

  #resolve(reference: string): Json | boolean | undefined {
    if (reference === '#') return this.#root;
    if (!reference.startsWith('#/')) return this.#anchors.get(reference.slice(1));
    let found: unknown = this.#root;
    for (const part of reference.slice(2).split('/')) {
      const key = decode(part);
      if (typeof found !== 'object' || found === null || key === undefined || !Object.hasOwn(found, key))
        return undefined;
      found = (found as Json)[key];
      // Ajv takes a definition of that name, which is passed here, for an address.
      if (isObject(found) && Object.hasOwn(found, '$id') && key !== 'properties') return undefined;
    }
    return isSchema(found) ? (found as Json | boolean) : undefined;
  }
}

/** RFC 6901 §6. What Ajv or its URI parser may read in another way is not decoded at all. */
function decode(part: string): string | undefined {
  try {
    const text = decodeURIComponent(part);
    return part.includes('#') || text.includes('/') ? undefined : text.replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    // Malformed percent encoding, for which Ajv throws as well.
    return undefined;
  }
}

/** Clients look for names in unknown keywords, too, unless they hold a list. */
function isNameless(key: string, value: unknown): boolean {
  return VALUES.has(key) || Array.isArray(value) || !hasName(value);
}

function hasName(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => /^\$(?:id|anchor|dynamicAnchor)$/.test(key) || hasName(inner));
}

function isPattern(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  try {
    // Compiled as clients do, and never run.
    return new RegExp(value, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}

function isTypes(types: readonly unknown[]): boolean {
  return types.length > 0 && types.every((type) => TYPES.has(type));
}

function toArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
