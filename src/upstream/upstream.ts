// One upstream as one credential sees it: its pools, its era, its sessions and its health. Everything that crosses to
// the upstream is built here from the config and the opened credential (design §3.9).

import { LRUCache } from 'lru-cache';
import type { Dispatcher } from 'undici';
import type { Era } from '../protocol/era.ts';
import { UpstreamIds } from '../protocol/upstream-id.ts';
import type { AddressPolicy } from './address-guard.ts';
import { type FailureStage, UpstreamError, type UpstreamFailure } from './failure.ts';
import { type HandshakeOptions, type Link, modernHeaders, modernLink, openLegacyLink, probeEra } from './handshake.ts';
import { listTools } from './list-tools.ts';
import { createUpstreamPools, type UpstreamPools } from './pool.ts';

export type DispatchHandler = Dispatcher.DispatchHandler;
export type DispatchController = Dispatcher.DispatchController;

export interface UpstreamLimits {
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** To the first byte of an answer's head. */
  readonly headersTimeoutMs: number;
  /** Between two bytes of an answer. */
  readonly idleTimeoutMs: number;
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
  /** What the gateway calls itself towards upstreams: `Implementation` as raw JSON. */
  readonly clientInfo: string;
  readonly now: () => number;
  readonly onFailure: (failure: UpstreamFailure) => void;
}

/** Open conversations kept per upstream; the least recently used one is ended to make room. */
const MAX_LINKS = 10_000;
/** The conversation of everything that belongs to no client session: lists, sessionless and modern clients of one principal each. */
const OWN_SESSION = '';

export class Upstream {
  readonly key: string;
  readonly service: string;
  readonly clientInfo: string;
  readonly #options: UpstreamOptions;
  readonly #pools: UpstreamPools;
  readonly #ids = new UpstreamIds();
  readonly #path: string;
  readonly #headers: readonly string[];
  readonly #links: LRUCache<string, Link>;
  readonly #opening = new Map<string, Promise<Link>>();
  readonly #modernCallHeaders = new Map<string, string[]>();
  #era: Era | undefined;
  /** Set when the upstream keeps no sessions: then one conversation serves everybody. */
  #sharedLink: Link | undefined;
  #failure: UpstreamFailure | undefined;
  #isClosed = false;

  constructor(options: UpstreamOptions) {
    this.key = options.key;
    this.service = options.service;
    this.clientInfo = options.clientInfo;
    this.#options = options;
    this.#path = options.endpoint.pathname + options.endpoint.search;
    this.#pools = createUpstreamPools({ endpoint: options.endpoint, policy: options.policy, ...options.limits });
    this.#headers = [
      'content-type',
      'application/json',
      'accept',
      'application/json, text/event-stream',
      'accept-encoding',
      'identity',
      ...options.credentialHeaders,
    ];
    this.#links = new LRUCache({ max: MAX_LINKS, dispose: (link) => this.#endSession(link) });
  }

  /** What is wrong with it now, if anything. */
  get failure(): UpstreamFailure | undefined {
    return this.#failure;
  }

  get pools(): UpstreamPools {
    return this.#pools;
  }

  /** The open conversation of a session, if there is one: the warm path of every call. */
  link(session: string): Link | undefined {
    return this.#sharedLink ?? this.#links.get(session);
  }

  /** Opens the conversation of a session; concurrent callers share one handshake. Throws `UpstreamError`. */
  connect(session: string): Promise<Link> {
    const open = this.link(session);
    if (open !== undefined) return Promise.resolve(open);
    const opening = this.#opening.get(session);
    if (opening !== undefined) return opening;
    const begun = this.#open(session).finally(() => this.#opening.delete(session));
    this.#opening.set(session, begun);
    return begun;
  }

  /** Forgets a conversation that the upstream has forgotten; the next `connect` opens another. */
  forget(session: string, link: Link): void {
    if (this.#sharedLink === link) this.#sharedLink = undefined;
    if (this.#links.peek(session) === link) this.#links.delete(session);
    this.#era = undefined;
  }

  /** Ends the conversation of a client session that has ended. */
  end(session: string): void {
    this.#links.delete(session);
  }

  mintId(): string {
    return this.#ids.mint();
  }

  /** Sends a rewritten `tools/call`. */
  dispatchCall(link: Link, upstreamName: string, body: Buffer, handler: DispatchHandler): void {
    const headers = link.era === 'modern' ? this.#headersOfModernCall(link, upstreamName) : link.headers;
    this.#pools.calls.dispatch({ path: this.#path, method: 'POST', headers: headers as string[], body }, handler);
  }

  /** All tools, raw, on a conversation of the gateway's own. Throws `UpstreamError`. */
  async listTools(): Promise<Buffer[]> {
    for (let isRetry = false; ; isRetry = true) {
      const link = await this.connect(OWN_SESSION);
      try {
        const tools = await listTools({
          pool: this.#pools.calls,
          path: this.#path,
          link,
          clientInfo: this.clientInfo,
          timeoutMs: this.#options.limits.headersTimeoutMs,
          mintId: () => this.mintId(),
        });
        this.succeed();
        return tools;
      } catch (error) {
        const isLost = error instanceof UpstreamError && error.reason === 'session_lost';
        if (isLost) this.forget(OWN_SESSION, link);
        if (!isLost || isRetry) throw this.fail(error, 'list');
      }
    }
  }

  /** Records a failure, keeping the time it began; returns it as an error to throw. */
  fail(error: unknown, stage: FailureStage): UpstreamError {
    const known =
      error instanceof UpstreamError
        ? error
        : new UpstreamError('broken_answer', stage, 'its answer could not be read', error);
    const atMs = this.#options.now();
    const sinceMs = this.#failure?.sinceMs ?? atMs;
    this.#failure = { reason: known.reason, stage: known.stage, message: known.message, sinceMs, atMs };
    this.#options.onFailure(this.#failure);
    return known;
  }

  succeed(): void {
    if (this.#failure !== undefined) this.#failure = undefined;
  }

  /** Ends sessions and connections; calls in flight finish first, but are cut after `graceMs`. */
  async close(graceMs?: number): Promise<void> {
    if (this.#isClosed) return;
    this.#links.clear();
    this.#isClosed = true;
    const cut = graceMs === undefined ? undefined : setTimeout(() => this.#pools.destroy(), graceMs);
    await this.#pools.close();
    clearTimeout(cut);
  }

  async #open(session: string): Promise<Link> {
    try {
      const handshake = this.#handshake();
      this.#era ??= await probeEra(handshake);
      if (this.#era === 'modern') {
        this.#sharedLink = modernLink(handshake);
        return this.#sharedLink;
      }
      const link = await openLegacyLink(handshake);
      if (link.sessionId === undefined) this.#sharedLink = link;
      else this.#links.set(session, link);
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
      headers = [...link.headers, ...modernHeaders('tools/call'), 'mcp-name', upstreamName];
      this.#modernCallHeaders.set(upstreamName, headers);
    }
    return headers;
  }

  /** Tells the upstream that a session is over (2025-11-25 basic/transports#session-management); its answer changes nothing. */
  #endSession(link: Link): void {
    if (link.sessionId === undefined || this.#isClosed) return;
    const request = { path: this.#path, method: 'DELETE' as const, headers: link.headers as string[] };
    this.#pools.calls.request(request).then(
      (response) => response.body.dump(),
      () => undefined,
    );
  }
}
