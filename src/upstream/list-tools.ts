// Drains an upstream's `tools/list` page by page and keeps every tool as the bytes it came in.

import { performance } from 'node:perf_hooks';
import type { Dispatcher } from 'undici';
import { findMember } from '../protocol/json-scan.ts';
import { type RpcAnswer, textOf } from './control-answer.ts';
import { sendControlRequest } from './control-request.ts';
import { UpstreamError } from './failure.ts';
import { type Link, modernHeaders, modernMeta } from './handshake.ts';
import { findElements } from './loose-json.ts';

const MAX_PAGES = 100;
const MAX_TOOLS = 10_000;
const MAX_LIST_BYTES = 32 * 1024 * 1024;
/** All pages together get the time of this many requests: each may come just in time, a hundred of them may not. */
const MAX_TIMEOUTS = 2;

export interface ListToolsOptions {
  readonly pool: Dispatcher;
  readonly path: string;
  readonly link: Link;
  readonly clientInfo: string;
  readonly timeoutMs: number;
  readonly mintId: () => string;
}

export interface UpstreamTools {
  /** Every tool object, raw and unchecked but for its brackets. */
  readonly tools: readonly Buffer[];
  /** How long it may be used by the upstream's own word, the shortest of all pages; `undefined` without a sensible one. */
  readonly ttlMs: number | undefined;
}

/** The whole list of the upstream, or nothing of it. Throws `UpstreamError`. */
export async function listTools(options: ListToolsOptions): Promise<UpstreamTools> {
  const limitMs = options.timeoutMs * MAX_TIMEOUTS;
  const startedMs = performance.now();
  const tools: Buffer[] = [];
  const seenCursors = new Set<string>();
  let cursor: string | undefined;
  let bytes = 0;
  let ttlMs: number | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    if (performance.now() - startedMs > limitMs) {
      throw new UpstreamError('timeout', 'list', `it did not finish its tool list within ${limitMs} ms`);
    }
    const answer = await requestPage(options, cursor);
    bytes += answer.bytes.length;
    const next = readPage(answer, tools);
    ttlMs = shorter(ttlMs, options.link.era === 'modern' ? readTtl(answer) : undefined);
    if (tools.length > MAX_TOOLS) throw broken(`it lists more than ${MAX_TOOLS} tools`);
    if (bytes > MAX_LIST_BYTES) throw broken(`its tool list is larger than ${MAX_LIST_BYTES} bytes`);
    if (next === undefined) return { tools, ttlMs };
    // An empty string is a valid cursor; one seen before would go round for ever.
    if (seenCursors.has(next)) throw broken('its tool list repeats a cursor');
    seenCursors.add(next);
    cursor = next;
  }
  throw broken(`its tool list has more than ${MAX_PAGES} pages`);
}

async function requestPage(options: ListToolsOptions, cursor: string | undefined): Promise<RpcAnswer> {
  const { link } = options;
  const isModern = link.era === 'modern';
  const params: string[] = [];
  if (isModern) params.push(`"_meta":${modernMeta(options.clientInfo)}`);
  if (cursor !== undefined) params.push(`"cursor":${JSON.stringify(cursor)}`);
  const id = options.mintId();
  const { status, answer } = await sendControlRequest(options.pool, {
    path: options.path,
    headers: isModern ? [...link.headers, ...modernHeaders('tools/list')] : link.headers,
    body: `{"jsonrpc":"2.0","id":"${id}","method":"tools/list","params":{${params.join(',')}}}`,
    id,
    stage: 'list',
    timeoutMs: options.timeoutMs,
    maxBytes: MAX_LIST_BYTES,
  });
  if (status === 401 || status === 403) {
    throw new UpstreamError('credential_refused', 'list', 'it refused the credential this gateway holds for it');
  }
  if (link.sessionId !== undefined && (status === 404 || status === 400 || status === 410)) {
    throw new UpstreamError('session_lost', 'list', 'it has forgotten its session with this gateway');
  }
  if (status === 429) throw new UpstreamError('rate_limited', 'list', 'it limits the rate of requests');
  if (status < 300 && status !== 200) throw broken(`it answered HTTP ${status} to tools/list and no result`);
  if (status !== 200) {
    throw new UpstreamError('bad_status', 'list', `it answered HTTP ${status} to tools/list`, { status });
  }
  if (answer === undefined) throw broken('it answered tools/list with something that is no JSON-RPC answer');
  return answer;
}

/** Appends the tools of one page; returns the next cursor. */
function readPage({ bytes, result }: RpcAnswer, tools: Buffer[]): string | undefined {
  if (result === undefined) throw broken('it answered tools/list with an error');
  const list = findMember(result, 'tools');
  const spans = list && findElements(bytes, list.start);
  if (spans === undefined) throw broken("it answered tools/list without 'tools'");
  for (const span of spans) tools.push(bytes.subarray(span.start, span.end));
  const at = findMember(result, 'nextCursor');
  if (at === undefined || bytes.toString('latin1', at.start, at.end) === 'null') return undefined;
  const next = textOf(bytes, result, 'nextCursor');
  // Taken for the end of the list, it would hide all tools behind it.
  if (next === undefined) throw broken("its tool list has a 'nextCursor' that is no string");
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

function shorter(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

function broken(message: string): UpstreamError {
  return new UpstreamError('broken_answer', 'list', message);
}
