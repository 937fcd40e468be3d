// An upstream of either era whose tool, prompt and resource each need an answer of the client's user before they answer,
// and that mints every kind of handle its era has. What it was sent is recorded.

import type { Era } from './sdk-server-replies.ts';
import { type Asked, acknowledge, answer, beginStream, tell, WatchedUpstream } from './watched-upstream.ts';

export const QUESTION = {
  mode: 'form',
  message: 'How many?',
  requestedSchema: { type: 'object', properties: { n: { type: 'integer' } } },
};
const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
};
const INFO = { name: 'asking-upstream', version: '1' };
const CACHE = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'private' };
const SCHEMA = { type: 'object' };

export class AskingUpstream {
  readonly era: Era;
  readonly watched = new WatchedUpstream((asked) => this.#serve(asked));
  /** Requests that ask, by the id of the question, which waits for its answer. */
  readonly #open = new Map<string, Asked>();
  #minted = 0;

  private constructor(era: Era) {
    this.era = era;
  }

  static async start(era: Era): Promise<AskingUpstream> {
    const upstream = new AskingUpstream(era);
    await upstream.watched.listen();
    return upstream;
  }

  get url(): string {
    return this.watched.url;
  }

  close(): Promise<void> {
    return this.watched.close();
  }

  /** How often it was sent anything about a call: the call itself, an answer to what it asked, or a cancellation. */
  get touched(): number {
    return this.watched.asked.filter(({ message }) => isOfCall(message?.method) || message?.result !== undefined)
      .length;
  }

  uri(name: string): string {
    return `ask-${this.era}://${name}`;
  }

  #serve(asked: Asked): void {
    const { method, message, response } = asked;
    if (method === 'DELETE') response.writeHead(200).end();
    else if (method === 'GET') beginStream(asked);
    else if (message.method === undefined) this.#onAnswer(asked);
    else if (message.id === undefined) response.writeHead(202).end();
    else if (message.method === 'subscriptions/listen') acknowledge(asked);
    else if (isOfCall(message.method)) this.#ask(asked);
    else {
      if (message.method === 'initialize') response.setHeader('mcp-session-id', `session-${++this.#minted}`);
      const result = this.#resultOf(message.method);
      if (result === undefined) answer(asked, { error: { code: -32601, message: 'Method not found' } });
      else answer(asked, { result });
    }
  }

  #resultOf(method: string): object | undefined {
    const isModern = this.era === 'modern';
    const cache = isModern ? CACHE : {};
    if (method === 'initialize' && !isModern) {
      return { protocolVersion: '2025-11-25', capabilities: CAPABILITIES, serverInfo: INFO };
    }
    if (method === 'server/discover' && isModern) {
      return { supportedVersions: ['2026-07-28'], capabilities: CAPABILITIES, ...CACHE };
    }
    const names = ['first', 'second', 'third'];
    if (method === 'tools/list') return { tools: names.map((name) => ({ name, inputSchema: SCHEMA })), ...cache };
    if (method === 'prompts/list') return { prompts: names.map((name) => ({ name })), ...cache };
    if (method === 'resources/list')
      return { resources: names.map((name) => ({ name, uri: this.uri(name) })), ...cache };
    if (method === 'resources/templates/list') {
      const templates = names.map((name) => ({ name, uriTemplate: `${this.uri(name)}/{more}` }));
      return { resourceTemplates: templates, ...cache };
    }
    return method.startsWith('resources/') || method === 'ping' ? {} : undefined;
  }

  #ask(asked: Asked): void {
    const { params } = asked.message;
    if (params.inputResponses !== undefined) this.#finish(asked, params.inputResponses.a, params.requestState);
    else if (this.era === 'modern') {
      const requestState = `state-${++this.#minted}`;
      const inputRequests = { a: { method: 'elicitation/create', params: QUESTION } };
      answer(asked, { result: { resultType: 'input_required', inputRequests, requestState } });
    } else {
      const id = `question-${++this.#minted}`;
      this.#open.set(id, asked);
      beginStream(asked);
      tell(asked, { jsonrpc: '2.0', id, method: 'elicitation/create', params: QUESTION });
    }
  }

  #onAnswer({ message, response }: Asked): void {
    response.writeHead(202).end();
    const asked = this.#open.get(message.id);
    this.#open.delete(message.id);
    if (asked !== undefined) this.#finish(asked, message.result, message.id);
  }

  /** Answers what was asked for with what the user said, and under which of its own handles that came. */
  #finish(asked: Asked, said: unknown, handle: unknown): void {
    const { id, method } = asked.message;
    const text = JSON.stringify({ said, handle });
    const more = this.era === 'modern' ? { resultType: 'complete' } : {};
    const result = {
      'tools/call': { content: [{ type: 'text', text }] },
      'prompts/get': { messages: [{ role: 'user', content: { type: 'text', text } }] },
      'resources/read': {
        contents: [{ uri: asked.message.params.uri, text }],
        ...(this.era === 'modern' ? CACHE : {}),
      },
    }[method as 'tools/call'];
    if (this.era === 'modern') answer(asked, { result: { ...result, ...more } });
    else {
      tell(asked, { jsonrpc: '2.0', id, result });
      asked.response.end();
    }
  }
}

function isOfCall(method: unknown): boolean {
  return ['tools/call', 'prompts/get', 'resources/read', 'notifications/cancelled'].includes(String(method));
}
