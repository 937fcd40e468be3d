// An upstream of either era that uses everything its revision has, written once for the official SDKs of both lines: it
// asks its client, reports progress, logs, changes its lists, updates resources, and completes arguments.

import { completable } from '@modelcontextprotocol/sdk/server/completable.js';
import { McpServer as LegacyServer, ResourceTemplate as LegacyTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import {
  ResultSchema,
  SetLevelRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import {
  InMemoryServerEventBus,
  type InputRequest,
  inputRequired,
  McpServer as ModernServer,
  ResourceTemplate as ModernTemplate,
  completable as modernCompletable,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { Era } from './sdk-server-replies.ts';
import { type SdkServer, startSdkServer } from './sdk-servers.ts';

export const PROGRESS_STEPS = 3;
export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const NAMES = ['Ann', 'Anna', 'Bob'];
const TOPICS = ['tea', 'teapot', 'work'];

/** What the tools ask of their client, in the words of either era. */
export const ASKS = {
  sample: {
    method: 'sampling/createMessage',
    params: {
      messages: [{ role: 'user', content: { type: 'text', text: 'What is 2 + 2? é' } }],
      systemPrompt: 'Be brief.',
      maxTokens: 16,
    },
  },
  ask: {
    method: 'elicitation/create',
    params: {
      mode: 'form',
      message: 'Which size?',
      requestedSchema: {
        type: 'object',
        properties: { size: { type: 'integer', title: 'Size', minimum: 1 } },
        required: ['size'],
      },
    },
  },
  visit: {
    method: 'elicitation/create',
    params: { mode: 'url', message: 'Sign in', url: 'https://sign-in.example/start?n=1' },
  },
  roots: { method: 'roots/list', params: undefined },
} as const;
export type Ask = keyof typeof ASKS;

/** The id of the URL elicitation, which only the legacy era has. */
export const ELICITATION_ID = 'elicitation-1';
/** What the modern server wants back as it gave it. */
const REQUEST_STATE = 'state of "é" 😀';

export type Grown = 'tool' | 'prompt' | 'resource';

export interface FeaturesServer extends SdkServer {
  readonly era: Era;
  /** Of the resource that can be subscribed to. */
  readonly stateUri: string;
  noteUri(topic: string): string;
  /** Keys of calls of `wait` that have begun, and of those whose handler has seen its signal. */
  readonly waiting: ReadonlySet<string>;
  readonly aborted: ReadonlySet<string>;
}

/** What the server of every session or request looks into. */
class World {
  readonly era: Era;
  readonly waiting = new Set<string>();
  readonly aborted = new Set<string>();
  readonly grown: Record<Grown, string[]> = { tool: [], prompt: [], resource: [] };
  readonly bus = new InMemoryServerEventBus();
  /** Of the legacy server, one per session. */
  readonly live = new Map<LegacyServer, Set<string>>();
  version = 0;

  constructor(era: Era) {
    this.era = era;
  }

  get stateUri(): string {
    return `memo-${this.era}://state`;
  }

  get template(): string {
    return `memo-${this.era}://{topic}/note`;
  }

  /** Adds one to a list of the server, and tells all its clients. */
  grow(kind: Grown, name: string): void {
    this.grown[kind].push(name);
    for (const server of this.live.keys()) addGrown(server, kind, name);
    this.bus.publish({ kind: `${kind}s_list_changed` });
  }

  /** Changes the state, and tells those who have subscribed to it. */
  async touch(): Promise<void> {
    this.version++;
    const uri = this.stateUri;
    this.bus.publish({ kind: 'resource_updated', uri });
    for (const [server, subscribed] of this.live) {
      if (subscribed.has(uri)) await server.server.sendResourceUpdated({ uri });
    }
  }

  async wait(key: string, signal: AbortSignal): Promise<void> {
    this.waiting.add(key);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    this.aborted.add(key);
  }

  read(uri: string, text: string) {
    return { contents: [{ uri, mimeType: 'text/plain', text }] };
  }
}

/** What a tool may do with the conversation it is called in. */
interface Turn {
  readonly signal: AbortSignal;
  report(progress: number): Promise<void>;
  log(level: LogLevel, data: string): Promise<void>;
}

const INFO = { name: 'features-server', version: '1' };
const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
};
const GROW = z.object({ kind: z.enum(['tool', 'prompt', 'resource']), name: z.string() });

/** The tools that ask nothing: the same code in both eras. */
const DOES = {
  count: async (_args: unknown, turn: Turn) => {
    for (let progress = 1; progress <= PROGRESS_STEPS; progress++) await turn.report(progress);
    return 'done';
  },
  log: async (_args: unknown, turn: Turn) => {
    for (const level of LOG_LEVELS) await turn.log(level, `said at ${level}`);
    return 'done';
  },
  wait: async (args: unknown, turn: Turn, world: World) => {
    await world.wait((args as { key: string }).key, turn.signal);
    return 'aborted';
  },
  grow: async (args: unknown, _turn: Turn, world: World) => {
    const { kind, name } = GROW.parse(args);
    world.grow(kind, name);
    return 'done';
  },
  touch: async (_args: unknown, _turn: Turn, world: World) => {
    await world.touch();
    return 'done';
  },
};
const ANYTHING = z.looseObject({});

export async function startFeaturesServer(era: Era): Promise<FeaturesServer> {
  const world = new World(era);
  const tools = { legacy: () => createLegacy(world), modern: () => createModern(world), bus: world.bus };
  const server = await startSdkServer(era === 'legacy' ? 'stateful' : 'modern', 'sse', tools);
  return {
    ...server,
    era,
    stateUri: world.stateUri,
    noteUri: (topic) => world.template.replace('{topic}', topic),
    waiting: world.waiting,
    aborted: world.aborted,
  };
}

function createLegacy(world: World): LegacyServer {
  const server = new LegacyServer(INFO, { capabilities: CAPABILITIES });
  const subscribed = new Set<string>();
  let leastLevel: LogLevel = 'debug';
  server.server.setRequestHandler(SetLevelRequestSchema, ({ params }) => {
    leastLevel = params.level as LogLevel;
    return {};
  });
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri);
    return {};
  });
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri);
    return {};
  });
  for (const [name, { method, params }] of Object.entries(ASKS)) {
    const whole = name === 'visit' ? { ...params, elicitationId: ELICITATION_ID } : params;
    server.registerTool(name, { inputSchema: {} }, async (_args, { sendRequest }) =>
      toText(JSON.stringify(await sendRequest({ method, params: whole } as never, ResultSchema))),
    );
  }
  for (const [name, run] of Object.entries(DOES)) {
    server.registerTool(name, { inputSchema: ANYTHING }, async (args, { signal, sendNotification, _meta }) => {
      const progressToken = _meta?.progressToken;
      const turn: Turn = {
        signal,
        report: async (progress) => {
          if (progressToken === undefined) return;
          const params = { progressToken, progress, total: PROGRESS_STEPS, message: `step ${progress}` };
          await sendNotification({ method: 'notifications/progress', params });
        },
        log: async (level, data) => {
          if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(leastLevel)) return;
          await sendNotification({ method: 'notifications/message', params: { level, data, logger: 'features' } });
        },
      };
      return toText(await run(args, turn, world));
    });
  }
  server.registerPrompt(
    'greet',
    { description: 'Greets', argsSchema: { name: completable(z.string(), (value) => startingWith(NAMES, value)) } },
    ({ name }) => toPrompt(name),
  );
  server.registerResource('state', world.stateUri, { mimeType: 'text/plain' }, ({ href }) =>
    world.read(href, `version ${world.version}`),
  );
  const complete = { topic: (value: string) => startingWith(TOPICS, value) };
  server.registerResource('note', new LegacyTemplate(world.template, { list: undefined, complete }), {}, ({ href }) =>
    world.read(href, `a note of ${href}`),
  );
  for (const [kind, names] of Object.entries(world.grown)) {
    for (const name of names) addGrown(server, kind as Grown, name);
  }
  world.live.set(server, subscribed);
  server.server.onclose = () => void world.live.delete(server);
  return server;
}

