// The REST API as the commands call it: one request, asked again when it did not get through, and a refusal in one line.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { GatewayError } from '../domain/errors.ts';
import type { Target } from './gateway-target.ts';

/** What the API answers with: an object, by the field names of `/openapi.json`. */
export type View = Readonly<Record<string, unknown>>;
type Query = Readonly<Record<string, string | number | undefined>>;

export interface RestClient {
  readonly get: (path: string, query?: Query) => Promise<View>;
  /** `ifMatch` is the revision that the write is about; whoever has changed the object since then is not overwritten. */
  readonly post: (path: string, body?: object, ifMatch?: number) => Promise<View>;
  /** The objects under `key` on the pages of a list, newest first; all of them unless there is a `limit`. */
  readonly list: (
    path: string,
    key: string,
    query?: Query & { readonly limit?: number | undefined },
  ) => Promise<View[]>;
}

const TIMEOUT_MS = 30_000;
const ATTEMPTS = 4;
const FIRST_WAIT_MS = 100;
/** A gateway that wants to be left alone for longer is not waited for: the operator is told. */
const MAX_WAIT_MS = 5_000;
const PAGE = 1_000;

/** All calls throw `GatewayError`, with the message of the gateway where it has refused. */
export function createRestClient(target: Target): RestClient {
  const get: RestClient['get'] = (path, query = {}) => ask(target, 'GET', withQuery(path, query));
  return {
    get,
    post: (path, body = {}, ifMatch = undefined) => {
      const match = ifMatch === undefined ? {} : { 'if-match': `"${ifMatch}"` };
      // One id for all attempts: a write whose answer was lost is answered again, and not done again.
      const headers = { 'content-type': 'application/json', 'x-request-id': randomUUID(), ...match };
      return ask(target, 'POST', path, { headers, body: JSON.stringify(body) });
    },
    list: async (path, key, { limit = Infinity, ...query } = {}) => {
      const found: View[] = [];
      let hasMore = true;
      while (hasMore && found.length < limit) {
        const after = found.at(-1)?.id as string | undefined;
        const page = { limit: Math.min(PAGE, limit - found.length), starting_after: after };
        const view = await get(path, { ...query, ...page, include_total_count: 'false' });
        const objects = Array.isArray(view[key]) ? (view[key] as View[]) : [];
        found.push(...objects);
        hasMore = view.has_more === true && objects.length > 0;
      }
      return found;
    },
  };
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}

async function ask(
  { url, key }: Target,
  method: string,
  path: string,
  { headers = {}, body = null }: { headers?: Record<string, string>; body?: string | null } = {},
): Promise<View> {
  const request = { method, body, headers: { authorization: `Bearer ${key}`, ...headers } };
  for (let attempt = 1; ; attempt++) {
    const reached = await send(`${url}/v1${path}`, request);
    const waitMs = reached.retryAfterMs ?? FIRST_WAIT_MS * 2 ** (attempt - 1);
    const isAgain = reached.isRetryable && attempt < ATTEMPTS && waitMs <= MAX_WAIT_MS;
    if (!isAgain) return reached.settle(url);
    await delay(waitMs);
  }
}

interface Reached {
  readonly isRetryable: boolean;
  readonly retryAfterMs?: number | undefined;
  /** What the answer says, or a `GatewayError` thrown for what it refuses. */
  readonly settle: (url: string) => View;
}

async function send(url: string, request: RequestInit): Promise<Reached> {
  try {
    // The key goes to the gateway that was named, not to where an answer points.
    const response = await fetch(url, { ...request, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = parse(await response.text());
    return {
      isRetryable: response.status === 429 || response.status === 503,
      retryAfterMs: readRetryAfter(response.headers),
      settle: (base) => settle(response, body, base),
    };
  } catch (cause) {
    const error = cause as Error & { cause?: { code?: string } };
    const isRefused = error.cause?.code === 'ECONNREFUSED';
    return {
      // Nobody listens, or it has been long enough already: the operator wants to know now.
      isRetryable: !isRefused && error.name !== 'TimeoutError',
      settle: () => {
        throw new GatewayError('invalid_argument', describe(error, new URL(url).origin), { cause });
      },
    };
  }
}

function describe(error: Error & { cause?: { code?: string } }, origin: string): string {
  const code = error.cause?.code;
  if (error.name === 'TimeoutError') return `The gateway at ${origin} did not answer within ${TIMEOUT_MS / 1000} s.`;
  return code === 'ECONNREFUSED' || code === undefined
    ? `No gateway answers at ${origin}. Is it running there?`
    : `No gateway answers at ${origin} (${code}). Is it running there?`;
}

function parse(text: string): View | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as View) : undefined;
  } catch {
    // Then it is no answer of this API.
    return undefined;
  }
}

function readRetryAfter(headers: Headers): number | undefined {
  const [ms, seconds] = [headers.get('retry-after-ms'), headers.get('retry-after')];
  if (ms !== null && /^\d{1,9}$/.test(ms)) return Number(ms);
  return seconds !== null && /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
}

function settle(response: Response, body: View | undefined, url: string): View {
  if (response.ok && body !== undefined) return body;
  throw new GatewayError(
    response.status === 412 ? 'revision_mismatch' : 'invalid_argument',
    typeof body?.message === 'string'
      ? `The gateway refused (HTTP ${response.status}): ${body.message}`
      : `What answers at ${url} (HTTP ${response.status}) is no Switchboard. Check SWITCHBOARD_URL or --url.`,
  );
}
