// Child process: the reference server of the legacy era, on a loopback listener of ours. Its own HTTP server
// binds every interface and its `get-env` prints the environment, so the parent starts this with an empty one.

import { GatewayError } from '../../domain/errors.ts';
import { createLegacySessions, type LegacyServer } from './legacy-sessions.ts';
import { serveOnLoopback } from './loopback-listener.ts';

const IDLE_MS = 10 * 60_000;

// `gzip-file-as-resource` fetches any URL its caller names: unchecked, the demo's token would reach the metadata
// address of a cloud machine or a service on loopback. Only `data:` URLs, which need no network, stay possible.
const fetchAnything = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.protocol === 'data:') return fetchAnything(input, init);
  throw new GatewayError('forbidden', 'The demo opens no connections: pass a data: URL.');
};

// The argument is the URL of server-everything's factory module, which has no types.
const everything: { createServer: () => LegacyServer } = await import(process.argv[2] ?? '');

const sessions = createLegacySessions({
  createServer: everything.createServer,
  maxSessions: 256,
  idleMs: IDLE_MS,
  now: Date.now,
});
setInterval(() => {
  sessions.closeIdle().catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
}, IDLE_MS / 10).unref();
serveOnLoopback(sessions.answer);
