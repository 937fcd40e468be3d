// What the benchmark measures: every figure with its unit, in one table, so that JSON, tables and charts call it the same.

interface FigureRow {
  readonly title: string;
  /** Empty for a count or a share. */
  readonly unit: string;
  /** Digits behind the point in tables. */
  readonly digits: number;
}

export const FIGURES = {
  cpuUsPerCall: { title: 'CPU per call', unit: 'µs', digits: 1 },
  cpuNsPerByte: { title: 'CPU per byte', unit: 'ns', digits: 2 },
  callsPerSecond: { title: 'calls/s', unit: '', digits: 0 },
  p50Us: { title: 'p50', unit: 'µs', digits: 0 },
  p99Us: { title: 'p99', unit: 'µs', digits: 0 },
  p999Us: { title: 'p99.9', unit: 'µs', digits: 0 },
  lagP99Us: { title: 'generator late, p99', unit: 'µs', digits: 0 },
  coreShare: { title: 'of a core', unit: '%', digits: 0 },
  waitMs: { title: 'wait', unit: 'ms', digits: 1 },
  cpuMs: { title: 'CPU', unit: 'ms', digits: 1 },
  rssMiB: { title: 'RSS', unit: 'MiB', digits: 0 },
  rssAddedMiB: { title: 'RSS added', unit: 'MiB', digits: 1 },
  rssLeftMiB: { title: 'RSS left afterwards', unit: 'MiB', digits: 1 },
  kibPerStream: { title: 'memory per stream', unit: 'KiB', digits: 1 },
  heapMiB: { title: 'heap', unit: 'MiB', digits: 1 },
  heapLeftMiB: { title: 'heap left afterwards', unit: 'MiB', digits: 1 },
  allocatedPerCall: { title: 'allocated per call', unit: 'KiB', digits: 2 },
  loopDelayP99Ms: { title: 'event-loop delay p99', unit: 'ms', digits: 1 },
  loopDelayMaxMs: { title: 'event-loop delay, longest', unit: 'ms', digits: 1 },
  sentP99Us: { title: 'p99 since sent', unit: 'µs', digits: 0 },
  onsetP99Us: { title: 'p99 at first', unit: 'µs', digits: 0 },
  turnedAwayShare: { title: 'turned away, all phases', unit: '%', digits: 2 },
  refusedShare: { title: 'refused', unit: '%', digits: 1 },
  unevenness: { title: 'off an even share', unit: '%', digits: 1 },
  refusalP99Us: { title: 'refusal, p99', unit: 'µs', digits: 0 },
  unansweredShare: { title: 'unanswered', unit: '%', digits: 1 },
  refusedAfterShare: { title: 'refused afterwards', unit: '%', digits: 1 },
  streams: { title: 'streams', unit: '', digits: 0 },
} as const satisfies Readonly<Record<string, FigureRow>>;

export type FigureName = keyof typeof FIGURES;

/** One round of one lane: what was measured in it. */
export type Round = Readonly<Partial<Record<FigureName, number>>>;

export const FIGURE_NAMES = Object.keys(FIGURES) as readonly FigureName[];

/** Of so many calls, one is above the percentile. */
const ONE_OF = {
  p50Us: 2,
  p99Us: 100,
  p999Us: 1000,
  lagP99Us: 100,
  sentP99Us: 100,
  onsetP99Us: 100,
  refusalP99Us: 100,
} as const satisfies Round;
type Percentile = keyof typeof ONE_OF;
/** With fewer calls above it, a percentile is the luck of one or two. */
const FEWEST_ABOVE = 10;

/** Those percentiles of so many calls that enough of them are above. */
export function tellable(calls: number, percentiles: Readonly<Partial<Record<Percentile, number>>>): Round {
  const told = Object.entries(percentiles).filter(([figure]) => calls >= FEWEST_ABOVE * ONE_OF[figure as Percentile]);
  return Object.fromEntries(told);
}
