// The OpenAPI 3.1 document, made from the table of operations: what is served is what is described.

import * as z from 'zod';
import { ERRORS, type ErrorCode } from '../domain/errors.ts';
import { VERSION } from '../domain/version.ts';
import { type JsonSchema, type NamedSchemas, toNamedSchemas, toSchema, withNulls } from './json-schema.ts';
import type { Operation } from './operation.ts';
import { BODIES, VIEWS } from './schema-names.ts';

/** What any operation may answer instead of its view: the first code of a status stands for the others. */
const REFUSALS: readonly ErrorCode[] = [
  'invalid_argument',
  'conflict',
  'parse_error',
  'invalid_request',
  'unauthenticated',
  'forbidden',
  'not_found',
  'rate_limited',
  'internal',
  'store_unavailable',
  'overloaded',
];
/** Of operations that read a body. */
const BODY_REFUSALS: readonly ErrorCode[] = ['payload_too_large', 'unsupported_media_type'];
/** Of operations that change something. */
const WRITE_REFUSALS: readonly ErrorCode[] = ['revision_mismatch'];
const ALL_REFUSALS = [...REFUSALS, ...BODY_REFUSALS, ...WRITE_REFUSALS];

const problemSchema = z.object({
  message: z.string().describe('What is wrong and what to do, for people.'),
  code: z.enum(ALL_REFUSALS),
  title: z.string().describe('What the code stands for.'),
  status: z.int(),
  errors: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .describe('Each at its place.'),
});

const HEADERS = {
  etag: 'The revision, as If-Match takes it.',
  'x-request-id': 'That of the request, if it has one.',
  'idempotent-replayed': '`true` when the answer was given before, and nothing was done this time.',
  ratelimit: 'How many requests of this API key are left, and in how many seconds there are all.',
  'ratelimit-policy': 'How many requests of an API key are admitted in how many seconds.',
  'retry-after': 'Seconds after which to try again, if that may help.',
  'retry-after-ms': 'The same in milliseconds.',
  'x-should-retry': 'Whether to try again may help.',
  'www-authenticate': 'How to authenticate.',
} as const;
type Header = keyof typeof HEADERS;

const REFUSAL_HEADERS: Readonly<Record<number, readonly Header[]>> = {
  401: ['www-authenticate'],
  429: ['ratelimit', 'ratelimit-policy', 'retry-after', 'retry-after-ms', 'x-should-retry'],
  500: ['x-should-retry'],
  503: ['retry-after', 'retry-after-ms', 'x-should-retry'],
};

const WRITE_PARAMETERS = {
  'if-match': 'The ETag that was read: the write is refused with 412 when there is another revision by now.',
  'x-request-id':
    'Visible ASCII, new for each new request: a write that is sent again is answered, and not done again.',
};

export function toOpenApi(operations: readonly Operation[]): object {
  const schemas: Schemas = {
    bodies: toNamedSchemas(BODIES, bodiesOf(operations), 'input'),
    views: toNamedSchemas(VIEWS, viewsOf(operations), 'output'),
  };
  const paths: Record<string, Record<string, object>> = {};
  for (const each of operations) {
    const path = `/v1${each.path}`;
    paths[path] = { ...paths[path], [each.method]: describe(each, schemas) };
  }
  const answers = new Set(viewsOf(operations).map((view) => schemas.views.show(view).$ref));
  return {
    openapi: '3.1.0',
    info: {
      title: 'Switchboard control plane',
      version: VERSION,
      description: 'McpConfigs, secrets, tokens and API keys of one account.',
    },
    servers: [{ url: '/' }],
    security: [{ bearerAuth: [] }],
    paths,
    components: {
      securitySchemes: { bearerAuth: { type: 'http', scheme: 'bearer', description: 'An API key (swb_key_…).' } },
      schemas: {
        Problem: toSchema(problemSchema, 'output'),
        ...mapEntries(schemas.bodies.components, withNulls),
        ...mapEntries(schemas.views.components, (view, name) =>
          answers.has(`#/components/schemas/${name}`) ? withWarnings(view) : view,
        ),
      },
      responses: Object.fromEntries(statusesOf(ALL_REFUSALS).map((status) => [status, describeRefusal(status)])),
      headers: mapEntries(HEADERS, (description) => ({ description, schema: { type: 'string' } })),
      parameters: {
        id: { name: 'id', in: 'path', required: true, schema: { type: 'string' }, description: 'Id or name.' },
        ...mapEntries(WRITE_PARAMETERS, (description, name) => ({
          name,
          in: 'header',
          required: false,
          schema: { type: 'string' },
          description,
        })),
      },
    },
  };
}

