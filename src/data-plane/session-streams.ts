// The streams that legacy sessions have opened with GET, one each. All they are told is that their own list of tools has
// changed (2025-11-25 server/tools#list-changed-notification), and only when it has.

import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Catalog } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import type { NameStyle } from '../domain/principal.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { findMember } from '../protocol/json-scan.ts';
import type { Logger } from '../telemetry/logger.ts';
import { ChangeDebounce } from './change-debounce.ts';
import { EventStream } from './event-stream.ts';
import { type Exchange, RETRY_AFTER_MS, type Refusal, type RpcRequest } from './exchange.ts';
import { toEvent } from './reply.ts';
import { readNameStyle } from './request-head.ts';
import type { Session } from './sessions.ts';

export interface SessionStreamsOptions {
  readonly catalogs: Catalogs;
  readonly log: Logger;
  readonly limits: { readonly streamsPerToken: number };
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A list of tools as a session knows it. */
interface View {
  /** The spelling its URL asks for, before the token's own. */
  readonly asked: NameStyle | undefined;
  readonly digest: string | undefined;
}

interface OpenStream {
  readonly stream: EventStream;
  readonly session: Session;
  readonly principal: TokenPrincipal;
  /** What the session was last given or told of. */
  view: View;
}

/** One timer for all streams; each is due for its comment at a time of its own. */
const SWEEP_MS = 1_000;
/** After a look at so many lists in one go, requests have their turn. */
const SLICE_MS = 5;
/** Sessions whose last list is remembered; one that is forgotten is taken to know the list there is when it opens its stream. */
const MAX_REMEMBERED = 20_000;

const LIST_CHANGED = toEvent(Buffer.from('{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'));

const TOO_MANY: Refusal = {
  code: 'rate_limited',
  message: 'This token has as many streams open as it may. Close some, or ask the operator for more.',
  retryAfterMs: RETRY_AFTER_MS,
};
const STOPPING: Refusal = {
  code: 'overloaded',
  message: 'The gateway is stopping. Try again shortly.',
  retryAfterMs: RETRY_AFTER_MS,
};

export class SessionStreams {
  readonly #options: SessionStreamsOptions;
  /** By the session's nonce. */
  readonly #open = new Map<string, OpenStream>();
  readonly #countByToken = new Map<string, number>();
  /** The lists that sessions were given, by nonce. */
  readonly #listed = new LRUCache<string, View>({ max: MAX_REMEMBERED });
  readonly #debounce = new ChangeDebounce(() => this.#look(), performance.now.bind(performance));
  readonly #sweep: NodeJS.Timeout;
  #isLooking = false;
  #isClosed = false;

