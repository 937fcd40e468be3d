// The life of a serving process after it has started: until SIGTERM or SIGINT, then a drain and exit code 0.

import type { Gateway } from '../gateway.ts';

/** Resolves when the gateway has let go of everything. A second signal ends the process at once. */
export async function runUntilSignal(gateway: Gateway, cleanUp: () => Promise<void>): Promise<void> {
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  for (const again of ['SIGTERM', 'SIGINT'] as const) process.once(again, () => process.exit(1));
  gateway.log.info('draining', { signal });
  await gateway.close();
  await cleanUp();
  gateway.log.info('stopped');
}
