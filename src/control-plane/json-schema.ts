// From schemas in the code to JSON Schema, for the OpenAPI document and for the tools of the MCP door.

import * as z from 'zod';

export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly additionalProperties?: boolean | JsonSchema;
}

/** What is read (`input`) and what is given (`output`) by one schema differ: of the first, defaults may be left out. */
type Io = 'input' | 'output';

/** One schema, whole. */
export function toSchema(schema: z.ZodType, io: Io): JsonSchema {
  return bare(z.toJSONSchema(schema, { io, ...OPTIONS }));
}

export interface NamedSchemas {
  /** By name. */
  readonly components: Readonly<Record<string, JsonSchema>>;
  /** Where one of `roots` stands: a `$ref` if it has a name, else itself. */
  show(root: z.ZodType): JsonSchema;
}

/** `roots`, with a `$ref` to a component wherever one of the schemas of `names` stands in them. */
export function toNamedSchemas(
  names: Readonly<Record<string, z.ZodType>>,
  roots: readonly z.ZodType[],
  io: Io,
): NamedSchemas {
  const ids = new Map(Object.entries(names).map(([name, schema]) => [schema, name]));
  // Not the registry of zod's own: what has a name there is no longer whole in any other document.
  const registry = z.registry<{ id: string }>();
  for (const root of roots) if (!ids.has(root)) ids.set(root, `#${ids.size}`);
  for (const [schema, id] of ids) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io, uri: toUri, ...OPTIONS });
  const made = new Map(Object.entries(schemas).map(([id, schema]) => [id, bare(schema)]));
  return {
    components: Object.fromEntries([...made].filter(([id]) => id in names)),
    show: (root) => {
      const id = ids.get(root) ?? '';
      return id in names ? { $ref: toUri(id) } : (made.get(id) ?? {});
    },
  };
}

function toUri(name: string): string {
  return `#/components/schemas/${name}`;
}

const OPTIONS = {
  unrepresentable: 'any',
  override: ({ jsonSchema }: { readonly jsonSchema: z.core.JSONSchema.BaseSchema }) => tidy(jsonSchema),
} as const;

/** That a whole number is one that a double holds goes without saying. */
function tidy(schema: z.core.JSONSchema.BaseSchema): void {
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
}

function bare(made: object): JsonSchema {
  const { $schema: _, $id, ...rest } = made as { $schema?: string; $id?: string };
  return rest;
}

/** A field that may be left out may be `null`, which says the same. */
export function withNulls(schema: JsonSchema): JsonSchema {
  const { properties, items, anyOf, oneOf, additionalProperties: more } = schema;
  return {
    ...schema,
    ...(properties && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, { description, ...field }]) => {
          const inner = withNulls(field);
          const shown: JsonSchema = schema.required?.includes(name) ? inner : { anyOf: [inner, { type: 'null' }] };
          return [name, description === undefined ? shown : { description, ...shown }];
        }),
      ),
    }),
    ...(items && { items: withNulls(items) }),
    ...(anyOf && { anyOf: anyOf.map(withNulls) }),
    ...(oneOf && { oneOf: oneOf.map(withNulls) }),
    ...(typeof more === 'object' && { additionalProperties: withNulls(more) }),
  };
}
