// One upstream as one credential sees it: its pools, its era, its sessions and its health. Everything that crosses to
// the upstream is built here from the config and the opened credential (design §3.9).

import type { Dispatcher } from 'undici';
import { NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import { encodeHeaderValue } from '../protocol/header-value.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import type { LogLevel } from '../protocol/log-level.ts';
import { lengthOf, type Pieces } from '../protocol/splice.ts';
import { UpstreamIds } from '../protocol/upstream-id.ts';
import type { UpstreamAbout } from './about.ts';
import type { AddressPolicy } from './address-guard.ts';
import type { CircuitState } from './circuit-breaker.ts';
import { ConnectionPermits, type PermitHolder, SPARE_CONNECTIONS } from './connection-permits.ts';
import { sendControlRequest } from './control-request.ts';
import { Conversations, OWN_CONVERSATION } from './conversations.ts';
import type { EgressProxy } from './egress-proxy.ts';
import { type FailureStage, UpstreamError, type UpstreamFailure } from './failure.ts';
import { type HandshakeOptions, type Link, modernHeaders } from './handshake.ts';
import { Health } from './health.ts';
import { drainAll, type UpstreamLists } from './inventory.ts';
import { type LinkStream, NO_STREAM, openLinkStream } from './link-stream.ts';
import { createUpstreamPools, type UpstreamPools } from './pool.ts';
import type { UpstreamTls } from './tls-context.ts';
import { UpstreamWatch } from './watch.ts';
import type { Watch, WatchSink } from './watch-sink.ts';

export type DispatchHandler = Dispatcher.DispatchHandler;
export type DispatchController = Dispatcher.DispatchController;
/** Who sends a call, and runs with a permit meanwhile. */
export interface CallHandler extends DispatchHandler, PermitHolder {
  /** There is a connection for it, after it has waited; `false` when it is not to be sent any more. */
  onTurn(): boolean;
}

export interface UpstreamLimits {
  /** Calls that run at once; one that waits for a person is none of them. */
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** To the first byte of an answer's head. */
  readonly headersTimeoutMs: number;
  /** Between two bytes of an answer. */
  readonly idleTimeoutMs: number;
  /** From its last call to the end of a session; half an hour unless told. */
  readonly sessionIdleMs?: number;
}

/** What the data plane keeps for the calls to this upstream; where absent, what it keeps for all. */
export interface CallLimits {
  readonly callTimeoutMs?: number;
  readonly calls?: number;
}

export interface UpstreamOptions {
  /** Names config, endpoint and credential; equal keys are the same upstream. */
  readonly key: string;
  readonly service: string;
  readonly endpoint: URL;
  readonly policy: AddressPolicy;
  /** Flat [name, value, …] array from `toCredentialHeaders`. */
  readonly credentialHeaders: readonly string[];
  readonly limits: UpstreamLimits;
  readonly callLimits?: CallLimits;
  readonly tls?: UpstreamTls | undefined;
  /** How it is reached where that is not by its endpoint: it is a command then. */
  readonly pools?: UpstreamPools | undefined;
  readonly proxy?: EgressProxy | undefined;
  /** What the gateway calls itself towards upstreams: `Implementation` as raw JSON. */
  readonly clientInfo: string;
  readonly now: () => number;
  readonly onFailure: (failure: UpstreamFailure) => void;
  /** Told once per outage that changes are not heard of for now; `message` is a clause about the upstream. */
  readonly onWatchLost?: (message: string) => void;
}

/** What the headers of a call say of its body, beside those of the conversation. */
export interface CallHead {
  readonly method: string;
  /** What `Mcp-Name` says, where the method has one (2026-07-28 basic/transports/streamable-http#standard-headers). */
  readonly name: string | undefined;
  /** Flat [name, value, …] array of `Mcp-Param-*`. */
  readonly params: readonly string[];
}

const CONTENT_HEADERS = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
const SESSION_IDLE_MS = 30 * 60 * 1000;
/** Of an answer that says nothing. */
const MAX_NOTE_BYTES = 64 * 1024;
/** Tools whose headers are kept ready. */
const MAX_CALL_HEADERS = 10_000;

export class Upstream {
  readonly key: string;
  readonly service: string;
  readonly clientInfo: string;
  readonly callLimits: CallLimits;
  readonly permits: ConnectionPermits;
  /** Calls in flight; the data plane's to count. */
  calls = 0;
  readonly #options: UpstreamOptions;
  readonly #pools: UpstreamPools;
  readonly #ids = new UpstreamIds();
  readonly #path: string;
  readonly #handshake: HandshakeOptions;
  readonly #conversations: Conversations;
  readonly #health: Health;
  readonly #watch: UpstreamWatch;
  readonly #modernCallHeaders = new Map<string, string[]>();
  #linkStreams = 0;
  #closed: Promise<void> | undefined;
  readonly #cut = Promise.withResolvers<void>();

  constructor(options: UpstreamOptions) {
    const { endpoint, policy, limits, tls, proxy, now } = options;
    this.key = options.key;
    this.service = options.service;
    this.clientInfo = options.clientInfo;
    this.callLimits = options.callLimits ?? {};
    this.#options = options;
    this.#path = endpoint.pathname + endpoint.search;
    this.#pools =
      options.pools ??
      createUpstreamPools({ endpoint, policy, tls, proxy, ...limits, spareConnections: SPARE_CONNECTIONS });
    this.permits = new ConnectionPermits(limits.connections);
    const idleMs = limits.sessionIdleMs ?? SESSION_IDLE_MS;
    this.#handshake = {
      pool: this.#pools.calls,
      path: this.#path,
      headers: [...CONTENT_HEADERS, 'accept-encoding', 'identity', ...options.credentialHeaders],
      clientInfo: this.clientInfo,
      timeoutMs: limits.headersTimeoutMs,
      mintId: () => this.mintId(),
    };
    this.#conversations = new Conversations({
      handshake: this.#handshake,
      idleMs,
      now,
      onEnd: (link) => this.#endSession(link),
    });
    this.#health = new Health(options);
    this.#watch = new UpstreamWatch({
      pool: this.#pools.streams,
      path: this.#path,
      clientInfo: this.clientInfo,
      timeoutMs: limits.headersTimeoutMs,
      mintId: () => this.mintId(),
      about: () => this.about,
      connect: async () => {
        // What fails is not counted: a watch that opens the conversation must not shut out calls.
        const link = this.link(OWN_CONVERSATION) ?? (await this.#conversations.open(OWN_CONVERSATION));
        this.#conversations.acquire(link);
        return link;
      },
      release: (link) => this.#conversations.release(link),
      forget: (link) => this.forget(OWN_CONVERSATION, link),
      onOutage: (message) => options.onWatchLost?.(message),
    });
  }

  /** What is wrong with it now, if anything. */
  get failure(): UpstreamFailure | undefined {
    return this.#health.failure;
  }

  get circuit(): CircuitState {
    return this.#health.breaker.state;
  }

  /** How long until the breaker lets a request through. */
  get retryAfterMs(): number {
    return this.#health.breaker.retryAfterMs();
  }

  get limits(): UpstreamLimits {
    return this.#options.limits;
  }

  /** What it said of itself when it was last greeted. */
  get about(): UpstreamAbout | undefined {
    return this.#conversations.about;
  }

  /** Open sessions with it, if it keeps any. */
  get sessions(): number {
    return this.#conversations.sessions;
  }

  get pools(): UpstreamPools {
    return this.#pools;
  }

  /**
   * Whether `caller` may connect and send now; if not, it is answered `breaker_open` at once. Who may must tell how it
   * ended: `succeed`, `fail`, or `abandon` when it ended without a word from the upstream.
   */
  tryAcquire(caller: object): boolean {
    return this.#health.breaker.tryAcquire(caller);
  }

  succeed(): void {
    this.#health.succeed();
  }

  /**
   * Records a failure; returns it as an error to throw. What `connect` or `listAll` threw has been recorded, and is
   * not counted again.
   */
  fail(error: unknown, stage: FailureStage): UpstreamError {
    return this.#health.fail(error, stage, this.calls);
  }

  /** The request of `caller` ended by the client's doing: it says nothing about the upstream. */
  abandon(caller: object): void {
    this.#health.breaker.abandon(caller);
  }

  /** The open link of a conversation, if there is one: the warm path of every call. */
  link(conversation: string): Link | undefined {
    return this.#conversations.link(conversation);
  }

  /** The link of a conversation that has an upstream session of its own. */
  sessionLink(conversation: string): Link | undefined {
    return this.#conversations.sessionLink(conversation);
  }

  /**
   * Opens a conversation; concurrent callers share one handshake. `declared` is what a legacy upstream is told that the
   * client can be asked; the name of a conversation stands for one of them. Throws `UpstreamError`.
   */
  connect(conversation: string, declared = NO_CAPABILITIES): Promise<Link> {
    const open = this.link(conversation);
    if (open !== undefined) return Promise.resolve(open);
    return this.#conversations.open(conversation, declared).catch((error: unknown) => {
      throw this.fail(error, 'connect');
    });
  }

  /**
   * Opens the GET stream of one conversation with a session; it ends with its link at the latest. There are as many as
   * there may be connections, and none beyond: streams never end, and must leave sockets to what is sent beside them.
   */
  openStream(link: Link, onMessage: (message: Message) => void): LinkStream {
    link.stream?.close();
    if (this.#linkStreams >= this.limits.connections) return NO_STREAM;
    this.#linkStreams++;
    const onClose = (): void => void this.#linkStreams--;
    const stream = openLinkStream({ pool: this.#pools.streams, path: this.#path, link, onMessage, onClose });
    link.stream = stream;
    return stream;
  }

  /** Tells `sink` what changes, until the watch is closed. There is one sink at a time. */
  watch(sink: WatchSink): Watch {
    return this.#watch.open(sink);
  }

  /** Forgets a link that the upstream has forgotten; the next `connect` opens another. */
  forget(conversation: string, link: Link): void {
    this.#conversations.forget(conversation, link);
  }

  /** Ends a conversation whose client session has ended. */
  end(conversation: string): void {
    this.#conversations.end(conversation);
  }

  mintId(): string {
    return this.#ids.mint();
  }

  /** Sends a rewritten request of a client; `release` must follow when it has ended, in whatever way. */
  dispatchCall(link: Link, head: CallHead, pieces: Pieces, handler: CallHandler): void {
    this.#conversations.acquire(link);
    const own = link.era === 'modern' ? this.#modernHeadersOf(link, head) : link.headers;
    const ofCall = head.params.length === 0 ? own : [...own, ...head.params];
    // Of a body in pieces undici must be told the size, or it would send it chunked.
    const headers = Buffer.isBuffer(pieces) ? ofCall : [...ofCall, 'content-length', String(lengthOf(pieces))];
    // Any iterable is a body to undici, which its types do not say.
    const body = pieces as Buffer;
    this.#dispatch(
      { path: this.#path, method: 'POST', headers: headers as string[], body, headersTimeout: 0, bodyTimeout: 0 },
      handler,
    );
  }

  /** Without undici's timeouts: a call looks at its own clock, and a person may think before its answer begins. */
  #dispatch(options: Dispatcher.DispatchOptions, handler: CallHandler): void {
    if (this.permits.tryTake(handler)) this.#pools.calls.dispatch(options, handler);
    else this.permits.wait(handler, () => void (handler.onTurn() && this.#pools.calls.dispatch(options, handler)));
  }

  /** Asks for the rest of a call's event stream (2025-11-25 basic/transports#resumability-and-redelivery). */
  dispatchResume(link: Link, lastEventId: string, handler: CallHandler): void {
    const headers = ['last-event-id', lastEventId, ...link.headers];
    this.#dispatch({ path: this.#path, method: 'GET', headers, headersTimeout: 0, bodyTimeout: 0 }, handler);
  }

  /** A call that was dispatched on this link has ended, or is not to be sent any more. */
  release(link: Link, handler: PermitHolder): void {
    this.permits.giveBack(handler);
    this.#conversations.release(link);
  }

  /** Asks a legacy upstream for logs (2025-11-25 server/utilities/logging). Whether it gives any changes nothing; never rejects. */
  async setLogLevel(link: Link, level: LogLevel): Promise<void> {
    link.logLevel = level;
    const id = this.mintId();
    const body = `{"jsonrpc":"2.0","id":"${id}","method":"logging/setLevel","params":{"level":"${level}"}}`;
    const { headers } = link;
    const { headersTimeoutMs: timeoutMs } = this.#options.limits;
    const request = {
      path: this.#path,
      headers,
      body,
      id,
      stage: 'call',
      timeoutMs,
      maxBytes: MAX_NOTE_BYTES,
    } as const;
    await sendControlRequest(this.#pools.streams, request).catch(() => undefined);
  }

  /** Sends what has no answer, a notification or a response; whether it arrives changes nothing. */
  notify(link: Link, body: string | Buffer): void {
    this.#sendAside({ path: this.#path, method: 'POST', headers: link.headers as string[], body });
  }

  /** Everything it lists, raw, on a conversation of the gateway's own. Throws `UpstreamError`. */
  async listAll(): Promise<UpstreamLists> {
    if (!this.tryAcquire(this)) throw new UpstreamError('breaker_open', 'list', 'it failed too often to be asked now');
    for (let isRetry = false; ; isRetry = true) {
      const link = await this.#conversations.greet().catch((error: unknown) => {
        throw this.fail(error, 'connect');
      });
      try {
        this.#conversations.acquire(link);
        const lists = await drainAll({ ...this.#handshake, link }, this.about);
        this.succeed();
        return lists;
      } catch (error) {
        const isLost = error instanceof UpstreamError && error.reason === 'session_lost';
        if (isLost) this.forget(OWN_CONVERSATION, link);
        if (!isLost || isRetry) throw this.fail(error, 'list');
      } finally {
        this.#conversations.release(link);
      }
    }
  }

  /**
   * Ends sessions and connections once the calls on them have ended. With `graceMs`, which may come in a later call than
   * the first, sessions end now and whatever still runs after it is cut.
   */
  close(graceMs?: number): Promise<void> {
    this.#closed ??= this.#close();
    if (graceMs === undefined) return this.#closed;
    this.#cut.resolve();
    const cut = setTimeout(() => this.#pools.destroy(), graceMs);
    return this.#closed.finally(() => clearTimeout(cut));
  }

  async #close(): Promise<void> {
    this.#watch.destroy();
    await Promise.race([this.#conversations.settled(), this.#cut.promise]);
    this.#conversations.endAll();
    // What still waits must be in the pools before they take nothing more, or would be refused when its turn comes.
    this.permits.startAll();
    await this.#pools.close();
  }

  #modernHeadersOf(link: Link, { method, name }: CallHead): string[] {
    // Of other methods there are too many names, and they are too long, to be kept.
    if (method !== 'tools/call' || name === undefined) return [...link.headers, ...toModernHeaders(method, name)];
    let headers = this.#modernCallHeaders.get(name);
    if (headers === undefined) {
      // An upstream that renames its tools again and again would fill it.
      if (this.#modernCallHeaders.size === MAX_CALL_HEADERS) this.#modernCallHeaders.clear();
      headers = [...link.headers, ...toModernHeaders(method, name)];
      this.#modernCallHeaders.set(name, headers);
    }
    return headers;
  }

  /** Tells the upstream that a session is over (2025-11-25 basic/transports#session-management); its answer changes nothing. */
  #endSession(link: Link): void {
    if (link.sessionId === undefined) return;
    link.stream?.close();
    this.#sendAside({ path: this.#path, method: 'DELETE', headers: link.headers as string[] });
  }

  /** Past the queue of the calls: what is to end a call must not wait for one to end. */
  #sendAside(request: Dispatcher.RequestOptions): void {
    const bodyTimeout = this.#options.limits.idleTimeoutMs;
    this.#pools.streams
      .request({ ...request, bodyTimeout })
      .then((response) => response.body.dump())
      .catch(() => undefined);
  }
}

function toModernHeaders(method: string, name: string | undefined): string[] {
  const headers = modernHeaders(method);
  if (name !== undefined) headers.push('mcp-name', encodeHeaderValue(name));
  return headers;
}
