// One upstream as one credential sees it: its pools, its era, its sessions and its health. Everything that crosses to
// the upstream is built here from the config and the opened credential (design §3.9).

import type { Dispatcher } from 'undici';
import type { Era } from '../protocol/era.ts';
import { UpstreamIds } from '../protocol/upstream-id.ts';
import type { AddressPolicy } from './address-guard.ts';
import type { CircuitState } from './circuit-breaker.ts';
import type { EgressProxy } from './egress-proxy.ts';
import { type FailureStage, UpstreamError, type UpstreamFailure } from './failure.ts';
import { type HandshakeOptions, type Link, modernHeaders, modernLink, openLegacyLink, probeEra } from './handshake.ts';
import { Health } from './health.ts';
import { Links } from './links.ts';
import { listTools, type UpstreamTools } from './list-tools.ts';
import { createUpstreamPools, type UpstreamPools } from './pool.ts';
import type { UpstreamTls } from './tls-context.ts';

export type DispatchHandler = Dispatcher.DispatchHandler;
export type DispatchController = Dispatcher.DispatchController;

export interface UpstreamLimits {
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
  readonly proxy?: EgressProxy | undefined;
  /** What the gateway calls itself towards upstreams: `Implementation` as raw JSON. */
  readonly clientInfo: string;
  readonly now: () => number;
  readonly onFailure: (failure: UpstreamFailure) => void;
}

const CONTENT_HEADERS = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'];
const SESSION_IDLE_MS = 30 * 60 * 1000;
/** Tools whose headers are kept ready. */
const MAX_CALL_HEADERS = 10_000;
/** The gateway's own conversation, for lists. Those of clients are named after a session or, without one, a principal. */
const OWN_CONVERSATION = '';

export class Upstream {
  readonly key: string;
  readonly service: string;
  readonly clientInfo: string;
  readonly callLimits: CallLimits;
  /** Calls in flight; the data plane's to count. */
  calls = 0;
  readonly #options: UpstreamOptions;
  readonly #pools: UpstreamPools;
  readonly #ids = new UpstreamIds();
  readonly #path: string;
  readonly #headers: readonly string[];
  readonly #links: Links;
  readonly #health: Health;
  readonly #opening = new Map<string, Promise<Link>>();
  readonly #modernCallHeaders = new Map<string, string[]>();
  #era: Era | undefined;
  /** Set when the upstream keeps no sessions: then one conversation serves everybody. */
  #sharedLink: Link | undefined;
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
    this.#pools = createUpstreamPools({ endpoint, policy, tls, proxy, ...limits });
    this.#headers = [...CONTENT_HEADERS, 'accept-encoding', 'identity', ...options.credentialHeaders];
    const idleMs = limits.sessionIdleMs ?? SESSION_IDLE_MS;
    this.#links = new Links({ idleMs, now, onEnd: (link) => this.#endSession(link) });
    this.#health = new Health(options);
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

  /** Open sessions with it, if it keeps any. */
  get sessions(): number {
    return this.#links.size;
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
   * Records a failure; returns it as an error to throw. What `connect` or `listTools` threw has been recorded, and is
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
    return this.#sharedLink ?? this.#links.get(conversation);
  }

  /** Opens a conversation; concurrent callers share one handshake. Throws `UpstreamError`. */
  connect(conversation: string): Promise<Link> {
    const open = this.link(conversation);
    if (open !== undefined) return Promise.resolve(open);
    const opening = this.#opening.get(conversation);
    if (opening !== undefined) return opening;
    const begun = this.#open(conversation).finally(() => this.#opening.delete(conversation));
    this.#opening.set(conversation, begun);
    return begun;
  }

