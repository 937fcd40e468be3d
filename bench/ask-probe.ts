// Asks the probe in a measured process.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { ProbeReading } from './probe.ts';

/**
 * What the process says of itself; `undefined` where no probe is loaded. `collects` has it collect garbage first, which
 * takes a process started with `--expose-gc`.
 */
export async function readProbe(child: ChildProcess, collects = false): Promise<ProbeReading | undefined> {
  if (!child.connected) return undefined;
  const answered = once(child, 'message');
  child.send({ probe: true, collects });
  const [reading] = (await answered) as [ProbeReading];
  return reading;
}