function createModern(world: World): ModernServer {
  const server = new ModernServer(INFO, { capabilities: CAPABILITIES });
  for (const [name, { method, params }] of Object.entries(ASKS)) {
    server.registerTool(name, { inputSchema: z.object({}) }, (_args, { mcpReq }) => {
      const answer = mcpReq.inputResponses?.answer;
      if (answer === undefined) {
        const answerRequest = { method, ...(params === undefined ? {} : { params }) } as InputRequest;
        return inputRequired({ inputRequests: { answer: answerRequest }, requestState: REQUEST_STATE });
      }
      if (mcpReq.requestState() !== REQUEST_STATE) throw new Error('the request state is another');
      return toText(JSON.stringify(answer));
    });
  }
  for (const [name, run] of Object.entries(DOES)) {
    server.registerTool(name, { inputSchema: ANYTHING }, async (args, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      const turn: Turn = {
        signal: mcpReq.signal,
        report: async (progress) => {
          if (progressToken === undefined) return;
          const params = { progressToken, progress, total: PROGRESS_STEPS, message: `step ${progress}` };
          await mcpReq.notify({ method: 'notifications/progress', params });
        },
        log: (level, data) => mcpReq.log(level, data, 'features'),
      };
      return toText(await run(args, turn, world));
    });
  }
  const name = modernCompletable(z.string(), (value) => startingWith(NAMES, value));
  server.registerPrompt('greet', { description: 'Greets', argsSchema: z.object({ name }) }, (args) =>
    toPrompt(args.name),
  );
  server.registerResource('state', world.stateUri, { mimeType: 'text/plain' }, ({ href }) =>
    world.read(href, `version ${world.version}`),
  );
  const complete = { topic: (value: string) => startingWith(TOPICS, value) };
  server.registerResource('note', new ModernTemplate(world.template, { list: undefined, complete }), {}, ({ href }) =>
    world.read(href, `a note of ${href}`),
  );
  for (const [kind, names] of Object.entries(world.grown)) {
    for (const grown of names) addGrown(server, kind as Grown, grown);
  }
  return server;
}

/** Both lines tell their clients by themselves, where they have any to tell. */
function addGrown(either: LegacyServer | ModernServer, kind: Grown, name: string): void {
  const server = either as LegacyServer;
  const uri = `memo://grown/${name}`;
  if (kind === 'tool') server.registerTool(name, {}, () => toText(name));
  else if (kind === 'prompt') server.registerPrompt(name, {}, () => toPrompt(name));
  else server.registerResource(name, uri, {}, () => ({ contents: [{ uri, text: name }] }));
}

function toPrompt(name: string) {
  return { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: `Greet ${name}. é` } }] };
}

function startingWith(all: readonly string[], value: unknown): string[] {
  return all.filter((one) => one.startsWith(String(value)));
}

function toText(text: string): { content: { type: 'text'; text: string }[] } {
  return { content: [{ type: 'text', text }] };
}
