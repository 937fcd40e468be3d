// What a gateway process holds: counted inside it by process-probe.ts, by the kernel, and told by its metrics.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { eventually } from './eventually.ts';
import { send } from './mcp-http.ts';
import type { ServeChild } from './serve-child.ts';

const PROBE = pathToFileURL(join(import.meta.dirname, 'process-probe.ts')).href;
/** `NODE_OPTIONS` of a process of which readings are to be taken. */
export const PROBE_OPTIONS = `--expose-gc --no-warnings --import=${PROBE}`;
const GROWTH = 1.1;
/** Counts of a few objects cannot change by a tenth. Of a thousand clients each, this many are none. */
const FEW = 5;

/** Numbers by their names; those with `bytes` in their name are sizes. */
export type Reading = Readonly<Record<string, number>>;

/** Gauges by name, their series added up. */
export async function scrape({ url }: ServeChild): Promise<Record<string, number>> {
  const { text } = await send(`${url}/metrics`, { method: 'GET' });
  const sums: Record<string, number> = {};
  for (const [, name = '', value] of text.matchAll(/^switchboard_(\w+)(?:\{.*\})? (\S+)$/gm)) {
    sums[name] = (sums[name] ?? 0) + Number(value);
  }
  return sums;
}

/** After a garbage collection. */
export async function takeReading({ pid, output }: ServeChild): Promise<Reading> {
  const readings = (): string[] => [...output.stderr.matchAll(/^\{"probe":(.*)\}$/gm)].map(([, json]) => json!);
  const before = readings().length;
  process.kill(pid, 'SIGUSR2');
  const json = await eventually(() => readings()[before], 30_000);
  return { ...JSON.parse(json), ...(await countOpenSockets(pid)) };
}

/** As the kernel sees it, where it tells. */
async function countOpenSockets(pid: number): Promise<Reading> {
  const folder = `/proc/${pid}/fd`;
  if (!existsSync(folder)) return {};
  const links = (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => ''));
  const sockets = (await Promise.all(links)).filter((link) => link.startsWith('socket:'));
  return { 'open sockets': sockets.length };
}

/** The resident size is not judged: an allocator keeps what it was given back. */
export function assertNotMore(after: Reading, before: Reading): void {
  const held = ({ 'heap bytes': heap = 0, 'bytes outside the heap': outside = 0 }: Reading): number => heap + outside;
  assert.ok(held(after) <= held(before) * GROWTH, `${held(after)} bytes are more than ${held(before)} and a tenth`);
  for (const [name, count] of Object.entries(before)) {
    if (name.includes('bytes')) continue;
    const most = Math.max(count * GROWTH, count + FEW);
    assert.ok(after[name]! <= most, `${after[name]} ${name} are more than ${count}`);
  }
}

export function describeReading(reading: Reading): string {
  return Object.entries(reading)
    .map(([name, value]) =>
      name.includes('bytes') ? `${name.replace('bytes', 'MB')} ${(value / 1e6).toFixed(2)}` : `${name} ${value}`,
    )
    .join(', ');
}
