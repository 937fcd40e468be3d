// Which core does what. A generator at a fixed rate keeps one busy; beside it, on the same one, a target would wait for its
// turn, and that wait would be measured instead.

import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { findProgram } from './byte-proxies.ts';

export interface Placement {
  /** How it is, for the report. */
  readonly words: string;
  /** What runs a program where the targets run. */
  readonly besideTargets: readonly string[];
}

/** The first core for this process and what it starts from then on, the others for `pids`, until the scenario is over. */
export function keepApart(pids: readonly number[], cleanup: AsyncDisposableStack): Placement {
  const cores = availableParallelism();
  const taskset = findProgram('taskset');
  if (taskset === undefined || cores < 2) return { words: 'All processes shared all cores.', besideTargets: [] };
  const others = cores === 2 ? '1' : `1-${cores - 1}`;
  const place = (pid: number, range: string) => {
    execFileSync(taskset, ['--all-tasks', '--cpu-list', '--pid', range, String(pid)], { stdio: 'ignore' });
  };
  for (const pid of pids) place(pid, others);
  place(process.pid, '0');
  cleanup.defer(() => place(process.pid, `0-${cores - 1}`));
  return {
    words: 'The generator had a core of its own; all other processes shared the rest.',
    besideTargets: [taskset, '--cpu-list', others],
  };
}
