// Clients that can be asked by servers, in plain HTTP: modern ones that call again with their answers, and sessions of
// legacy ones, which are asked on the stream of their call.

import assert from 'node:assert/strict';
import http from 'node:http';
import { eventually } from './eventually.ts';
import type { TestGateway } from './gateway.ts';
import { type Answer, BOTH, MODERN, mcpRequest, send } from './mcp-http.ts';

export const ALL = { roots: { listChanged: true }, sampling: { tools: {} }, elicitation: { form: {}, url: {} } };

export interface ModernCall {
  readonly name?: string;
  readonly method?: string;
  readonly token?: string;
  readonly capabilities?: object;
  readonly inputResponses?: object;
  readonly requestState?: string;
  readonly id?: string | number;
  readonly agent?: http.Agent;
}

/** Sends a call of a modern client: `svc.ask` unless told. */
export function callModern(gateway: TestGateway, call: ModernCall = {}): Promise<Answer> {
  return send(gateway.mcpUrl, toModern(gateway, call), ...(call.agent === undefined ? [] : ([call.agent] as const)));
}

export function toModern(gateway: TestGateway, call: ModernCall) {
  const { name = 'svc.ask', method = 'tools/call', token = 'agent', capabilities = ALL, id = 'm' } = call;
  const { inputResponses, requestState } = call;
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': capabilities,
  };
  const named = method === 'resources/read' ? { uri: name } : { name };
  const params = { ...named, _meta, inputResponses, requestState };
  return {
    token: gateway.token(token),
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
    headers: { accept: BOTH, 'mcp-protocol-version': MODERN, 'mcp-method': method, 'mcp-name': name },
  };
}

/** What a call needs of its client: fails when it has ended instead. */
export function needed({ message, text }: Answer): {
  readonly keys: string[];
  readonly requests: { readonly method: string; readonly params?: Record<string, unknown> }[];
  readonly requestState: string;
} {
  assert.equal(message.result?.resultType, 'input_required', text);
  const { inputRequests, requestState } = message.result;
  return { keys: Object.keys(inputRequests), requests: Object.values(inputRequests), requestState };
}

/** The text of a tool's result; fails for an error. */
export function textOf({ message, text }: Answer): string {
  assert.ok(message.result?.content, text);
  return message.result.content[0].text;
}

interface Told {
  readonly id?: string | number;
  readonly method?: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into params whose shape is what they assert.
  readonly params?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  readonly result?: any;
  readonly error?: { readonly code: number; readonly message: string };
}

/** The stream of one call of a legacy session. */
export class LegacyCall {
  readonly #request: http.ClientRequest;
  #received = '';
  isOver = false;

  constructor(request: http.ClientRequest, body: string) {
    this.#request = request;
    request.on('error', () => {
      this.isOver = true;
    });
    request.on('response', (response) => {
      response.on('data', (chunk: Buffer) => {
        this.#received += chunk;
      });
      response
        .on('error', () => undefined)
        .on('close', () => {
          this.isOver = true;
        });
    });
    request.end(body);
  }

  /** Every message that has come. */
  get messages(): Told[] {
    if (this.#received.startsWith('{')) return this.isOver ? [JSON.parse(this.#received)] : [];
    return [...this.#received.matchAll(/^data: (\{.*\})$/gm)].map(([, data]) => JSON.parse(data ?? ''));
  }

  /** The requests it was sent. */
  get questions(): Told[] {
    return this.messages.filter(({ id, method }) => id !== undefined && method !== undefined);
  }

  /** Resolves with so many questions. */
  async asked(count = 1): Promise<Told[]> {
    await eventually(() => this.questions.length >= count);
    return this.questions;
  }

  async ended(): Promise<Told> {
    await eventually(() => this.isOver);
    return this.messages.at(-1) ?? {};
  }

  leave(): void {
    this.#request.destroy();
  }
}

export class AskedSession {
  readonly #gateway: TestGateway;
  readonly #headers: Record<string, string>;

  private constructor(gateway: TestGateway, headers: Record<string, string>) {
    this.#gateway = gateway;
    this.#headers = headers;
  }

  static async open(gateway: TestGateway, capabilities: object = ALL, revision = '2025-11-25'): Promise<AskedSession> {
    const info = '"clientInfo":{"name":"t","version":"1"}';
    const params = `"protocolVersion":"${revision}","capabilities":${JSON.stringify(capabilities)},${info}`;
    const { headers } = await send(gateway.mcpUrl, { ...mcpRequest('initialize', { params }), token: gateway.token() });
    const session = { 'mcp-session-id': String(headers['mcp-session-id']), 'mcp-protocol-version': revision };
    return new AskedSession(gateway, session);
  }

  /** Sends a call: `svc.ask` unless told. */
  call(name = 'svc.ask', { id = 'c', accept = BOTH, method = 'tools/call' } = {}): LegacyCall {
    const params = method === 'resources/read' ? { uri: name } : { name, arguments: {} };
    const body = JSON.stringify({ jsonrpc: '2.0', id, method, params });
    const authorization = `Bearer ${this.#gateway.token()}`;
    const headers = { ...this.#headers, accept, authorization, 'content-type': 'application/json' };
    return new LegacyCall(http.request(this.#gateway.mcpUrl, { method: 'POST', agent: false, headers }), body);
  }

  /** Sends a response or a notification. */
  tell(message: object): Promise<Answer> {
    const headers = { ...this.#headers, accept: BOTH };
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    return send(this.#gateway.mcpUrl, { headers, body, token: this.#gateway.token() });
  }

  end(): Promise<Answer> {
    return send(this.#gateway.mcpUrl, { method: 'DELETE', headers: this.#headers, token: this.#gateway.token() });
  }
}
