// The REST door: authenticates API keys, reads requests by the operations' schemas, and turns errors into answers.

import { type Context, Hono } from 'hono';
import { GatewayError } from '../domain/errors.ts';
import type { Authenticator, Operator } from '../identity/authenticate.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import type { Expected } from './change.ts';
import type { Operation } from './operation.ts';
import { type Perform, requireRole } from './perform.ts';
import { readInput, readQuery } from './read-input.ts';

export interface RestDeps {
  readonly authenticator: Authenticator;
  readonly operations: readonly Operation[];
  readonly perform: Perform;
  /** Requests of one API key. */
  readonly limiter: RateLimiter;
}

export type RestDoor = Hono<{ Variables: { operator: Operator } }>;
type RestContext = Context<{ Variables: { operator: Operator } }>;

const MAX_BODY_BYTES = 1024 * 1024;
const REQUEST_ID = /^[\x21-\x7e]{1,256}$/;

/** Routes below `/v1`. */
export function createRestDoor(deps: RestDeps): RestDoor {
  const app: RestDoor = new Hono();
  app.use('*', async (context, next) => {
    const operator = authenticate(deps.authenticator, context);
    context.set('operator', operator);
    const requestId = context.req.header('x-request-id');
    if (requestId !== undefined) context.header('x-request-id', requestId);
    takePermit(deps.limiter, operator, (name, value) => context.header(name, value));
    await next();
  });
  for (const each of deps.operations) {
    const path = each.path.replaceAll(/\{(\w+)\}/g, ':$1');
    app.on(each.method.toUpperCase(), path, (context) => serve(deps, each, context));
  }
  return app;
}

/** Throws `unauthenticated`. */
function authenticate(authenticator: Authenticator, context: RestContext): Operator {
  const operator = authenticator.authenticateApiKey(context.req.header('authorization'));
  if (operator.kind === 'denied') throw new GatewayError(operator.code, operator.message);
  return operator;
}

/**
 * Counts a request of an API key, and says how many are left (draft-ietf-httpapi-ratelimit-headers-10). Throws
 * `rate_limited`.
 */
export function takePermit(
  limiter: RateLimiter,
  operator: Operator,
  setHeader: (name: string, value: string) => void,
): void {
  const { isAllowed, remaining, resetMs } = limiter.take(operator.keyId);
  setHeader('ratelimit-policy', `"api-key";q=${limiter.permits};w=${limiter.windowMs / 1000}`);
  setHeader('ratelimit', `"api-key";r=${remaining};t=${Math.ceil(resetMs / 1000)}`);
  if (isAllowed) return;
  throw new GatewayError(
    'rate_limited',
    `The API key "${operator.name}" may make ${limiter.permits} requests in ${limiter.windowMs / 1000} s, and has made them. Try again later.`,
    { retryAfterMs: Math.ceil(resetMs) },
  );
}

async function serve({ perform, authenticator }: RestDeps, each: Operation, context: RestContext): Promise<Response> {
  const operator = context.get('operator');
  // Before the body is read: who may not need not send one.
  requireRole(each, operator);
  const query = readQuery(each.query, context.req.queries());
  const body = readInput(each.body, each.method === 'post' ? await readBody(context) : {});
  // A body may take its time to come, and the key may have been revoked since.
  authenticate(authenticator, context);
  const { view, isReplay } = await perform(each, {
    operator,
    id: context.req.param('id') ?? '',
    query: query.value,
    body: body.value,
    // Nothing is refused to be read because it has changed.
    expected: each.kind === 'write' ? readIfMatch(context.req.header('if-match')) : undefined,
    requestId: readRequestId(context.req.header('x-request-id')),
  });
  if (typeof view.revision === 'number') context.header('etag', `"${view.revision}"`);
  if (isReplay) context.header('idempotent-replayed', 'true');
  const warnings = [...query.warnings, ...body.warnings, ...((view.warnings as object[] | undefined) ?? [])];
  return context.json(warnings.length === 0 ? view : { ...view, warnings });
}

/**
 * Our entity tags are revisions (RFC 9110 §13.1.1). Throws `invalid_argument` for what never was one, and
 * `revision_mismatch` when all are weak: those match nothing.
 */
function readIfMatch(text: string | undefined): Expected | undefined {
  if (text === undefined) return undefined;
  if (text.trim() === '*') return '*';
  const tags = text.split(',').map((tag) => /^\s*(?:(W\/)?"(\d{1,15})"|(\d{1,15}))\s*$/.exec(tag));
  const strong = tags.flatMap((tag) => {
    if (tag !== null) return tag[1] === undefined ? [Number(tag[2] ?? tag[3])] : [];
    const message = 'If-Match is not an ETag of this API: send the revision that was read, such as "3", or *.';
    throw new GatewayError('invalid_argument', message, { problems: [{ path: 'if-match', message }] });
  });
  if (strong.length > 0) return strong;
  const message =
    'If-Match is a weak ETag, as proxies that compress make them, and never matches. Send the revision alone, such as "3".';
  throw new GatewayError('revision_mismatch', message);
}

function readRequestId(text: string | undefined): string | undefined {
  if (text === undefined || REQUEST_ID.test(text)) return text;
  const message = 'x-request-id is not 1 to 256 visible ASCII characters.';
  throw new GatewayError('invalid_argument', message, { problems: [{ path: 'x-request-id', message }] });
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
