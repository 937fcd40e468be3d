// A batch of a session of revision 2025-03-26: its messages are served as if each had come alone, side by side, and
// their answers leave together as one array (2025-03-26 basic/transports#sending-messages-to-the-server).

import { ERRORS } from '../domain/errors.ts';
import { MAX_WALKED_BYTES } from '../protocol/answer-splice.ts';
import { errorAnswer, type Message, type MessageFault, rawText, scanMessage } from '../protocol/jsonrpc.ts';
import { type Collected, CollectedResponse, type Room } from './collected-response.ts';
import { type Exchange, OVERLOADED, type Refusal, TOKEN_GONE } from './exchange.ts';
import { isGone, reply, replyEmpty } from './reply.ts';
import type { BodyRoom } from './request-body.ts';

/** The one revision that has batches; the next one took them out again. */
export const BATCH_REVISION = '2025-03-26';

/** Answers are held until the last one is there. */
const MAX_HELD_BYTES = 32 * 1024 * 1024;

export interface BatchOptions {
  /** Serves one message of the batch. Never throws. */
  readonly serve: (exchange: Exchange, message: Message) => void;
  /** Where the bytes of answers that are held are counted. */
  readonly room: BodyRoom;
  /** Whether the token is still good. */
  readonly isInForce: () => boolean;
}

type BatchRequest = Message & { readonly id: NonNullable<Message['id']> };

export class Batch {
  readonly #exchange: Exchange;
  readonly #options: BatchOptions;
  /** By the place of its message. */
  readonly #answers: (Buffer | undefined)[] = [];
  /** Requests whose answer is not here yet. */
  readonly #open = new Set<CollectedResponse>();
  #heldBytes = 0;

  constructor(exchange: Exchange, options: BatchOptions) {
    this.#exchange = exchange;
    this.#options = options;
  }

  /** Serves the messages, and answers once: with an array, or with 202 when nothing is to be answered. */
  serve(messages: readonly (Message | MessageFault)[]): void {
    // All are open before the first is served, which may be answered at once.
    const served = messages.map((message, index) => this.#begin(message, index));
    const isAnswered = this.#open.size === 0;
    const { response } = this.#exchange;
    if (isGone(response)) this.#onClose();
    else response.once('close', () => this.#onClose());
    for (const serve of served) serve?.();
    if (isAnswered) this.#answer();
  }

  /** What is to be done about one message, if anything. */
  #begin(message: Message | MessageFault, index: number): (() => void) | undefined {
    if (message.kind === 'fault') {
      this.#answers[index] = toAnswer(message, message.id);
      return undefined;
    }
    const response = isRequest(message) ? this.#openRequest(message, index) : new CollectedResponse(UNHEARD);
    const exchange = this.#exchange.forMember(response);
    return () => this.#options.serve(exchange, message);
  }

  #openRequest({ bytes, id }: BatchRequest, index: number): CollectedResponse {
    const response = new CollectedResponse({
      tryHold: (count, length) => this.#tryHold(count, length),
      onOver: (collected, held) => {
        this.#open.delete(response);
        if (typeof collected === 'string') this.#letGo(held);
        this.#answers[index] = judge(collected, rawText(bytes, id));
        if (this.#open.size === 0) this.#answer();
      },
    });
    this.#open.add(response);
    return response;
  }

  #tryHold(count: number, length: number): Room {
    if (length > MAX_WALKED_BYTES || this.#heldBytes + count > MAX_HELD_BYTES) return 'too_large';
    if (!this.#options.room.tryHold(this.#exchange.principal.token.id, count)) return 'no_room';
    this.#heldBytes += count;
    return 'held';
  }

  #answer(): void {
    const exchange = this.#exchange;
    const { response, framing } = exchange;
    if (isGone(response)) return;
    // What was answered first may have waited for the last while the token was revoked.
    if (!this.#options.isInForce()) {
      exchange.refuse({ code: 'unauthenticated', message: TOKEN_GONE });
      return;
    }
    const answers = this.#answers.filter((answer) => answer !== undefined);
    if (answers.length === 0) replyEmpty(response, 202);
    else reply(response, 200, toArray(answers), framing);
  }

  /** The answer has been sent, or the client has left. */
  #onClose(): void {
    for (const response of this.#open) response.leave();
    this.#open.clear();
    this.#letGo(this.#heldBytes);
  }

  #letGo(count: number): void {
    this.#options.room.letGo(this.#exchange.principal.token.id, count);
    this.#heldBytes -= count;
  }
}

/** Nothing answers a notification or a response, whatever it was about. */
const UNHEARD = { tryHold: (): Room => 'too_large', onOver: (): void => {} };

const TOO_LARGE: Refusal = {
  code: 'upstream_failed',
  message: `The answer is too large for a batch, which holds ${MAX_WALKED_BYTES} bytes of one and ${MAX_HELD_BYTES} of all. Send the request alone.`,
  data: { source: 'gateway', reason: 'overloaded' },
};
const BROKEN_OFF: Refusal = {
  code: 'upstream_failed',
  message: 'The answer broke off before it was whole.',
  data: { source: 'gateway', reason: 'broken_answer' },
};
const NOT_AN_ANSWER: Refusal = {
  code: 'upstream_failed',
  message: 'The service gave an answer that cannot stand beside others in a batch. Send the request alone.',
  data: { source: 'gateway', reason: 'broken_answer' },
};
const LOST = { too_large: TOO_LARGE, no_room: OVERLOADED, broken_off: BROKEN_OFF };

/** A single answer passes unread; beside others, one that is more than itself could answer in their place. */
function judge(collected: Collected, id: string): Buffer | undefined {
  if (typeof collected === 'string') return toAnswer(LOST[collected], id);
  if (collected.length === 0) return undefined;
  const answer = scanMessage(collected);
  const isOwn = answer.kind === 'response' && answer.id !== undefined && rawText(collected, answer.id) === id;
  return isOwn ? collected : toAnswer(NOT_AN_ANSWER, id);
}

function toAnswer({ code, message, data }: Omit<Refusal, 'retryAfterMs'>, id: string | undefined): Buffer {
  const error = { code: ERRORS[code].jsonRpcCode, message, ...(data === undefined ? {} : { data }) };
  return Buffer.from(errorAnswer(id, error));
}

function toArray(answers: readonly Buffer[]): Buffer {
  const parts = answers.flatMap((answer, index) => [index === 0 ? OPEN : COMMA, answer]);
  return Buffer.concat([...parts, CLOSE]);
}

const OPEN = Buffer.from('[');
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(']');

function isRequest(message: Message): message is BatchRequest {
  return message.kind === 'request';
}
