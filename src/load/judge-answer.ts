// Whether an answer is the one that was asked for. A gateway that answers fast and wrong must not look good.

import { readEnds } from './answer-ends.ts';
import { type AnswerMessage, readMessage } from './answer-message.ts';
import type { HttpAnswer } from './http-answer.ts';

/** `undefined` for a result under this id, else what is wrong in a few words, to be counted by. */
export function judgeAnswer({ status, first, last, bodyBytes }: HttpAnswer, id: number): string | undefined {
  const message = bodyBytes === first.length ? readMessage(first) : readEnds(first, last);
  const error = errorOf(message);
  if (error !== undefined) return error;
  if (status !== 200) return `HTTP ${status}`;
  if (message === undefined) return 'answer that is not JSON';
  if (message.result === undefined) return 'answer without a result';
  if (message.id !== id) return 'answer under another id';
  return message.result?.isError === true ? 'result that is an error' : undefined;
}

/** What an error says of itself: the reason that a gateway gives, else its code. */
function errorOf(message: AnswerMessage | undefined): string | undefined {
  const error = message?.error;
  if (typeof error !== 'object' || error === null) return undefined;
  const { code, data } = error;
  const reason = data?.reason;
  if (typeof reason === 'string' && /^\w{1,64}$/.test(reason)) return `error ${reason}`;
  return Number.isInteger(code) ? `error ${code}` : 'error';
}
