// What legacy clients say without expecting an answer: that they no longer want one, that their roots have changed, and
// what they answer to requests of upstreams.

import type { Catalogs } from '../catalog/catalogs.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import { findMember } from '../protocol/json-scan.ts';
import { isSameId, type Message, rawText } from '../protocol/jsonrpc.ts';
import type { CallsInFlight } from './calls-in-flight.ts';
import type { ClientRequests } from './client-requests.ts';
import type { RpcRequest } from './exchange.ts';
import type { Session } from './sessions.ts';
import type { CallNamed, Siblings } from './siblings.ts';

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
  readonly siblings: Siblings | undefined;
}

/** More than any id that is served can be spelled with. */
const MAX_ID_BYTES = 8 * 1024;
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

  /** How many calls of that name run, or wait to, in this process. */
  count(named: CallNamed): number {
    const { calls, waits } = this.#find(named);
    return calls.length + waits.length;
  }

  /** Cancels the call of that name, or what waits to be one. */
  cancel(named: CallNamed): void {
    const { calls, waits } = this.#find(named);
    const [call] = calls;
    if (call !== undefined) call.cancel();
    else for (const wait of waits) wait.isOver = true;
  }

  #cancel(principal: TokenPrincipal, session: Session | undefined, message: Message): void {
    const requestId = findMember(message.params, 'requestId');
    if (requestId === undefined || requestId.end - requestId.start > MAX_ID_BYTES) return;
    const named = { conversation: session?.nonce ?? principal.token.id, idText: rawText(message.bytes, requestId) };
    if (session !== undefined) this.cancel(named);
    // Clients without a session share a conversation with all others of their token, and their ids may be the same.
    else this.#cancelOnly(named).catch(() => undefined);
  }

  /** Cancels a call if it is the only one of its name, wherever it runs or waits to. */
  async #cancelOnly(named: CallNamed): Promise<void> {
    const { siblings } = this.#deps;
    const elsewhere = siblings === undefined ? 0 : await siblings.countCalls(named);
    if (elsewhere + this.count(named) !== 1) return;
    if (elsewhere === 1) siblings?.cancelCall(named);
    else this.cancel(named);
  }

  #find({ conversation, idText }: CallNamed) {
    const bytes = Buffer.from(idText);
    const id = { key: 'id', keyStart: 0, start: 0, end: bytes.length };
    const isMeant = (request: RpcRequest): boolean => isSameId(request.message.bytes, request.id, bytes, id);
    const { inFlight, waits } = this.#deps;
    return {
      calls: inFlight.find(conversation, isMeant),
      waits: [...waits].filter((wait) => !wait.isOver && wait.conversation === conversation && isMeant(wait.request)),
    };
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
