// mcp-proxy before an HTTP upstream, wired as its README shows for its library: the command only starts stdio servers.

import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** What is used of the packages, which are installed elsewhere (see peers.ts) and so unknown to the compiler. */
interface McpProxyModule {
  startHTTPServer(options: object): Promise<unknown>;
  proxyServer(options: object): Promise<void>;
}
interface ClientModule {
  readonly Client: new (info: object, options: object) => SdkClient;
  readonly StreamableHTTPClientTransport: new (url: URL) => object;
}
interface SdkClient {
  connect(transport: object): Promise<void>;
  getServerVersion(): object;
  getServerCapabilities(): object;
}
interface ServerModule {
  readonly Server: new (info: object, options: object) => object;
}

const { values: options } = parseArgs({
  options: {
    modules: { type: 'string', default: '' },
    upstream: { type: 'string', default: '' },
    era: { type: 'string' },
    port: { type: 'string' },
    stateless: { type: 'boolean', default: false },
  },
});
const load = (name: string) => import(join(options.modules, name, 'dist/index.mjs'));
const { startHTTPServer, proxyServer }: McpProxyModule = await load('mcp-proxy');
const { Client, StreamableHTTPClientTransport }: ClientModule = await load('@modelcontextprotocol/client');
const { Server }: ServerModule = await load('@modelcontextprotocol/server');

const mode = options.era === 'modern' ? { pin: '2026-07-28' } : 'legacy';
const client = new Client({ name: 'mcp-proxy', version: '1' }, { versionNegotiation: { mode } });
await client.connect(new StreamableHTTPClientTransport(new URL(options.upstream)));
const capabilities = client.getServerCapabilities();

await startHTTPServer({
  host: '127.0.0.1',
  port: Number(options.port),
  sseEndpoint: null,
  stateless: options.stateless,
  createServer: async () => {
    const server = new Server(client.getServerVersion(), { capabilities });
    await proxyServer({ client, server, serverCapabilities: capabilities });
    return server;
  },
});
