// What the upstreams of the era matrix serve, written once for the official SDKs of both lines: an McpServer with
// ordinary tools, a low-level server with odd ones, and a low-level server with a list of several pages.

import { Server as LegacyLowLevelServer } from '@modelcontextprotocol/sdk/server/index.js';
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js';
import {
  Server as ModernLowLevelServer,
  McpServer as ModernServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { SdkServerTools } from './sdk-servers.ts';

/** What tools of all upstreams of one test file share, so that a test can meet its calls. */
export interface Meetings {
  /** Keys of calls of `wait` that have begun. */
  readonly waiting: Set<string>;
  /** Keys of calls of `wait` whose handler has seen its signal. */
  readonly aborted: Set<string>;
  /** Resolves once two calls have come to the meeting of that name. */
  readonly meet: (name: string) => Promise<void>;
}

interface Context {
  readonly signal: AbortSignal;
  readonly headers: Record<string, string>;
  readonly report: (step: { progress: number; total: number; message: string }) => Promise<void>;
}

/** What the types of both lines allow. */
interface ToolResult {
  [key: string]: unknown;
  content: (
    | { type: 'text'; text: string; _meta?: Record<string, unknown> }
    | { type: 'image'; data: string; mimeType: string; annotations?: { audience: 'user'[]; priority: number } }
  )[];
  structuredContent?: Record<string, unknown>;
  isError?: boolean;
}

interface Tool {
  readonly name: string;
  readonly config: {
    readonly title?: string;
    readonly description?: string;
    readonly annotations?: {
      readonly title?: string;
      readonly readOnlyHint?: boolean;
      readonly idempotentHint?: boolean;
    };
    readonly _meta?: Record<string, unknown>;
    readonly inputSchema: z.ZodObject;
    readonly outputSchema?: z.ZodObject;
  };
  // biome-ignore lint/suspicious/noExplicitAny: each tool's own schema has checked its arguments.
  readonly run: (args: any, context: Context, meetings: Meetings) => ToolResult | Promise<ToolResult>;
}

const INFO = { name: 'matrix-server', version: '1' };
const CAPABILITIES = { capabilities: { tools: {} } };
/** One pixel. */
export const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
export const PROGRESS_STEPS = 3;
export const PAGED_TOOLS = Array.from({ length: 10 }, (_, index) => `page_tool_${index}`);

export function createMeetings(): Meetings {
  const arrivals = new Map<string, () => void>();
  return {
    waiting: new Set(),
    aborted: new Set(),
    meet: (name) => {
      const first = arrivals.get(name);
      arrivals.delete(name);
      if (first === undefined) return new Promise((resolve) => void arrivals.set(name, resolve));
      first();
      return Promise.resolve();
    },
  };
}

const TOOLS: readonly Tool[] = [
  {
    name: 'echo',
    config: {
      title: 'Écho 😀',
      description: 'Answers with its text.\nOn two lines.',
      annotations: { title: 'Echo', readOnlyHint: true, idempotentHint: true },
      _meta: { 'com.example/rank': { n: 1, list: [1.5, null, 'é'] } },
      inputSchema: z.object({ text: z.string() }),
    },
    run: ({ text }) => toText(text),
  },
  {
    name: 'picture',
    config: { inputSchema: z.object({}) },
    run: () => ({
      content: [
        { type: 'image', data: PIXEL, mimeType: 'image/png', annotations: { audience: ['user'], priority: 0.5 } },
        { type: 'text', text: 'a pixel', _meta: { 'com.example/n': 1 } },
      ],
    }),
  },
  {
    name: 'measure',
    config: {
      inputSchema: z.object({ n: z.number() }),
      outputSchema: z.object({ n: z.number(), digits: z.string(), list: z.array(z.number()) }),
    },
    run: ({ n }) => ({ ...toText(String(n)), structuredContent: { n, digits: String(n), list: [-0.5, 1e21] } }),
  },
  {
    name: 'refuse',
    config: { inputSchema: z.object({}) },
    run: () => ({ ...toText('refused as the tool sees fit'), isError: true, structuredContent: { why: 'é' } }),
  },
  {
    name: 'explode',
    config: { inputSchema: z.object({}) },
    run: () => {
      throw new Error('the handler broke');
    },
  },
  {
    name: 'count',
    config: { inputSchema: z.object({ label: z.string(), meeting: z.string().optional() }) },
    run: async ({ label, meeting }, { report }, { meet }) => {
      for (let progress = 1; progress <= PROGRESS_STEPS; progress++) {
        if (meeting !== undefined) await meet(`${meeting} ${progress}`);
        await report({ progress, total: PROGRESS_STEPS, message: `${label} ${progress}` });
      }
      return toText(`${label} done`);
    },
  },
  {
    name: 'wait',
    config: { inputSchema: z.object({ key: z.string() }) },
    run: async ({ key }, { signal }, { waiting, aborted }) => {
      waiting.add(key);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      aborted.add(key);
      return toText('aborted');
    },
  },
  {
    name: 'region',
    config: {
      inputSchema: z.object({
        region: z.string().meta({ 'x-mcp-header': 'Region' }),
        size: z.int().optional().meta({ 'x-mcp-header': 'Size' }),
        deep: z.object({ dry: z.boolean().meta({ 'x-mcp-header': 'Dry-Run' }) }).optional(),
        note: z.string().optional(),
      }),
    },
    run: (args, { headers }) => toText(JSON.stringify({ args, headers })),
  },
];

/** The ordinary tools above, behind the McpServer of either line. */
export function ordinaryTools(meetings: Meetings): SdkServerTools {
  return {
    legacy: () => {
      const server = new LegacyServer(INFO);
      for (const { name, config, run } of TOOLS) {
        server.registerTool(name, config, (args, extra) => run(args, legacyContext(extra), meetings));
      }
      return server;
    },
    modern: () => {
      const server = new ModernServer(INFO);
      for (const { name, config, run } of TOOLS) {
        server.registerTool(name, config, (args, context) => run(args, modernContext(context), meetings));
      }
      const names = z.array(z.string());
      server.registerTool('names', { inputSchema: z.object({}), outputSchema: names }, () => ({
        ...toText('["a","é"]'),
        structuredContent: ['a', 'é'],
      }));
      return server;
    },
  };
}

const EMPTY = { type: 'object' };
export const RICH_TOOL = {
  title: 'Rich',
  description: 'Has all there is.',
  icons: [{ src: 'https://icons.example/48.png', mimeType: 'image/png', sizes: ['48x48', 'any'] }],
  inputSchema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { at: { $ref: '#/$defs/at' }, of: { oneOf: [{ type: 'string' }, { type: 'integer' }] } },
    required: ['at'],
    additionalProperties: false,
    $defs: { at: { type: 'string', pattern: '^[a-zé]+$' } },
  },
  outputSchema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  annotations: {
    title: 'Rich',
    readOnlyHint: false,
    destructiveHint: true,
    idempotentHint: false,
    openWorldHint: true,
  },
  _meta: { 'com.example/deep': { list: [1, { x: null }] }, plain: true },
};
export const ARRAY_SCHEMA = { type: 'array', items: { type: 'string' } };
/** In the order of the list: tools that clients can read, some after a repair, between tools that nobody can use. */
const ODD_TOOLS: readonly unknown[] = [
  { name: 'no_schema' },
  { name: 'rich', ...RICH_TOOL },
  { name: 'wrong_type', inputSchema: { type: 'string' } },
  { name: 'array', inputSchema: EMPTY, outputSchema: ARRAY_SCHEMA },
  { name: 'has spaces', inputSchema: EMPTY },
  { name: 'booleans', inputSchema: { type: 'object', properties: { any: true, none: false } } },
  { name: 'bad_header', inputSchema: { type: 'object', properties: { a: { type: 'number', 'x-mcp-header': 'A' } } } },
  { name: 'nulls', description: null, annotations: 'none', inputSchema: EMPTY },
  { name: 'fail', inputSchema: EMPTY },
  { name: 'fail', description: 'again', inputSchema: EMPTY },
  { name: 'inspect', inputSchema: EMPTY },
];

