// The requests that targets are measured with, and what a right answer to each is.

import { LEGACY_REVISION, LOAD_CLIENT } from '../src/load/rpc-request.ts';
import {
  type Era,
  META_CLIENT_CAPABILITIES,
  META_CLIENT_INFO,
  META_PROTOCOL_VERSION,
  MODERN_REVISION,
} from '../src/protocol/era.ts';
import type { Call } from './load.ts';

/** What is sent; a small `tools/call` where nothing is said. */
export interface CallOptions {
  readonly method?: 'tools/call' | 'tools/list';
  /** Raw JSON. */
  readonly args?: string;
  /** Asks for progress. */
  readonly hasProgress?: boolean;
}

export interface Endpoint {
  readonly url: string;
  readonly era: Era;
  readonly tool: string;
  readonly token: string;
  readonly sessionId?: string | undefined;
}

/** What an answer must hold at least. */
export interface Expected {
  readonly bytes?: number;
  readonly tools?: number;
  readonly progressEvents?: number;
}

export const CALL_ID = 7;
const SMALL_ARGUMENTS = '{"text":"hello"}';
const META = {
  [META_PROTOCOL_VERSION]: MODERN_REVISION,
  [META_CLIENT_INFO]: JSON.parse(LOAD_CLIENT),
  [META_CLIENT_CAPABILITIES]: {},
};

/** In the member order that the SDK clients write. A legacy call without a session is served without. */
export function toCall({ url, era, tool, token, sessionId }: Endpoint, options: CallOptions = {}): Call {
  const { method = 'tools/call', args = SMALL_ARGUMENTS, hasProgress = false } = options;
  const isCall = method === 'tools/call';
  const meta = { ...(hasProgress ? { progressToken: CALL_ID } : {}), ...(era === 'modern' ? META : {}) };
  const params = [
    ...(isCall ? [`"name":"${tool}"`, `"arguments":${args}`] : []),
    ...(Object.keys(meta).length > 0 ? [`"_meta":${JSON.stringify(meta)}`] : []),
  ];
  const modern = { 'mcp-method': method, ...(isCall ? { 'mcp-name': tool } : {}) };
  return {
    url,
    request: {
      url: new URL(url),
      token,
      era,
      tool: isCall ? tool : undefined,
      args,
      sessionId,
      ...(hasProgress ? { progressToken: String(CALL_ID) } : {}),
    },
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${token}`,
      'mcp-protocol-version': era === 'modern' ? MODERN_REVISION : LEGACY_REVISION,
      ...(sessionId === undefined ? {} : { 'mcp-session-id': sessionId }),
      ...(era === 'modern' ? modern : {}),
    },
    body: `{"method":"${method}","params":{${params.join()}},"jsonrpc":"2.0","id":${CALL_ID}}`,
  };
}

/** A modern client's request to be told when its tools change. */
export function toListen({ url, token }: Endpoint): Pick<Call, 'url' | 'headers' | 'body'> {
  const method = 'subscriptions/listen';
  const params = JSON.stringify({ notifications: { toolsListChanged: true }, _meta: META });
  return {
    url,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${token}`,
      'mcp-protocol-version': MODERN_REVISION,
      'mcp-method': method,
    },
    body: `{"method":"${method}","params":${params},"jsonrpc":"2.0","id":${CALL_ID}}`,
  };
}

/** Arguments of about so many bytes: one long text, or many small members. */
export function toArguments(bytes: number, shape: 'string' | 'dense'): string {
  if (shape === 'string') return `{"text":"${'x'.repeat(Math.max(0, bytes - 11))}"}`;
  const record = '{"id":1234567,"name":"a record","tags":["a","b"],"ok":true,"ratio":0.25}';
  const count = Math.max(1, Math.floor((bytes - 24) / (record.length + 1)));
  return `{"text":"x","records":[${Array.from({ length: count }, () => record).join()}]}`;
}

/** Sends it once. Throws unless the answer is the upstream's result under our id: a fast wrong answer is not a result. */
export async function verifyCall(label: string, { url, headers, body }: Call, expected: Expected): Promise<void> {
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  const problem = response.status === 200 ? problemOf(text, expected) : `HTTP ${response.status}`;
  if (problem !== undefined) throw new Error(`${label}: ${problem} in ${text.length} bytes: ${text.slice(0, 300)}`);
}

/** What is wrong with an answer, JSON or events; `undefined` when it is right. */
export function problemOf(text: string, { bytes = 0, tools, progressEvents = 0 }: Expected): string | undefined {
  const messages = parseMessages(text);
  const answer = messages?.at(-1);
  if (messages === undefined || answer === undefined) return 'no JSON';
  if (answer.jsonrpc !== '2.0' || answer.id !== CALL_ID) return 'an answer under another id';
  if (answer.result === undefined || answer.result.isError === true) return 'no result';
  if (tools !== undefined && answer.result.tools?.length !== tools) return `not ${tools} tools`;
  if (tools === undefined && !isMockResult(answer.result)) return 'another result';
  if (text.length < bytes) return `fewer than ${bytes} bytes`;
  const progress = messages.filter(({ method }) => method === 'notifications/progress').length;
  return progress === progressEvents ? undefined : `${progress} events of progress`;
}

interface Message {
  readonly jsonrpc?: string;
  readonly id?: number;
  readonly method?: string;
  readonly result?: MessageResult;
}

interface MessageResult {
  readonly isError?: boolean;
  readonly tools?: readonly unknown[];
  readonly content?: readonly { readonly text?: string }[];
  readonly structuredContent?: { readonly records?: readonly unknown[] };
}

/** The mock upstream's. */
function isMockResult({ content, structuredContent }: MessageResult): boolean {
  return /^mock result x*$/.test(content?.[0]?.text ?? '') || (structuredContent?.records?.length ?? 0) > 0;
}

function parseMessages(text: string): Message[] | undefined {
  try {
    if (text.startsWith('{')) return [JSON.parse(text)];
    const lines = text.split('\n').filter((line) => line.startsWith('data:') && line.trim() !== 'data:');
    return lines.map((line) => JSON.parse(line.slice('data:'.length)));
  } catch {
    return undefined;
  }
}
