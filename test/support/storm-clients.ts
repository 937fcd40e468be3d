// The clients of the isolation storm: of both tokens and eras, with and without a session, on HTTP/1.1 and HTTP/2.

import { mcpRequest, send } from './mcp-http.ts';
import type { ServeChild } from './serve-child.ts';
import { createHttp1Client, createHttp2Client, type StreamingClient } from './streaming-client.ts';

export const TOKENS = ['left', 'right'];
export const CLIENTS = 64;
/** Of all clients. */
export const SESSIONLESS_SHARE = 1 / 8;
const HTTP1_SOCKETS = 128;
const HTTP2_CONNECTIONS = 8;

/** `sessionless` clients are legacy ones that never initialize; they cancel nothing, having no session to name a call in. */
export type ClientKind = 'session' | 'sessionless' | 'modern';

export interface StormClient {
  readonly name: string;
  readonly token: string;
  readonly kind: ClientKind;
  /** The conversation it calls in, as upstreams are told in `arguments`. */
  readonly caller: string;
  readonly http: StreamingClient;
  readonly headers: Readonly<Record<string, string>>;
  nextId: number;
}

/** Connections are shared by clients of both tokens. */
export async function createStormClients(gateway: ServeChild): Promise<readonly StormClient[]> {
  const http1 = createHttp1Client(gateway.mcpUrl, HTTP1_SOCKETS);
  const http2 = Array.from({ length: HTTP2_CONNECTIONS }, () => createHttp2Client(gateway.mcpUrl));
  return await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      // Every token has clients of every kind on either version of HTTP.
      const token = TOKENS[index % 2]!;
      const kind: ClientKind = (index >> 1) % 2 === 0 ? 'modern' : (index >> 3) % 4 === 0 ? 'sessionless' : 'session';
      const http = (index >> 2) % 2 === 0 ? http1 : http2[(index >> 3) % HTTP2_CONNECTIONS]!;
      const name = `${token}${index}`;
      const caller = kind === 'session' ? name : token;
      const headers = kind === 'session' ? await openSession(gateway, token) : {};
      return { name, token, kind, caller, http, headers, nextId: 0 };
    }),
  );
}

async function openSession(gateway: ServeChild, token: string): Promise<Record<string, string>> {
  const params = '"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"storm","version":"1"}';
  const { headers } = await send(gateway.mcpUrl, {
    ...mcpRequest('initialize', { params }),
    token: gateway.token(token),
  });
  return { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': '2025-11-25' };
}
