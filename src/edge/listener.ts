// One port for HTTP/1.1 and HTTP/2, told apart by TLS or by the first bytes. It owns every socket from accept to close,
// because the two HTTP servers behind it never listen themselves and so can neither count nor close what they are fed.

import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { allowHalfClosed, watchHalfClosed } from './half-closed.ts';
import { createHttp1Server } from './http1.ts';
import { createHttp2Server, feedHttp2 } from './http2.ts';
import { type ConnectionSource, openPort } from './port.ts';
import type { OnRequest } from './request-gate.ts';
import { createRequestGate } from './request-gate.ts';
import type { Protocol } from './sniff.ts';
import { sniff } from './sniff.ts';
import type { TlsTerminator } from './tls.ts';

/** Times in milliseconds; the defaults are those of a public edge behind a load balancer with a 60 s idle timeout. */
export interface ListenerOptions {
  readonly host: string;
  /** 0 lets the system pick a free one. */
  readonly port: number;
  /** Where connections come from when this process does not take them from the address itself. */
  readonly source?: ConnectionSource | undefined;
  /** With it the port speaks TLS and nothing else. */
  readonly tls?: TlsTerminator | undefined;
  /** For all of the first bytes, up to the decision between the two protocols. Default 10,000. */
  readonly sniffTimeoutMs?: number;
  /** Default 10,000. */
  readonly headersTimeoutMs?: number;
  /** To receive a whole request; the answer may take as long as it likes. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** For a connection without a request. Default 75,000. */
  readonly keepAliveTimeoutMs?: number;
  /** How often the two receive timeouts are looked at. Default 1,000. */
  readonly checkIntervalMs?: number;
  /** On one HTTP/1.1 connection, so that long-lived clients come back to a load balancer now and then. Default 10,000. */
  readonly maxRequestsPerConnection?: number;
  /** Further connections are closed as they come. Default 20,000. */
  readonly maxConnections?: number;
  /** Hears what `onRequest` throws. */
  readonly onError?: (error: unknown) => void;
}

export interface Listener {
  /** @throws GatewayError `invalid_argument` when the address cannot be bound. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Accepts nothing new, lets requests in flight finish for at most `deadlineMs`, then cuts what is left. Resolves when every socket is gone. */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything at once, also during a drain. */
  close(): Promise<void>;
  /** Open sockets of either protocol, undecided ones included. */
  readonly connections: number;
  readonly draining: boolean;
}

const SWEEP_MS = 100;

/** What an accepted socket is used for, and with TLS the socket on it that the HTTP server was fed. */
interface Connection {
  readonly protocol: Protocol | 'undecided';
  readonly stream: Socket;
}

/** A listener that is not listening yet. `onRequest` gets every request of either protocol that is fit to be read. */
export function createListener(options: ListenerOptions, onRequest: OnRequest): Listener {
  const { host, port, tls, sniffTimeoutMs = 10_000, requestTimeoutMs = 30_000, keepAliveTimeoutMs = 75_000 } = options;
  const sockets = new Map<Socket, Connection>();
  const sessions = new Set<ServerHttp2Session>();
  let stopped: Promise<void> | undefined;
  let onEmpty = (): void => undefined;
  const isDraining = (): boolean => stopped !== undefined;

  const gate = createRequestGate(onRequest, options.onError ?? (() => undefined));
  const http1 = createHttp1Server(
    {
      headersTimeoutMs: options.headersTimeoutMs ?? 10_000,
      requestTimeoutMs,
      keepAliveTimeoutMs,
      checkIntervalMs: options.checkIntervalMs ?? 1_000,
      maxRequests: options.maxRequestsPerConnection ?? 10_000,
      isDraining,
    },
    gate,
  );
  allowHalfClosed(http1);
  const http2 = createHttp2Server({ requestTimeoutMs, keepAliveTimeoutMs, onSession: track }, gate);
  const { maxConnections = 20_000 } = options;
  const source = options.source ?? openPort({ host, port, maxConnections });

  function accept(socket: Socket): void {
    if (sockets.size >= maxConnections) {
      socket.destroy();
      return;
    }
    sockets.set(socket, { protocol: 'undecided', stream: socket });
    socket.once('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0) onEmpty();
    });
    const serve = (protocol: Protocol, stream: Socket): void => {
      sockets.set(socket, { protocol, stream });
      feed(protocol, stream);
    };
    if (tls === undefined) sniff(socket, sniffTimeoutMs, (protocol) => serve(protocol, socket));
    else tls.terminate(socket, serve);
  }

  function feed(protocol: Protocol, stream: Socket): void {
    if (protocol === 'http2') {
      feedHttp2(http2, stream);
      return;
    }
    http1.emit('connection', stream);
    watchHalfClosed(stream);
    stream.resume();
  }

  function track(session: ServerHttp2Session): void {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    if (isDraining()) session.close();
  }

  function stop(): Promise<void> {
    stopped ??= new Promise((resolve) => {
      const sweeping = setInterval(() => {
        for (const [socket, { protocol }] of sockets) if (protocol === 'undecided') socket.destroy();
        closeIdle();
      }, SWEEP_MS);
      onEmpty = () => {
        clearInterval(sweeping);
        http1.close();
        resolve();
      };
      source.close();
      for (const session of sessions) session.close();
      closeIdle();
      if (sockets.size === 0) onEmpty();
    });
    return stopped;
  }

  /** Node calls a connection idle as soon as its response has been handed over, sent or not: one slow reader makes all wait. */
  function closeIdle(): void {
    for (const { protocol, stream } of sockets.values()) if (protocol === 'http1' && stream.writableLength > 0) return;
    http1.closeIdleConnections();
  }

  function cut(): void {
    for (const socket of sockets.keys()) socket.destroy();
  }

  return {
    listen: () => source.open(accept),
    async drain(deadlineMs) {
      const cutting = setTimeout(cut, deadlineMs);
      await stop();
      clearTimeout(cutting);
    },
    async close() {
      const gone = stop();
      cut();
      await gone;
    },
    get connections() {
      return sockets.size;
    },
    get draining() {
      return isDraining();
    },
  };
}
