// The listener both demo upstreams share: 127.0.0.1 only, a port the kernel chose, one path.
// It ties the process to its parent: the parent holds the other end of stdin, however it dies.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export type Answer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * Serves `answer` at `http://127.0.0.1:PORT/mcp`, prints `{"url": …}` as the only line on stdout, and ends the
 * process when stdin closes. A failure of `answer` is a 500 (or a cut stream) and a line on stderr.
 */
export function serveOnLoopback(answer: Answer): void {
  let host = '';
  const server = createServer((request, response) => {
    const refusal = refusalOf(request, host);
    if (refusal !== undefined) return sendError(response, refusal.status, refusal.message);
    answer(request, response).catch((error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      if (response.headersSent) response.destroy();
      else sendError(response, 500, 'Internal error');
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (address === null || typeof address === 'string') return;
    host = `127.0.0.1:${address.port}`;
    process.stdout.write(`${JSON.stringify({ url: `http://${host}/mcp` })}\n`);
  });
  process.stdin.once('close', () => process.exit(0)).resume();
  // Ctrl-C reaches the whole process group; the gateway still drains calls and then closes stdin.
  process.on('SIGINT', () => undefined);
}

/** Nobody authenticates here, so a page in the operator's browser (DNS rebinding, cross-site POST) must not get in. */
function refusalOf(request: IncomingMessage, host: string): { status: number; message: string } | undefined {
  if (request.headers.host !== host) return { status: 403, message: 'Wrong Host header' };
  if (request.headers.origin !== undefined) return { status: 403, message: 'Browsers are not served here' };
  if (request.url !== '/mcp') return { status: 404, message: 'Not found: the only path is /mcp' };
  return undefined;
}

/** A JSON-RPC error without an id, for what is refused before the message is read. */
export function sendError(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32600, message } }));
}