/** A list with tools no client could read; `fail` throws the error it is told, `inspect` answers with its `params`. */
export function oddTools(): SdkServerTools {
  return lowLevel(
    () => ({ tools: ODD_TOOLS }),
    ({ name, arguments: args, _meta, ...rest }) => {
      if (name !== 'fail') return toText(JSON.stringify({ name, args, ...rest }));
      const { message, ...error } = args as { message: string };
      throw Object.assign(new Error(message), error);
    },
  );
}

/** Pages of three; the second page's cursor is the empty string. */
export function pagedTools(): SdkServerTools {
  const cursors = ['', 'page 3', '{"page":4}'];
  return lowLevel(
    ({ cursor }) => {
      const page = cursor === undefined ? 0 : 1 + cursors.indexOf(cursor as string);
      const tools = PAGED_TOOLS.slice(3 * page, 3 * page + 3).map((name) => ({ name, inputSchema: EMPTY }));
      return { tools, ...(page < cursors.length ? { nextCursor: cursors[page] } : {}) };
    },
    ({ name }) => toText(name),
  );
}

interface CallParams {
  readonly name: string;
  readonly arguments?: Record<string, unknown>;
  readonly _meta?: object;
}

function lowLevel(
  list: (params: Record<string, unknown>) => object,
  call: (params: CallParams) => ToolResult,
): SdkServerTools {
  return {
    legacy: () => {
      const server = new LegacyLowLevelServer(INFO, CAPABILITIES);
      server.setRequestHandler(ListToolsRequestSchema, ({ params }) => ({ ...list(params ?? {}) }));
      server.setRequestHandler(CallToolRequestSchema, ({ params }) => ({ ...call(params as CallParams) }));
      return server;
    },
    modern: () => {
      const server = new ModernLowLevelServer(INFO, CAPABILITIES);
      server.setRequestHandler('tools/list', ({ params }) => list(params ?? {}) as { tools: [] });
      server.setRequestHandler('tools/call', ({ params }) => call(params as CallParams));
      return server;
    },
  };
}

function legacyContext(extra: RequestHandlerExtra<ServerRequest, ServerNotification>): Context {
  const progressToken = extra._meta?.progressToken;
  return {
    signal: extra.signal,
    headers: paramHeaders(Object.entries(extra.requestInfo?.headers ?? {})),
    report: async (step) => {
      if (progressToken === undefined) return;
      await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, ...step } });
    },
  };
}

function modernContext({ mcpReq, http }: ServerContext): Context {
  const progressToken = mcpReq._meta?.progressToken;
  return {
    signal: mcpReq.signal,
    headers: paramHeaders([...(http?.req?.headers.entries() ?? [])]),
    report: async (step) => {
      if (progressToken === undefined) return;
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, ...step } });
    },
  };
}

function paramHeaders(entries: readonly [string, unknown][]): Record<string, string> {
  return Object.fromEntries(
    entries.filter(([name]) => name.startsWith('mcp-param-')).map(([name, value]) => [name, String(value)]),
  );
}

function toText(text: string): { content: { type: 'text'; text: string }[] } {
  return { content: [{ type: 'text', text }] };
}
