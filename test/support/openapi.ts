// The OpenAPI document that a gateway serves, as a table of operations, and as a judge of what they answer.

import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';

/** What `z.toJSONSchema` makes. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly propertyNames?: JsonSchema;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly not?: JsonSchema;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

export interface QueryParameter {
  readonly name: string;
  readonly required: boolean;
  readonly schema: JsonSchema;
}

interface Media {
  readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>>;
}

interface Described {
  readonly operationId: string;
  readonly description: string;
  readonly parameters: readonly (QueryParameter & { readonly in?: string; readonly $ref?: string })[];
  readonly requestBody?: Media;
  readonly responses: Readonly<Record<string, Media & { readonly $ref?: string }>>;
}

export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<'get' | 'post', Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

export interface DescribedOperation {
  readonly name: string;
  readonly method: 'GET' | 'POST';
  /** As `/v1/mcp-configs/{id}`. */
  readonly path: string;
  readonly role: string;
  readonly hasId: boolean;
  readonly isWrite: boolean;
  readonly query: readonly QueryParameter[];
  /** Whole: what has a name in the document is put in its place. */
  readonly body: JsonSchema | undefined;
  /** Whole, too. */
  readonly view: JsonSchema;
  readonly statuses: readonly number[];
}

export async function fetchOpenApi(gatewayUrl: string): Promise<OpenApiDocument> {
  const response = await fetch(`${gatewayUrl}/openapi.json`);
  return (await response.json()) as OpenApiDocument;
}

const SCHEMAS = '#/components/schemas/';

/** The schema with everything that it refers to in its place. Fails for a name that the document does not have. */
function whole<T>(document: OpenApiDocument, schema: T): T {
  if (Array.isArray(schema)) return schema.map((each) => whole(document, each)) as T;
  if (typeof schema !== 'object' || schema === null) return schema;
  const { $ref, ...rest } = schema as { readonly $ref?: string };
  const own = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, whole(document, value)]));
  if ($ref === undefined) return own as T;
  const named = document.components.schemas[$ref.replace(SCHEMAS, '')] ?? assert.fail(`there is no ${$ref}`);
  return { ...whole(document, named), ...own } as T;
}

export function operationsOf(document: OpenApiDocument): DescribedOperation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, each]) => ({
      name: each.operationId,
      method: method.toUpperCase() as 'GET' | 'POST',
      path,
      role: /Needs the role (\w+)\./.exec(each.description)?.[1] ?? '',
      hasId: path.includes('{id}'),
      isWrite: each.parameters.some(({ $ref }) => $ref?.endsWith('/if-match') === true),
      query: each.parameters.filter((parameter) => parameter.in === 'query'),
      body: whole(document, each.requestBody?.content['application/json']?.schema),
      view: whole(document, each.responses['200']!.content['application/json']!.schema),
      statuses: Object.keys(each.responses).map(Number),
    })),
  );
}

export interface Answered {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
}

/** Fails for an answer that the document does not describe. */
export type JudgeAnswer = (operation: DescribedOperation, answer: Answered) => void;

export function createJudge(document: OpenApiDocument): JudgeAnswer {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema(document, 'openapi');
  const refuse = (what: string, { status, text }: Answered): never =>
    assert.fail(`${what}: ${status} ${text.slice(0, 500)}`);
  return (operation, answer) => {
    const { status, type, text } = answer;
    if (!operation.statuses.includes(status)) refuse('a status that is not described', answer);
    const media = type?.split(';')[0]?.trim();
    const isDone = status === 200;
    if (media !== 'application/json' && (isDone || media !== 'application/problem+json')) refuse(`${type}`, answer);
    const pointer = isDone
      ? `openapi#/paths/${operation.path.replaceAll('/', '~1')}/${operation.method.toLowerCase()}/responses/200/content/application~1json/schema`
      : 'openapi#/components/schemas/Problem';
    const validate = ajv.getSchema(pointer) ?? assert.fail(`no schema at ${pointer}`);
    const body: unknown = JSON.parse(text);
    if (!validate(body)) refuse(ajv.errorsText(validate.errors), answer);
    if (isDone) return;
    const problem = body as { readonly status: number; readonly code: string; readonly errors?: readonly unknown[] };
    if (problem.status !== status) refuse('another status in the body', answer);
    if (problem.code === 'invalid_argument' && (problem.errors ?? []).length === 0) refuse('no place named', answer);
  };
}
