// Watches one upstream for changes: holds a stream open while its sink is interested and a little longer, and opens it
// again when it breaks. It never holds up a call, and a stream that fails does not count as a failure of the upstream.

import { performance } from 'node:perf_hooks';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { CHANGED_LISTS } from '../protocol/list-kind.ts';
import type { Link } from './handshake.ts';
import { readUpdate } from './resource-update.ts';
import { WantedUris } from './wanted-uris.ts';
import type { Channel, ChannelEnd, ChannelOwner, Resumption, WatchWire } from './watch-channel.ts';
import { ListenChannel } from './watch-listen.ts';
import { PACE, type WatchPace } from './watch-pace.ts';
import { SessionChannel, type SessionState } from './watch-session.ts';
import type { Watch, WatchSink } from './watch-sink.ts';

export interface UpstreamWatchOptions extends WatchWire {
  /** The link of the gateway's own conversation with the upstream, kept from closing until `release`. */
  connect(): Promise<Link>;
  release(link: Link): void;
  forget(link: Link): void;
  /** Told once per outage; `message` is a clause about the upstream. */
  onOutage(message: string): void;
  readonly pace?: WatchPace;
  /** From 0 to 1. */
  readonly random?: () => number;
}

export class UpstreamWatch implements Watch, ChannelOwner {
  readonly #options: UpstreamWatchOptions;
  readonly #pace: WatchPace;
  readonly #wanted = new WantedUris();
  readonly #sessions = new WeakMap<Link, SessionState>();
  #sink: WatchSink | undefined;
  #channel: Channel | undefined;
  #link: Link | undefined;
  #isConnecting = false;
  #openedAtMs: number | undefined;
  #attempts = 0;
  #resumption: Resumption | undefined;
  #isUnsupported = false;
  /** Whether the last channel ended because the upstream had forgotten our session. */
  #isForgotten = false;
  /** Whether there is no stream and the next attempt is waited for: until then nobody waits for a subscription. */
  #isDeaf = false;
  #isOutageTold = false;
  /** Whether there were, or may have been, changes that the sink has not been told of. */
  #isGap = false;
  #retry: NodeJS.Timeout | undefined;
  #linger: NodeJS.Timeout | undefined;
  #update: NodeJS.Timeout | undefined;
  #updatedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: UpstreamWatchOptions) {
    this.#options = options;
    this.#pace = options.pace ?? PACE;
  }

  get uris(): ReadonlySet<string> {
    return this.#wanted.all;
  }

  get version(): number {
    return this.#wanted.version;
  }

  /** Whether it holds a stream, or is about to open one. */
  get isActive(): boolean {
    return this.#channel !== undefined || this.#isConnecting || this.#retry !== undefined;
  }

  get #isNeeded(): boolean {
    return this.#sink !== undefined || this.#linger !== undefined;
  }

  get ready(): Promise<void> {
    return this.#isDeaf || this.#isClosed ? Promise.resolve() : this.#wanted.settled();
  }

  /** Tells `sink` of changes until `close`. There is one sink at a time. */
  open(sink: WatchSink): Watch {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    this.#sink = sink;
    if (!this.isActive) this.#connect();
    // Only after this call has returned: until then the sink has no watch.
    else if (this.#isGap && this.#channel !== undefined) setImmediate(() => this.onGap());
    return this;
  }

  isRefused(uri: string): boolean {
    return !this.#wanted.all.has(uri) || this.#isUnsupported || this.#channel?.isRefused(uri) === true;
  }

  subscribe(uri: string): void {
    if (this.#wanted.add(uri)) this.#noteWanted();
  }

  unsubscribe(uri: string): void {
    if (this.#wanted.delete(uri)) this.#noteWanted();
  }

  /** The stream stays for a while, for the next sink. */
  close(): void {
    for (const uri of this.#wanted.all) this.unsubscribe(uri);
    if (this.#sink === undefined) return;
    this.#sink = undefined;
    if (this.#isClosed) return;
    this.#linger = setTimeout(() => {
      this.#linger = undefined;
      this.#stop();
    }, this.#pace.lingerMs).unref();
  }

  /** Ends the stream and opens none again. */
  destroy(): void {
    this.#isClosed = true;
    this.#sink = undefined;
    this.#stop();
  }

  onOpen(isResumed: boolean): void {
    this.#isUnsupported = false;
    this.#isForgotten = false;
    this.#openedAtMs = performance.now();
    this.#resumption = undefined;
    this.#isDeaf = false;
    this.#isOutageTold = false;
    if (this.#isGap && !isResumed) this.onGap();
    if (isResumed) this.#isGap = false;
  }

  onGap(): void {
    this.#isGap = this.#sink === undefined;
    this.#sink?.onGap();
  }

  onSettled(version: number): void {
    this.#wanted.settle(version);
  }

  onNotification(message: Message): void {
    const list = CHANGED_LISTS.get(message.method);
    if (this.#sink === undefined) this.#isGap = true;
    else if (list !== undefined) this.#sink.onListChanged(list);
    else if (message.method === 'notifications/resources/updated') this.#onUpdated(message, this.#sink);
  }

  onEnd({ why, message, retryMs = 0, resumption }: ChannelEnd): void {
    const link = this.#link;
    this.#letGo();
    this.#resumption = resumption;
    this.#isGap = true;
    // A server without a route for GET answers like one that has forgotten the session, also to a new session.
    this.#isUnsupported = why === 'unsupported' || (why === 'forgotten' && this.#isForgotten);
    this.#isForgotten = why === 'forgotten';
    if (this.#isForgotten && !this.#isUnsupported && link !== undefined) this.#options.forget(link);
    if (this.#isUnsupported) this.#retryAfter(this.#pace.unsupportedRetryMs);
    else this.#retryAfter(Math.max(this.#backOff(), retryMs));
    // A stream that can be resumed is no outage, nor is one that the upstream never had.
    if (why === 'ended' && resumption === undefined) this.#tellOutage(message);
  }

  #onUpdated(message: Message, sink: WatchSink): void {
    const at = findMember(message.params, 'uri');
    const uri = at === undefined ? undefined : stringAt(message.bytes, at);
    if (uri !== undefined) sink.onResourceUpdated(uri, readUpdate(message, uri));
  }

  #connect(): void {
    if (this.#isClosed) return;
    this.#isConnecting = true;
    this.#options
      .connect()
      .then((link) => {
        this.#isConnecting = false;
        if (this.#isNeeded) this.#begin(link);
        else this.#options.release(link);
      })
      .catch((error: unknown) => {
        this.#isConnecting = false;
        if (!this.#isNeeded) return;
        this.#isGap = true;
        this.#retryAfter(this.#backOff());
        this.#tellOutage(error instanceof Error ? error.message : 'it could not be reached');
      });
  }

  #begin(link: Link): void {
    this.#link = link;
    if (link.era === 'modern') this.#channel = new ListenChannel(this.#options, link, this);
    else if (link.sessionId === undefined) {
      this.onEnd({ why: 'unsupported', message: 'it keeps no session on which it could tell of changes' });
    } else {
      const state = this.#sessions.get(link) ?? { subscribed: new Set(), refused: new Set() };
      this.#sessions.set(link, state);
      const resumeFrom = this.#resumption?.link === link ? this.#resumption.lastEventId : undefined;
      this.#channel = new SessionChannel(this.#options, link, this, state, resumeFrom);
    }
    this.#channel?.start();
  }

  /** Anywhere from nothing to the whole pause: gateways that lost the same upstream must not come back to it together. */
  #backOff(): number {
    const { firstRetryMs, longestRetryMs } = this.#pace;
    const random = this.#options.random ?? Math.random;
    return random() * Math.min(firstRetryMs * 2 ** this.#attempts++, longestRetryMs);
  }

  #retryAfter(pauseMs: number): void {
    this.#isDeaf = true;
    this.#wanted.stopWaiting();
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#connect();
    }, pauseMs).unref();
  }

  #tellOutage(message: string): void {
    if (!this.#isOutageTold) this.#options.onOutage(message);
    this.#isOutageTold = true;
  }

  /** URIs that come one by one, a thousand perhaps, are brought to the upstream together. */
  #noteWanted(): void {
    const pauseMs = Math.max(this.#updatedAtMs + this.#pace.updateMs - performance.now(), 0);
    this.#update ??= setTimeout(() => {
      this.#update = undefined;
      this.#updatedAtMs = performance.now();
      this.#channel?.update();
    }, pauseMs).unref();
  }

  #stop(): void {
    clearTimeout(this.#linger);
    clearTimeout(this.#retry);
    this.#linger = undefined;
    this.#retry = undefined;
    this.#channel?.end();
    this.#letGo();
    this.#resumption = undefined;
    this.#isGap = false;
    this.#isDeaf = false;
    this.#isUnsupported = false;
    this.#isForgotten = false;
    this.#attempts = 0;
    this.#wanted.unsettle();
  }

  /** Forgets the channel and gives its link back, if there are any. */
  #letGo(): void {
    if (this.#openedAtMs !== undefined && performance.now() - this.#openedAtMs > this.#pace.stableMs)
      this.#attempts = 0;
    this.#openedAtMs = undefined;
    this.#channel = undefined;
    if (this.#link !== undefined) this.#options.release(this.#link);
    this.#link = undefined;
  }
}
