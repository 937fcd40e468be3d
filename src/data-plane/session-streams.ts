// The streams that legacy sessions have opened with GET, one each, and what they are told on them: that their own lists
// have changed, resources that they subscribed to, and what a server asks outside a call.

import { LRUCache } from 'lru-cache';
import type { Catalog } from '../catalog/catalog.ts';
import { inSlices } from '../domain/time-slice.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import { LIST_KINDS, type ListKind } from '../protocol/list-kind.ts';
import type { EventStream } from './event-stream.ts';
import { type Exchange, RETRY_AFTER_MS, type Refusal, type RpcRequest } from './exchange.ts';
import { type ListeningDeps, MAX_SUBSCRIPTIONS, SUBSCRIBE_WAIT_MS, toKey } from './listener.ts';
import { ListeningSession } from './listening-session.ts';
import { unknownResource } from './named.ts';
import { readNameStyle } from './request-head.ts';
import type { Session } from './sessions.ts';

export interface SessionStreamsOptions extends ListeningDeps {
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Sessions without a stream that are remembered. One that is forgotten is taken to know its lists as they are on its return. */
const MAX_REMEMBERED = 20_000;
/** What a session has subscribed to is watched for this long after its stream has ended. */
const ABSENCE_MS = 5 * 60 * 1000;

const NO_URI: Refusal = { code: 'invalid_params', message: 'params.uri is required and must be a string.' };
const NO_SESSION: Refusal = {
  code: 'invalid_request',
  message: 'A subscription belongs to a session: send initialize first, then Mcp-Session-Id with every request.',
};
const TOO_MANY_SUBSCRIPTIONS: Refusal = {
  code: 'rate_limited',
  message: `A session may subscribe to ${MAX_SUBSCRIPTIONS} resources. Unsubscribe from some.`,
  retryAfterMs: RETRY_AFTER_MS,
};

export class SessionStreams {
  readonly #options: SessionStreamsOptions;
  /** Those with a stream, by the session's nonce. */
  readonly #open = new Map<string, ListeningSession>();
  /** Those without: a client that opens sessions without end pushes others out of here, but nobody's stream out of `#open`. */
  readonly #known = new LRUCache<string, ListeningSession>({
    maxSize: MAX_REMEMBERED,
    sizeCalculation: () => 1,
    dispose: (session, nonce) => {
      if (!this.#open.has(nonce)) this.#forget(session);
    },
  });
  /** Those of `#known` that have subscriptions, which are watched for a while. */
  readonly #absent = new Set<ListeningSession>();

  constructor(options: SessionStreamsOptions) {
    this.#options = options;
  }

