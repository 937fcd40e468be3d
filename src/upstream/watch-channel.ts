// What the two eras' ways of being told by an upstream have in common: a channel is one attempt, and over when it ends.

import type { Dispatcher } from 'undici';
import type { Message } from '../protocol/jsonrpc.ts';
import type { UpstreamAbout } from './about.ts';
import type { Link } from './handshake.ts';

/** How a watch reaches its upstream. None of it counts as a failure of the upstream: nobody's call fails by it. */
export interface WatchWire {
  /** Apart from the calls' pool, whose sockets a stream would keep from them. */
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

/**
 * `ended`: to be tried again after a pause. `unsupported`: the upstream tells nobody of changes. `forgotten`: it does not
 * know our session any more.
 */
export interface ChannelEnd {
  readonly why: 'ended' | 'unsupported' | 'forgotten';
  /** A clause about the upstream. */
  readonly message: string;
  /** The pause that the upstream asked for. */
  readonly retryMs?: number | undefined;
  readonly resumption?: Resumption | undefined;
}

export interface ChannelOwner {
  /** The URIs that updates are wanted of. */
  readonly uris: ReadonlyMap<string, unknown>;
  /** Counts their changes. */
  readonly version: number;
  /** It works from now on. `isResumed`: nothing was missed since the channel before. */
  onOpen(isResumed: boolean): void;
  /** What was wanted as of `version` is subscribed to, or was refused. */
  onSettled(version: number): void;
  onNotification(message: Message): void;
  /** It works again, after a while in which nothing was heard. */
  onGap(): void;
  /** Told once, and nothing after it. */
  onEnd(end: ChannelEnd): void;
}

export interface Channel {
  start(): void;
  /** The URIs that are wanted are others. */
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
