// The session of a legacy client, opened ahead of the load (2025-11-25 basic/lifecycle).

import { LEGACY_REVISION, LOAD_CLIENT } from './rpc-request.ts';

const TIMEOUT_MS = 30_000;

/**
 * Returns the id of the session, `undefined` where the server keeps none. Throws an `Error` that says what it answered, or
 * is called `TimeoutError`.
 */
export async function openSession(
  url: URL,
  token: string | undefined,
  timeoutMs = TIMEOUT_MS,
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(timeoutMs);
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': LEGACY_REVISION,
  };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const post = (members: string): Promise<Response> =>
    fetch(url, { method: 'POST', headers, body: `{"jsonrpc":"2.0",${members}}`, signal });
  const params = `{"protocolVersion":"${LEGACY_REVISION}","capabilities":{},"clientInfo":${LOAD_CLIENT}}`;
  const opened = await post(`"id":1,"method":"initialize","params":${params}`);
  const text = await opened.text();
  if (!opened.ok || !text.includes('"result"')) {
    throw new Error(`it answered initialize with HTTP ${opened.status}: ${text.slice(0, 300)}`);
  }
  const sessionId = opened.headers.get('mcp-session-id') ?? undefined;
  if (sessionId !== undefined) headers['mcp-session-id'] = sessionId;
  const noted = await post('"method":"notifications/initialized"');
  await noted.text();
  return sessionId;
}
