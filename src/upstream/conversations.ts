// The conversations with one upstream: which era it is of, what it said of itself, and the link of each. One that keeps no
// sessions has one link, which serves everybody.

import { type ClientCapabilities, NO_CAPABILITIES, RELAYED_CAPABILITIES } from '../protocol/client-capabilities.ts';
import type { Era } from '../protocol/era.ts';
import type { UpstreamAbout } from './about.ts';
import { type HandshakeOptions, type Link, modernLink, openLegacyLink, probeEra } from './handshake.ts';
import { Links, type LinksOptions } from './links.ts';

export interface ConversationsOptions extends LinksOptions {
  readonly handshake: HandshakeOptions;
}

/** The gateway's own, for lists and watches. Those of clients are named after a session or, without one, a principal. */
export const OWN_CONVERSATION = '';
/** One without sessions may be replaced by another version without a word: so long what it said of itself is taken for true. */
const GREETING_KEPT_MS = 60_000;

export class Conversations {
  readonly #options: ConversationsOptions;
  readonly #links: Links;
  readonly #opening = new Map<string, Promise<Link>>();
  #era: Era | undefined;
  #about: UpstreamAbout | undefined;
  #greetedAtMs = 0;
  #sharedLink: Link | undefined;

  constructor(options: ConversationsOptions) {
    this.#options = options;
    this.#links = new Links(options);
  }

  /** What the upstream said of itself when it was last greeted. */
  get about(): UpstreamAbout | undefined {
    return this.#about;
  }

  /** Open sessions with it, if it keeps any. */
  get sessions(): number {
    return this.#links.size;
  }

  /** The open link of a conversation, if there is one: the warm path of every call. */
  link(conversation: string): Link | undefined {
    return this.#sharedLink ?? this.#links.get(conversation);
  }

  /** The link of a conversation that has an upstream session of its own. */
  sessionLink(conversation: string): Link | undefined {
    return this.#links.get(conversation);
  }

  /**
   * Opens a conversation anew, whether or not there is a link; concurrent callers share one handshake. `declared` is what
   * a legacy upstream is told that the client can be asked. Throws `UpstreamError`, which is nobody's failure yet.
   */
  open(conversation: string, declared = NO_CAPABILITIES): Promise<Link> {
    const opening = this.#opening.get(conversation);
    if (opening !== undefined) return opening;
    const begun = this.#open(conversation, declared).finally(() => this.#opening.delete(conversation));
    this.#opening.set(conversation, begun);
    return begun;
  }

  /** The link of the gateway's own conversation; an upstream that could have been replaced is asked again what it is. */
  async greet(): Promise<Link> {
    if (this.#isGreetingOld()) {
      // Calls go on with the link there is until the upstream has answered.
      this.#era = undefined;
      return this.open(OWN_CONVERSATION);
    }
    return this.link(OWN_CONVERSATION) ?? this.open(OWN_CONVERSATION);
  }

  /** Forgets a link that the upstream has forgotten; the next `open` asks for another. */
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

  /** A request begins on the link; `release` must follow. */
  acquire(link: Link): void {
    this.#links.acquire(link);
  }

  release(link: Link): void {
    this.#links.release(link);
  }

  /** Resolves when no request runs and none is opening a session to run on. */
  async settled(): Promise<void> {
    do {
      await Promise.allSettled(this.#opening.values());
      await this.#links.unused();
    } while (this.#opening.size > 0);
  }

  /** Ends all conversations at once, and every one that is opened yet. */
  endAll(): void {
    this.#links.endAll();
  }

  #isGreetingOld(): boolean {
    // Checked later than now: the clock was set back.
    const ageMs = this.#options.now() - this.#greetedAtMs;
    return this.#sharedLink !== undefined && (ageMs < 0 || ageMs > GREETING_KEPT_MS);
  }

  async #open(conversation: string, ofClient: ClientCapabilities): Promise<Link> {
    const declared = conversation === OWN_CONVERSATION ? RELAYED_CAPABILITIES : ofClient;
    const { handshake, now } = this.#options;
    this.#greetedAtMs = now();
    if (this.#era === undefined) {
      const { era, about } = await probeEra(handshake);
      this.#era = era;
      this.#about = about ?? this.#about;
    }
    if (this.#era === 'modern') {
      this.#sharedLink = modernLink(handshake);
      return this.#sharedLink;
    }
    const { link, about } = await openLegacyLink(handshake, declared).catch((error: unknown) => {
      // One that was slow to answer the probe, or has been replaced, may be of the other era (2026-07-28 basic/versioning).
      this.#era = undefined;
      throw error;
    });
    this.#about = about;
    // It may have been another that kept no sessions, until it was greeted again.
    this.#sharedLink = link.sessionId === undefined ? link : undefined;
    if (link.sessionId !== undefined) this.#links.set(conversation, link);
    return link;
  }
}
