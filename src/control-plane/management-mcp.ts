// The MCP door: the operations that are offered to agents as tools, the configuration as resources, and a prompt.

import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
} from '@modelcontextprotocol/server';
import { GatewayError } from '../domain/errors.ts';
import { VERSION } from '../domain/version.ts';
import type { Operator } from '../identity/authenticate.ts';
import type { Logger } from '../telemetry/logger.ts';
import { callTool, type Tool, toTool } from './management-call.ts';
import { serveMcp } from './management-http.ts';
import { INSTRUCTIONS, PROMPT, toPromptText } from './management-prompt.ts';
import { OFFERS } from './management-tools.ts';
import { isAllowed, type Operation } from './operation.ts';
import type { Perform } from './perform.ts';

export interface ManagementDeps {
  readonly operations: readonly Operation[];
  readonly perform: Perform;
  /** JSON schema of the config file. */
  readonly configSchema: object;
  readonly log: Logger;
}

/** Answers one HTTP request of an operator who is known by then. */
export type ManagementDoor = (request: Request, operator: Operator) => Promise<Response>;

export function createManagementDoor(deps: ManagementDeps): ManagementDoor {
  const tools = toTools(deps.operations);
  return (request, operator) => serveMcp(request, () => createServer(deps, tools, asAgent(operator)));
}

/** What only an owner may decide, such as where a secret may go, is decided by people, whatever the key could do in REST. */
function asAgent(operator: Operator): Operator {
  return operator.role === 'owner' ? { ...operator, role: 'editor' } : operator;
}

function toTools(operations: readonly Operation[]): ReadonlyMap<string, Tool> {
  const offered = operations.flatMap((operation) => {
    const offer = OFFERS[operation.name];
    return offer === undefined ? [] : [toTool(operation, offer)];
  });
  const order = Object.values(OFFERS).map(({ name }) => name);
  offered.sort((a, b) => order.indexOf(a.offer.name) - order.indexOf(b.offer.name));
  return new Map(offered.map((tool) => [tool.offer.name, tool]));
}

const CACHE = { ttlMs: 60_000, cacheScope: 'private' } as const;

function createServer(deps: ManagementDeps, tools: ReadonlyMap<string, Tool>, operator: Operator): Server {
  const server = new Server(
    { name: 'switchboard-management', title: 'Switchboard management', version: VERSION },
    {
      capabilities: { tools: {}, resources: {}, prompts: {} },
      instructions: INSTRUCTIONS,
      cacheHints: { 'tools/list': CACHE, 'prompts/list': CACHE, 'resources/list': CACHE },
    },
  );
  // Tools that the key may not use would fill a context for nothing; whoever calls one is told which role it needs.
  server.setRequestHandler('tools/list', () => ({
    tools: [...tools.values()]
      .filter(({ operation }) => isAllowed(operator.role, operation.role))
      .map(({ definition }) => ({ ...definition })),
  }));
  server.setRequestHandler('tools/call', async ({ params }) => {
    const tool = tools.get(params.name);
    if (tool === undefined) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name.slice(0, 128)}`);
    }
    return answerCall(deps, tool, operator, params.arguments ?? {});
  });
  addResources(server, deps, tools, operator);
  server.setRequestHandler('prompts/list', () => ({ prompts: [{ ...PROMPT, arguments: [...PROMPT.arguments] }] }));
  server.setRequestHandler('prompts/get', ({ params }) => {
    if (params.name !== PROMPT.name) {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${params.name.slice(0, 128)}`);
    }
    if ((params.arguments?.access ?? '') === '') {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'The argument access is missing: say what is needed.');
    }
    const text = toPromptText(params.arguments ?? {});
    return { description: PROMPT.description, messages: [{ role: 'user', content: { type: 'text', text } }] };
  });
  return server;
}

async function answerCall(
  { perform, log }: ManagementDeps,
  tool: Tool,
  operator: Operator,
  given: Readonly<Record<string, unknown>>,
): Promise<CallToolResult> {
  try {
    const view = await callTool(perform, tool, operator, given);
    const text = typeof view.yaml === 'string' ? view.yaml : JSON.stringify(view);
    return { content: [{ type: 'text', text }], structuredContent: view };
  } catch (error) {
    return toErrorResult(error, log);
  }
}

/** Read by a model: what to do about it, and then the places, for programs. */
function toErrorResult(error: unknown, log: Logger): CallToolResult {
  if (!(error instanceof GatewayError)) log.error('management call failed', { error });
  const message = error instanceof GatewayError ? error.message : 'The gateway failed on this call. Its log says why.';
  const { code, problems } = error instanceof GatewayError ? error : { code: 'internal', problems: [] };
  const places = JSON.stringify({ code, ...(problems.length === 0 ? {} : { errors: problems }) });
  return {
    isError: true,
    content: [
      { type: 'text', text: message },
      { type: 'text', text: places },
    ],
  };
}

const SCHEMA_URI = 'switchboard://config.schema.json';
const YAML_URI = 'switchboard://config.yaml';

function addResources(
  server: Server,
  { perform, configSchema, log }: ManagementDeps,
  tools: ReadonlyMap<string, Tool>,
  operator: Operator,
): void {
  server.setRequestHandler('resources/list', () => ({
    resources: [
      {
        uri: SCHEMA_URI,
        name: 'config.schema.json',
        title: 'Schema of the config file',
        description: 'Every setting of the config file, with its meaning.',
        mimeType: 'application/schema+json',
      },
      {
        uri: YAML_URI,
        name: 'config.yaml',
        title: 'Current configuration',
        description: 'What the account has, as a config file without values of secrets.',
        mimeType: 'application/yaml',
      },
    ],
  }));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [] }));
  server.setRequestHandler('resources/read', async ({ params: { uri } }) => {
    if (uri === SCHEMA_URI) {
      return { contents: [{ uri, mimeType: 'application/schema+json', text: JSON.stringify(configSchema, null, 2) }] };
    }
    const generate = uri === YAML_URI ? tools.get('generate-config') : undefined;
    if (generate === undefined) throw new ResourceNotFoundError(uri);
    try {
      const { yaml } = await callTool(perform, generate, operator, {});
      return { contents: [{ uri, mimeType: 'application/yaml', text: String(yaml) }] };
    } catch (error) {
      if (!(error instanceof GatewayError)) log.error('management call failed', { error });
      throw new ProtocolError(ProtocolErrorCode.InternalError, 'The configuration cannot be read now. Try again.');
    }
  });
}
