// What is asked of the client in the middle of one call, by its upstream's own requests or by an answer that needs input;
// and the time that this takes, in which the call's own stands still.

import { performance } from 'node:perf_hooks';
import { type ClientCapabilities, NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import type { Era } from '../protocol/era.ts';
import type { InputRequired } from '../protocol/input-required.ts';
import type { AskedClient, ClientRequests } from './client-requests.ts';
import { InputRounds } from './input-rounds.ts';
import { type AskedCall, ServerRequests } from './server-requests.ts';

/** The call in whose middle it is. */
export interface QuestionedCall {
  readonly era: Era;
  readonly client: AskedClient;
  /** What its client can be asked now. */
  readonly declared: ClientCapabilities;
  /** Sends a JSON-RPC response to the upstream. */
  respond(body: Buffer): void;
  parkSoon(): void;
  /** Begins the event stream that a legacy client is asked on. */
  beginEvents(): void;
  tell(message: Buffer): boolean;
  /** The upstream is to be asked again with these: raw JSON as latin1 text, `undefined` for none. */
  sendAgain(responses: string | undefined, state: string | undefined): void;
  /** The upstream does not get what it needs; `why` is a clause for people. */
  endUnasked(why: string): void;
  /** A person thinks from now on. */
  onAsking(): void;
  /** It is the upstream's turn again: its silence was not its own. */
  onAsked(): void;
}

/** As long as clients may think, all in all. */
const MAX_ASKED_MS = 8 * 600_000;

export class CallQuestions implements AskedCall {
  readonly requests: ServerRequests;
  readonly #call: QuestionedCall;
  readonly #clientRequests: ClientRequests;
  #rounds: InputRounds | undefined;
  /** Since when the client thinks, and how long it has thought before. */
  #sinceMs: number | undefined;
  #askedMs = 0;

  constructor(call: QuestionedCall, clientRequests: ClientRequests) {
    this.#call = call;
    this.#clientRequests = clientRequests;
    this.requests = new ServerRequests(this, clientRequests);
  }

  get era(): Era {
    return this.#call.era;
  }

  get client(): AskedClient {
    return this.#call.client;
  }

  get declared(): ClientCapabilities {
    return this.#call.declared;
  }

  /** How long the client has thought. */
  get askedMs(): number {
    return this.#askedMs;
  }

  /** Whether it thinks now. */
  get isAsking(): boolean {
    return this.#sinceMs !== undefined;
  }

  isOverdue(nowMs: number): boolean {
    return this.#sinceMs !== undefined && this.#askedMs + nowMs - this.#sinceMs >= MAX_ASKED_MS;
  }

  respond(body: Buffer): void {
    this.#call.respond(body);
  }

  parkSoon(): void {
    this.#call.parkSoon();
  }

  setAsked(isAsked: boolean): void {
    const nowMs = performance.now();
    if (isAsked) {
      this.#sinceMs ??= nowMs;
      this.#call.onAsking();
    } else if (this.#sinceMs !== undefined) {
      this.#askedMs += nowMs - this.#sinceMs;
      this.#sinceMs = undefined;
      this.#call.onAsked();
    }
  }

  /** A modern upstream has answered that it needs something of a legacy client first. */
  askForInput(input: InputRequired): void {
    const { client, declared } = this.#call;
    this.setAsked(true);
    // A client that can be asked nothing gets an ordinary answer.
    if (input.requests.length > 0 && declared !== NO_CAPABILITIES) this.#call.beginEvents();
    this.#rounds ??= new InputRounds({
      client,
      declared,
      clientRequests: this.#clientRequests,
      write: (message) => void this.#call.tell(message),
      onReady: (responses, state) => {
        this.setAsked(false);
        this.#call.sendAgain(responses, state);
      },
      onGivenUp: (why) => {
        this.setAsked(false);
        this.#call.endUnasked(why);
      },
    });
    this.#rounds.begin(input);
  }

  /** The call is sent again to an upstream that has forgotten what it asked, and could be told no answer to it. */
  forget(): void {
    for (const notice of this.requests.forget()) this.#call.tell(notice);
  }

  /** The client has left, and what it is asked does not reach it. */
  leave(): void {
    this.requests.fail('The client has left.');
    if (this.#rounds?.isWaiting) this.#call.endUnasked('the client has left');
  }

  /** The call has ended: a legacy client is told, if it can be, what it need not answer. */
  end(): void {
    this.requests.end();
    this.#rounds?.end();
  }
}