  /**
   * Answers a GET of a session with its stream, or returns why not. A second stream takes the place of the first: a client
   * that asks again has lost it, although its connection may seem to be alive for long. `after` is the number of the event
   * that the client has received last, if it says so.
   */
  open(exchange: Exchange, session: Session, after: number | undefined): Refusal | undefined {
    const { streams } = this.#options;
    const known = this.#session(session, exchange);
    known.listener.principal = exchange.principal;
    if (streams.remove(known)) known.end();
    const refusal = streams.findRefusal(exchange.principal);
    if (refusal !== undefined) return refusal;
    const { listener } = known;
    if (after !== undefined) listener.outbox.rewind(after);
    const stream = known.begin(exchange.response);
    this.#open.set(session.nonce, known);
    this.#known.delete(session.nonce);
    this.#absent.delete(known);
    streams.add(known);
    exchange.response.once('close', () => this.#onClose(known, stream));
    this.#beginListening(known);
    return undefined;
  }

  /** The nonce of the event ids of a session's stream. */
  nonceOf(session: Session, exchange: Exchange): string {
    return this.#session(session, exchange).nonce;
  }

  /** Sends a JSON-RPC message to a session whose stream is open; `false` where there is none. */
  sendRequest({ nonce }: Session, message: Buffer): boolean {
    return this.#open.get(nonce)?.send(message) ?? false;
  }

  /** A session is being given a list: what it is told from now on is a change of that one. */
  noteListed({ session, message, style, exchange }: RpcRequest, catalog: Catalog, kind: ListKind): void {
    // Only the first page: those behind it may be of an older list.
    if (session === undefined || findMember(message.params, 'cursor') !== undefined) return;
    const { listener } = this.#session(session, exchange);
    listener.asked = readNameStyle(exchange.request.url);
    listener.noteGiven(kind, catalog, style);
  }

  /** `resources/subscribe`: answered when the upstream is subscribed to, or has had its time. */
  async subscribe(request: RpcRequest, catalog: Catalog): Promise<void> {
    const read = readSubscription(request);
    if (read === undefined) return;
    const { session, uri } = read;
    const route = catalog.resource(uri);
    if (route === undefined) {
      request.refuse(unknownResource(uri));
      return;
    }
    const { watches } = this.#options;
    const known = this.#session(session, request.exchange);
    const { listener } = known;
    if (listener.uris.size === MAX_SUBSCRIPTIONS && !listener.uris.has(uri)) {
      request.refuse(TOO_MANY_SUBSCRIPTIONS);
      return;
    }
    listener.uris.add(uri);
    this.#follow(known, catalog);
    await watches.ready(listener, SUBSCRIBE_WAIT_MS);
    if (listener.uris.has(uri) && watches.isRefused(route)) {
      listener.uris.delete(uri);
      this.#follow(known, catalog);
      const message = `The server of ${uri.slice(0, 256)} does not tell of its updates. Read it again when you need it.`;
      request.refuse({ code: 'invalid_params', message });
      return;
    }
    request.answer('{}');
  }

  /** `resources/unsubscribe`: what was not subscribed to is as good. */
  unsubscribe(request: RpcRequest): void {
    const read = readSubscription(request);
    if (read === undefined) return;
    const known = this.#session(read.session, request.exchange);
    const { listener } = known;
    const { catalog } = listener;
    listener.outbox.delete(toKey(read.uri));
    if (listener.uris.delete(read.uri) && catalog !== undefined) this.#follow(known, catalog);
    request.answer('{}');
  }

  /** Ends the stream and the subscriptions of a session that was ended. */
  endSession({ nonce }: Session): void {
    const known = this.#open.get(nonce);
    this.#open.delete(nonce);
    if (known === undefined) this.#known.delete(nonce);
    else this.#forget(known);
  }

  /** To be called about once a second. */
  tend(nowMs: number): void {
    for (const known of this.#absent) {
      if (nowMs - known.absentSinceMs < ABSENCE_MS && known.expiresAtMs > this.#options.now()) continue;
      this.#absent.delete(known);
      known.isBehind = known.listener.uris.size > 0;
      known.listener.forgetUpdates();
      known.listener.unfollow();
    }
  }

  #session(session: Session, exchange: Exchange): ListeningSession {
    let known = this.#open.get(session.nonce) ?? this.#known.get(session.nonce);
    if (known === undefined) {
      known = new ListeningSession(session, exchange, this.#options, this.#options.now());
      this.#known.set(session.nonce, known);
    }
    return known;
  }

  /** Lists that are too long to be serialised in one go are taken as they are then: it has not asked for any before. */
  #beginListening(known: ListeningSession): void {
    const { catalog } = known.listener;
    if (catalog === undefined || this.#open.get(known.session.nonce) !== known) return;
    const rest = inSlices(catalog.serializeAll('legacy', known.listener.style));
    if (rest === undefined) this.#catchUp(known, catalog);
    else void rest.then(() => this.#beginListening(known));
  }

  /** Puts into its outbox what has changed while it had no stream, and watches what it wants. */
  #catchUp(known: ListeningSession, catalog: Catalog): void {
    const { listener } = known;
    for (const kind of LIST_KINDS) if (!listener.knows(kind)) listener.noteGiven(kind, catalog);
    const isBehind = known.isBehind || listener.isOutdated(catalog);
    this.#follow(known, catalog);
    if (isBehind) listener.startOver();
    known.isBehind = false;
    listener.compare(catalog);
    listener.wake();
  }

  /** Watches what it wants now; without a stream, only for a while. */
  #follow(known: ListeningSession, catalog: Catalog): void {
    known.listener.follow(catalog);
    if (!known.hasStream) this.#noteAbsent(known);
  }

  /** Updates of what it has subscribed to are kept for it for a while. Lists are not watched: they are compared on its return. */
  #noteAbsent(known: ListeningSession): void {
    known.absentSinceMs = performance.now();
    if (known.listener.uris.size > 0) this.#absent.add(known);
    else known.listener.unfollow();
  }

  #onClose(known: ListeningSession, stream: EventStream): void {
    if (!known.leave(stream)) return;
    this.#options.streams.remove(known);
    const { nonce } = known.session;
    // A session that was ended is remembered no more.
    if (!this.#open.delete(nonce)) return;
    this.#known.set(nonce, known);
    this.#noteAbsent(known);
  }

  #forget(known: ListeningSession): void {
    this.#absent.delete(known);
    known.listener.unfollow();
    if (this.#options.streams.remove(known)) known.end();
  }
}

/** Whose subscription a request is about, and of what; refuses one that lacks either. */
function readSubscription(request: RpcRequest): { readonly session: Session; readonly uri: string } | undefined {
  const { session, message } = request;
  const at = findMember(message.params, 'uri');
  const uri = at === undefined ? undefined : stringAt(message.bytes, at);
  if (uri !== undefined && session !== undefined) return { session, uri };
  request.refuse(uri === undefined ? NO_URI : NO_SESSION);
  return undefined;
}
