// The tools of the demo's modern upstream: files to read, the time anywhere, a few values to keep.

import { type CallToolResult, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { GatewayError } from '../../domain/errors.ts';
import type { DemoFiles } from './demo-files.ts';
import { type KeyValueStore, keySchema, valueSchema } from './key-value-store.ts';

export interface ToolboxOptions {
  readonly files: DemoFiles;
  readonly store: KeyValueStore;
  readonly now: () => number;
}

const READS = { readOnlyHint: true, openWorldHint: false };
const WRITES = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false };
const path = z.string().max(1024).describe('Path relative to the demo folder, for example "welcome.md"');
const key = keySchema.describe('Up to 128 of A-Z a-z 0-9 . _ : / -, starting with a letter or digit');

/** A server object for one request (the SDK asks for a fresh one each time); what outlives a request is in `options`. */
export function createToolbox(options: ToolboxOptions): McpServer {
  const server = new McpServer(
    { name: 'switchboard-toolbox', title: 'Switchboard demo toolbox', version: '1.0.0' },
    { capabilities: { tools: {} }, cacheHints: { 'tools/list': { ttlMs: 60_000, cacheScope: 'public' } } },
  );
  addFileTools(server, options.files);
  addTimeTool(server, options.now);
  addKeyValueTools(server, options.store);
  return server;
}

function addFileTools(server: McpServer, files: DemoFiles): void {
  server.registerTool(
    'list_files',
    {
      title: 'List files',
      description: 'Lists one folder inside the demo folder, sorted by name. Shows at most 500 entries.',
      inputSchema: z.object({ path: path.default('.') }),
      outputSchema: z.object({
        entries: z.array(z.object({ name: z.string(), kind: z.enum(['file', 'folder', 'other']) })),
        truncated: z.boolean().describe('true when the folder holds more than is shown'),
      }),
      annotations: READS,
    },
    async (args) => toResult(await files.list(args.path)),
  );
  server.registerTool(
    'read_file',
    {
      title: 'Read file',
      description: 'Returns the text of one UTF-8 file inside the demo folder, up to 256 KiB.',
      inputSchema: z.object({ path }),
      outputSchema: z.object({ text: z.string(), size_bytes: z.int() }),
      annotations: READS,
    },
    async (args) => {
      const { text, sizeBytes } = await files.read(args.path);
      return toResult({ text, size_bytes: sizeBytes }, text);
    },
  );
}

function addTimeTool(server: McpServer, now: () => number): void {
  server.registerTool(
    'time',
    {
      title: 'Current time',
      description: 'Tells the current date and time in an IANA time zone, as ISO 8601 with its UTC offset.',
      inputSchema: z.object({
        zone: z.string().max(64).default('UTC').describe('IANA time zone, for example "Europe/Paris"'),
      }),
      outputSchema: z.object({ zone: z.string(), iso: z.string(), weekday: z.string() }),
      annotations: READS,
    },
    ({ zone }) => toResult({ zone, ...timeIn(zone, now()) }),
  );
}

function addKeyValueTools(server: McpServer, store: KeyValueStore): void {
  server.registerTool(
    'kv_get',
    {
      title: 'Get value',
      description: 'Returns the value kept under a key; null when there is none.',
      inputSchema: z.object({ key }),
      outputSchema: z.object({ value: z.string().nullable() }),
      annotations: READS,
    },
    (args) => toResult({ value: store.get(args.key) ?? null }),
  );
  server.registerTool(
    'kv_set',
    {
      title: 'Set value',
      description: 'Keeps a value of up to 8192 characters under a key, across restarts. Replaces an earlier value.',
      inputSchema: z.object({ key, value: valueSchema }),
      outputSchema: z.object({ created: z.boolean().describe('false when an earlier value was replaced') }),
      annotations: WRITES,
    },
    async (args) => toResult(await store.set(args.key, args.value)),
  );
  server.registerTool(
    'kv_delete',
    {
      title: 'Delete value',
      description: 'Removes a key and its value.',
      inputSchema: z.object({ key }),
      outputSchema: z.object({ deleted: z.boolean().describe('false when there was no such key') }),
      annotations: WRITES,
    },
    async (args) => toResult(await store.delete(args.key)),
  );
  server.registerTool(
    'kv_list',
    {
      title: 'List keys',
      description: 'Lists the keys that start with a prefix, sorted; all keys without one.',
      inputSchema: z.object({ prefix: z.string().max(128).default('') }),
      outputSchema: z.object({ keys: z.array(z.string()) }),
      annotations: READS,
    },
    (args) => toResult({ keys: store.keys(args.prefix) }),
  );
}

function toResult(
  structuredContent: Record<string, unknown>,
  text = JSON.stringify(structuredContent),
): CallToolResult {
  return { content: [{ type: 'text', text }], structuredContent };
}

/** `Temporal` would say this in one line, but Node 24 does not have it. */
function timeIn(zone: string, nowMs: number): { iso: string; weekday: string } {
  const parts = new Map(
    formatterOf(zone)
      .formatToParts(nowMs)
      .map(({ type, value }) => [type, value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? '';
  const offset = part('timeZoneName').slice('GMT'.length) || '+00:00';
  const date = `${part('year')}-${part('month')}-${part('day')}`;
  const time = `${part('hour')}:${part('minute')}:${part('second')}.${part('fractionalSecond')}`;
  return { iso: `${date}T${time}${offset}`, weekday: part('weekday') };
}

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'long',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      fractionalSecondDigits: 3,
      hourCycle: 'h23',
      timeZoneName: 'longOffset',
    });
  } catch (cause) {
    const message = `Unknown time zone "${timeZone}": use an IANA name such as "Europe/Paris".`;
    throw new GatewayError('invalid_argument', message, { cause });
  }
}
