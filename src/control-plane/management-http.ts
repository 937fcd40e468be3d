// One message of MCP over HTTP, answered by the SDK in either era with a server object of its own: nothing is kept for
// clients that do not come back.

import {
  createMcpHandler,
  isJsonContentType,
  isLegacyRequest,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';

const MAX_BODY_BYTES = 1024 * 1024;

/** `createServer` is called for a request that can be read, and is not one that was refused before. */
export async function serveMcp(request: Request, createServer: () => Server): Promise<Response> {
  if (request.method !== 'POST') {
    return refuse(405, -32600, 'Send messages by POST: no streams are kept open here.', { allow: 'POST' });
  }
  if (!isJsonContentType(request.headers.get('content-type'))) {
    return refuse(415, -32600, 'The body must be JSON: send content-type: application/json.');
  }
  const body = await readBody(request);
  if (body instanceof Response) return body;
  return withAccepted(request, await serve(createServer(), toSdkRequest(request), body));
}

async function serve(server: Server, request: Request, parsedBody: unknown): Promise<Response> {
  if (!(await isLegacyRequest(request, parsedBody))) {
    // Nothing here is announced, so a subscription would be a stream that says nothing.
    return createMcpHandler(() => server, { legacy: 'reject', maxSubscriptions: 0 }).fetch(request, { parsedBody });
  }
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true });
  await server.connect(transport);
  try {
    return await transport.handleRequest(request, { parsedBody });
  } finally {
    await server.close();
  }
}

/** The SDK answers 406 to clients that do not name both kinds of answer, and many name one or none. */
function toSdkRequest({ url, headers, signal }: Request): Request {
  const accepting = new Headers(headers);
  accepting.set('accept', 'application/json, text/event-stream');
  return new Request(url, { method: 'POST', headers: accepting, signal });
}

/** An answer as the client can read it: answers are JSON, and some clients take events only. */
async function withAccepted(request: Request, answer: Response): Promise<Response> {
  const accept = request.headers.get('accept') ?? '*/*';
  const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
  if (!isJson || !answer.ok || /application\/(?:json|\*)|\*\/\*/.test(accept) || !/text\/event-stream/.test(accept)) {
    return answer;
  }
  const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform' };
  return new Response(`event: message\ndata: ${await answer.text()}\n\n`, { headers });
}

async function readBody(request: Request): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return refuse(413, -32600, `The body is larger than ${MAX_BODY_BYTES} bytes.`);
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    return refuse(400, -32700, 'The body is not valid JSON in UTF-8.');
  }
  // A batch would be many requests for one permit of the rate limit.
  return Array.isArray(body) ? refuse(400, -32600, 'Send one message at a time: batches are not served here.') : body;
}

function refuse(status: number, code: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ jsonrpc: '2.0', id: null, error: { code, message } }, { status, headers });
}
