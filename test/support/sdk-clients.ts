// The official SDK clients of both lines behind one small face, with progress.

import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

export const CLIENT_KINDS = ['v1', 'v2 legacy', 'v2 auto', 'v2 pinned'] as const;
export type ClientKind = (typeof CLIENT_KINDS)[number];

export interface SdkClient {
  toolNames(): Promise<string[]>;
  /** The texts of the result, and the progress that came before it. Rejects when the tool reports an error. */
  call(name: string, args?: Record<string, unknown>): Promise<{ text: string; progress: number[] }>;
  readonly revision: string | undefined;
  close(): Promise<void>;
}

const INFO = { name: 'sdk-client', version: '1' };
const TIMEOUT = { timeout: 8_000 };
const MODES = { 'v2 legacy': 'legacy', 'v2 auto': 'auto', 'v2 pinned': { pin: '2026-07-28' } } as const;

/** `onToolsChanged` hears each `notifications/tools/list_changed`. */
export function connectClient(
  kind: ClientKind,
  url: string,
  token: string,
  onToolsChanged: () => void = () => undefined,
): Promise<SdkClient> {
  const options = { url: new URL(url), requestInit: { headers: { authorization: `Bearer ${token}` } }, onToolsChanged };
  return kind === 'v1' ? connectV1(options) : connectV2(options, MODES[kind]);
}

interface ConnectOptions {
  readonly url: URL;
  readonly requestInit: RequestInit;
  readonly onToolsChanged: () => void;
}

async function connectV1({ url, requestInit, onToolsChanged }: ConnectOptions): Promise<SdkClient> {
  const client = new Client(INFO);
  client.setNotificationHandler(ToolListChangedNotificationSchema, onToolsChanged);
  const transport = new StreamableHTTPClientTransport(url, { requestInit });
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await client.connect(transport as Parameters<typeof client.connect>[0], TIMEOUT);
  return {
    revision: transport.protocolVersion,
    toolNames: async () => (await client.listTools({}, TIMEOUT)).tools.map(({ name }) => name),
    call: async (name, args = {}) => {
      const progress: number[] = [];
      const onprogress = (step: { progress: number }): void => void progress.push(step.progress);
      const result = await client.callTool({ name, arguments: args }, undefined, { ...TIMEOUT, onprogress });
      return { text: textOf(result), progress };
    },
    close: () => client.close(),
  };
}

async function connectV2(
  { url, requestInit, onToolsChanged }: ConnectOptions,
  mode: 'legacy' | 'auto' | { readonly pin: string },
): Promise<SdkClient> {
  const client = new ModernClient(INFO, { versionNegotiation: { mode } });
  client.setNotificationHandler('notifications/tools/list_changed', onToolsChanged);
  await client.connect(new ModernTransport(url, { requestInit }), TIMEOUT);
  return {
    revision: client.getNegotiatedProtocolVersion(),
    toolNames: async () => (await client.listTools({}, TIMEOUT)).tools.map(({ name }) => name),
    call: async (name, args = {}) => {
      const progress: number[] = [];
      const onprogress = (step: { progress: number }): void => void progress.push(step.progress);
      const result = await client.callTool({ name, arguments: args }, { ...TIMEOUT, onprogress });
      return { text: textOf(result), progress };
    },
    close: () => client.close(),
  };
}

function textOf(result: object): string {
  const { content, isError } = result as { content?: { text?: string }[]; isError?: boolean };
  const text = (content ?? []).map((part) => part.text ?? '').join('');
  if (isError === true) throw new Error(`the tool reported an error: ${text}`);
  return text;
}