interface Schemas {
  readonly bodies: NamedSchemas;
  readonly views: NamedSchemas;
}

function bodiesOf(operations: readonly Operation[]): z.ZodObject[] {
  return operations.filter(({ method }) => method === 'post').map(({ body }) => body);
}

function viewsOf(operations: readonly Operation[]): z.ZodObject[] {
  return operations.map(({ view }) => view);
}

/** Any answer may hold warnings. A view that is a component shows them wherever it stands. */
function withWarnings(view: JsonSchema): JsonSchema {
  if (view.$ref !== undefined) return view;
  return { ...view, properties: { warnings: refer('schemas', 'Warnings'), ...view.properties } };
}

function describe(each: Operation, { bodies, views }: Schemas): object {
  const { method, kind, view } = each;
  const inPath = each.path.includes('{id}') ? [refer('parameters', 'id')] : [];
  const inHeaders = kind === 'write' ? Object.keys(WRITE_PARAMETERS).map((name) => refer('parameters', name)) : [];
  const hasBody = method === 'post';
  const refusals = [...REFUSALS, ...(hasBody ? BODY_REFUSALS : []), ...(kind === 'write' ? WRITE_REFUSALS : [])];
  const headers: Header[] = [
    ...('revision' in view.shape ? (['etag'] as const) : []),
    ...(kind === 'write' ? (['idempotent-replayed'] as const) : []),
    'x-request-id',
    'ratelimit',
    'ratelimit-policy',
  ];
  return {
    operationId: each.name,
    tags: [each.tag],
    summary: each.summary,
    description: `Needs the role ${each.role}.`,
    parameters: [...inPath, ...toParameters(each.query), ...inHeaders],
    ...(hasBody ? { requestBody: { required: false, content: json(withNulls(bodies.show(each.body))) } } : {}),
    responses: {
      200: {
        description: 'Done.',
        headers: toHeaders(headers),
        content: json(withWarnings(views.show(view))),
      },
      ...Object.fromEntries(statusesOf(refusals).map((status) => [status, refer('responses', String(status))])),
    },
  };
}

function statusesOf(codes: readonly ErrorCode[]): number[] {
  return [...new Set(codes.map((code) => ERRORS[code].status))];
}

function describeRefusal(status: number): object {
  const titles = ALL_REFUSALS.filter((code) => ERRORS[code].status === status).map((code) => ERRORS[code].title);
  const headers = REFUSAL_HEADERS[status];
  return {
    description: `${titles.join(', or ')}.`,
    ...(headers === undefined ? {} : { headers: toHeaders(headers) }),
    content: { 'application/problem+json': { schema: refer('schemas', 'Problem') } },
  };
}

function toHeaders(names: readonly Header[]): object {
  return Object.fromEntries(names.map((name) => [name, refer('headers', name)]));
}

function refer(kind: string, name: string): object {
  return { $ref: `#/components/${kind}/${name}` };
}

function json(schema: object): object {
  return { 'application/json': { schema } };
}

function toParameters(query: z.ZodObject): object[] {
  return Object.entries(query.shape).map(([name, schema]) => {
    const { description, ...rest } = toSchema(schema as z.ZodType, 'input');
    const required = !(schema as z.ZodType).safeParse(undefined).success;
    // An empty value counts as one that is left out.
    const allowEmptyValue = !required;
    const about = description === undefined ? {} : { description };
    return { name, in: 'query', required, allowEmptyValue, schema: rest, ...about };
  });
}

function mapEntries<K extends string, T, R>(of: Readonly<Record<K, T>>, to: (value: T, key: string) => R): object {
  return Object.fromEntries(Object.entries<T>(of).map(([key, value]) => [key, to(value, key)]));
}
