// Upstreams built with the official SDKs of both lines, on real sockets: what the recording upstream imitates.

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { Server as LegacyLowLevelServer } from '@modelcontextprotocol/sdk/server/index.js';
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  createMcpHandler,
  type Server as ModernLowLevelServer,
  McpServer as ModernServer,
  type ServerEventBus,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { closeServer, listenLocally } from './local-server.ts';

export type SdkServerKind = 'stateful' | 'stateless' | 'modern';

export interface SdkServer {
  readonly url: string;
  /** As after a restart behind a port that stays open: connections are cut, and sessions are unknown. */
  restart(): void;
  close(): Promise<void>;
}

/** Makes the server for one session, or for one request where there are none. */
export interface SdkServerTools {
  readonly legacy: () => LegacyServer | LegacyLowLevelServer;
  readonly modern: () => ModernServer | ModernLowLevelServer;
  /** What the modern server tells of changes. */
  readonly bus?: ServerEventBus;
}

const INFO = { name: 'sdk-server', version: '1' };
const COUNT_TO = 3;
const DEFAULT_TOOLS: SdkServerTools = { legacy: createLegacyServer, modern: createModernServer };

/**
 * Serves `tools`, or two of its own: `echo` answers with its `text`, `count` reports progress 1 to 3 and then answers
 * `done`. `stateful` and `stateless` are SDK v1, `modern` is SDK v2 without its legacy fallback. An SDK that replies in JSON
 * drops progress.
 */
export async function startSdkServer(
  kind: SdkServerKind,
  reply: 'json' | 'sse',
  tools: SdkServerTools = DEFAULT_TOOLS,
  port = 0,
): Promise<SdkServer> {
  const begin = { stateful: serveStateful, stateless: serveStateless, modern: serveModern }[kind];
  let serve = begin(reply, tools);
  const server = createServer((request, response) => void serve(request, response));
  return {
    url: `http://127.0.0.1:${await listenLocally(server, port)}/mcp`,
    restart: () => {
      serve = begin(reply, tools);
      server.closeAllConnections();
    },
    close: () => closeServer(server),
  };
}

type Serve = (request: IncomingMessage, response: ServerResponse) => Promise<unknown>;

function serveStateful(reply: 'json' | 'sse', { legacy }: SdkServerTools): Serve {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  return async (request, response) => {
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known !== undefined) return known.handleRequest(request, response);
    if (id !== undefined) return response.writeHead(404).end();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: reply === 'json',
      onsessioninitialized: (opened) => void sessions.set(opened, transport),
      onsessionclosed: (closed) => void sessions.delete(closed),
    });
    await connect(legacy(), transport);
    return transport.handleRequest(request, response);
  };
}

function serveStateless(reply: 'json' | 'sse', { legacy }: SdkServerTools): Serve {
  return async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: reply === 'json' });
    const server = legacy();
    await connect(server, transport);
    // What the SDK's own examples do: there is no session that could be told of a cancellation.
    response.on('close', () => void server.close());
    return transport.handleRequest(request, response);
  };
}

async function connect(server: LegacyServer | LegacyLowLevelServer, transport: StreamableHTTPServerTransport) {
  // The SDK's own types disagree under exactOptionalPropertyTypes (`onclose`).
  await server.connect(transport as Parameters<typeof server.connect>[0]);
}

function createLegacyServer(): LegacyServer {
  const server = new LegacyServer(INFO);
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text }) => toResult(text));
  server.registerTool('count', {}, async ({ _meta, sendNotification }) => {
    for (const params of toProgress(_meta?.progressToken))
      await sendNotification({ method: 'notifications/progress', params });
    return toResult('done');
  });
  return server;
}

function serveModern(reply: 'json' | 'sse', { modern, bus }: SdkServerTools): Serve {
  const handler = createMcpHandler(modern, {
    legacy: 'reject',
    responseMode: reply,
    ...(bus === undefined ? {} : { bus }),
  });
  return getRequestListener((request) => handler.fetch(request), { overrideGlobalObjects: false });
}

function createModernServer(): ModernServer {
  const server = new ModernServer(INFO);
  server.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, ({ text }) => toResult(text));
  server.registerTool('count', {}, async ({ mcpReq }) => {
    for (const params of toProgress(mcpReq._meta?.progressToken))
      await mcpReq.notify({ method: 'notifications/progress', params });
    return toResult('done');
  });
  return server;
}

function toResult(text: string) {
  return { content: [{ type: 'text' as const, text }] };
}

function toProgress(progressToken: string | number | undefined) {
  if (progressToken === undefined) return [];
  return Array.from({ length: COUNT_TO }, (_, index) => ({ progressToken, progress: index + 1, total: COUNT_TO }));
}
