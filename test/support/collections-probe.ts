// Preloaded into a process (`node --import`): as that ends, fills and drops a gigabyte of Buffers, and prints how often the
// whole heap was collected for that.

import { GCProfiler } from 'node:v8';

const BUFFERS = 2_000;
const BUFFER_BYTES = 512 * 1024;

const kept: { last: Buffer | undefined } = { last: undefined };

process.on('exit', () => {
  const profiler = new GCProfiler();
  profiler.start();
  for (let count = 0; count < BUFFERS; count++) kept.last = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  const { statistics } = profiler.stop();
  const whole = statistics.filter(({ gcType }) => gcType === 'MarkSweepCompact').length;
  process.stdout.write(`collections ${whole}\n`);
});
