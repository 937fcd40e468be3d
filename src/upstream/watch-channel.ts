// A channel is one attempt to hear of an upstream's changes, over when it ends: what the channels of both eras have in common.

import type { Dispatcher } from 'undici';
import type { Message } from '../protocol/jsonrpc.ts';
import type { UpstreamAbout } from './about.ts';
import type { Link } from './handshake.ts';

/** How a watch sends requests. Their failures are not held against the upstream's health: nobody's call fails by them. */
export interface WatchWire {
  /** Not the pool of the calls: a stream keeps its socket for as long as it lasts. */
  readonly pool: Dispatcher;
  readonly path: string;
  /** `Implementation` as raw JSON. */
  readonly clientInfo: string;
  readonly timeoutMs: number;
  mintId(): string;
  about(): UpstreamAbout | undefined;
}

/** Where a stream that ended can be taken up again (2025-11-25 basic/transports#resumability-and-redelivery). */
export interface Resumption {
  readonly link: Link;
  readonly lastEventId: string;
}

export interface ChannelEnd {
  /**
   * `ended`: to be tried again after a pause. `unsupported`: the upstream tells nobody of changes. `forgotten`: it does
   * not know our session any more.
   */
  readonly why: 'ended' | 'unsupported' | 'forgotten';
  /** A clause about the upstream. */
  readonly message: string;
  /** The pause that the upstream asked for. */
  readonly retryMs?: number | undefined;
  readonly resumption?: Resumption | undefined;
}

export interface ChannelOwner {
  /** The URIs that updates are wanted of. */
  readonly uris: ReadonlySet<string>;
  /** Goes up with every change of `uris`. */
  readonly version: number;
  /** Changes are heard of from now on; `isResumed`: and none was missed since the channel before. */
  onOpen(isResumed: boolean): void;
  /** Each of the `uris` of that version is subscribed to, or was refused. */
  onSettled(version: number): void;
  onNotification(message: Message): void;
  /** Changes are heard of again, and may have been missed for a while. */
  onGap(): void;
  /** Told once, and nothing after it. */
  onEnd(end: ChannelEnd): void;
}

export interface Channel {
  start(): void;
  /** The owner's `uris` have changed. */
  update(): void;
  /** Whether the upstream has refused to tell of this one. */
  isRefused(uri: string): boolean;
  /** The owner is told nothing more. */
  end(): void;
}

/** Whether this status says that the request was not understood, and so will not be the next time either. */
export function isRefusedForGood(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && ![401, 403, 408, 409, 425, 429].includes(status);
}
