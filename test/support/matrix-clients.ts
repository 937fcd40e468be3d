// The official SDK client of each era behind one face that hides nothing: whole results, whole errors, progress under
// any token, cancellation, single pages, and the headers it sent.

import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ListToolsResultSchema, ProgressNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import type { Era } from './sdk-server-replies.ts';

export type Progress = { progress: number; total?: number | undefined; message?: string | undefined };

export interface CallOptions {
  /** With it, the SDK chooses a progress token. */
  readonly onprogress?: (step: Progress) => void;
  /** A progress token of our own; its notifications go to `onNotice`. */
  readonly progressToken?: string | number;
  readonly signal?: AbortSignal;
}

export interface MatrixClient extends AsyncDisposable {
  readonly era: Era;
  /** The result of `tools/list` as the SDK gives it. */
  list(): Promise<ListResult>;
  /** One page, and not what the SDK makes of all. */
  page(cursor?: string): Promise<ListResult>;
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<Record<string, unknown>>;
  /** Takes progress notifications away from the SDK's own handler. */
  onNotice(handler: (params: Progress & { progressToken: string | number }) => void): void;
  /** The headers of the HTTP request sent last. */
  readonly lastHeaders: Headers;
}

export interface ListResult {
  readonly tools: readonly Record<string, unknown>[];
  readonly nextCursor?: string | undefined;
  readonly [other: string]: unknown;
}

const INFO = { name: 'matrix-client', version: '1' };
const TIMEOUT = { timeout: 8_000 };

export function connectMatrixClient(era: Era, url: string, token: string): Promise<MatrixClient> {
  return (era === 'legacy' ? connectLegacy : connectModern)(new URL(url), token);
}

async function connectLegacy(url: URL, token: string): Promise<MatrixClient> {
  const client = new Client(INFO);
  const { options, last } = recorded(token);
  const transport = new StreamableHTTPClientTransport(url, options);
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await client.connect(transport as Parameters<typeof client.connect>[0], TIMEOUT);
  return {
    era: 'legacy',
    list: () => client.listTools({}, TIMEOUT),
    page: (cursor) => client.request({ method: 'tools/list', params: toPage(cursor) }, ListToolsResultSchema, TIMEOUT),
    call: (name, args, options) => {
      const { params, rest } = toCall(name, args, options);
      return client.callTool(params, undefined, rest);
    },
    onNotice: (handler) =>
      client.setNotificationHandler(ProgressNotificationSchema, ({ params }) => handler(params as never)),
    get lastHeaders() {
      return last.headers;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

async function connectModern(url: URL, token: string): Promise<MatrixClient> {
  const client = new ModernClient(INFO, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  const { options, last } = recorded(token);
  await client.connect(new ModernTransport(url, options), TIMEOUT);
  return {
    era: 'modern',
    // Past the SDK's own cache, which keeps a list as long as `ttlMs` says.
    list: () => client.listTools({}, { ...TIMEOUT, cacheMode: 'refresh' }),
    page: (cursor) => client.request({ method: 'tools/list', params: toPage(cursor) }, TIMEOUT),
    call: (name, args, options) => {
      const { params, rest } = toCall(name, args, options);
      return client.callTool(params, rest);
    },
    onNotice: (handler) =>
      client.setNotificationHandler('notifications/progress', ({ params }) => handler(params as never)),
    get lastHeaders() {
      return last.headers;
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

function recorded(token: string) {
  const last = { headers: new Headers() };
  const options = {
    requestInit: { headers: { authorization: `Bearer ${token}` } },
    fetch: (url: string | URL, init?: RequestInit) => {
      last.headers = new Headers(init?.headers);
      return fetch(url, init);
    },
  };
  return { options, last };
}

function toPage(cursor: string | undefined): { cursor?: string } {
  return cursor === undefined ? {} : { cursor };
}

function toCall(name: string, args: Record<string, unknown> | undefined, options: CallOptions = {}) {
  const { progressToken, ...rest } = options;
  const params = {
    name,
    ...(args === undefined ? {} : { arguments: args }),
    ...(progressToken === undefined ? {} : { _meta: { progressToken } }),
  };
  return { params, rest: { ...TIMEOUT, ...rest } };
}
