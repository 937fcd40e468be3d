// Hears of an upstream's changes for everybody who wants to: one stream per upstream, open while somebody is interested
// and a little longer. It never holds up a call, and its trouble is no failure of the upstream.

import { performance } from 'node:perf_hooks';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import type { Link } from './handshake.ts';
import { readUpdate } from './resource-update.ts';
import { WantedUris } from './wanted-uris.ts';
import type { Channel, ChannelEnd, ChannelOwner, Resumption, WatchWire } from './watch-channel.ts';
import { ListenChannel } from './watch-listen.ts';
import { PACE, type WatchPace } from './watch-pace.ts';
import { SessionChannel, type SessionState } from './watch-session.ts';
import type { ChangedList, Watch, WatchSink } from './watch-sink.ts';

export interface SharedWatchOptions extends WatchWire {
  /** The gateway's own conversation, held open until `release`. */
  connect(): Promise<Link>;
  release(link: Link): void;
  forget(link: Link): void;
  /** Told once per outage. */
  onOutage(message: string): void;
  readonly pace?: WatchPace;
  /** From 0 to 1. */
  readonly random?: () => number;
}

const LISTS: ReadonlyMap<string, ChangedList> = new Map([
  ['notifications/tools/list_changed', 'tools'],
  ['notifications/prompts/list_changed', 'prompts'],
  ['notifications/resources/list_changed', 'resources'],
]);

