// What somebody who watches an upstream is told, and can ask for.

/** The lists that an upstream says are others. Templates change with the resources. */
export type ChangedList = 'tools' | 'prompts' | 'resources';

export interface WatchSink {
  onListChanged(list: ChangedList): void;
  /** `params` as they came, without the id of the upstream's own subscription. */
  onResourceUpdated(uri: string, params: Buffer): void;
  /** What was missed is unknown: everything may have changed. */
  onGap(): void;
}

export interface Watch {
  /** What was asked for so far is subscribed to, or it cannot be now. Never rejects. */
  readonly ready: Promise<void>;
  /** Whether updates of this resource will not come: the upstream refused, or there was no room. */
  isRefused(uri: string): boolean;
  /** Wants updates of a resource; `false` when there is no room for one more. */
  subscribe(uri: string): boolean;
  unsubscribe(uri: string): void;
  close(): void;
}