  constructor(options: SessionStreamsOptions) {
    this.#options = options;
    this.#sweep = setInterval(() => this.#tend(), SWEEP_MS).unref();
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * Answers a GET of a session with its stream, or says why not. A second one takes the place of the first: who asks
   * again has lost it, and would have to go without for as long as its connection seems to be alive.
   */
  open({ request, response, principal }: Exchange, session: Session): Refusal | undefined {
    if (this.#isClosed) return STOPPING;
    const before = this.#open.get(session.nonce);
    if (before !== undefined) this.#end(before);
    const { id } = principal.token;
    const count = this.#countByToken.get(id) ?? 0;
    if (count >= this.#options.limits.streamsPerToken) return TOO_MANY;
    const asked = readNameStyle(request.url);
    const view = this.#listed.get(session.nonce) ?? { asked, digest: this.#digest(principal, asked) };
    const opened = { stream: new EventStream(response, performance.now()), session, principal, view };
    this.#open.set(session.nonce, opened);
    this.#countByToken.set(id, count + 1);
    response.once('close', () => this.#remove(opened));
    // What has changed since its last list was told to nobody.
    if (view.digest !== this.#digest(principal, view.asked)) this.#debounce.note();
    return undefined;
  }

  /** A session is being given its list: what it is told from now on is a change of that one. */
  noteListed({ session, message, era, style, exchange }: RpcRequest, catalog: Catalog): void {
    // The pages behind the first may be of an older list.
    if (session === undefined || findMember(message.params, 'cursor') !== undefined) return;
    const view = { asked: readNameStyle(exchange.request.url), digest: catalog.toolArray(era, style).digest };
    this.#listed.set(session.nonce, view);
    const open = this.#open.get(session.nonce);
    if (open !== undefined) open.view = view;
  }

  /** The configuration, or an upstream's list, is another: sessions whose own list has changed are told soon. */
  noteChange(): void {
    if (this.#open.size > 0) this.#debounce.note();
  }

  /** Ends the stream of a session that was ended. */
  endSession({ nonce }: Session): void {
    this.#listed.delete(nonce);
    const open = this.#open.get(nonce);
    if (open !== undefined) this.#end(open);
  }

  /** Ends the streams of tokens that are gone, revoked, replaced or expired (design §3.12), and of sessions that have expired. */
  endRevoked(): void {
    for (const open of this.#open.values()) if (!this.#isGood(open)) this.#end(open);
  }

  /** Ends all streams and opens no more. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    this.#debounce.stop();
    for (const open of this.#open.values()) this.#end(open);
  }

  /** Unlike a call, a stream does not end by itself: one of a token that expires would go on for ever. */
  #isGood({ principal: { accountId, token, endsAtMs }, session }: OpenStream): boolean {
    const { catalogs, now } = this.#options;
    const current = catalogs.snapshot(accountId)?.tokens.get(token.id);
    if (current === undefined || !catalogs.isInForce(accountId, token)) return false;
    const ends = [session.expiresAtMs, current.expiresAtMs];
    // The value that opened it was the one before the last rotation, then already or by now.
    if (endsAtMs !== token.expiresAtMs) ends.push(endsAtMs);
    if (current.previousHash === token.hash) ends.push(current.previousExpiresAtMs);
    const nowMs = now();
    return ends.every((endMs) => endMs === null || endMs > nowMs);
  }

  #tend(): void {
    this.endRevoked();
    const nowMs = performance.now();
    for (const { stream } of this.#open.values()) stream.tend(nowMs);
  }

  #look(): void {
    if (this.#isLooking) {
      this.#debounce.note();
      return;
    }
    this.#isLooking = true;
    this.#lookAtAll()
      .catch((error: unknown) => this.#options.log.error('sessions not told of their lists', { error }))
      .finally(() => {
        this.#isLooking = false;
      });
  }

  async #lookAtAll(): Promise<void> {
    let sliceEndsMs = performance.now() + SLICE_MS;
    for (const open of [...this.#open.values()]) {
      if (performance.now() > sliceEndsMs) {
        await nextTurn();
        sliceEndsMs = performance.now() + SLICE_MS;
      }
      if (this.#open.get(open.session.nonce) === open) this.#tellIfChanged(open);
    }
  }

  #tellIfChanged(open: OpenStream): void {
    const { asked } = open.view;
    const digest = this.#digest(open.principal, asked);
    if (digest === open.view.digest) return;
    open.view = { asked, digest };
    open.stream.send(LIST_CHANGED, performance.now());
  }

  /** Names what a session would list now. Made once for all sessions of a token that spell alike, and kept until it changes. */
  #digest({ accountId, token }: TokenPrincipal, asked: NameStyle | undefined): string | undefined {
    const { catalogs } = this.#options;
    // The token's own spelling may have been edited since the stream was opened.
    const style = asked ?? catalogs.snapshot(accountId)?.tokens.get(token.id)?.nameStyle ?? token.nameStyle;
    return catalogs.current(accountId, token.id)?.toolArray('legacy', style).digest;
  }

  #end(open: OpenStream): void {
    this.#remove(open);
    open.stream.end();
  }

  #remove(open: OpenStream): void {
    const { session, principal } = open;
    if (this.#open.get(session.nonce) !== open) return;
    this.#open.delete(session.nonce);
    const { id } = principal.token;
    const count = (this.#countByToken.get(id) ?? 1) - 1;
    if (count === 0) this.#countByToken.delete(id);
    else this.#countByToken.set(id, count);
  }
}
