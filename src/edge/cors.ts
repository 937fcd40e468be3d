// CORS: lets pages of the configured origins, and of no others, call from a browser (Fetch standard, §3.2).

import type { ServerResponse } from 'node:http';
import type { EdgeRequest, EdgeResponse } from './request-gate.ts';

/** Marks the answer as one that the page of `origin` may read; answers a preflight, and returns whether it did. */
export type ServeCors = (request: EdgeRequest, response: EdgeResponse, origin: string) => boolean;

const METHODS = 'GET, POST, DELETE';
const REQUEST_HEADERS = [
  'authorization',
  'content-type',
  'accept',
  'mcp-protocol-version',
  'mcp-session-id',
  'mcp-method',
  'mcp-name',
  'last-event-id',
  'if-match',
  'x-request-id',
];
/** Named by a tool's schema, so no list can hold them; `*` is no answer, as it does not cover `authorization`. */
const PARAM_HEADER = /^mcp-param-[!#$%&'*+\-.^_`|~0-9a-z]{1,128}$/;
const ANSWER_HEADERS = [
  'mcp-session-id',
  'www-authenticate',
  'server-timing',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'x-request-id',
  'etag',
  'idempotent-replayed',
  'ratelimit',
  'ratelimit-policy',
  'allow',
].join(', ');
/** Two hours, the longest that Chromium keeps an answer. */
const MAX_AGE_SECONDS = '7200';

export function createCors(allowedOrigins: readonly string[]): ServeCors {
  const allowed = new Set(allowedOrigins);
  return (request, response, origin) => {
    if (!allowed.has(origin)) return false;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('vary', 'Origin');
    if (!isPreflight(request)) {
      response.setHeader('access-control-expose-headers', ANSWER_HEADERS);
      return false;
    }
    response.setHeader('access-control-allow-methods', METHODS);
    response.setHeader('access-control-allow-headers', allowedHeaders(request).join(', '));
    response.setHeader('access-control-max-age', MAX_AGE_SECONDS);
    // The two response types declare `writeHead` apart, and behave alike here.
    (response as ServerResponse).writeHead(204).end();
    return true;
  };
}

/** A browser's preflight has no body; whoever sends one would push it past authentication. */
function isPreflight(request: EdgeRequest): boolean {
  const { method, headers } = request;
  if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) return false;
  if ('stream' in request) return request.stream.endAfterHeaders;
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;
}

function allowedHeaders({ headers }: EdgeRequest): string[] {
  const asked = String(headers['access-control-request-headers'] ?? '').toLowerCase();
  return [...REQUEST_HEADERS, ...asked.split(/ *, */).filter((name) => PARAM_HEADER.test(name))];
}
