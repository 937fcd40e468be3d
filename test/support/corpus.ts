// Corpora: committed files with one case a line, whose counts cannot shrink, and what every refused case must hold:
// no upstream byte, no stalled event loop, no secret in any output.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { TestContext } from 'node:test';
import type { RecordingUpstream } from './recording-upstream.ts';

export interface CorpusCase {
  /** Unique in its file; says what is special about the case. */
  readonly name: string;
  readonly class: string;
}

/** A credential that must show in no output; give it to every config of a corpus. */
export const CANARY = 'canary-credential-7d1f0c62b9';

const MAX_STALL_MS = 100;

/** Reads `test/corpus/FILE`; fails unless names are unique and every class has exactly its count. */
export function readCorpus<T extends CorpusCase>(file: string, counts: Readonly<Record<string, number>>): readonly T[] {
  const lines = readFileSync(join(import.meta.dirname, '..', 'corpus', file), 'utf8').split('\n');
  const cases = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T);
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length, `${file} repeats a name`);
  assert.deepEqual(countByClass(cases), { ...counts }, `${file} has other counts than its test expects`);
  return cases;
}

/** Prints how many cases of each class ran. */
export function reportCounts(
  context: TestContext,
  file: string,
  cases: readonly CorpusCase[],
  runs = cases.length,
): void {
  const classes = Object.entries(countByClass(cases)).map(([name, count]) => `${name} ${count}`);
  context.diagnostic(`${file}: ${cases.length} cases, ${runs} runs (${classes.join(', ')})`);
}

function countByClass(cases: readonly CorpusCase[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { class: name } of cases) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Runs a case that must not reach an upstream, and fails when one of them received a byte meanwhile. */
export async function withoutUpstreamBytes<T>(
  upstreams: readonly RecordingUpstream[],
  run: () => Promise<T>,
): Promise<T> {
  const before = upstreams.map(({ bytesReceived }) => bytesReceived);
  const outcome = await run();
  assert.deepEqual(
    upstreams.map(({ bytesReceived }) => bytesReceived),
    before,
    'an upstream received bytes',
  );
  return outcome;
}

/**
 * Runs a case and fails when it blocks the event loop, this process' own and so the gateway's too, for 100 ms. What the
 * input causes happens again: a stall is only believed when the case shows it three times.
 */
export async function withoutStall<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const outcome = await run();
    delay.disable();
    const stalledMs = delay.max / 1e6;
    if (stalledMs < MAX_STALL_MS) return outcome;
    assert.ok(attempt < 3, `the event loop stalled for ${Math.round(stalledMs)} ms, three times in a row`);
  }
}

/** Fails when an output holds the credential: plain, or as base64, hexadecimal or percent-encoded text. */
export function assertNoCanary(output: Buffer | string): void {
  const text = output.toString();
  const plain = Buffer.from(CANARY);
  for (const form of [
    CANARY,
    plain.toString('base64').slice(0, 32),
    plain.toString('hex'),
    encodeURIComponent(CANARY),
  ]) {
    assert.ok(!text.includes(form), 'an output holds the credential');
  }
}
