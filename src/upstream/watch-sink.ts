// What whoever watches an upstream is told, and can ask for.

import type { ChangedList } from '../protocol/list-kind.ts';

export interface WatchSink {
  onListChanged(list: ChangedList): void;
  /** `params` as they came, without the id of the upstream's own subscription. */
  onResourceUpdated(uri: string, params: Buffer): void;
  /** Some time was not heard of: everything may have changed. */
  onGap(): void;
}

export interface Watch {
  /** Resolves when all URIs wanted by now are subscribed to, or cannot be for now. Never rejects. */
  readonly ready: Promise<void>;
  /** Whether updates of this resource will not come: the upstream refused, or too many URIs are wanted already. */
  isRefused(uri: string): boolean;
  /** Wants updates of a resource; `isRefused` says whether they come. */
  subscribe(uri: string): void;
  unsubscribe(uri: string): void;
  /** Unsubscribes from everything; the sink is told nothing more. */
  close(): void;
}
