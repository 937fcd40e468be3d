// Leaves a process a share of a core, as a container with a CPU limit does: what loads it and what it calls then have room
// to spare on the same machine. Linux, and only where this process may make a control group.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
/** Short beside the delays that are measured: at the default of 100 ms a process stands still for most of it. */
const PERIOD_US = 5_000;

/** Until `cleanup`, which must end the process first. Returns why it cannot be done here, else undefined. */
export function limitCpu(pid: number, share: number, cleanup: AsyncDisposableStack): string | undefined {
  const quotaUs = Math.round(PERIOD_US * share);
  try {
    const isFirst = existsSync(join(ROOT, 'cpu', 'cpu.cfs_quota_us'));
    const parent = isFirst ? join(ROOT, 'cpu') : ROOT;
    // A controller is on for a whole level of the tree: where it is not, that is the machine's owner's to change.
    const isOn = isFirst || readFileSync(join(ROOT, 'cgroup.subtree_control'), 'latin1').split(/\s+/).includes('cpu');
    if (!isOn) return 'the control groups of this machine do not limit CPU';
    const group = join(parent, `switchboard-bench-${pid}`);
    mkdirSync(group);
    cleanup.defer(() => rmdirSync(group));
    if (isFirst) {
      writeFileSync(join(group, 'cpu.cfs_period_us'), String(PERIOD_US));
      writeFileSync(join(group, 'cpu.cfs_quota_us'), String(quotaUs));
    } else writeFileSync(join(group, 'cpu.max'), `${quotaUs} ${PERIOD_US}`);
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
    return undefined;
  } catch (error) {
    return `no control group can be made here (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`;
  }
}
