// Which core does what. A generator at a fixed rate keeps one busy; beside it, on the same one, a target would wait for its
// turn, and that wait would be measured instead.

import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { findProgram } from './byte-proxies.ts';

/**
 * The first core for this process, the others for `pids`, until the scenario is over. Returns in words how it is, for the
 * report. What is started afterwards inherits this process's place: call it when all run.
 */
export function keepApart(pids: readonly number[], cleanup: AsyncDisposableStack): string {
  const cores = availableParallelism();
  const taskset = findProgram('taskset');
  if (taskset === undefined || cores < 2) return 'All processes shared all cores.';
  const place = (pid: number, range: string) => {
    execFileSync(taskset, ['--all-tasks', '--cpu-list', '--pid', range, String(pid)], { stdio: 'ignore' });
  };
  for (const pid of pids) place(pid, cores === 2 ? '1' : `1-${cores - 1}`);
  place(process.pid, '0');
  cleanup.defer(() => place(process.pid, `0-${cores - 1}`));
  return 'The generator had a core of its own; all other processes shared the rest.';
}
