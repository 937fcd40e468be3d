// Gets a legacy client to answer what a modern upstream needs (2026-07-28 basic/patterns/mrtr): each entry is a request
// on the stream of the call, and the call is sent again with the answers, round by round.

import type { ClientCapabilities } from '../protocol/client-capabilities.ts';
import { type InputRequired, type InputResponse, stateText, toInputResponses } from '../protocol/input-required.ts';
import { type ClientAnswer, errorMessage, findUndeclared, toClientRequest } from '../protocol/server-request.ts';
import type { AskedClient, ClientRequests } from './client-requests.ts';

/** As many as a person can be expected to bear; an upstream that never has enough would ask for ever. */
const MAX_ROUNDS = 8;
/** Of all answers of a round together; each comes in a body of its own, which may be as large alone. */
const MAX_ANSWERS_BYTES = 4 * 1024 * 1024;
/** Before the first retry that brings no answers; doubled with every round. */
const FIRST_PAUSE_MS = 100;

export interface InputRoundsOptions {
  readonly client: AskedClient;
  readonly declared: ClientCapabilities;
  readonly clientRequests: ClientRequests;
  /** Sends a JSON-RPC message as an event on the stream of the call. */
  readonly write: (message: Buffer) => void;
  /** The call is to be sent again with these: raw JSON as latin1 text, `undefined` for none. */
  readonly onReady: (responses: string | undefined, state: string | undefined) => void;
  /** The upstream will not get what it needs; `why` is a clause for people. */
  readonly onGivenUp: (why: string) => void;
}

export class InputRounds {
  readonly #options: InputRoundsOptions;
  #round = 0;
  #input: InputRequired | undefined;
  /** Keys by the ids of requests that are not answered yet. */
  readonly #open = new Map<string, string>();
  readonly #results = new Map<string, string>();
  #bytes = 0;
  #pause: NodeJS.Timeout | undefined;

  constructor(options: InputRoundsOptions) {
    this.#options = options;
  }

  /** Whether the client is being asked, or about to be. */
  get isWaiting(): boolean {
    return this.#input !== undefined;
  }

  /** The upstream has answered that it needs input. */
  begin(input: InputRequired): void {
    this.#input = input;
    this.#bytes = 0;
    this.#round++;
    const problem = this.#findProblem(input);
    if (problem !== undefined) this.#giveUp(problem);
    else if (input.requests.length > 0) this.#ask(input);
    // It waits for something else than the client, and would be asked at once, and at once again.
    else this.#pause = setTimeout(() => this.#goOn(input), FIRST_PAUSE_MS * 2 ** (this.#round - 1)).unref();
  }

  /** The call has ended: the client is told of every request that need not be answered. */
  end(): void {
    clearTimeout(this.#pause);
    this.#input = undefined;
    this.#results.clear();
    for (const id of this.#open.keys()) {
      this.#options.clientRequests.drop(id);
      this.#options.write(toCancellation(id));
    }
    this.#open.clear();
  }

  #findProblem({ requests }: InputRequired): string | undefined {
    if (this.#round > MAX_ROUNDS) return `it asked for input more than ${MAX_ROUNDS} times`;
    const undeclared = findUndeclared(
      requests.map(({ request }) => request),
      this.#options.declared,
    );
    return undeclared && `it needs input that cannot be asked for: ${undeclared[1]}`;
  }

  #ask(input: InputRequired): void {
    const { client, clientRequests, write } = this.#options;
    const asked: Buffer[] = [];
    for (const { key, request } of input.requests) {
      const id = clientRequests.ask(client, (answer) => this.#onAnswer(input, key, id, answer));
      if (id === undefined) break;
      this.#open.set(id, key);
      asked.push(toClientRequest(request, id));
    }
    if (asked.length < input.requests.length) {
      // None of them was sent, so none is cancelled.
      for (const id of this.#open.keys()) clientRequests.drop(id);
      this.#open.clear();
      this.#giveUp('it needs input, and this client has as many requests to answer as it may');
      return;
    }
    for (const message of asked) write(message);
  }

  #onAnswer(input: InputRequired, key: string, id: string | undefined, answer: ClientAnswer | undefined): void {
    if (id === undefined || !this.#open.delete(id)) return;
    if (answer === undefined) this.#giveUp('the client did not give the input it needs in time');
    else if (answer.kind === 'error') this.#giveUp(toReason(answer));
    else {
      this.#bytes += answer.text.length;
      this.#results.set(key, answer.text);
      if (this.#bytes > MAX_ANSWERS_BYTES) this.#giveUp('the client gave it more input than a request can hold');
      else if (this.#open.size === 0) this.#goOn(input);
    }
  }

  #goOn(input: InputRequired): void {
    const responses: InputResponse[] = [];
    for (const { key } of input.requests) responses.push({ key, text: this.#results.get(key) ?? '{}' });
    this.#results.clear();
    this.#input = undefined;
    this.#options.onReady(responses.length === 0 ? undefined : toInputResponses(responses), stateText(input));
  }

  #giveUp(why: string): void {
    this.end();
    this.#options.onGivenUp(why);
  }
}

/** The protocol has no form in which a modern upstream could be told of a client's error. */
function toReason(answer: ClientAnswer): string {
  const message = errorMessage(answer).slice(0, 500);
  const said = message === '' ? '' : `: ${message}`;
  return `the client answered the input it needs with an error${said}`;
}

function toCancellation(id: string): Buffer {
  const params = `{"requestId":"${id}","reason":"the call that needed it has ended"}`;
  return Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`);
}
