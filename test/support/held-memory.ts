// Memory of this process is measured after a collection: before it, what nobody holds any more counts as well.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
export const collectGarbage: () => void = runInNewContext('gc');

/** Bytes of the heap and of buffers that are still held. */
export function heldMemoryBytes(): number {
  // The first one only begins to give the bytes of buffers back.
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
