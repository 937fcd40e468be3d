// The SDK clients of both lines behind one small face: v1 speaks the legacy era, v2 either.

import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Endpoint } from './gateway.ts';

const REQUEST = { timeout: 15_000 };
const CLIENT_INFO = { name: 'switchboard-interop', version: '1.0.0' };

export interface ConnectedClient {
  readonly protocolVersion: string;
  toolNames(): Promise<string[]>;
  /** The result as JSON, for a look at its text. Rejects when the tool reports an error. */
  call(name: string, args: Record<string, unknown>): Promise<string>;
  close(): Promise<void>;
}

export async function connectSdkV1({ url, token }: Endpoint): Promise<ConnectedClient> {
  const client = new Client(CLIENT_INFO);
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: bearer(token) } });
  let protocolVersion = '';
  transport.setProtocolVersion = (version) => {
    protocolVersion = version;
    StreamableHTTPClientTransport.prototype.setProtocolVersion.call(transport, version);
  };
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await client.connect(transport as Parameters<typeof client.connect>[0], REQUEST);
  return {
    protocolVersion,
    toolNames: async () => (await client.listTools({}, REQUEST)).tools.map((tool) => tool.name),
    call: async (name, args) => toText(await client.callTool({ name, arguments: args }, undefined, REQUEST)),
    close: () => client.close(),
  };
}

export async function connectSdkV2({ url, token }: Endpoint, mode: 'auto' | { pin: string }): Promise<ConnectedClient> {
  const client = new ModernClient(CLIENT_INFO, { versionNegotiation: { mode } });
  const transport = new ModernTransport(new URL(url), { requestInit: { headers: bearer(token) } });
  await client.connect(transport, REQUEST);
  return {
    protocolVersion: client.getNegotiatedProtocolVersion() ?? '',
    toolNames: async () => (await client.listTools({}, REQUEST)).tools.map((tool) => tool.name),
    call: async (name, args) => toText(await client.callTool({ name, arguments: args }, REQUEST)),
    close: () => client.close(),
  };
}

function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

function toText(result: object): string {
  const text = JSON.stringify(result);
  if ('isError' in result && result.isError === true) throw new Error(`the tool reported an error: ${text}`);
  return text;
}
