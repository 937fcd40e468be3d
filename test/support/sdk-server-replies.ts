// What an MCP server built on the official SDKs answers, as JSON text in the member order it writes.

import type { ServerResponse } from 'node:http';
import { negotiateLegacyVersion, type Refusal } from './sdk-server-rules.ts';

export type Era = 'legacy' | 'modern';

/** Raw JSON of a result or of an error object; with `sse`, event data to send before the result, as they become available. */
export type Reply =
  | string
  | { readonly error: string }
  | { readonly sse: Iterable<string> | AsyncIterable<string>; readonly result: string };

const SERVER_INFO = '{"name":"recording-upstream","version":"1"}';
const MODERN_MEMBERS = `"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":${SERVER_INFO}}`;
const MODERN_CACHEABLE = `"ttlMs":0,"cacheScope":"private",${MODERN_MEMBERS}`;
const DISCOVER_RESULT = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},${MODERN_CACHEABLE}}`;

/** The text `ok`. */
export function callResult(era: Era): string {
  return `{"content":[{"type":"text","text":"ok"}]${era === 'modern' ? `,${MODERN_MEMBERS}` : ''}}`;
}

/** One page of `tools` (raw JSON each), from `cursor` on; a cursor never handed out is an error. */
export function listResult(era: Era, tools: readonly string[], cursor: unknown, pageSize: number): Reply {
  const start = cursor === undefined ? 0 : Number(/^after-(\d+)$/.exec(String(cursor))?.[1]);
  if (Number.isNaN(start)) return { error: '{"code":-32602,"message":"Invalid cursor"}' };
  const end = start + pageSize;
  const nextCursor = end < tools.length ? `,"nextCursor":"after-${end}"` : '';
  const cacheable = era === 'modern' ? `,${MODERN_CACHEABLE}` : '';
  return `{"tools":[${tools.slice(start, end).join()}]${nextCursor}${cacheable}}`;
}

/** The answer to a method that needs no tools; `undefined` when the era does not know the method. */
export function replyToProtocolMethod(
  era: Era,
  method: string,
  params: Readonly<Record<string, unknown>>,
): Reply | undefined {
  if (era === 'modern') return method === 'server/discover' ? DISCOVER_RESULT : undefined;
  if (method === 'ping') return '{}';
  if (method !== 'initialize') return undefined;
  const version = JSON.stringify(negotiateLegacyVersion(params.protocolVersion));
  return `{"protocolVersion":${version},"capabilities":{"tools":{}},"serverInfo":${SERVER_INFO}}`;
}

/** The response around a reply. Of a result the SDK servers write the id last, of an error second. */
export function toMessage(idText: string, reply: Reply): string {
  if (typeof reply !== 'string' && 'error' in reply) return `{"jsonrpc":"2.0","id":${idText},"error":${reply.error}}`;
  const result = typeof reply === 'string' ? reply : reply.result;
  return `{"result":${result},"jsonrpc":"2.0","id":${idText}}`;
}

/** One SSE event; `data` may hold line breaks. */
export function toEvent(data: string): string {
  const lines = data.split('\n').map((line) => `data: ${line}\n`);
  return `event: message\n${lines.join('')}\n`;
}

/** Sends what an SDK server answers instead, as JSON. */
export function refuse(response: ServerResponse, { status, error }: Refusal, idText = 'null'): void {
  sendJson(response, status, `{"jsonrpc":"2.0","error":${error},"id":${idText}}`);
}

export function sendJson(response: ServerResponse, status: number, json: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
  response.end(json);
}
