// An MCP server on stdio, run as a program: it answers as it is told, by its arguments and by the calls it gets, and
// misbehaves in every way a test asks for.

import { spawn } from 'node:child_process';
import { appendFileSync, closeSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** `legacy`, `modern`, `slow-modern` (reads nothing for a tenth of a second), or `silent` (does not answer what it does not know). */
const [era = 'legacy', journal = ''] = process.argv.slice(2);
const MODERN = '2026-07-28';

interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: { readonly name?: string; readonly _meta?: { readonly progressToken?: string } };
  readonly result?: unknown;
  readonly error?: { readonly code: number };
}

/** The calls that wait until something comes. */
const waiting = new Map<string, (message: Message, line: string) => void>();

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}

function answer(id: Message['id'], result: object): void {
  // As SDK servers write it: the result first, the id last.
  write(JSON.stringify({ result, jsonrpc: '2.0', id }));
}

function say(id: Message['id'], text: string): void {
  answer(id, { ...(isModern ? { resultType: 'complete' } : {}), content: [{ type: 'text', text }] });
}

const isModern = era === 'modern' || era === 'slow-modern';
const serverInfo = { name: 'stdio-server', version: '1' };
const TOOLS = ['echo', 'environment', 'hang', 'ask', 'crash', 'pid', 'progress', 'litter', 'stubborn'].map((name) => ({
  name,
  inputSchema: { type: 'object' },
}));

const methods: Record<string, (id: Message['id'], line: string) => void> = {
  'server/discover': (id) => {
    const discovery = { supportedVersions: [MODERN], capabilities: { tools: {} }, ttlMs: 0, cacheScope: 'private' };
    if (isModern) answer(id, { resultType: 'complete', ...discovery });
    else if (era !== 'silent') write(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'What?' } }));
  },
  initialize: (id, line) => {
    if (isModern) {
      write(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Only 2026-07-28' } }));
      return;
    }
    const { params } = JSON.parse(line);
    const { protocolVersion, capabilities: declared } = params;
    answer(id, { protocolVersion, capabilities: { tools: { listChanged: true } }, serverInfo, _meta: { declared } });
  },
  'tools/list': (id) => answer(id, { tools: TOOLS, ttlMs: 0, cacheScope: 'private', resultType: 'complete' }),
};

const tools: Record<string, (message: Message, line: string) => void> = {
  echo: ({ id }, line) => say(id, line),
  environment: ({ id }) => say(id, JSON.stringify(process.env)),
  pid: ({ id }) => say(id, String(process.pid)),
  hang: () => undefined,
  crash: () => process.exit(3),
  // Ends with a process of its own left behind.
  litter: ({ id }) => {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    child.unref();
    say(id, String(child.pid));
  },
  progress: ({ id, params }) => {
    const progressToken = params?._meta?.progressToken;
    write(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 1 } }));
    write(
      JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'a log' } }),
    );
    say(id, 'done');
  },
  changed: ({ id }) => {
    write(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' }));
    say(id, 'changed');
  },
  // Asks the client, and answers with what it is told.
  ask: ({ id }) => {
    const question = `ask-é-${String(id)}`;
    waiting.set(question, (_, line) => say(id, line));
    const params = { message: 'Really?', requestedSchema: { type: 'object', properties: {} } };
    write(JSON.stringify({ jsonrpc: '2.0', id: question, method: 'elicitation/create', params }));
  },
  garbage: ({ id }) => {
    write('Debugger attached.');
    write('');
    write('{"half":');
    write('{"jsonrpc":"2.0","id":"nobody-asked-for-this-1","result":{}}\r');
    process.stdout.write(`{"jsonrpc":"2.0",\r"id":${JSON.stringify(id)},"result":{"content":[]}}\r\n`);
  },
  unusual: ({ id }) => write(JSON.stringify({ extra: 1, result: {}, id, more: 'x'.repeat(300), jsonrpc: '2.0' })),
  large: ({ id }) => say(id, 'x'.repeat(20 * 1024 * 1024)),
  sizeable: ({ id }) => say(id, 'x'.repeat(3 * 1024 * 1024)),
  endless: () => {
    const part = 'x'.repeat(1024 * 1024);
    const more = (): void => {
      process.stdout.write(part, () => more());
    };
    more();
  },
  mute: () => closeSync(1),
  deaf: ({ id }) => {
    process.stdin.pause();
    setInterval(() => undefined, 1_000);
    say(id, String(process.pid));
  },
  complain: ({ id }) => {
    process.stderr.write(`\u001b[31mthe key is ${process.env.API_KEY}\u001b[0m\n`);
    setTimeout(() => process.exit(1), 50);
    void id;
  },
  // Stays when its stdin is closed and when it is asked to end.
  stubborn: ({ id }) => {
    process.on('SIGTERM', () => undefined);
    setInterval(() => undefined, 1_000);
    say(id, 'stubborn');
  },
};

if (era === 'slow-modern') await new Promise((resolve) => setTimeout(resolve, 100));
createInterface({ input: process.stdin }).on('line', (line) => {
  if (journal !== '') appendFileSync(journal, `${line}\n`);
  const message: Message = JSON.parse(line);
  const { id, method = '', params } = message;
  if (method === '') waiting.get(String(id))?.(message, line);
  else if (id !== undefined && method === 'tools/call') (tools[params?.name ?? ''] ?? tools.echo)?.(message, line);
  else if (id !== undefined && methods[method] !== undefined) methods[method](id, line);
  else if (id !== undefined) answer(id, {});
});
