// The official SDK clients of both lines as an agent that manages the gateway uses them: whole results, errors included.
// Both check what a tool answers against the schema it was listed with.

import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { ClientKind } from './sdk-clients.ts';

export interface ListedTool {
  readonly name: string;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly inputSchema: { readonly required?: readonly string[] | undefined; readonly properties?: object | undefined };
  readonly outputSchema?: object | undefined;
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

export interface ToolAnswer {
  readonly isError: boolean;
  /** Of all blocks. */
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into results whose shape is what they assert.
  readonly view: any;
}

export interface ManagementClient {
  readonly tools: readonly ListedTool[];
  readonly instructions: string | undefined;
  call(name: string, args?: Record<string, unknown>): Promise<ToolAnswer>;
  /** Text of a resource. */
  read(uri: string): Promise<string>;
  resources(): Promise<string[]>;
  /** Text of a prompt. */
  prompt(name: string, args: Record<string, string>): Promise<string>;
  close(): Promise<void>;
}

const INFO = { name: 'management-client', version: '1' };
const TIMEOUT = { timeout: 8_000 };
const MODES = { 'v2 legacy': 'legacy', 'v2 auto': 'auto', 'v2 pinned': { pin: '2026-07-28' } } as const;

export async function connectManagementClient(kind: ClientKind, url: string, key: string): Promise<ManagementClient> {
  const requestInit = { headers: { authorization: `Bearer ${key}` } };
  const client = kind === 'v1' ? await connectV1(url, requestInit) : await connectV2(kind, url, requestInit);
  const { tools } = (await client.listTools({}, TIMEOUT)) as { tools: ListedTool[] };
  return {
    tools,
    instructions: client.getInstructions(),
    call: async (name, args = {}) => toAnswer(await callTool(client, name, args)),
    read: async (uri) => {
      const { contents } = (await client.readResource({ uri }, TIMEOUT)) as { contents: { text?: string }[] };
      return contents.map(({ text }) => text ?? '').join('');
    },
    resources: async () => (await client.listResources({}, TIMEOUT)).resources.map(({ uri }) => uri),
    prompt: async (name, args) => {
      const { messages } = await client.getPrompt({ name, arguments: args }, TIMEOUT);
      return messages.map(({ content }) => ('text' in content ? String(content.text) : '')).join('\n');
    },
    close: () => client.close(),
  };
}

async function connectV1(url: string, requestInit: RequestInit): Promise<Client> {
  const client = new Client(INFO);
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await client.connect(transport as Parameters<typeof client.connect>[0], TIMEOUT);
  return client;
}

async function connectV2(kind: keyof typeof MODES, url: string, requestInit: RequestInit): Promise<ModernClient> {
  const client = new ModernClient(INFO, { versionNegotiation: { mode: MODES[kind] } });
  await client.connect(new ModernTransport(new URL(url), { requestInit }), TIMEOUT);
  return client;
}

function callTool(client: Client | ModernClient, name: string, args: Record<string, unknown>): Promise<object> {
  return client instanceof Client
    ? client.callTool({ name, arguments: args }, undefined, TIMEOUT)
    : client.callTool({ name, arguments: args }, TIMEOUT);
}

function toAnswer(result: object): ToolAnswer {
  const {
    content = [],
    isError,
    structuredContent,
  } = result as Record<string, unknown> & { content?: { text?: string }[] };
  return {
    isError: isError === true,
    text: content.map(({ text }) => text ?? '').join('\n'),
    view: structuredContent,
  };
}
