// The program of `upstream-child.ts`: an SDK server whose tool `echo` answers with its `text`, after as long as it is told.
// Arguments: kind, reply, port. It listens when told, and prints nothing: all goes over the channel to its parent.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { McpServer as LegacyServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { McpServer as ModernServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { type SdkServer, type SdkServerKind, startSdkServer } from './sdk-servers.ts';

export type ToUpstream = { readonly listen: number } | { readonly delayMs: number } | 'restart' | 'stall';
export type FromUpstream = 'ready' | { readonly url: string } | { readonly longestStallMs: number } | 'done';

const INFO = { name: 'upstream-process', version: '1' };
const [kind, reply] = process.argv.slice(2) as [SdkServerKind, 'json' | 'sse'];
let delayMs = 0;
let server: SdkServer | undefined;
const loopDelay = monitorEventLoopDelay();
loopDelay.enable();

async function echo({ text }: { readonly text: string }) {
  if (delayMs > 0) await delay(delayMs);
  return { content: [{ type: 'text' as const, text }] };
}

const tools = {
  legacy: () => {
    const legacy = new LegacyServer(INFO);
    legacy.registerTool('echo', { inputSchema: { text: z.string() } }, echo);
    return legacy;
  },
  modern: () => {
    const modern = new ModernServer(INFO);
    modern.registerTool('echo', { inputSchema: z.object({ text: z.string() }) }, echo);
    return modern;
  },
};

async function obey(message: ToUpstream): Promise<FromUpstream> {
  if (message === 'stall') return { longestStallMs: loopDelay.max / 1e6 };
  if (message === 'restart') server?.restart();
  else if ('delayMs' in message) delayMs = message.delayMs;
  else {
    server = await startSdkServer(kind, reply, tools, message.listen);
    return { url: server.url };
  }
  return 'done';
}

const tell = (message: FromUpstream) => process.send?.(message);
process.on('message', (message) => void obey(message as ToUpstream).then(tell));
process.on('disconnect', () => process.exit());
tell('ready');
