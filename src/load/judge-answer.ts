// Whether an answer is the one that was asked for. A gateway that answers fast and wrong must not look good.

import type { HttpAnswer } from './http-answer.ts';

/** `undefined` for a result under this id, else what is wrong in a few words, to be counted by. */
export function judgeAnswer({ status, first, last }: HttpAnswer, id: number): string | undefined {
  const own = `"id":${id}`;
  const isOurs = first.includes(own) || last.includes(own);
  const error = errorOf(first) ?? errorOf(last);
  if (error !== undefined) return error;
  if (status !== 200) return `HTTP ${status}`;
  if (!isOurs) return 'answer under another id';
  if (!first.includes('"result":') && !last.includes('"result":')) return 'answer without a result';
  return first.includes('"isError":true') || last.includes('"isError":true') ? 'result that is an error' : undefined;
}

/** What an error says of itself: the reason that a gateway gives, else its code. */
function errorOf(text: string): string | undefined {
  const at = text.search(/"error": ?\{/);
  if (at < 0) return undefined;
  const reason = /"reason": ?"(\w+)"/.exec(text.slice(at))?.[1];
  const code = /"code": ?(-?\d+)/.exec(text.slice(at))?.[1];
  return `error ${reason ?? code ?? ''}`.trimEnd();
}