export class SharedWatch implements ChannelOwner {
  readonly #options: SharedWatchOptions;
  readonly #pace: WatchPace;
  readonly #sinks = new Set<WatchSink>();
  readonly #wanted = new WantedUris();
  readonly #sessions = new WeakMap<Link, SessionState>();
  #channel: Channel | undefined;
  #link: Link | undefined;
  #isConnecting = false;
  #openedAtMs: number | undefined;
  #attempts = 0;
  #resumption: Resumption | undefined;
  #isUnsupported = false;
  /** Whether the upstream did not know its own session the last time. */
  #isForgotten = false;
  /** Whether it is known that nothing can be heard now. */
  #isDeaf = false;
  #isOutageTold = false;
  /** Whether changes may have been missed, or came while nobody was there to be told. */
  #isGap = false;
  #retry: NodeJS.Timeout | undefined;
  #linger: NodeJS.Timeout | undefined;
  #update: NodeJS.Timeout | undefined;
  #updatedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: SharedWatchOptions) {
    this.#options = options;
    this.#pace = options.pace ?? PACE;
  }

  get uris(): ReadonlyMap<string, number> {
    return this.#wanted.all;
  }

  get version(): number {
    return this.#wanted.version;
  }

  /** Whether it holds a stream, or tries to. */
  get isActive(): boolean {
    return this.#channel !== undefined || this.#isConnecting || this.#retry !== undefined;
  }

  open(sink: WatchSink): Watch {
    const own = new Set<string>();
    clearTimeout(this.#linger);
    this.#linger = undefined;
    this.#sinks.add(sink);
    if (!this.isActive) this.#connect();
    else if (this.#sinks.size === 1 && this.#isGap && this.#channel !== undefined) setImmediate(() => this.#tellGap());
    const ready = () => (this.#isDeaf || this.#isClosed ? Promise.resolve() : this.#wanted.settled());
    return {
      get ready() {
        return ready();
      },
      isRefused: (uri) => !own.has(uri) || this.#isUnsupported || this.#channel?.isRefused(uri) === true,
      subscribe: (uri) => own.has(uri) || (this.#sinks.has(sink) && this.#add(uri) && own.add(uri).size > 0),
      unsubscribe: (uri) => {
        if (own.delete(uri)) this.#remove(uri);
      },
      close: () => {
        for (const uri of own) this.#remove(uri);
        own.clear();
        if (this.#sinks.delete(sink) && this.#sinks.size === 0) this.#lingerOn();
      },
    };
  }

  /** Ends the stream and opens none again. */
  close(): void {
    this.#isClosed = true;
    this.#sinks.clear();
    this.#stop();
  }

  onOpen(isResumed: boolean): void {
    this.#isUnsupported = false;
    this.#isForgotten = false;
    this.#openedAtMs = performance.now();
    this.#resumption = undefined;
    this.#isDeaf = false;
    this.#isOutageTold = false;
    if (this.#isGap && !isResumed) this.#tellGap();
    if (isResumed) this.#isGap = false;
  }

  onGap(): void {
    this.#tellGap();
  }

  onSettled(version: number): void {
    this.#wanted.settle(version);
  }

  onNotification(message: Message): void {
    const list = LISTS.get(message.method);
    if (this.#sinks.size === 0) this.#isGap = true;
    else if (list !== undefined) for (const sink of this.#sinks) sink.onListChanged(list);
    else if (message.method === 'notifications/resources/updated') this.#onUpdated(message);
  }

  onEnd({ why, message, retryMs = 0, resumption }: ChannelEnd): void {
    const link = this.#link;
    this.#letGo();
    this.#resumption = resumption;
    this.#isGap = true;
    // Some servers have no route for GET: what they do not know is the stream, and no new session helps.
    this.#isUnsupported = why === 'unsupported' || (why === 'forgotten' && this.#isForgotten);
    this.#isForgotten = why === 'forgotten';
    if (this.#isForgotten && !this.#isUnsupported && link !== undefined) this.#options.forget(link);
    if (this.#isUnsupported) this.#retryAfter(this.#pace.unsupportedRetryMs);
    else this.#retryAfter(Math.max(this.#backOff(), retryMs));
    // What ends to be taken up again is no outage, nor is what was never there.
    if (why === 'ended' && resumption === undefined) this.#tellOutage(message);
  }

  #onUpdated(message: Message): void {
    const at = findMember(message.params, 'uri');
    const uri = at === undefined ? undefined : stringAt(message.bytes, at);
    if (uri === undefined) return;
    const params = readUpdate(message, uri);
    for (const sink of this.#sinks) sink.onResourceUpdated(uri, params);
  }

  #connect(): void {
    if (this.#isClosed) return;
    this.#isConnecting = true;
    this.#options
      .connect()
      .then((link) => {
        this.#isConnecting = false;
        if (this.#sinks.size === 0 && this.#linger === undefined) this.#options.release(link);
        else this.#begin(link);
      })
      .catch((error: unknown) => {
        this.#isConnecting = false;
        if (this.#sinks.size === 0 && this.#linger === undefined) return;
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

  /** Jittered in full: all gateways that lost one upstream must not come back to it together. */
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

  #tellGap(): void {
    if (this.#sinks.size > 0) this.#isGap = false;
    for (const sink of this.#sinks) sink.onGap();
  }

  #add(uri: string): boolean {
    const added = this.#wanted.add(uri);
    if (added === 'new') this.#noteWanted();
    return added !== 'full';
  }

  #remove(uri: string): void {
    if (this.#wanted.remove(uri)) this.#noteWanted();
  }

  /** A thousand URIs that come one by one are one change. */
  #noteWanted(): void {
    const pauseMs = Math.max(this.#updatedAtMs + this.#pace.updateMs - performance.now(), 0);
    this.#update ??= setTimeout(() => {
      this.#update = undefined;
      this.#updatedAtMs = performance.now();
      this.#channel?.update();
    }, pauseMs).unref();
  }

  #lingerOn(): void {
    if (this.#isClosed) return;
    this.#linger = setTimeout(() => {
      this.#linger = undefined;
      this.#stop();
    }, this.#pace.lingerMs).unref();
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

  /** Parts with the channel, if there is one. */
  #letGo(): void {
    if (this.#openedAtMs !== undefined && performance.now() - this.#openedAtMs > this.#pace.stableMs)
      this.#attempts = 0;
    this.#openedAtMs = undefined;
    this.#channel = undefined;
    if (this.#link !== undefined) this.#options.release(this.#link);
    this.#link = undefined;
  }
}
