// Gives an upstream's answer the client's id back without walking through the answer: the id we minted is searched for
// natively, and it counts only where it must be the top-level `id`, at the head or at the tail of the message.

import { findMember, isObjectAt, JsonScanner, type Member, stringAt } from './json-scan.ts';
import { type Edit, SHORT_BYTES, splice, spliceText, toText } from './splice.ts';

/** How far from either end the id may be: room for `{"jsonrpc":"2.0",` and white space. */
const EDGE_BYTES = 96;
/** A message whose id is at neither end is walked through if it is no longer than this. */
const MAX_WALKED_BYTES = 4 * 1024 * 1024;

/** How much of a message `RESULT_HEAD` looks at. */
const HEAD_BYTES = 2 * EDGE_BYTES;

const HEAD = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*$/;
const TAIL = /^"\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/;
const KEY_BEFORE_TAIL = /[,{]\s*"id"\s*:\s*"$/;
/** An id alone makes no answer: an upstream must not get a request of its own to the client under the client's id. */
const OUTCOME_BEHIND_ID = /^\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"\s*:/;
const OUTCOME_HEAD = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"(?:result|error)"\s*:/;
const RESULT_HEAD =
  /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?(?:"id"\s*:\s*"[\w-]+"\s*,\s*)?(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"result"\s*:\s*\{\s*(\})?/;

export interface AnswerRewrite {
  /** The id the upstream was sent, without quotes. */
  readonly upstreamId: string;
  /** The client's id: raw JSON as latin1 text. */
  readonly clientId: string;
  /** A legacy upstream's result needs `resultType` for a modern client (2026-07-28 basic/index#results). */
  readonly addsResultType: boolean;
}

/** Rewrites a whole answer; `undefined` when it is not an answer to this request. */
export function rewriteAnswer(bytes: Buffer, rewrite: AnswerRewrite): Buffer | undefined {
  if (bytes.length <= SHORT_BYTES) {
    const text = rewriteShortAnswer(bytes, rewrite);
    return text === undefined ? undefined : Buffer.from(text, 'latin1');
  }
  const tailAt = bytes.length - EDGE_BYTES;
  const edits = findEdits(toText(bytes, 0, HEAD_BYTES), toText(bytes, tailAt), tailAt, rewrite) ?? walk(bytes, rewrite);
  return edits === undefined ? undefined : splice(bytes, edits);
}

/** Like `rewriteAnswer` for an answer of at most `SHORT_BYTES`; gives latin1 text, which can be sent as it is. */
export function rewriteShortAnswer(bytes: Buffer, rewrite: AnswerRewrite): string | undefined {
  const text = toText(bytes);
  const tailAt = Math.max(0, text.length - EDGE_BYTES);
  const edits = findEdits(text.slice(0, HEAD_BYTES), text.slice(tailAt), tailAt, rewrite) ?? walk(bytes, rewrite);
  return edits === undefined ? undefined : spliceText(text, edits);
}

/** The edits by a look at both ends of a message; `undefined` when that does not settle it. */
function findEdits(head: string, tail: string, tailAt: number, rewrite: AnswerRewrite): Edit[] | undefined {
  const { upstreamId } = rewrite;
  const id =
    findIdAtHead(head, upstreamId) ?? (OUTCOME_HEAD.test(head) ? findIdAtTail(tail, tailAt, upstreamId) : undefined);
  if (id === undefined) return undefined;
  const edit = { start: id, end: id + upstreamId.length + 2, text: rewrite.clientId };
  if (!rewrite.addsResultType) return [edit];
  const type = findResultType(head);
  if (type === undefined) return undefined;
  return type.start < id ? [type, edit] : [edit, type];
}

/** Offset of the id's opening quote if it stands at the head. */
function findIdAtHead(head: string, upstreamId: string): number | undefined {
  const at = head.indexOf(upstreamId) - 1;
  if (at <= 0 || at >= EDGE_BYTES || !HEAD.test(head.slice(0, at))) return undefined;
  return OUTCOME_BEHIND_ID.test(head.slice(at + upstreamId.length + 2)) ? at : undefined;
}

/** Offset of the id's opening quote if nothing but the end of the message follows it: a closing brace that is the last byte is the top one. */
function findIdAtTail(tail: string, tailAt: number, upstreamId: string): number | undefined {
  const at = tail.lastIndexOf(upstreamId) - 1;
  if (at < 0) return undefined;
  const isEnd = TAIL.test(tail.slice(at + upstreamId.length + 1));
  return isEnd && KEY_BEFORE_TAIL.test(tail.slice(0, at + 1)) ? tailAt + at : undefined;
}

function findResultType(head: string): Edit | undefined {
  const found = RESULT_HEAD.exec(head);
  if (found === null) return undefined;
  const isEmpty = found[1] !== undefined;
  const at = found[0].length - (isEmpty ? 1 : 0);
  return resultTypeAt(at, isEmpty);
}

function resultTypeAt(at: number, isEmpty: boolean): Edit {
  return { start: at, end: at, text: `"resultType":"complete"${isEmpty ? '' : ','}` };
}

/** Settles an unusual layout by reading the members of the message. */
function walk(bytes: Buffer, rewrite: AnswerRewrite): Edit[] | undefined {
  if (bytes.length > MAX_WALKED_BYTES) return undefined;
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  const end = scan.readMembers(scan.skipSpace(0), 0, members);
  if (end < 0 || scan.skipSpace(end) !== bytes.length) return undefined;
  const id = findMember(members, 'id');
  if (id === undefined || stringAt(scan.bytes, id) !== rewrite.upstreamId) return undefined;
  const edits: Edit[] = [{ start: id.start, end: id.end, text: rewrite.clientId }];
  const result = findMember(members, 'result');
  if ((result === undefined) === (findMember(members, 'error') === undefined)) return undefined;
  if (findMember(members, 'method') !== undefined) return undefined;
  if (rewrite.addsResultType && result !== undefined && isObjectAt(scan.bytes, result.start)) {
    const at = scan.skipSpace(result.start + 1);
    edits.push(resultTypeAt(at, at === result.end - 1));
  }
  return edits.sort((a, b) => a.start - b.start);
}

/**
 * Rewrites an answer that is too large to be held: give it chunks as they come, send on what it returns.
 * Holds back no more than its first and last few hundred bytes.
 */
export class AnswerStream {
  readonly #rewrite: AnswerRewrite;
  #held: Buffer = Buffer.alloc(0);
  #isHeadDone = false;
  #isIdDone = false;
  #isOutcomeFirst = false;

  constructor(rewrite: AnswerRewrite) {
    this.#rewrite = rewrite;
  }

  /** Bytes that can be sent now. */
  push(chunk: Buffer): Buffer {
    if (this.#isIdDone) return chunk;
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (this.#held.length < 4 * EDGE_BYTES) return Buffer.alloc(0);
    const head = this.#isHeadDone ? Buffer.alloc(0) : this.#releaseHead();
    if (this.#isIdDone) return this.#release(head, 0);
    return this.#release(head, EDGE_BYTES);
  }

  /** The last bytes, or `undefined` when the answer was not an answer to this request. */
  end(): Buffer | undefined {
    if (this.#isIdDone) return this.#held;
    if (!this.#isHeadDone) return rewriteAnswer(this.#held, this.#rewrite);
    if (!this.#isOutcomeFirst) return undefined;
    const tailAt = Math.max(0, this.#held.length - EDGE_BYTES);
    const at = findIdAtTail(toText(this.#held, tailAt), tailAt, this.#rewrite.upstreamId);
    if (at === undefined) return undefined;
    const end = at + this.#rewrite.upstreamId.length + 2;
    return splice(this.#held, [{ start: at, end, text: this.#rewrite.clientId }]);
  }

  /** Rewrites what stands at the head, once; returns the head's bytes. */
  #releaseHead(): Buffer {
    this.#isHeadDone = true;
    const edits: Edit[] = [];
    const text = toText(this.#held, 0, HEAD_BYTES);
    const id = findIdAtHead(text, this.#rewrite.upstreamId);
    if (id !== undefined) {
      edits.push({ start: id, end: id + this.#rewrite.upstreamId.length + 2, text: this.#rewrite.clientId });
      this.#isIdDone = true;
    }
    this.#isOutcomeFirst = OUTCOME_HEAD.test(text);
    const type = this.#rewrite.addsResultType ? findResultType(text) : undefined;
    if (type !== undefined) edits.push(type);
    const head = this.#held.subarray(0, 3 * EDGE_BYTES);
    this.#held = this.#held.subarray(head.length);
    return splice(
      head,
      edits.sort((a, b) => a.start - b.start),
    );
  }

  #release(head: Buffer, keep: number): Buffer {
    const border = Math.max(0, this.#held.length - keep);
    const out = this.#held.subarray(0, border);
    this.#held = this.#held.subarray(border);
    return head.length === 0 ? out : Buffer.concat([head, out]);
  }
}

/** Whether a message that is still arriving begins as an answer does, and not as a notification. */
export function beginsLikeAnswer(bytes: Buffer, upstreamId: string): boolean {
  const head = toText(bytes, 0, HEAD_BYTES);
  return OUTCOME_HEAD.test(head) || findIdAtHead(head, upstreamId) !== undefined;
}
