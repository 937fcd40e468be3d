// Loaded into a gateway process under test with `--import`: on SIGUSR2 it collects garbage and says on stderr what is
// left. Objects are counted on the heap, so an unreferenced timer and a forgotten socket count, too.

import { ServerResponse } from 'node:http';
import { Http2ServerResponse } from 'node:http2';
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import { UpstreamCall } from '../../src/data-plane/upstream-call.ts';

const COLLECTIONS = 3;
const Timeout = setTimeout(() => undefined, 0).constructor;

async function report(): Promise<void> {
  // What one collection lets go of may have held what the next one finds.
  for (let done = 0; done < COLLECTIONS; done++) {
    // Of this flavor, or code that was compiled and not run lately would be let go of at some later time.
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await nextTurn();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const reading = {
    'heap bytes': heapUsed,
    'bytes outside the heap': external,
    timers: countOf(Timeout),
    'socket objects': countOf(Socket),
    responses: countOf(ServerResponse) + countOf(Http2ServerResponse),
    calls: countOf(UpstreamCall),
    'active resources': process.getActiveResourcesInfo().length,
    'resident bytes': rss,
  };
  process.stderr.write(`{"probe":${JSON.stringify(reading)}}\n`);
}

// biome-ignore lint/complexity/noBannedTypes: any constructor may be asked for.
function countOf(type: Function): number {
  return queryObjects(type, { format: 'count' });
}

process.on('SIGUSR2', () => void report());
