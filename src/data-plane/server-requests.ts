// What the legacy upstream of one call asks of the client in the middle of it. A legacy client is sent the request on the
// stream of its call; a modern one gets an answer to come back from, so that the call waits for it.

import type { ClientCapabilities } from '../protocol/client-capabilities.ts';
import type { Era } from '../protocol/era.ts';
import { findMember } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import {
  type ClientAnswer,
  clientError,
  type LiveRequest,
  readServerRequest,
  toClientRequest,
  toUpstreamResponse,
} from '../protocol/server-request.ts';
import { toText } from '../protocol/splice.ts';
import type { AskedClient, ClientRequests } from './client-requests.ts';
import { OpenInputs } from './open-inputs.ts';

/** The call in whose middle it is. */
export interface AskedCall {
  readonly era: Era;
  readonly client: AskedClient;
  /** What its client can be asked now. */
  readonly declared: ClientCapabilities;
  /** Sends a JSON-RPC response, or a notification, to the upstream. */
  respond(body: Buffer): void;
  /** There is something that the client must be let go for. */
  parkSoon(): void;
  /** A person thinks from now on, or no longer. */
  setAsked(isAsked: boolean): void;
}

const TOO_MANY = clientError('The client has as many requests to answer as it may. Wait for some to be answered.');
const REPEATED = clientError('A request of this id waits to be answered already. Ids must not be used twice.');
const UNANSWERED = clientError('The client has not answered in time.');

export class ServerRequests {
  /** What a modern client is to be asked. */
  readonly inputs = new OpenInputs();
  readonly #call: AskedCall;
  readonly #clientRequests: ClientRequests;
  /** What a legacy client has been asked: its ids by those of the upstream, which are raw JSON. */
  readonly #open = new Map<string, string>();

  constructor(call: AskedCall, clientRequests: ClientRequests) {
    this.#call = call;
    this.#clientRequests = clientRequests;
  }

  /** Takes a request of the upstream; returns what a legacy client is to be sent. */
  onRequest(message: Message): Buffer | undefined {
    const request = readServerRequest(message, this.#call.declared);
    if ('answer' in request) {
      this.#call.respond(request.answer);
      return undefined;
    }
    if (this.#call.era === 'legacy') return this.#relay(request);
    if (this.inputs.add(request)) this.#call.parkSoon();
    else this.#answer(request.idText, TOO_MANY);
    return undefined;
  }

  /** The upstream no longer wants a request of its own answered; returns what a legacy client is to be sent. */
  onCancelled({ bytes, params }: Message): Buffer | undefined {
    const at = findMember(params, 'requestId');
    if (at === undefined) return undefined;
    const idText = toText(bytes, at.start, at.end);
    this.inputs.forget(idText);
    const id = this.#open.get(idText);
    return id === undefined ? undefined : this.#withdraw(idText, id);
  }

  /** The upstream has forgotten the session in which it asked; returns what a legacy client is to be sent. */
  forget(): Buffer[] {
    this.inputs.clear();
    return [...this.#open].map(([idText, id]) => this.#withdraw(idText, id));
  }

  /** The client cannot answer any more; `why` is what the upstream is told. */
  fail(why: string): void {
    for (const body of this.inputs.fail(why)) this.#call.respond(body);
    for (const idText of [...this.#open.keys()]) this.#refuse(idText, why);
  }

  /** The client could not be sent what `onRequest` has returned for this request. */
  onUndelivered({ bytes, id }: Message, why: string): void {
    if (id !== undefined) this.#refuse(toText(bytes, id.start, id.end), why);
  }

  /** The call has ended, and whatever the upstream wanted to know with it. */
  end(): void {
    for (const id of this.#open.values()) this.#clientRequests.drop(id);
    this.#open.clear();
  }

  #relay(request: LiveRequest): Buffer | undefined {
    const { idText } = request;
    if (this.#open.has(idText)) {
      this.#answer(idText, REPEATED);
      return undefined;
    }
    const id = this.#clientRequests.ask(this.#call.client, (answer) => {
      this.#close(idText);
      this.#answer(idText, answer ?? UNANSWERED);
    });
    if (id === undefined) {
      this.#answer(idText, TOO_MANY);
      return undefined;
    }
    this.#open.set(idText, id);
    this.#call.setAsked(true);
    return toClientRequest(request, id);
  }

  #refuse(idText: string, why: string): void {
    const id = this.#open.get(idText);
    if (id === undefined) return;
    this.#clientRequests.drop(id);
    this.#close(idText);
    this.#answer(idText, clientError(why));
  }

  #withdraw(idText: string, id: string): Buffer {
    this.#clientRequests.drop(id);
    this.#close(idText);
    return Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"${id}"}}`);
  }

  #close(idText: string): void {
    if (this.#open.delete(idText) && this.#open.size === 0) this.#call.setAsked(false);
  }

  #answer(idText: string, answer: ClientAnswer): void {
    this.#call.respond(toUpstreamResponse(idText, answer));
  }
}
