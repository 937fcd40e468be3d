// What a load generator has seen: latencies in an HDR histogram of Node's own, and problems by their words.

import { createHistogram } from 'node:perf_hooks';

/** Latencies in microseconds, from when a request was due to the last byte of its answer. */
export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly mean: number;
}

export interface LoadReport {
  readonly seconds: number;
  /** Requests that were due, or due before and failed since, and those of them that were answered with a result. */
  readonly due: number;
  readonly answered: number;
  /** Those that had to wait for a connection: their latency is due to how few there were, too. */
  readonly waited: number;
  /** Results that came while it was measured, whenever they were due. */
  readonly perSecond: number;
  /** Bytes of the answers' bodies. */
  readonly bytes: number;
  readonly latencyUs: Latency;
  /** How late the generator itself was at worst of 99 %: latencies are no better than this. */
  readonly lagP99Us: number;
  readonly problems: Readonly<Record<string, number>>;
}

/** Two minutes; what takes longer is counted as that. */
const HIGHEST_US = 120_000_000;

export class LoadFigures {
  readonly #latency = createHistogram({ lowest: 1, highest: HIGHEST_US, figures: 3 });
  readonly #lag = createHistogram({ lowest: 1, highest: HIGHEST_US, figures: 3 });
  readonly #problems = new Map<string, number>();
  #bytes = 0;
  #due = 0;
  #waited = 0;
  #completed = 0;

  noteDue(): void {
    this.#due++;
  }

  /** One was due so long ago, and is sent now if there is a connection for it. */
  noteLag(lagMs: number): void {
    this.#lag.record(toMicroseconds(lagMs));
  }

  /** There was none. */
  noteWaited(): void {
    this.#waited++;
  }

  /** A result has come while it is measured. */
  noteCompleted(): void {
    this.#completed++;
  }

  noteAnswered(latencyMs: number, bytes: number): void {
    this.#latency.record(toMicroseconds(latencyMs));
    this.#bytes += bytes;
  }

  noteProblem(problem: string): void {
    this.#problems.set(problem, (this.#problems.get(problem) ?? 0) + 1);
  }

  toReport(seconds: number): LoadReport {
    const { count, max, mean } = this.#latency;
    const at = (percentile: number): number => (count === 0 ? 0 : this.#latency.percentile(percentile));
    return {
      seconds,
      due: this.#due,
      answered: count,
      waited: this.#waited,
      perSecond: seconds > 0 ? this.#completed / seconds : 0,
      bytes: this.#bytes,
      latencyUs: {
        p50: at(50),
        p90: at(90),
        p99: at(99),
        p999: at(99.9),
        max: count === 0 ? 0 : max,
        mean: count === 0 ? 0 : mean,
      },
      lagP99Us: this.#lag.count === 0 ? 0 : this.#lag.percentile(99),
      problems: Object.fromEntries(this.#problems),
    };
  }
}

function toMicroseconds(ms: number): number {
  return Math.min(HIGHEST_US, Math.max(1, Math.round(ms * 1000)));
}
