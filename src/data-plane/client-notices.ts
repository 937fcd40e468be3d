// What legacy clients say without expecting an answer: that they no longer want one, that their roots have changed, and
// what they answer to requests of upstreams.

import type { Catalogs } from '../catalog/catalogs.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { findMember } from '../protocol/json-scan.ts';
import { isSameId, type Message } from '../protocol/jsonrpc.ts';
import type { CallsInFlight } from './calls-in-flight.ts';
import type { ClientRequests } from './client-requests.ts';
import type { RpcRequest } from './exchange.ts';
import type { Session } from './sessions.ts';

/** A request whose route is still being looked for; it may be cancelled meanwhile. */
export interface Wait {
  readonly conversation: string;
  readonly request: RpcRequest;
  isOver: boolean;
}

export interface ClientNoticesDeps {
  readonly catalogs: Catalogs;
  readonly inFlight: CallsInFlight;
  readonly waits: ReadonlySet<Wait>;
  readonly clientRequests: ClientRequests;
}

const ROOTS_CHANGED = '{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}';

export class ClientNotices {
  readonly #deps: ClientNoticesDeps;

  constructor(deps: ClientNoticesDeps) {
    this.#deps = deps;
  }

  /** What a legacy client says without expecting an answer. */
  notify(principal: TokenPrincipal, session: Session | undefined, message: Message): void {
    if (message.method === 'notifications/cancelled') this.#cancel(principal, session, message);
    else if (message.method === 'notifications/roots/list_changed' && session !== undefined) {
      this.#noteRoots(principal, session);
    }
  }

  /** Takes what a legacy client answers to a request of an upstream; `false` when nobody has asked this client. */
  takeResponse({ token }: TokenPrincipal, session: Session | undefined, message: Message): boolean {
    return this.#deps.clientRequests.answer({ tokenId: token.id, sessionNonce: session?.nonce }, message);
  }

  /** A legacy session has ended: nobody will answer what it was asked. */
  endSession({ nonce }: Session): void {
    this.#deps.clientRequests.endWhere(({ sessionNonce }) => sessionNonce === nonce);
  }

  #cancel(principal: TokenPrincipal, session: Session | undefined, message: Message): void {
    const requestId = findMember(message.params, 'requestId');
    if (requestId === undefined) return;
    const conversation = session?.nonce ?? principal.token.id;
    const isMeant = (request: RpcRequest): boolean =>
      isSameId(request.message.bytes, request.id, message.bytes, requestId);
    const [call, ...others] = this.#deps.inFlight.find(conversation, isMeant);
    // Clients without a session share a conversation with all others of their token, and their ids may be the same.
    if (session === undefined && others.length > 0) return;
    if (call !== undefined) call.cancel();
    else {
      for (const wait of this.#deps.waits)
        if (wait.conversation === conversation && isMeant(wait.request)) wait.isOver = true;
    }
  }

  /** Only sessions that belong to this client alone are told: of a shared one nobody could say whose roots they are. */
  #noteRoots({ accountId, token }: TokenPrincipal, { nonce, capabilities }: Session): void {
    if (!capabilities.rootsListChanged) return;
    for (const { upstream } of this.#deps.catalogs.current(accountId, token.id)?.grants ?? []) {
      const link = upstream?.sessionLink(nonce);
      if (link !== undefined) upstream?.notify(link, ROOTS_CHANGED);
    }
  }
}
