// An upstream of either era whose test answers its calls itself, step by step, and what else it was sent about them.

import { eventually } from './eventually.ts';
import type { Era } from './sdk-server-replies.ts';
import { type Asked, answer, beginStream, tell, WatchedUpstream } from './watched-upstream.ts';

const INFO = { name: 'scripted-upstream', version: '1' };
const CAPABILITIES = { tools: {}, prompts: {}, resources: {} };
const CACHE = { resultType: 'complete', ttlMs: 600_000, cacheScope: 'private' };
const NAMES = ['ask', 'other'];

/** A JSON-RPC response that the upstream was sent. */
export interface Response {
  readonly id: unknown;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly message: string };
}

export class ScriptedUpstream {
  readonly era: Era;
  readonly #watched = new WatchedUpstream((asked) => this.#serve(asked));
  /** What it was told, in order, about requests of its own and of its clients. */
  readonly responses: Response[] = [];
  readonly cancelled: unknown[] = [];
  /** Answers a `tools/call`, `prompts/get` or `resources/read`. A call of `echo` is answered at once. */
  onCall: (call: Asked) => void = () => undefined;
  readonly calls: Asked[] = [];
  /** The connections on which it was sent anything, by the port they come from. */
  readonly ports = new Set<number | undefined>();
  readonly #waiting = new Map<unknown, (response: Response) => void>();
  #sessions = 0;

  private constructor(era: Era) {
    this.era = era;
  }

  static async start(era: Era): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream(era);
    await upstream.#watched.listen();
    return upstream;
  }

  get url(): string {
    return this.#watched.url;
  }

  close(): Promise<void> {
    return this.#watched.close();
  }

  /** As if it had been told nothing yet. */
  forget(): void {
    for (const seen of [this.responses, this.cancelled, this.calls]) seen.length = 0;
    this.#waiting.clear();
  }

  /** The response to a request of its own; for what the upstream itself does with it, since it waits for ever. */
  response(id: unknown): Promise<Response> {
    const come = this.#find(id);
    return come === undefined ? new Promise((resolve) => this.#waiting.set(id, resolve)) : Promise.resolve(come);
  }

  /** The same; fails when it does not come. */
  responseTo(id: unknown): Promise<Response> {
    return eventually(() => this.#find(id));
  }

  #find(id: unknown): Response | undefined {
    return this.responses.find((response) => response.id === id);
  }

  #serve(asked: Asked): void {
    const { method, message, response } = asked;
    this.ports.add(response.socket?.remotePort);
    if (method === 'DELETE') response.writeHead(200).end();
    else if (method === 'GET') response.writeHead(405).end();
    else if (message.method === undefined) {
      this.responses.push(message);
      this.#waiting.get(message.id)?.(message);
      response.writeHead(202).end();
    } else if (message.id === undefined) {
      if (message.method === 'notifications/cancelled') this.cancelled.push(message.params.requestId);
      response.writeHead(202).end();
    } else if (message.params?.name === 'echo') answer(asked, { result: resultOf(this.era, 'echo') });
    else if (['tools/call', 'prompts/get', 'resources/read'].includes(message.method)) {
      this.calls.push(asked);
      this.onCall(asked);
    } else this.#serveOther(asked);
  }

  #serveOther(asked: Asked): void {
    const { message, response } = asked;
    const isModern = this.era === 'modern';
    const cache = isModern ? CACHE : {};
    const results: Record<string, object | undefined> = {
      initialize: isModern
        ? undefined
        : { protocolVersion: '2025-11-25', capabilities: CAPABILITIES, serverInfo: INFO },
      'server/discover': isModern
        ? { supportedVersions: ['2026-07-28'], capabilities: CAPABILITIES, ...CACHE }
        : undefined,
      'tools/list': { tools: [...NAMES, 'echo'].map((name) => ({ name, inputSchema: { type: 'object' } })), ...cache },
      'prompts/list': { prompts: NAMES.map((name) => ({ name })), ...cache },
      'resources/list': { resources: NAMES.map((name) => ({ name, uri: `scripted://${name}` })), ...cache },
      'resources/templates/list': { resourceTemplates: [], ...cache },
    };
    const result = results[message.method];
    if (message.method === 'initialize') response.setHeader('mcp-session-id', `session-${++this.#sessions}`);
    if (result === undefined) answer(asked, { error: { code: -32601, message: 'Method not found' } });
    else answer(asked, { result });
  }
}

/** A tool's result that says one thing. */
export function resultOf(era: Era, text: string): object {
  return { content: [{ type: 'text', text }], ...(era === 'modern' ? { resultType: 'complete' } : {}) };
}

/** Asks the client on the stream of a legacy call, which it begins unless it has. */
export function askOn(call: Asked, id: string | number, method: string, params?: object): void {
  if (!call.response.headersSent) beginStream(call);
  tell(call, { jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
}

/** Ends the stream of a legacy call with its answer. */
export function finishOn(call: Asked, text: string): void {
  if (!call.response.headersSent) beginStream(call);
  tell(call, { jsonrpc: '2.0', id: call.message.id, result: resultOf('legacy', text) });
  call.response.end();
}

/** Answers a modern call with what it needs. */
export function needOn(call: Asked, inputRequests: object | undefined, requestState?: string): void {
  answer(call, { result: { resultType: 'input_required', inputRequests, requestState } });
}
