// `switchboard mock-upstream`: an MCP server to be put behind what is measured.

import type { MockUpstreamOptions } from '../load/mock-options.ts';
import { MockUpstream } from '../load/mock-upstream.ts';
import { UsageError } from './command-errors.ts';

/** Serves until a signal; prints its URL when it can be called. */
export async function mockUpstream(options: MockUpstreamOptions): Promise<void> {
  if (options.progressEvents > 0 && options.answer !== 'sse') {
    throw new UsageError('--progress-events stand in front of answers by events: add --answer sse, or leave them out.');
  }
  const upstream = new MockUpstream(options);
  const port = await upstream.listen();
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve());
  });
  process.stdout.write(`A mock upstream (${options.era}, ${options.tools} tools) serves http://${host}:${port}/mcp\n`);
  await stopped;
  await upstream.close();
}
