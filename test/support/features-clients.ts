// The official SDK client of each era with all its capabilities, behind one face: what it is asked, what it is told, and
// everything it can ask for.

import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import type { Grown, LogLevel } from './features-servers.ts';
import type { Era } from './sdk-server-replies.ts';

/** A request or notification that the client has got. */
export interface Got {
  readonly method: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into params whose shape is what they assert.
  readonly params: any;
}

export interface CallOptions {
  readonly onprogress?: (step: { progress: number; message?: string | undefined }) => void;
  readonly signal?: AbortSignal;
}

/** How the client answers what it is asked. */
export const ANSWERS = {
  'sampling/createMessage': {
    role: 'assistant',
    content: { type: 'text', text: '4. é' },
    model: 'model-1',
    stopReason: 'endTurn',
  },
  'roots/list': { roots: [{ uri: 'file:///projects/é', name: 'work' }] },
} as const;

export class FeaturesClient {
  readonly era: Era;
  /** What servers have asked of it, in order. */
  readonly asked: Got[] = [];
  /** What it was told, but progress, which goes to who called. */
  readonly told: Got[] = [];
  /** How it answers elicitations. */
  elicited: { action: 'accept' | 'decline'; content?: Record<string, number> } = { action: 'decline' };
  readonly #legacy: Client | undefined;
  readonly #modern: ModernClient | undefined;
  #logLevel: LogLevel | undefined;
  readonly #subscriptions: AsyncDisposable[] = [];

  private constructor(era: Era, clients: { legacy?: Client; modern?: ModernClient }) {
    this.era = era;
    this.#legacy = clients.legacy;
    this.#modern = clients.modern;
  }

  static async connect(era: Era, url: string, token: string): Promise<FeaturesClient> {
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    if (era === 'legacy') {
      const legacy = new Client(INFO, { capabilities: CAPABILITIES });
      const client = new FeaturesClient(era, { legacy });
      const ask = (request: { method: string; params?: unknown }) => client.#answer(request);
      legacy.setRequestHandler(CreateMessageRequestSchema, ask as never);
      legacy.setRequestHandler(ElicitRequestSchema, ask as never);
      legacy.setRequestHandler(ListRootsRequestSchema, ask as never);
      legacy.fallbackNotificationHandler = async ({ method, params }) => void client.told.push({ method, params });
      const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
      // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
      await legacy.connect(transport as Parameters<typeof legacy.connect>[0], TIMEOUT);
      return client;
    }
    const modern = new ModernClient(INFO, {
      capabilities: CAPABILITIES,
      versionNegotiation: { mode: { pin: '2026-07-28' } },
    });
    const client = new FeaturesClient(era, { modern });
    for (const method of ['sampling/createMessage', 'elicitation/create', 'roots/list'] as const) {
      modern.setRequestHandler(method, ((request: { method: string }) => client.#answer(request)) as never);
    }
    modern.fallbackNotificationHandler = async ({ method, params }) => void client.told.push({ method, params });
    await modern.connect(new ModernTransport(new URL(url), { requestInit }), TIMEOUT);
    return client;
  }

  /** The text of a tool's result. */
  async call(name: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<string> {
    const level = this.#modern !== undefined && this.#logLevel !== undefined;
    const _meta = level ? { 'io.modelcontextprotocol/logLevel': this.#logLevel } : undefined;
    const params = { name, arguments: args, ...(_meta === undefined ? {} : { _meta }) };
    const result = this.#legacy
      ? await this.#legacy.callTool(params, undefined, { ...TIMEOUT, ...options })
      : await this.#one.callTool(params, { ...TIMEOUT, ...options });
    const { content, isError } = result as { content: { text: string }[]; isError?: boolean };
    const text = content.map((part) => part.text).join('');
    if (isError === true) throw new Error(`the tool reported an error: ${text}`);
    return text;
  }

  /** The names or URIs of one list. */
  async names(kind: Grown): Promise<string[]> {
    // Past the modern SDK's own cache.
    const options = { ...TIMEOUT, cacheMode: 'refresh' } as const;
    if (kind === 'tool') return (await this.#any.listTools({}, options)).tools.map(({ name }) => name);
    if (kind === 'prompt') return (await this.#any.listPrompts({}, options)).prompts.map(({ name }) => name);
    return (await this.#any.listResources({}, options)).resources.map(({ uri }) => uri);
  }

  async prompt(name: string, args: Record<string, string>): Promise<object> {
    return this.#any.getPrompt({ name, arguments: args }, TIMEOUT);
  }

  async read(uri: string): Promise<{ contents: object[] }> {
    return this.#any.readResource({ uri }, { ...TIMEOUT, cacheMode: 'refresh' } as typeof TIMEOUT);
  }

  async complete(
    ref: { type: 'ref/prompt'; name: string } | { type: 'ref/resource'; uri: string },
    argument: { name: string; value: string },
  ): Promise<string[]> {
    return (await this.#any.complete({ ref, argument }, TIMEOUT)).completion.values;
  }

  /** Wants to be told of what is logged from this level on; until then it is told what servers see fit, or nothing. */
  async wantLogs(level: LogLevel): Promise<void> {
    this.#logLevel = level;
    await this.#legacy?.setLoggingLevel(level, TIMEOUT);
  }

  /** Asks to be told of changes of all lists. A legacy client is told without asking. */
  async watchLists(): Promise<void> {
    if (this.#modern === undefined) return;
    const filter = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
    await this.#listen(filter);
  }

  /** Asks to be told of changes of one resource. */
  async watchResource(uri: string): Promise<void> {
    if (this.#legacy !== undefined) await this.#legacy.subscribeResource({ uri }, TIMEOUT);
    else await this.#listen({ resourceSubscriptions: [uri] });
  }

  async close(): Promise<void> {
    for (const subscription of this.#subscriptions) await subscription[Symbol.asyncDispose]();
    await this.#any.close();
  }

  async #listen(filter: Parameters<ModernClient['listen']>[0]): Promise<void> {
    const subscription = await this.#one.listen(filter, TIMEOUT);
    this.#subscriptions.push({ [Symbol.asyncDispose]: () => subscription.close() });
  }

  #answer({ method, params }: { method: string; params?: unknown }): object {
    this.asked.push({ method, params });
    if (method === 'elicitation/create') return this.elicited;
    return ANSWERS[method as keyof typeof ANSWERS];
  }

  get #one(): ModernClient {
    return this.#modern as ModernClient;
  }

  /** Where both lines have the same method with the same types. */
  get #any(): Client {
    return (this.#legacy ?? this.#modern) as Client;
  }
}

const INFO = { name: 'features-client', version: '1' };
const CAPABILITIES = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
const TIMEOUT = { timeout: 4_000 };
