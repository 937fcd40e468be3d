// The JSON-RPC request that a load generator sends again and again, as one HTTP message whose id alone changes.

import { Buffer } from 'node:buffer';
import type { Era } from '../protocol/era.ts';
import { META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_PROTOCOL_VERSION, MODERN_REVISION } from '../protocol/era.ts';
import { encodeHeaderValue } from '../protocol/header-value.ts';

export const LOAD_CLIENT = '{"name":"switchboard-bench","version":"1"}';
/** What a legacy client speaks. */
export const LEGACY_REVISION = '2025-11-25';
/** Ids have ten digits from the first to the last, so that the length of the message never changes. */
export const FIRST_ID = 1_000_000_000;

export interface RpcRequestOptions {
  readonly url: URL;
  readonly token: string | undefined;
  readonly era: Era;
  /** The tool that is called; without one its list is asked for. */
  readonly tool: string | undefined;
  /** The tool's arguments as raw JSON. */
  readonly args: string;
  /** Raw JSON; with one the server is asked to tell of progress. */
  readonly progressToken?: string;
  /** Of a legacy session. */
  readonly sessionId?: string | undefined;
}

export interface RpcRequest {
  readonly message: Buffer;
  /** Where the ten digits of its id are. */
  readonly idAt: number;
}

export function toRpcRequest(options: RpcRequestOptions): RpcRequest {
  const method = options.tool === undefined ? 'tools/list' : 'tools/call';
  const body = toBody(options, method);
  const head = toHead(options, method, body.length);
  const message = Buffer.concat([head, body]);
  return { message, idAt: message.lastIndexOf(String(FIRST_ID)) };
}

/** Writes an id into a copy of `message`. */
export function setId(message: Buffer, idAt: number, id: number): void {
  message.write(String(id), idAt, 'latin1');
}

/** In the member order of the SDK clients: the id is last, and so is found from the end. */
function toBody({ era, tool, args, progressToken }: RpcRequestOptions, method: string): Buffer {
  const modern = {
    [META_PROTOCOL_VERSION]: MODERN_REVISION,
    [META_CLIENT_INFO]: JSON.parse(LOAD_CLIENT),
    [META_CLIENT_CAPABILITIES]: {},
  };
  const meta = {
    ...(progressToken === undefined ? {} : { progressToken: JSON.parse(progressToken) }),
    ...(era === 'modern' ? modern : {}),
  };
  const members = [
    ...(tool === undefined ? [] : [`"name":${JSON.stringify(tool)}`, `"arguments":${args}`]),
    ...(Object.keys(meta).length > 0 ? [`"_meta":${JSON.stringify(meta)}`] : []),
  ];
  return Buffer.from(`{"method":"${method}","params":{${members.join()}},"jsonrpc":"2.0","id":${FIRST_ID}}`);
}

function toHead({ url, token, era, tool, sessionId }: RpcRequestOptions, method: string, length: number): Buffer {
  const lines = [
    `POST ${url.pathname}${url.search} HTTP/1.1`,
    `host: ${url.host}`,
    'content-type: application/json',
    'accept: application/json, text/event-stream',
    `content-length: ${length}`,
    `mcp-protocol-version: ${era === 'modern' ? MODERN_REVISION : LEGACY_REVISION}`,
  ];
  if (token !== undefined) lines.push(`authorization: Bearer ${token}`);
  if (sessionId !== undefined) lines.push(`mcp-session-id: ${sessionId}`);
  if (era === 'modern') lines.push(`mcp-method: ${method}`);
  if (era === 'modern' && tool !== undefined) lines.push(`mcp-name: ${encodeHeaderValue(tool)}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}
