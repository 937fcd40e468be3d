// How long a watch waits, and for what.

export interface WatchPace {
  /** A stream that nobody needs any more is kept so long, for the next one who does. */
  readonly lingerMs: number;
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
  /** A stream that has lasted this long is not taken for one that fails again and again. */
  readonly stableMs: number;
  /** An upstream that tells nobody of changes is asked again after this. */
  readonly unsupportedRetryMs: number;
  /** Between two changes of the set of URIs, which may cost the upstream a stream each. */
  readonly updateMs: number;
}

export const PACE: WatchPace = {
  lingerMs: 30_000,
  firstRetryMs: 500,
  longestRetryMs: 30_000,
  stableMs: 30_000,
  unsupportedRetryMs: 10 * 60_000,
  updateMs: 250,
};
