// The REST door: authenticates API keys, reads requests by the operations' schemas, and turns errors into answers.

import { type Context, Hono } from 'hono';
import { ERRORS, GatewayError } from '../domain/errors.ts';
import type { Authenticator, Operator } from '../identity/authenticate.ts';
import { isAllowed, type Operation } from './operation.ts';
import { readInput, readQuery } from './read-input.ts';

export interface RestDeps {
  readonly authenticator: Authenticator;
  readonly operations: readonly Operation[];
}

export type RestDoor = Hono<{ Variables: { operator: Operator } }>;
type RestContext = Context<{ Variables: { operator: Operator } }>;

const MAX_BODY_BYTES = 1024 * 1024;

/** Routes below `/v1`. */
export function createRestDoor(deps: RestDeps): RestDoor {
  const app: RestDoor = new Hono();
  app.use('*', async (context, next) => {
    const operator = deps.authenticator.authenticateApiKey(context.req.header('authorization'));
    if (operator.kind === 'denied') throw new GatewayError(operator.code, operator.message);
    context.set('operator', operator);
    const requestId = context.req.header('x-request-id');
    if (requestId !== undefined) context.header('x-request-id', requestId);
    await next();
  });
  for (const each of deps.operations) {
    const path = each.path.replaceAll(/\{(\w+)\}/g, ':$1');
    app.on(each.method.toUpperCase(), path, (context) => serve(each, context));
  }
  return app;
}

async function serve(each: Operation, context: RestContext): Promise<Response> {
  const operator = context.get('operator');
  if (!isAllowed(operator.role, each.role)) {
    const message = `The API key "${operator.name}" has the role ${operator.role}, and ${each.name} needs ${each.role}. Use another key.`;
    throw new GatewayError('forbidden', message);
  }
  const query = readQuery(each.query, context.req.queries());
  const body = readInput(each.body, each.method === 'post' ? await readBody(context) : {});
  const view = await each.run({
    operator,
    id: context.req.param('id') ?? '',
    query: query.value,
    body: body.value,
  });
  const warnings = [...query.warnings, ...body.warnings, ...((view.warnings as object[] | undefined) ?? [])];
  return context.json(warnings.length === 0 ? view : { ...view, warnings });
}

/** The JSON of a body; an empty one counts as `{}`, as clients send it where nothing is to be said. */
async function readBody(context: RestContext): Promise<unknown> {
  const text = await readText(context);
  if (text.trim() === '') return {};
  const type = context.req.header('content-type');
  if (type !== undefined && !/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new GatewayError('unsupported_media_type', 'The body must be JSON: send content-type: application/json.');
  }
  try {
    return JSON.parse(text);
  } catch {
    // What the parser says repeats a part of the body, which may be a secret.
    throw new GatewayError('parse_error', 'The body is not valid JSON.');
  }
}

async function readText(context: RestContext): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of context.req.raw.body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new GatewayError('payload_too_large', `The body is larger than ${MAX_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new GatewayError('parse_error', 'The body is not valid UTF-8.');
  }
}

/** The body of every refusal of the control plane: `message` on top, as Runloop's clients show it. */
export function problemBody(error: GatewayError): Record<string, unknown> {
  const { code, message, status, problems } = error;
  return { message, code, title: ERRORS[code].title, status, ...(problems.length === 0 ? {} : { errors: problems }) };
}
