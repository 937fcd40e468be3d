// Child process: the demo's modern upstream (2026-07-28; legacy clients get the SDK's stateless fallback).
// Its one argument is the demo folder: `files/` is what agents may read, `kv.json` holds their values.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { openDemoFiles } from './demo-files.ts';
import { openKeyValueStore } from './key-value-store.ts';
import { serveOnLoopback } from './loopback-listener.ts';
import { createToolbox } from './toolbox.ts';

const folder = process.argv[2] ?? '.';
const files = await openDemoFiles(join(folder, 'files'));
const store = await openKeyValueStore(join(folder, 'kv.json'));
const handler = createMcpHandler(() => createToolbox({ files, store, now: Date.now }));
serveOnLoopback(async (request, response) => {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  await send(response, await handler.fetch(toRequest(request, gone.signal)));
});

function toRequest(request: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
  const { method = 'GET' } = request;
  const init: RequestInit = { method, headers, signal };
  const url = `http://${request.headers.host}${request.url}`;
  if (method === 'GET' || method === 'HEAD') return new Request(url, init);
  return new Request(url, { ...init, body: Readable.toWeb(request), duplex: 'half' });
}

async function send(response: ServerResponse, answer: Response): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  if (answer.body === null) {
    response.end();
    return;
  }
  response.flushHeaders();
  await pipeline(Readable.fromWeb(answer.body), response).catch((error: unknown) => {
    // The gateway left before the answer was complete, as it does when it ends a subscription.
    if (!response.destroyed) throw error;
  });
}
