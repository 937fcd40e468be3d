// What the endpoint reads of a request before its body: method, media types, revision, spelling.

import { toProblemBody } from '../domain/errors.ts';
import { NAME_STYLES, type NameStyle } from '../domain/principal.ts';
import { LEGACY_REVISIONS, MODERN_REVISION } from '../protocol/era.ts';
import { quoted } from '../protocol/quoted.ts';
import type { Refusal } from './exchange.ts';
import { acceptsStream, type HttpRequest, type HttpResponse, reply } from './reply.ts';

export function oneHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

export function findMediaProblem(request: HttpRequest): string | undefined {
  const type = request.headers['content-type'];
  if (type !== 'application/json' && !/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type ?? '')) {
    return 'Content-Type must be application/json.';
  }
  const encoding = request.headers['content-encoding'];
  return encoding === undefined || encoding === 'identity'
    ? undefined
    : 'A compressed request body is not served; send it plain.';
}

/** `?names=` overrides the token's spelling; an unknown value changes nothing. */
export function readNameStyle(url: string | undefined): NameStyle | undefined {
  const query = url === undefined ? -1 : url.indexOf('?');
  if (url === undefined || query < 0) return undefined;
  const asked = new URLSearchParams(url.slice(query + 1)).get('names');
  return NAME_STYLES.find((style) => style === asked);
}

/**
 * Whether a GET is one for the stream of a legacy session. What is none is answered as where there are no streams: the
 * revision knows only the stream or 405 (2025-11-25 basic/transports#listening-for-messages-from-the-server), which
 * clients take quietly, and the modern era has no GET.
 */
export function asksForStream(request: HttpRequest): boolean {
  const { headers } = request;
  return (
    headers['mcp-session-id'] !== undefined &&
    headers['mcp-protocol-version'] !== MODERN_REVISION &&
    acceptsStream(headers.accept) &&
    !hasBody(request)
  );
}

/** A GET has none (RFC 9110 §9.3.1); who sends one wants it read, and would wait on the stream for an answer to it. */
function hasBody(request: HttpRequest): boolean {
  if ('stream' in request) return !request.stream.endAfterHeaders;
  const { headers } = request;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** A revision that is not served must be refused (2025-11-25 basic/transports#protocol-version-header). */
export function findRevisionProblem({ headers }: HttpRequest): Refusal | undefined {
  const revision = oneHeader(headers['mcp-protocol-version']);
  if (revision === undefined || (LEGACY_REVISIONS as readonly string[]).includes(revision)) return undefined;
  const message = `MCP-Protocol-Version ${quoted(revision)} is not served; served to GET are ${LEGACY_REVISIONS.join(', ')}.`;
  return { code: 'invalid_request', message };
}

/** Refuses a method that is not served, or not like this. */
export function refuseHttpMethod({ method }: HttpRequest, response: HttpResponse): void {
  const isGet = method === 'GET';
  const message = isGet
    ? 'GET opens the stream of a legacy session: send its Mcp-Session-Id, accept text/event-stream, and send no body. Messages are sent by POST.'
    : 'This endpoint serves POST, and for legacy sessions GET to open their stream and DELETE to end them.';
  const body = toProblemBody(405, 'method_not_allowed', message);
  const allowed = isGet ? 'POST, DELETE' : 'GET, POST, DELETE';
  reply(response, 405, Buffer.from(body), 'json', ['allow', allowed]);
}
