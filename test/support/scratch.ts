// Where tests put what they throw away.

import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const MEMORY = '/dev/shm';
/** A container's own is 64 MB unless somebody asks for more. */
const ENOUGH_BYTES = 4 * 2 ** 30;

/**
 * In memory where there is plenty: half of what a PostgreSQL costs is the disk that its files are written to. Programs
 * may not run there (`noexec`).
 */
export const SCRATCH = process.env.TMPDIR === undefined && hasMemory() ? MEMORY : tmpdir();

function hasMemory(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= ENOUGH_BYTES;
  } catch {
    return false;
  }
}
