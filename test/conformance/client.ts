// The reference client: does what each client scenario asks, in either era, with the official SDK of that era.
// Run by itself (`client.ts ERA URL`) it is what the suite tests directly; via-gateway.ts puts a gateway in between.

import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import type { Era } from './cells.ts';

type Arguments = Record<string, unknown>;

/** What scenarios need of a client, whichever SDK it comes from. */
interface ReferenceClient {
  tools(): Promise<{ name: string; inputSchema: object }[]>;
  call(name: string, args: Arguments): Promise<unknown>;
  resources(): Promise<{ uri: string }[]>;
  read(uri: string): Promise<unknown>;
  prompts(): Promise<{ name: string }[]>;
  prompt(name: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface ScenarioRun {
  readonly era: Era;
  readonly url: string;
  /** Of a gateway; a mock server wants none. */
  readonly token?: string;
  /** The words of the suite: `MCP_CONFORMANCE_SCENARIO` and the JSON of `MCP_CONFORMANCE_CONTEXT`. */
  readonly scenario: string;
  readonly context: string | undefined;
}

const INFO = { name: 'conformance-client', version: '1.0.0' };
/** Form fields that are left out get their defaults (SEP-1034). */
const CAPABILITIES = { roots: {}, sampling: {}, elicitation: { form: { applyDefaults: true } } };
const MODERN_REVISION = '2026-07-28';
const ANSWER = { role: 'assistant' as const, content: { type: 'text' as const, text: 'Yes.' }, model: 'none' };

/** Plays one scenario to its end. Rejects when the server does not play its part. */
export async function playScenario({ era, url, token, scenario, context }: ScenarioRun): Promise<void> {
  const play = SCENARIOS[scenario];
  if (play === undefined) throw new Error(`The reference client does not know the scenario '${scenario}'.`);
  const requestInit: RequestInit = token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } };
  const client = await (era === 'legacy' ? connectLegacy : connectModern)(new URL(url), requestInit);
  try {
    await play(client, context);
  } finally {
    await client.close();
  }
}

const SCENARIOS: Readonly<Record<string, (client: ReferenceClient, context: string | undefined) => Promise<void>>> = {
  initialize: listTools,
  'request-metadata': listTools,
  'json-schema-ref-no-deref': listTools,
  tools_call: (client) => callFirstTool(client, { a: 2, b: 3 }),
  'elicitation-sep1034-client-defaults': (client) => callFirstTool(client, {}),
  'sse-retry': (client) => callFirstTool(client, {}),
  'sep-2322-client-request-state': answerRounds,
  'http-standard-headers': useEverything,
  'http-custom-headers': makeToldCalls,
  'http-invalid-tool-headers': callEveryTool,
  'json-schema-2020-12-preservation': echoSchema,
};

async function listTools(client: ReferenceClient): Promise<void> {
  await client.tools();
}

async function callFirstTool(client: ReferenceClient, args: Arguments): Promise<void> {
  const [tool] = await client.tools();
  if (tool === undefined) throw new Error('The server lists no tool.');
  await client.call(tool.name, args);
}

/** All at once, so that what belongs to one call could get into another. */
async function answerRounds(client: ReferenceClient): Promise<void> {
  const tools = await client.tools();
  await Promise.all(tools.map(({ name }) => client.call(name, {}).catch(ignoreMissingResultType(name))));
}

/** The modern SDK refuses a result without `resultType`; the scenario only wants it not to be retried. */
function ignoreMissingResultType(name: string) {
  return (error: unknown): void => {
    if (name !== 'test_mrtr_no_result_type') throw error;
  };
}

async function useEverything(client: ReferenceClient): Promise<void> {
  for (const { name } of await client.tools()) await client.call(name, {});
  for (const { uri } of await client.resources()) await client.read(uri);
  for (const { name } of await client.prompts()) await client.prompt(name);
}

async function makeToldCalls(client: ReferenceClient, context = '{}'): Promise<void> {
  const { toolCalls = [] } = JSON.parse(context) as { toolCalls?: { name: string; arguments: Arguments }[] };
  await client.tools();
  for (const { name, arguments: args } of toolCalls) await client.call(name, args);
}

async function callEveryTool(client: ReferenceClient): Promise<void> {
  for (const { name } of await client.tools()) await client.call(name, { region: 'north' });
}

async function echoSchema(client: ReferenceClient): Promise<void> {
  const tool = (await client.tools()).find(({ name }) => name === 'json_schema_2020_12_tool');
  await client.call('json_schema_echo', { schema: tool?.inputSchema });
}

/** Accepts, and ticks each field that has no default. */
function fillIn({ params }: { params: object }) {
  const { properties = {} } =
    (params as { requestedSchema?: { properties?: Record<string, object> } }).requestedSchema ?? {};
  const open = Object.entries(properties).filter(([, field]) => !('default' in field));
  return { action: 'accept' as const, content: Object.fromEntries(open.map(([name]) => [name, true])) };
}

async function connectLegacy(url: URL, requestInit: RequestInit): Promise<ReferenceClient> {
  const client = new Client(INFO, { capabilities: CAPABILITIES });
  client.setRequestHandler(ElicitRequestSchema, fillIn);
  client.setRequestHandler(CreateMessageRequestSchema, () => ANSWER);
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }));
  const transport = new StreamableHTTPClientTransport(url, { requestInit });
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  return toReference(client);
}

async function connectModern(url: URL, requestInit: RequestInit): Promise<ReferenceClient> {
  const client = new ModernClient(INFO, {
    capabilities: CAPABILITIES,
    versionNegotiation: { mode: { pin: MODERN_REVISION } },
  });
  client.setRequestHandler('elicitation/create', fillIn);
  client.setRequestHandler('sampling/createMessage', () => ANSWER);
  client.setRequestHandler('roots/list', () => ({ roots: [] }));
  await client.connect(new ModernTransport(url, { requestInit }));
  return toReference(client);
}

/** The methods that the clients of both SDKs have in common. */
function toReference(client: Client | ModernClient): ReferenceClient {
  return {
    tools: async () => (await client.listTools()).tools,
    call: (name, args) => client.callTool({ name, arguments: args }),
    resources: async () => (await client.listResources()).resources,
    read: (uri) => client.readResource({ uri }),
    prompts: async () => (await client.listPrompts()).prompts,
    prompt: (name) => client.getPrompt({ name }),
    close: () => client.close(),
  };
}

/** What the suite says in the environment and at the end of the command line. */
export function readScenarioRun(): ScenarioRun {
  const [era, url = ''] = process.argv.slice(2);
  if (era !== 'legacy' && era !== 'modern') throw new Error(`Usage: ${process.argv[1]} legacy|modern URL`);
  const { MCP_CONFORMANCE_SCENARIO: scenario = '', MCP_CONFORMANCE_CONTEXT: context } = process.env;
  return { era, url, scenario, context };
}

if (import.meta.main) await playScenario(readScenarioRun());
