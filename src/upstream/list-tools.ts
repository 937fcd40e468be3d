// Drains an upstream's `tools/list` page by page and keeps every tool as the bytes it came in.

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

export interface ListToolsOptions {
  readonly pool: Dispatcher;
  readonly path: string;
  readonly link: Link;
  readonly clientInfo: string;
  readonly timeoutMs: number;
  readonly mintId: () => string;
}

/** Every tool object of the upstream, raw and unchecked but for its brackets. Throws `UpstreamError`. */
export async function listTools(options: ListToolsOptions): Promise<Buffer[]> {
  const tools: Buffer[] = [];
  const seenCursors = new Set<string>();
  let cursor: string | undefined;
  let bytes = 0;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await requestPage(options, cursor);
    bytes += answer.bytes.length;
    const next = readPage(answer, tools);
    if (next === undefined) return tools;
    if (tools.length > MAX_TOOLS) throw broken(`it lists more than ${MAX_TOOLS} tools`);
    if (bytes > MAX_LIST_BYTES) throw broken(`its tool list is larger than ${MAX_LIST_BYTES} bytes`);
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
  return textOf(bytes, result, 'nextCursor');
}

function broken(message: string): UpstreamError {
  return new UpstreamError('broken_answer', 'list', message);
}
