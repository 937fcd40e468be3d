// The answer that nearly every call gets: one short JSON object with our id and a complete result. One walk tells that it
// is one, and where the client's id goes; whatever else an upstream may say is left to those who look closer.

import type { AnswerRewrite } from './answer-splice.ts';
import { AnswerWalk, MAX_WALK_BYTES } from './answer-walk.ts';
import { isStringAt } from './json-scan.ts';

/**
 * The answer with the client's id in the place of ours, and what a result must have for the client's era; `text` is its
 * latin1 text, and so is what is returned. `undefined` when it is not plain: no whole JSON object, not of this request, an
 * error, a request for input, of a type that is not `complete`, with a key twice on which any of that depends, or to be
 * reshaped.
 */
export function rewritePlainAnswer(bytes: Buffer, text: string, rewrite: AnswerRewrite): string | undefined {
  if (bytes.length > MAX_WALK_BYTES || rewrite.stripsResultType || rewrite.wrapsStructuredContent) return undefined;
  const walk = new AnswerWalk(bytes);
  if (!walk.isWhole() || walk.outcome !== 'result' || walk.resultAt === 0 || walk.isOther) return undefined;
  if (walk.hasMethod || walk.ids !== 1 || !isStringAt(bytes, walk.id, rewrite.upstreamId)) return undefined;
  const { addedMembers, clientId } = rewrite;
  const { start, end } = walk.id;
  if (addedMembers.length === 0) return text.slice(0, start) + clientId + text.slice(end);
  if (walk.hasType) return undefined;
  const at = walk.resultAt + 1;
  const added = walk.isEmpty ? addedMembers : `${addedMembers},`;
  return at < start
    ? text.slice(0, at) + added + text.slice(at, start) + clientId + text.slice(end)
    : text.slice(0, start) + clientId + text.slice(end, at) + added + text.slice(at);
}
