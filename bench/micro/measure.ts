// Times small pieces of work in this process: as many runs per round as fill it, rounds of all cases in turn, so that a
// machine that slows down slows each of them.

/** One piece of work. It is run millions of times, and must leave nothing behind that grows. */
export interface MicroCase {
  readonly name: string;
  /** Bytes that one run goes through, for nanoseconds per byte. */
  readonly bytes?: number;
  /** What it returns counts as used, so that the compiler leaves nothing of the work out. */
  run(): unknown;
}

/** Nanoseconds per run. The best round is the one that the machine disturbed least. */
export interface MicroFigures {
  readonly name: string;
  readonly runsPerRound: number;
  readonly bestNs: number;
  readonly medianNs: number;
  readonly worstNs: number;
  /** `null` where bytes are no measure of the work. */
  readonly bestNsPerByte: number | null;
}

export interface MicroOptions {
  readonly rounds: number;
  readonly roundMs: number;
  readonly onRound: (round: number) => void;
}

/** Before a case is timed: its code is compiled, and recompiled where the first guess was wrong. */
const WARM_UP_MS = 200;

/** Written to for every run and read by nobody, which the compiler cannot know. */
export const used: { last: unknown } = { last: undefined };

export function measureCases(cases: readonly MicroCase[], options: MicroOptions): MicroFigures[] {
  const lanes = cases.map((work) => ({ work, runs: runsFor(work, options.roundMs), times: [] as number[] }));
  for (let round = 0; round < options.rounds; round++) {
    for (const { work, runs, times } of lanes) times.push(timeRuns(work, runs));
    options.onRound(round + 1);
  }
  return lanes.map(({ work, runs, times }) => toFigures(work, runs, times));
}

/** How many runs take `roundMs`, once the code is warm. */
function runsFor(work: MicroCase, roundMs: number): number {
  let runs = 1;
  for (const endMs = performance.now() + WARM_UP_MS; performance.now() < endMs; ) {
    if (timeRuns(work, runs) * runs < 1e6) runs *= 2;
  }
  return Math.max(1, Math.round((roundMs * 1e6) / timeRuns(work, runs)));
}

/** Nanoseconds per run. */
function timeRuns(work: MicroCase, runs: number): number {
  const beganMs = performance.now();
  for (let run = 0; run < runs; run++) used.last = work.run();
  return ((performance.now() - beganMs) * 1e6) / runs;
}

function toFigures({ name, bytes }: MicroCase, runsPerRound: number, times: readonly number[]): MicroFigures {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[Math.floor(index)] ?? Number.NaN;
  const bestNs = at(0);
  return {
    name,
    runsPerRound,
    bestNs,
    medianNs: at(sorted.length / 2),
    worstNs: at(sorted.length - 1),
    bestNsPerByte: bytes === undefined ? null : bestNs / bytes,
  };
}
