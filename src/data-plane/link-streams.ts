// The GET streams of clients' sessions with legacy upstreams: on them servers ask and tell what they do not tie to a call,
// though many mean the one that runs (2025-11-25 basic/transports#listening-for-messages-from-the-server).

import { NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { LOG_LEVELS, passesLog } from '../protocol/log-level.ts';
import type { Link } from '../upstream/handshake.ts';
import type { LinkStream } from '../upstream/link-stream.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ClientRequests } from './client-requests.ts';
import { ServerRequests } from './server-requests.ts';
import type { Session } from './sessions.ts';
import type { UpstreamCall } from './upstream-call.ts';

export interface LinkStreamsOptions {
  readonly clientRequests: ClientRequests;
  /** Sends a JSON-RPC message on the stream that a legacy session has opened; `false` where there is none. */
  readonly sendTo: (session: Session, message: Buffer) => boolean;
  /** A notification that is not for a client, such as a changed list. */
  readonly onNotification: (upstream: Upstream, method: string) => void;
}

/** A call is sent after so long even if the stream is not there yet. */
const OPENING_MS = 500;
/** Without a call a stream is kept this long. */
const LINGER_MS = 60_000;

/** The calls that run on one link, and its stream. */
interface LinkCalls {
  readonly upstream: Upstream;
  readonly link: Link;
  /** Whose link it is; `undefined` for one that modern clients share. */
  readonly session: Session | undefined;
  /** What is asked of the session, and not of one of its calls. */
  readonly requests: ServerRequests;
  readonly calls: UpstreamCall[];
  stream: LinkStream | undefined;
  /** While it is waited for. */
  opening: Promise<void> | undefined;
  timer: NodeJS.Timeout | undefined;
}

export class LinkStreams {
  readonly #options: LinkStreamsOptions;
  readonly #links = new WeakMap<Link, LinkCalls>();

  constructor(options: LinkStreamsOptions) {
    this.#options = options;
  }

  /** A call is about to be sent on a link; resolves when the stream of the link is open, or it is known that there is none. */
  join(call: UpstreamCall, link: Link): Promise<void> | undefined {
    if (link.capabilities === '' || link.sessionId === undefined) return undefined;
    let joined = this.#links.get(link);
    if (joined === undefined) {
      joined = this.#open(call, link);
      this.#links.set(link, joined);
    }
    joined.calls.push(call);
    clearTimeout(joined.timer);
    if (joined.stream === undefined) this.#openStream(joined);
    return joined.opening;
  }

  /** A call that has joined has ended; harmless for others. */
  leave(call: UpstreamCall, link: Link): void {
    const joined = this.#links.get(link);
    const at = joined?.calls.indexOf(call) ?? -1;
    if (joined === undefined || at < 0) return;
    joined.calls.splice(at, 1);
    if (joined.calls.length > 0) return;
    joined.timer = setTimeout(() => {
      joined.stream?.close();
      joined.stream = undefined;
    }, LINGER_MS).unref();
  }

  #openStream(joined: LinkCalls): void {
    const { upstream, link } = joined;
    const stream = upstream.openStream(link, (message) => this.#onMessage(joined, message));
    joined.stream = stream;
    joined.opening = Promise.race([stream.opened, pause(OPENING_MS)]).then(() => {
      joined.opening = undefined;
    });
  }

  #open({ upstream, request: { session, exchange } }: UpstreamCall, link: Link): LinkCalls {
    const asked = {
      era: 'legacy' as const,
      client: { tokenId: exchange.principal.token.id, sessionNonce: session?.nonce },
      declared: session?.capabilities ?? NO_CAPABILITIES,
      respond: (body: Buffer) => upstream.notify(link, body),
      parkSoon: () => {},
      setAsked: () => {},
    };
    const requests = new ServerRequests(asked, this.#options.clientRequests);
    return { upstream, link, session, requests, calls: [], stream: undefined, opening: undefined, timer: undefined };
  }

  #onMessage(joined: LinkCalls, message: Message): void {
    if (message.kind === 'request') this.#onRequest(joined, message);
    else if (message.method === 'notifications/cancelled') this.#onCancelled(joined, message);
    else if (message.method === 'notifications/message' || message.method === 'notifications/elicitation/complete') {
      this.#pass(joined.session, message);
    } else this.#options.onNotification(joined.upstream, message.method);
  }

  /**
   * Of several calls nobody can say which is meant. Then it is the session that is asked, on its own stream if it has one;
   * modern clients have none, and one must not be asked what another is meant by.
   */
  #onRequest({ session, calls, requests }: LinkCalls, message: Message): void {
    const askable = calls.filter((call) => call.canBeAsked);
    const meant = findOnly(askable);
    if (meant !== undefined) {
      const question = meant.onRequest(message);
      if (question !== undefined) meant.tell(question);
      return;
    }
    const question = requests.onRequest(message);
    if (question === undefined || session === undefined) return;
    if (this.#options.sendTo(session, question) || askable.at(-1)?.tell(question)) return;
    requests.onUndelivered(message, 'The client has no stream open on which it could be asked.');
  }

  #onCancelled({ session, calls, requests }: LinkCalls, message: Message): void {
    for (const call of calls) {
      const notice = call.onNotification(message);
      if (notice !== undefined) call.tell(notice);
    }
    const notice = requests.onCancelled(message);
    if (notice !== undefined && session !== undefined) this.#options.sendTo(session, notice);
  }

  #pass(session: Session | undefined, message: Message): void {
    if (session === undefined) return;
    const isLog = message.method === 'notifications/message';
    if (isLog && !passesLog(message, session.logLevel ?? LOG_LEVELS[0])) return;
    this.#options.sendTo(session, message.bytes);
  }
}

/** A parked call waits for the answer to a question that it has asked already. */
function findOnly(askable: readonly UpstreamCall[]): UpstreamCall | undefined {
  const running = askable.filter((call) => !call.isParked);
  const meant = running.length > 0 ? running : askable;
  return meant.length === 1 ? meant[0] : undefined;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
