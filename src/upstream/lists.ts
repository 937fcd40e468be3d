// Drains an upstream's lists page by page and keeps everything in them as the bytes it came in.

import { performance } from 'node:perf_hooks';
import type { Dispatcher } from 'undici';
import { findMember } from '../protocol/json-scan.ts';
import { LISTS, type ListKind } from '../protocol/list-kind.ts';
import { type RpcAnswer, textOf } from './control-answer.ts';
import { sendControlRequest } from './control-request.ts';
import { UpstreamError } from './failure.ts';
import { type Link, modernHeaders, modernMeta } from './handshake.ts';
import { findElements, findMembers, skipSpace } from './loose-json.ts';

const MAX_PAGES = 100;
const MAX_ITEMS = 10_000;
const MAX_LIST_BYTES = 32 * 1024 * 1024;
/** All pages together get the time of this many requests: each may come just in time, a hundred of them may not. */
const MAX_TIMEOUTS = 2;

export interface DrainOptions {
  readonly pool: Dispatcher;
  readonly path: string;
  readonly link: Link;
  readonly clientInfo: string;
  readonly timeoutMs: number;
  readonly mintId: () => string;
  /** Whether an upstream that does not know the method has an empty list. */
  readonly mayBeUnknown?: boolean;
}

export interface DrainedList {
  /** Every object of the list, raw and unchecked but for its brackets. */
  readonly items: readonly Buffer[];
  /** How long it may be used by the upstream's own word, the shortest of all pages; `undefined` without a sensible one. */
  readonly ttlMs: number | undefined;
}

/** The whole list of the upstream, or nothing of it. Throws `UpstreamError`. */
export async function drainList(kind: ListKind, options: DrainOptions): Promise<DrainedList> {
  const limitMs = options.timeoutMs * MAX_TIMEOUTS;
  const startedMs = performance.now();
  const items: Buffer[] = [];
  const seenCursors = new Set<string>();
  const what = NAMES[kind];
  let cursor: string | undefined;
  let bytes = 0;
  let ttlMs: number | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    if (performance.now() - startedMs > limitMs) {
      throw new UpstreamError('timeout', 'list', `it did not finish its ${what} within ${limitMs} ms`);
    }
    const answer = await requestPage(kind, options, cursor);
    if (answer === undefined) return NOTHING;
    bytes += answer.bytes.length;
    const next = readPage(kind, answer, items);
    ttlMs = shorter(ttlMs, options.link.era === 'modern' ? readTtl(answer) : undefined);
    if (items.length > MAX_ITEMS) throw broken(`it lists more than ${MAX_ITEMS} ${kind}`);
    if (bytes > MAX_LIST_BYTES) throw broken(`its ${what} is larger than ${MAX_LIST_BYTES} bytes`);
    if (next === undefined) return { items, ttlMs };
    // An empty string is a valid cursor; one seen before would go round for ever.
    if (seenCursors.has(next)) throw broken(`its ${what} repeats a cursor`);
    seenCursors.add(next);
    cursor = next;
  }
  throw broken(`its ${what} has more than ${MAX_PAGES} pages`);
}

/** As operators are told of them. */
const NAMES: Readonly<Record<ListKind, string>> = {
  tools: 'tool list',
  prompts: 'prompt list',
  resources: 'resource list',
  templates: 'list of resource templates',
};

export const NOTHING: DrainedList = { items: [], ttlMs: undefined };

/** `undefined` for a list that may be unknown, and is. */
async function requestPage(
  kind: ListKind,
  options: DrainOptions,
  cursor: string | undefined,
): Promise<RpcAnswer | undefined> {
  const { link } = options;
  const { method } = LISTS[kind];
  const isModern = link.era === 'modern';
  const params: string[] = [];
  if (isModern) params.push(`"_meta":${modernMeta(options.clientInfo)}`);
  if (cursor !== undefined) params.push(`"cursor":${JSON.stringify(cursor)}`);
  const id = options.mintId();
  const { status, answer } = await sendControlRequest(options.pool, {
    path: options.path,
    headers: isModern ? [...link.headers, ...modernHeaders(method)] : link.headers,
    body: `{"jsonrpc":"2.0","id":"${id}","method":"${method}","params":{${params.join(',')}}}`,
    id,
    stage: 'list',
    timeoutMs: options.timeoutMs,
    maxBytes: MAX_LIST_BYTES,
  });
  if (status === 401 || status === 403) {
    throw new UpstreamError('credential_refused', 'list', 'it refused the credential this gateway holds for it');
  }
  // Modern servers say so with HTTP 404, and some legacy ones as they say that a session is lost.
  if (options.mayBeUnknown && cursor === undefined && answer !== undefined && isUnknownMethod(answer)) return undefined;
  if (link.sessionId !== undefined && (status === 404 || status === 400 || status === 410)) {
    throw new UpstreamError('session_lost', 'list', 'it has forgotten its session with this gateway');
  }
  if (status === 429) throw new UpstreamError('rate_limited', 'list', 'it limits the rate of requests');
  if (status < 300 && status !== 200) throw broken(`it answered HTTP ${status} to ${method} and no result`);
  if (status !== 200) {
    throw new UpstreamError('bad_status', 'list', `it answered HTTP ${status} to ${method}`, { status });
  }
  if (answer === undefined) throw broken(`it answered ${method} with something that is no JSON-RPC answer`);
  return answer;
}

/** JSON-RPC 2.0 §5.1. */
const METHOD_NOT_FOUND = '-32601';

function isUnknownMethod({ bytes, result }: RpcAnswer): boolean {
  if (result !== undefined) return false;
  const error = findMember(findMembers(bytes, skipSpace(bytes, 0)) ?? [], 'error');
  const code = findMember((error && findMembers(bytes, error.start)) ?? [], 'code');
  return code !== undefined && bytes.toString('latin1', code.start, code.end) === METHOD_NOT_FOUND;
}

/** Appends what one page holds; returns the next cursor. */
function readPage(kind: ListKind, { bytes, result }: RpcAnswer, items: Buffer[]): string | undefined {
  const { method, key } = LISTS[kind];
  if (result === undefined) throw broken(`it answered ${method} with an error`);
  const list = findMember(result, key);
  const spans = list && findElements(bytes, list.start);
  if (spans === undefined) throw broken(`it answered ${method} without '${key}'`);
  for (const span of spans) items.push(bytes.subarray(span.start, span.end));
  const at = findMember(result, 'nextCursor');
  if (at === undefined || bytes.toString('latin1', at.start, at.end) === 'null') return undefined;
  const next = textOf(bytes, result, 'nextCursor');
  // Taken for the end of the list, it would hide all that is behind it.
  if (next === undefined) throw broken(`its ${NAMES[kind]} has a 'nextCursor' that is no string`);
  return next;
}

/** `ttlMs` of a page where it is what it must be, a whole number from 0 (2026-07-28 server/utilities/caching). */
function readTtl({ bytes, result }: RpcAnswer): number | undefined {
  const at = result && findMember(result, 'ttlMs');
  const text = at === undefined ? '' : bytes.toString('latin1', at.start, Math.min(at.end, at.start + MAX_DIGITS + 1));
  return /^\d+$/.test(text) && text.length <= MAX_DIGITS ? Number(text) : undefined;
}

/** More milliseconds than this are 30,000 years. */
const MAX_DIGITS = 15;

/** The shorter of two lifetimes, of which `undefined` is none. */
export function shorter(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

function broken(message: string): UpstreamError {
  return new UpstreamError('broken_answer', 'list', message);
}
