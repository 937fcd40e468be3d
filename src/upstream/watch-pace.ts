// The pauses of a watch.

export interface WatchPace {
  /** A stream is kept this long after its sink has left, for the next one. */
  readonly lingerMs: number;
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
  /** After a stream that has lasted this long, the pauses begin with the first again. */
  readonly stableMs: number;
  /** An upstream that tells nobody of changes is asked again after this. */
  readonly unsupportedRetryMs: number;
  /** The least time between two changes of the URIs, each of which may cost the upstream a new stream. */
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
