// Everything that clients are told without asking each time: who listens, what is watched upstream for them, and how a
// stream that broke is taken up again.

import type { Catalog } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import type { ListKind } from '../protocol/list-kind.ts';
import type { Logger } from '../telemetry/logger.ts';
import { EventBuffers } from './event-buffer.ts';
import type { Exchange, Refusal, RpcRequest } from './exchange.ts';
import { Listens } from './listens.ts';
import { OpenStreams, type OpenStreamsOptions } from './open-streams.ts';
import { oneHeader } from './request-head.ts';
import { resumeStream } from './resumed-stream.ts';
import { SessionStreams } from './session-streams.ts';
import type { Session } from './sessions.ts';
import { UpstreamWatches } from './upstream-watches.ts';

export interface SubscriptionsOptions extends OpenStreamsOptions {
  readonly catalogs: Catalogs;
  readonly log: Logger;
  readonly limits: OpenStreamsOptions['limits'] & { readonly sessionIdleMs: number };
}

/**
 * 400, as the SDKs' servers answer: with 404 a client takes its session for lost, and a stream of another kind in its place
 * would leave its call waiting for an answer that cannot come.
 */
const UNKNOWN_EVENT: Refusal = {
  code: 'invalid_request',
  message:
    'Last-Event-ID is unknown: the stream has ended too long ago, had too much to be kept, or is not of this session. Send the request again; for the stream of the session, send GET without it.',
};

export class Subscriptions {
  readonly buffers: EventBuffers;
  readonly #options: SubscriptionsOptions;
  readonly #watches: UpstreamWatches;
  readonly #streams: OpenStreams;
  readonly #sessions: SessionStreams;
  readonly #listens: Listens;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
    const { catalogs, log, now, limits } = options;
    this.buffers = new EventBuffers(limits.sessionIdleMs);
    this.#watches = new UpstreamWatches({
      onListChanged: (upstream, list) => catalogs.lists.noteChange(upstream, list),
      onFault: (error) => log.error('clients not told of updates', { error }),
    });
    this.#streams = new OpenStreams(options, (nowMs) => {
      this.#sessions.tend(nowMs);
      this.buffers.tend(nowMs);
    });
    const shared = { catalogs, streams: this.#streams, watches: this.#watches };
    this.#sessions = new SessionStreams({ ...shared, now });
    this.#listens = new Listens(shared);
  }

  /** Streams that are open. */
  get count(): number {
    return this.#streams.count;
  }

  /** Answers a GET of a session with its stream or, with `Last-Event-ID`, with the rest of one that broke. */
  open(exchange: Exchange, session: Session): Refusal | undefined {
    const id = oneHeader(exchange.request.headers['last-event-id']);
    if (id === undefined || id === '') return this.#sessions.open(exchange, session, undefined);
    const [, nonce, digits] = EVENT_ID.exec(id) ?? [];
    if (nonce === undefined) return UNKNOWN_EVENT;
    const after = Number(digits);
    // The nonce is the same in every process and replica. What another one had kept for the client is lost.
    if (nonce === this.#sessions.nonceOf(session, exchange)) return this.#sessions.open(exchange, session, after);
    const events = this.buffers.find(session, nonce);
    if (events?.after(after) === undefined) return UNKNOWN_EVENT;
    const refusal = this.#streams.findRefusal(exchange.principal);
    if (refusal === undefined) resumeStream(exchange, session, { events, after, streams: this.#streams });
    return refusal;
  }

  /** `subscriptions/listen`. */
  listen(request: RpcRequest, catalog: Catalog): void {
    this.#listens.listen(request, catalog).catch((error: unknown) => this.#fail(request, error));
  }

  /** `resources/subscribe`. */
  subscribe(request: RpcRequest, catalog: Catalog): void {
    this.#sessions.subscribe(request, catalog).catch((error: unknown) => this.#fail(request, error));
  }

  /** `resources/unsubscribe`. */
  unsubscribe(request: RpcRequest): void {
    this.#sessions.unsubscribe(request);
  }

  /** Sends a JSON-RPC message to a session whose stream is open; `false` where there is none. */
  sendRequest(session: Session, message: Buffer): boolean {
    return this.#sessions.sendRequest(session, message);
  }

  /** Told of every page of a list that a client is given. */
  noteListed(request: RpcRequest, catalog: Catalog, kind: ListKind): void {
    this.#sessions.noteListed(request, catalog, kind);
  }

  /** The configuration, or an upstream's list, is another: who is concerned is told soon. */
  noteChange(): void {
    this.#streams.noteChange();
  }

  endSession(session: Session): void {
    this.#sessions.endSession(session);
    this.buffers.endSession(session);
  }

  /** Ends the streams of tokens, sessions and views that are no longer good. */
  endRevoked(): void {
    this.#streams.endRevoked();
  }

  /** Ends all streams, in order, and opens no more. Those of calls go on until their answer. */
  close(): void {
    this.#streams.close();
    this.#watches.close();
  }

  #fail(request: RpcRequest, error: unknown): void {
    this.#options.log.error('request failed', { error, method: request.message.method });
    request.exchange.fail(request.idText);
  }
}

const EVENT_ID = /^([A-Za-z0-9_-]{16,32})-(\d{1,16})$/;
