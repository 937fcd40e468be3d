// The life of a serving process after it has started: until SIGTERM or SIGINT, then a drain and exit code 0.

import type { Gateway } from '../gateway.ts';

/** One Ctrl-C arrives twice, from the terminal and from npm, which passes on what it got itself. */
const ECHO_MS = 1_000;

/** Resolves when the gateway has let go of everything. A second signal, a second later, ends the process at once. */
export async function runUntilSignal(
  gateway: Pick<Gateway, 'log' | 'close'>,
  cleanUp: () => Promise<void>,
): Promise<void> {
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  const echoUntilMs = performance.now() + ECHO_MS;
  for (const again of ['SIGTERM', 'SIGINT'] as const) {
    process.on(again, () => {
      if (performance.now() > echoUntilMs) process.exit(1);
    });
  }
  gateway.log.info('draining', { signal });
  await gateway.close();
  await cleanUp();
  gateway.log.info('stopped');
}
