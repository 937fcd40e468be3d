// Serves a server built with SDK v1 over Streamable HTTP, one server object per legacy session.
// The table is bounded: idle sessions end, and a full table gives up the one that was idle longest.

import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { type Answer, sendError } from './loopback-listener.ts';

/** What server-everything's factory returns: the server, and what ends the timers of its session. */
export interface LegacyServer {
  readonly server: McpServer;
  readonly cleanup: (sessionId: string | undefined) => void;
}

export interface LegacySessionsOptions {
  readonly createServer: () => LegacyServer;
  readonly maxSessions: number;
  readonly idleMs: number;
  readonly now: () => number;
}

export interface LegacySessions {
  readonly answer: Answer;
  /** Ends every session without an open response that was last used `idleMs` ago or earlier. */
  closeIdle(): Promise<void>;
}

interface Session {
  readonly transport: StreamableHTTPServerTransport;
  readonly server: McpServer;
  openResponses: number;
  usedAtMs: number;
}

export function createLegacySessions(options: LegacySessionsOptions): LegacySessions {
  // In order of last use: the first idle entry is the one to give up.
  const sessions = new Map<string, Session>();
  let opening = 0;

  async function open(): Promise<Session> {
    const { server, cleanup } = options.createServer();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        sessions.set(id, session);
      },
    });
    const session: Session = { transport, server, openResponses: 0, usedAtMs: options.now() };
    server.server.onclose = () => {
      if (transport.sessionId !== undefined) sessions.delete(transport.sessionId);
      cleanup(transport.sessionId);
    };
    await server.connect(transport);
    return session;
  }

  function touch(session: Session, response: ServerResponse): void {
    session.openResponses += 1;
    session.usedAtMs = options.now();
    response.once('close', () => {
      session.openResponses -= 1;
      session.usedAtMs = options.now();
    });
    const id = session.transport.sessionId;
    if (id === undefined || !sessions.delete(id)) return;
    sessions.set(id, session);
  }

  const openAndAnswer: Answer = async (request, response) => {
    const isFull = sessions.size + opening >= options.maxSessions;
    const evicted = isFull ? [...sessions.values()].find((session) => session.openResponses === 0) : undefined;
    if (isFull && evicted === undefined) return sendError(response, 503, 'Too many sessions, all in use: try later');
    opening += 1;
    try {
      await evicted?.server.close();
      const session = await open();
      touch(session, response);
      await session.transport.handleRequest(request, response);
      // Anything but a good `initialize` was refused by the transport and leaves no session behind.
      if (session.transport.sessionId === undefined) await session.server.close();
    } finally {
      opening -= 1;
    }
  };

  return {
    async answer(request, response) {
      const id = request.headers['mcp-session-id'];
      if (typeof id !== 'string') return openAndAnswer(request, response);
      const session = sessions.get(id);
      if (session === undefined) return sendError(response, 404, 'Session not found');
      touch(session, response);
      await session.transport.handleRequest(request, response);
    },
    async closeIdle() {
      const before = options.now() - options.idleMs;
      const idle = [...sessions.values()].filter(
        ({ openResponses, usedAtMs }) => openResponses === 0 && usedAtMs <= before,
      );
      await Promise.all(idle.map(({ server }) => server.close()));
    },
  };
}