  /** Forgets a link that the upstream has forgotten; the next `connect` opens another. */
  forget(conversation: string, link: Link): void {
    const isShared = this.#sharedLink === link;
    if (isShared) this.#sharedLink = undefined;
    // Of several calls that lost one session, only the first asks for the era again.
    if (this.#links.delete(conversation, link) || isShared) this.#era = undefined;
  }

  /** Ends a conversation whose client session has ended. */
  end(conversation: string): void {
    this.#links.delete(conversation);
  }

  mintId(): string {
    return this.#ids.mint();
  }

  /**
   * Sends a rewritten `tools/call`; `release` must follow when the call has ended, in whatever way. `paramHeaders` is a
   * flat [name, value, …] array.
   */
  dispatchCall(
    link: Link,
    upstreamName: string,
    body: Buffer,
    handler: DispatchHandler,
    paramHeaders: readonly string[],
  ): void {
    this.#links.acquire(link);
    const own = link.era === 'modern' ? this.#headersOfModernCall(link, upstreamName) : link.headers;
    const headers = paramHeaders.length === 0 ? own : [...own, ...paramHeaders];
    this.#pools.calls.dispatch({ path: this.#path, method: 'POST', headers: headers as string[], body }, handler);
  }

  /** Asks for the rest of a call's event stream (2025-11-25 basic/transports#resumability-and-redelivery). */
  dispatchResume(link: Link, lastEventId: string, handler: DispatchHandler): void {
    const headers = ['last-event-id', lastEventId, ...link.headers];
    this.#pools.streams.dispatch({ path: this.#path, method: 'GET', headers }, handler);
  }

  /** A call that was dispatched on this link has ended. */
  release(link: Link): void {
    this.#links.release(link);
  }

  /** Sends a notification of the gateway's; whether it arrives changes nothing. */
  notify(link: Link, body: string): void {
    this.#sendAside({ path: this.#path, method: 'POST', headers: link.headers as string[], body });
  }

  /** All tools, raw, on a conversation of the gateway's own. Throws `UpstreamError`. */
  async listTools(): Promise<UpstreamTools> {
    if (!this.tryAcquire(this)) throw new UpstreamError('breaker_open', 'list', 'it failed too often to be asked now');
    for (let isRetry = false; ; isRetry = true) {
      const link = await this.connect(OWN_CONVERSATION);
      try {
        this.#links.acquire(link);
        const list = await listTools({ ...this.#handshake(), link });
        this.succeed();
        return list;
      } catch (error) {
        const isLost = error instanceof UpstreamError && error.reason === 'session_lost';
        if (isLost) this.forget(OWN_CONVERSATION, link);
        if (!isLost || isRetry) throw this.fail(error, 'list');
      } finally {
        this.#links.release(link);
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
    await Promise.race([this.#settled(), this.#cut.promise]);
    this.#links.endAll();
    await this.#pools.close();
  }

  /** Resolves when no call runs and none is opening a session to run on. */
  async #settled(): Promise<void> {
    do {
      await Promise.allSettled(this.#opening.values());
      await this.#links.unused();
    } while (this.#opening.size > 0);
  }

  async #open(conversation: string): Promise<Link> {
    try {
      const handshake = this.#handshake();
      this.#era ??= await probeEra(handshake);
      if (this.#era === 'modern') {
        this.#sharedLink = modernLink(handshake);
        return this.#sharedLink;
      }
      const link = await openLegacyLink(handshake);
      if (link.sessionId === undefined) this.#sharedLink = link;
      else this.#links.set(conversation, link);
      return link;
    } catch (error) {
      throw this.fail(error, 'connect');
    }
  }

  #handshake(): HandshakeOptions {
    return {
      pool: this.#pools.calls,
      path: this.#path,
      headers: this.#headers,
      clientInfo: this.clientInfo,
      timeoutMs: this.#options.limits.headersTimeoutMs,
      mintId: () => this.mintId(),
    };
  }

  #headersOfModernCall(link: Link, upstreamName: string): string[] {
    let headers = this.#modernCallHeaders.get(upstreamName);
    if (headers === undefined) {
      // An upstream that renames its tools again and again would fill it.
      if (this.#modernCallHeaders.size === MAX_CALL_HEADERS) this.#modernCallHeaders.clear();
      headers = [...link.headers, ...modernHeaders('tools/call'), 'mcp-name', upstreamName];
      this.#modernCallHeaders.set(upstreamName, headers);
    }
    return headers;
  }

  /** Tells the upstream that a session is over (2025-11-25 basic/transports#session-management); its answer changes nothing. */
  #endSession(link: Link): void {
    if (link.sessionId === undefined) return;
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
