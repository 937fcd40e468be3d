// How many processes serve: a number, or one for each core that this process may use.

import { availableParallelism } from 'node:os';

export type Workers = number | 'auto';

/** Each takes as much memory as a whole gateway. */
export const MAX_WORKERS = 64;
/** What a text must be to mean a number of them. */
export const EXPECTED_WORKERS = `must be auto or a whole number from 1 to ${MAX_WORKERS}`;

/** `undefined` for a text that means no number of processes. */
export function parseWorkers(text: string): Workers | undefined {
  if (text === 'auto') return text;
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= MAX_WORKERS ? count : undefined;
}

/** Windows cannot hand a connection from one process to another. */
export function countWorkers(workers: Workers): number {
  if (process.platform === 'win32') return 1;
  return workers === 'auto' ? Math.min(availableParallelism(), MAX_WORKERS) : workers;
}
