// Speaks to an MCP endpoint in plain HTTP/1.1, byte for byte: nothing is added that the test did not say, and nothing
// is read into the answer that is not there.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface Sent {
  readonly method?: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** `json` or `sse` by its media type; anything else is itself. */
  readonly kind: string;
  /** The data of every event, or the body, as text. */
  readonly datas: readonly string[];
  /** The one message that answers, parsed: the body, or the last event. */
  readonly message: JsonRpcAnswer;
}

export interface JsonRpcAnswer {
  readonly jsonrpc?: string;
  readonly id?: unknown;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into results whose shape is what they assert.
  readonly result?: any;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
  readonly [other: string]: unknown;
}

export const BOTH = 'application/json, text/event-stream';
export const MODERN = '2026-07-28';
export const ENVELOPE =
  '{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';

/** One connection per request: what one test does to a connection is nothing to the next. */
const ONE_EACH = new Agent({ keepAlive: false });

/**
 * Sends one request, on a connection of its own unless `agent` has others. Adds `Authorization`, and for a body
 * `Content-Type`, unless `headers` has it; nothing else.
 */
export async function send(url: string, sent: Sent, agent = ONE_EACH): Promise<Answer> {
  const { method = 'POST', body } = sent;
  const headers: Record<string, string | number> = {};
  if (sent.token !== undefined) headers.authorization = `Bearer ${sent.token}`;
  if (body !== undefined) {
    headers['content-type'] = 'application/json';
    headers['content-length'] = Buffer.byteLength(body);
  }
  const outgoing = request(url, { method, agent, headers: { ...headers, ...sent.headers } });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return toAnswer(response.statusCode ?? 0, response.headers, await buffer(response));
}

export function toAnswer(status: number, headers: IncomingHttpHeaders, bytes: Buffer): Answer {
  const text = bytes.toString();
  const type = headers['content-type']?.split(';')[0] ?? '';
  const kind = { 'application/json': 'json', 'text/event-stream': 'sse' }[type] ?? type;
  const datas = kind === 'sse' ? readEvents(text) : [text];
  return {
    status,
    headers,
    bytes,
    text,
    kind,
    datas,
    get message() {
      return JSON.parse(datas.at(-1) ?? '') as JsonRpcAnswer;
    },
  };
}

/** The data of each event (HTML living standard, server-sent events); a test fails on a stream that ends inside one. */
function readEvents(text: string): string[] {
  assert.ok(text === '' || text.endsWith('\n\n'), `the stream ends inside an event: …${text.slice(-80)}`);
  return text.split('\n\n').flatMap((event) => {
    const lines = event.split('\n').filter((line) => line.startsWith('data:'));
    return lines.length === 0 ? [] : [lines.map((line) => line.slice('data:'.length).replace(/^ /, '')).join('\n')];
  });
}

export interface CallOptions {
  readonly era?: 'legacy' | 'modern';
  readonly accept?: string | null;
  /** Raw JSON. */
  readonly id?: string;
  /** Raw JSON of further members of `params`, such as `"arguments":{}`. */
  readonly params?: string;
  /** Raw JSON of further members of `params._meta`. */
  readonly meta?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A well-formed request of either era: body and headers, without the token. */
export function mcpRequest(method: string, options: CallOptions = {}): Sent & { readonly body: string } {
  const { era = 'legacy', accept = BOTH, id = '1', params, meta } = options;
  const metas = [...(era === 'modern' ? [ENVELOPE.slice(1, -1)] : []), ...(meta === undefined ? [] : [meta])];
  const members = [
    ...(metas.length === 0 ? [] : [`"_meta":{${metas.join()}}`]),
    ...(params === undefined ? [] : [params]),
  ];
  return {
    body: `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${members.join()}}}`,
    headers: {
      ...(accept === null ? {} : { accept }),
      ...(era === 'modern' ? { 'mcp-protocol-version': MODERN, 'mcp-method': method } : {}),
      ...options.headers,
    },
  };
}

/** A well-formed `tools/call`. */
export function toolCall(name: string, options: CallOptions = {}): Sent & { readonly body: string } {
  const { params, headers, ...rest } = options;
  return mcpRequest('tools/call', {
    ...rest,
    params: `"name":${JSON.stringify(name)}${params === undefined ? '' : `,${params}`}`,
    headers: { ...(rest.era === 'modern' ? { 'mcp-name': toHeaderValue(name) } : {}), ...headers },
  });
}

/** `notifications/cancelled` for a request id, given as JSON text. */
export function cancellation(requestId: string, era: 'legacy' | 'modern' = 'legacy'): Sent & { readonly body: string } {
  const method = 'notifications/cancelled';
  const { headers = {} } = mcpRequest(method, { era });
  return { headers, body: `{"jsonrpc":"2.0","method":"${method}","params":{"requestId":${requestId}}}` };
}

/** As it is where it survives in a header, else encoded (2026-07-28 basic/transports/streamable-http#value-encoding). */
function toHeaderValue(name: string): string {
  return /^[!-~](?:[ -~]*[!-~])?$/.test(name) ? name : `=?base64?${Buffer.from(name).toString('base64')}?=`;
}
