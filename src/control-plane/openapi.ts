// The OpenAPI 3.1 document, made from the table of operations: what is served is what is described.

import * as z from 'zod';
import { ERRORS, type ErrorCode } from '../domain/errors.ts';
import { VERSION } from '../domain/version.ts';
import { type Operation, warningsView } from './operation.ts';

/** What any operation may answer instead of its view. */
const REFUSALS: readonly ErrorCode[] = [
  'invalid_argument',
  'unauthenticated',
  'forbidden',
  'not_found',
  'payload_too_large',
  'unsupported_media_type',
  'internal',
  'store_unavailable',
];

const problemSchema = z.object({
  message: z.string().describe('What is wrong and what to do, for people.'),
  code: z.string(),
  title: z.string(),
  status: z.int(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

export function toOpenApi(operations: readonly Operation[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const each of operations) {
    const path = `/v1${each.path}`;
    paths[path] = { ...paths[path], [each.method]: describe(each) };
  }
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
      schemas: { Problem: toSchema(problemSchema, 'output') },
    },
  };
}

function describe(each: Operation): object {
  const inPath = each.path.includes('{id}')
    ? [{ name: 'id', in: 'path', required: true, schema: { type: 'string' }, description: 'Id or name.' }]
    : [];
  const answer = {
    description: 'Done.',
    content: json(toSchema(each.view.extend({ warnings: warningsView }), 'output')),
  };
  const refusals = REFUSALS.map((code) => [String(ERRORS[code].status), refusal(code)] as const);
  return {
    operationId: each.name,
    tags: [each.tag],
    summary: each.summary,
    description: `Needs the role ${each.role}.`,
    parameters: [...inPath, ...toParameters(each.query)],
    ...(each.method === 'post'
      ? { requestBody: { required: false, content: json(toSchema(each.body, 'input')) } }
      : {}),
    responses: { 200: answer, ...Object.fromEntries(refusals) },
  };
}

function refusal(code: ErrorCode): object {
  const { title } = ERRORS[code];
  return {
    description: `${title}.`,
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
}

function json(schema: object): object {
  return { 'application/json': { schema } };
}

function toParameters(query: z.ZodObject): object[] {
  return Object.entries(query.shape).map(([name, schema]) => {
    const { description, ...rest } = toSchema(schema as z.ZodType, 'input') as { description?: string };
    const required = !(schema as z.ZodType).safeParse(undefined).success;
    return { name, in: 'query', required, schema: rest, ...(description === undefined ? {} : { description }) };
  });
}

function toSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as { $schema?: string };
  return rest;
}
