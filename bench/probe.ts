// Loaded into the processes that are measured (`node --import`): tells the benchmark, when asked, what only the process
// itself knows. It costs a timer of 20 ms, in every target that is compared.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';

const RESOLUTION_MS = 20;
const NS_PER_MS = 1e6;

export interface ProbeReading {
  readonly heapBytes: number;
  /** Since the process began. */
  readonly allocatedBytes: number;
  /** Since it was asked last. The timer's own 20 ms are taken off. */
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
}

// What a target starts itself inherits the flag but is none of the benchmark's.
if (process.send !== undefined && process.env.BENCH_PARENT === String(process.ppid)) answerQuestions();

function answerQuestions(): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const toMs = (ns: number) => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
  process.on('message', (question: { readonly probe?: boolean; readonly collects?: boolean }) => {
    if (question.probe !== true) return;
    if (question.collects === true) globalThis.gc?.();
    const { used_heap_size, total_allocated_bytes } = getHeapStatistics() as unknown as Record<string, number>;
    const reading: ProbeReading = {
      heapBytes: used_heap_size ?? 0,
      allocatedBytes: total_allocated_bytes ?? Number.NaN,
      loopDelayP99Ms: delay.count === 0 ? 0 : toMs(delay.percentile(99)),
      loopDelayMaxMs: delay.count === 0 ? 0 : toMs(delay.max),
    };
    delay.reset();
    // The first firing of its timer after a reset counts for nothing: what holds up the loop until then would not be seen.
    setTimeout(() => process.send?.(reading), 2 * RESOLUTION_MS);
  });
  process.channel?.unref();
}
