// How a legacy upstream tells of changes: the GET stream of the gateway's own session, and `resources/subscribe` on it
// (2025-11-25 basic/transports#listening-for-messages-from-the-server, server/resources#subscriptions).

import { type Message, rawText, scanMessage } from '../protocol/jsonrpc.ts';
import { type ControlAnswer, sendControlRequest } from './control-request.ts';
import { saysForgotten } from './forgotten.ts';
import type { Link } from './handshake.ts';
import { type Channel, type ChannelEnd, type ChannelOwner, isRefusedForGood, type WatchWire } from './watch-channel.ts';
import { type StreamEnd, WatchStream } from './watch-stream.ts';

/** The subscriptions of a session, which outlive its stream. */
export interface SessionState {
  readonly subscribed: Set<string>;
  /** URIs that the upstream would not subscribe us to. */
  readonly refused: Set<string>;
}

/** Requests to subscribe or unsubscribe that are under way at once. */
const MAX_REQUESTS = 8;
/** Answers to the upstream's own requests that are under way at once; requests beyond that get none. */
const MAX_ANSWERS = 16;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Servers may end a stream on purpose and expect it to be resumed: after this pause, if they name none. */
const DEFAULT_RETRY_MS = 1_000;

export class SessionChannel implements Channel {
  readonly #wire: WatchWire;
  readonly #link: Link;
  readonly #owner: ChannelOwner;
  readonly #state: SessionState;
  readonly #stream: WatchStream;
  /** The last event id of the stream that this one goes on from, if it does. */
  readonly #resumeFrom: string | undefined;
  #isOpen = false;
  #isOver = false;
  #isSubscribing = false;
  #answers = 0;

  /** The link must have a session id. */
  constructor(wire: WatchWire, link: Link, owner: ChannelOwner, state: SessionState, resumeFrom: string | undefined) {
    this.#wire = wire;
    this.#link = link;
    this.#owner = owner;
    this.#state = state;
    this.#resumeFrom = resumeFrom;
    this.#stream = new WatchStream({
      onOpen: () => this.#onOpen(),
      onData: (data) => this.#onData(data),
      onEnd: (end) => this.#end(this.#judge(end)),
    });
  }

  start(): void {
    const { pool, path } = this.#wire;
    const resumption = this.#resumeFrom === undefined ? [] : ['last-event-id', this.#resumeFrom];
    pool.dispatch({ path, method: 'GET', headers: [...this.#link.headers, ...resumption] }, this.#stream);
  }

  update(): void {
    if (this.#isOpen && !this.#isSubscribing) void this.#subscribe();
  }

  isRefused(uri: string): boolean {
    return this.#state.refused.has(uri);
  }

  end(): void {
    this.#isOver = true;
    this.#stream.abort();
  }

  #onOpen(): void {
    this.#isOpen = true;
    this.#owner.onOpen(this.#resumeFrom !== undefined);
    void this.#subscribe();
  }

  #onData(data: Buffer): void {
    const message = scanMessage(data);
    if (message.kind === 'notification') this.#owner.onNotification(message);
    else if (message.kind === 'request') this.#answer(message);
  }

  /** Refuses everything but a ping: the session is the gateway's own, and there is no client to ask. */
  #answer({ id, bytes, method }: Message): void {
    if (id === undefined || this.#answers === MAX_ANSWERS) return;
    this.#answers++;
    const outcome =
      method === 'ping' ? '"result":{}' : '"error":{"code":-32601,"message":"No client can be asked outside a call"}';
    this.#send(`{"jsonrpc":"2.0","id":${rawText(bytes, id)},${outcome}}`)
      .catch(() => undefined)
      .finally(() => this.#answers--);
  }

  /** Brings the session's subscriptions in line with what is wanted, until they are. Never rejects. */
  async #subscribe(): Promise<void> {
    this.#isSubscribing = true;
    for (;;) {
      const { version } = this.#owner;
      const changes = this.#changes();
      if (changes.length === 0) {
        this.#isSubscribing = false;
        this.#owner.onSettled(version);
        return;
      }
      await Promise.all(changes.map((change) => change()));
      if (this.#isOver) return;
    }
  }

  #changes(): (() => Promise<void>)[] {
    const { uris } = this.#owner;
    const { subscribed, refused } = this.#state;
    const changes: (() => Promise<void>)[] = [];
    const isSupported = this.#wire.about()?.subscribes !== false;
    for (const uri of refused) if (!uris.has(uri)) refused.delete(uri);
    for (const uri of subscribed) {
      if (!uris.has(uri)) changes.push(() => this.#ask('resources/unsubscribe', uri, () => subscribed.delete(uri)));
      if (changes.length === MAX_REQUESTS) return changes;
    }
    for (const uri of uris) {
      if (subscribed.has(uri) || refused.has(uri)) continue;
      if (isSupported) changes.push(() => this.#ask('resources/subscribe', uri, () => subscribed.add(uri)));
      else refused.add(uri);
      if (changes.length === MAX_REQUESTS) return changes;
    }
    return changes;
  }

  async #ask(method: 'resources/subscribe' | 'resources/unsubscribe', uri: string, onDone: () => void): Promise<void> {
    const id = this.#wire.mintId();
    const body = `{"jsonrpc":"2.0","id":"${id}","method":"${method}","params":{"uri":${JSON.stringify(uri)}}}`;
    // One that got no answer counts as refused: tried again and again, it would keep the loop of `#subscribe` going for ever.
    const answered = await this.#send(body, id).catch(() => undefined);
    if (answered !== undefined && saysForgotten(answered.status, Buffer.alloc(0))) this.#end(FORGOTTEN);
    else if (method === 'resources/unsubscribe' || answered?.answer?.result !== undefined) onDone();
    else this.#state.refused.add(uri);
  }

  #send(body: string, id?: string): Promise<ControlAnswer> {
    const { pool, path, timeoutMs } = this.#wire;
    const { headers } = this.#link;
    return sendControlRequest(pool, { path, headers, body, id, stage: 'call', timeoutMs, maxBytes: MAX_ANSWER_BYTES });
  }

  #judge({ status, body, message }: StreamEnd): ChannelEnd {
    if (status === undefined) {
      const { lastEventId = this.#resumeFrom, retryMs } = this.#stream.events;
      if (!this.#isOpen || lastEventId === undefined) return { why: 'ended', message, retryMs };
      const resumption = { link: this.#link, lastEventId };
      return { why: 'ended', message, retryMs: retryMs ?? DEFAULT_RETRY_MS, resumption };
    }
    // Perhaps it has only forgotten the event: the next attempt asks for a stream from now on.
    if (this.#resumeFrom !== undefined) return { why: 'ended', message };
    if (saysForgotten(status, body)) return FORGOTTEN;
    return { why: isRefusedForGood(status) ? 'unsupported' : 'ended', message };
  }

  #end(end: ChannelEnd): void {
    if (this.#isOver) return;
    this.end();
    this.#owner.onEnd(end);
  }
}

const FORGOTTEN: ChannelEnd = { why: 'forgotten', message: 'it has forgotten its session with this gateway' };
