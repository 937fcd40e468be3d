// The naive proxy: the MCP SDK's server on one side and its client on the other, with their defaults.
// Legacy with SDK 1.x, in sessions or with a server of its own for every request; modern, which has no sessions, with SDK 2.x.

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { getRequestListener } from '@hono/node-server';
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { createMcpHandler, Server as ModernServer } from '@modelcontextprotocol/server';

type Serve = (request: IncomingMessage, response: ServerResponse) => unknown;

const INFO = { name: 'sdk-proxy', version: '1' };
const CAPABILITIES = { capabilities: { tools: {} } };

const { values: options } = parseArgs({
  options: { upstream: { type: 'string' }, era: { type: 'string' }, stateless: { type: 'boolean', default: false } },
});
const upstream = new URL(options.upstream ?? '');
const serve = options.era === 'modern' ? await serveModern() : await serveLegacy();
const server = createServer(serve);
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});

async function serveLegacy(): Promise<Serve> {
  const client = new Client(INFO);
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await client.connect(new StreamableHTTPClientTransport(upstream) as Parameters<typeof client.connect>[0]);
  const open = async (transport: StreamableHTTPServerTransport) => {
    const session = new Server(INFO, CAPABILITIES);
    session.setRequestHandler(ListToolsRequestSchema, ({ params }) => client.listTools(params));
    session.setRequestHandler(CallToolRequestSchema, ({ params }) => client.callTool(params));
    await session.connect(transport as Parameters<typeof session.connect>[0]);
    return session;
  };
  return options.stateless ? withoutSessions(open) : inSessions(open);
}

type Open = (transport: StreamableHTTPServerTransport) => Promise<Server>;

function inSessions(open: Open): Serve {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  return async (request, response) => {
    const known = sessions.get(String(request.headers['mcp-session-id']));
    if (known !== undefined) return known.handleRequest(request, response);
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await open(transport);
    return transport.handleRequest(request, response);
  };
}

function withoutSessions(open: Open): Serve {
  return async (request, response) => {
    const transport = new StreamableHTTPServerTransport({});
    const session = await open(transport);
    response.on('close', () => void session.close());
    return transport.handleRequest(request, response);
  };
}

async function serveModern(): Promise<Serve> {
  const client = new ModernClient(INFO, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  await client.connect(new ModernTransport(upstream));
  const createSession = () => {
    const session = new ModernServer(INFO, CAPABILITIES);
    session.setRequestHandler('tools/list', ({ params }) => client.listTools(params));
    session.setRequestHandler('tools/call', ({ params }) => client.callTool(params));
    return session;
  };
  const handler = createMcpHandler(createSession, { legacy: 'reject' });
  return getRequestListener((request) => handler.fetch(request), { overrideGlobalObjects: false });
}
