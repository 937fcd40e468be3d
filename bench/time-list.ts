// One list, from asking to the last byte.

import { toCall } from './calls.ts';
import { cpuMsBetween, readCpu } from './cpu.ts';
import type { Round } from './figures.ts';
import type { RunningTarget } from './targets.ts';

/** Throws unless so many tools come. */
export async function timeList({ endpoint, pid }: RunningTarget, tools: number): Promise<Round> {
  const { url, headers, body } = toCall(endpoint, { method: 'tools/list' });
  const before = readCpu(pid);
  const startedMs = performance.now();
  const text = await (await fetch(url, { method: 'POST', headers, body })).text();
  const waitMs = performance.now() - startedMs;
  const cpuMs = cpuMsBetween(before, readCpu(pid));
  const found = JSON.parse(text).result?.tools?.length;
  if (found !== tools) throw new Error(`${found} tools were listed instead of ${tools}: ${text.slice(0, 300)}`);
  return { waitMs, cpuMs };
}
