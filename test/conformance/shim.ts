// Stands between the suite and a gateway: adds the token, which the suite cannot send, and may rename. Everything else
// passes as it came, Host and Origin as well: refusing a rebound name is the gateway's part.

import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { StringDecoder } from 'node:string_decoder';
import { closeServer, listenLocally } from '../support/local-server.ts';
import { addPrefix, createEventRenamer, prefixHeader, removePrefix, renameText } from './renaming.ts';

export interface ShimOptions {
  /** Where the gateway serves MCP. */
  readonly url: string;
  readonly token: string;
  /** What the gateway puts before the names of the upstream, such as `conf.`; without it nothing is renamed. */
  readonly prefix?: string;
}

export interface Shim {
  readonly url: string;
  close(): Promise<void>;
}

export async function startShim(options: ShimOptions): Promise<Shim> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    forward(options, agent, incoming, outgoing).catch(() => outgoing.destroy());
  });
  const port = await listenLocally(server);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    close: async () => {
      agent.destroy();
      await closeServer(server);
    },
  };
}

async function forward(
  { url, token, prefix }: ShimOptions,
  agent: Agent,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = 'GET' } = incoming;
  const headers = forwardedHeaders(incoming, prefix);
  headers.push('Authorization', `Bearer ${token}`);
  const body = prefix === undefined ? undefined : renamedBody(await buffer(incoming), prefix);
  if (body !== undefined && body.length > 0) headers.push('Content-Length', String(body.length));
  const toGateway = request(url, { method, headers, agent });
  toGateway.on('response', (answer) => relay(answer, outgoing, prefix));
  toGateway.on('error', () => outgoing.destroy());
  // Who leaves the shim has left the gateway.
  outgoing.on('close', () => toGateway.destroy());
  if (body === undefined) incoming.pipe(toGateway);
  else toGateway.end(body);
}

/** As a flat list, so that Node sends names and repetitions as they came. */
function forwardedHeaders(incoming: IncomingMessage, prefix: string | undefined): string[] {
  const { rawHeaders } = incoming;
  const rpcMethod = incoming.headers['mcp-method'];
  const headers: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    const isName = name.toLowerCase() === 'mcp-name';
    if (prefix !== undefined && name.toLowerCase() === 'content-length') continue;
    headers.push(name, isName && prefix !== undefined ? prefixHeader(value, String(rpcMethod), prefix) : value);
  }
  return headers;
}

function renamedBody(body: Buffer, prefix: string): Buffer {
  return Buffer.from(renameText(body.toString(), (message) => addPrefix(message, prefix)));
}

function relay(answer: IncomingMessage, outgoing: ServerResponse, prefix: string | undefined): void {
  answer.on('error', () => outgoing.destroy());
  answer.on('aborted', () => outgoing.destroy());
  const type = answer.headers['content-type'] ?? '';
  const rename = (message: unknown): boolean => removePrefix(message, prefix ?? '');
  if (prefix !== undefined && type.startsWith('application/json')) {
    buffer(answer).then(
      (body) => {
        const renamed = Buffer.from(renameText(body.toString(), rename));
        outgoing.writeHead(answer.statusCode ?? 502, withLength(answer.rawHeaders, renamed.length)).end(renamed);
      },
      () => outgoing.destroy(),
    );
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
  outgoing.flushHeaders();
  if (prefix === undefined || !type.startsWith('text/event-stream')) {
    answer.pipe(outgoing);
    return;
  }
  const decoder = new StringDecoder();
  const renameEvents = createEventRenamer(rename);
  answer.on('data', (chunk: Buffer) => outgoing.write(renameEvents(decoder.write(chunk))));
  answer.on('end', () => outgoing.end());
}

function withLength(rawHeaders: readonly string[], length: number): string[] {
  const headers = [...rawHeaders];
  const at = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-length');
  if (at !== -1) headers[at + 1] = String(length);
  return headers;
}
