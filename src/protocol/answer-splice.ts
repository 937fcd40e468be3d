// Gives an upstream's answer the client's id back without walking through the answer: the id we minted is searched for
// natively, and counts only at the head or the tail of the message. An id at the head is cut out and written again as
// the last member: of two equal keys parsers take the last, so an upstream that adds an id of its own gains nothing.

import { AnswerWalk, MAX_WALK_BYTES } from './answer-walk.ts';
import type { Era } from './era.ts';
import { findMember, isObjectAt, isStringAt, JsonScanner, type Member } from './json-scan.ts';
import {
  type Edit,
  type Pieces,
  removeMembers,
  SHORT_BYTES,
  splice,
  splicePieces,
  spliceText,
  toText,
} from './splice.ts';

/** How far from either end the id may be: room for `{"jsonrpc":"2.0",` and white space. */
const EDGE_BYTES = 96;
/** How much of a message is looked at to know how it begins. */
export const HEAD_BYTES = 2 * EDGE_BYTES;
/** A chunk of a stream that is as large as this is passed on whole. */
const UNCUT_BYTES = 16 * 1024;
/** A message that its ends do not settle is walked through if it is no longer than this. */
export const MAX_WALKED_BYTES = 4 * 1024 * 1024;

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
  /** Both decide which error codes the client can be told. */
  readonly clientEra: Era;
  readonly upstreamEra: Era;
  /** Members that a legacy upstream's result needs for a modern client, as raw JSON; empty for none. */
  readonly addedMembers: string;
  /** A legacy client knows no `resultType`; taken out of answers that can be walked through. */
  readonly stripsResultType: boolean;
  /** The client was shown an output schema wrapped into an object, so what it describes is wrapped too. */
  readonly wrapsStructuredContent: boolean;
}

/** What every result of a modern revision has (2026-07-28 basic/index#results). */
export const COMPLETE = '"resultType":"complete"';
/** What one that may be kept has beside that, where its upstream said nothing (2026-07-28 server/utilities/caching). */
export const COMPLETE_UNCACHED = `${COMPLETE},"ttlMs":0,"cacheScope":"private"`;

/** Rewrites a whole answer; `undefined` when it is not an answer to this request. */
export function rewriteAnswer(bytes: Buffer, rewrite: AnswerRewrite): Buffer | undefined {
  if (bytes.length <= SHORT_BYTES) {
    const text = rewriteShortAnswer(bytes, toText(bytes), rewrite);
    return text === undefined ? undefined : Buffer.from(text, 'latin1');
  }
  const tailAt = bytes.length - EDGE_BYTES;
  const head = toText(bytes, 0, HEAD_BYTES);
  const edits = findEdits(head, toText(bytes, tailAt), tailAt, rewrite) ?? walk(bytes, rewrite);
  return edits === undefined ? undefined : splice(bytes, withErrorCode(bytes, head, edits, rewrite));
}

/** Like `rewriteAnswer` for an answer of at most `SHORT_BYTES`, given as latin1 text, too; gives such text, which can be sent as it is. */
export function rewriteShortAnswer(bytes: Buffer, text: string, rewrite: AnswerRewrite): string | undefined {
  const tailAt = Math.max(0, text.length - EDGE_BYTES);
  const head = text.slice(0, HEAD_BYTES);
  const found = findEdits(head, text.slice(tailAt), tailAt, rewrite);
  if (found !== undefined && bytes.length <= MAX_WALK_BYTES) {
    const walk = new AnswerWalk(bytes);
    if (!walk.isWhole() || walk.outcome === undefined) return undefined;
    if (walk.outcome === 'result') return spliceText(text, found);
  }
  const edits = found ?? walk(bytes, rewrite);
  return edits === undefined ? undefined : spliceText(text, withErrorCode(bytes, head, edits, rewrite));
}

/** The edits by a look at both ends of a message; `undefined` when that does not settle it. */
function findEdits(head: string, tail: string, tailAt: number, rewrite: AnswerRewrite): Edit[] | undefined {
  if (rewrite.stripsResultType || rewrite.wrapsStructuredContent) return undefined;
  const { addedMembers } = rewrite;
  const type = addedMembers.length > 0 ? findResultHead(head, addedMembers) : undefined;
  if (addedMembers.length > 0 && type === undefined) return undefined;
  const edits = type === undefined ? [] : [type];
  const atHead = findIdAtHead(head, rewrite.upstreamId);
  if (atHead !== undefined) {
    const atEnd = appendId(tail, tailAt, rewrite.clientId);
    return atEnd === undefined ? undefined : [atHead, ...edits, atEnd];
  }
  const atTail = OUTCOME_HEAD.test(head) ? findIdAtTail(tail, tailAt, rewrite) : undefined;
  return atTail === undefined ? undefined : [...edits, atTail];
}

/** Cuts out the id that stands at the head, comma included. */
function findIdAtHead(head: string, upstreamId: string): Edit | undefined {
  const at = head.indexOf(upstreamId) - 1;
  if (at <= 0 || at >= EDGE_BYTES || !HEAD.test(head.slice(0, at))) return undefined;
  const behind = at + upstreamId.length + 2;
  if (!OUTCOME_BEHIND_ID.test(head.slice(behind))) return undefined;
  return { start: head.lastIndexOf('"id"', at), end: head.indexOf(',', behind) + 1, text: '' };
}

/** Replaces the id that nothing but the end of the message follows: a closing brace that is the last byte is the top one. */
function findIdAtTail(tail: string, tailAt: number, rewrite: AnswerRewrite): Edit | undefined {
  const { upstreamId, clientId } = rewrite;
  const at = tail.lastIndexOf(upstreamId) - 1;
  if (at < 0 || !TAIL.test(tail.slice(at + upstreamId.length + 1))) return undefined;
  if (!KEY_BEFORE_TAIL.test(tail.slice(0, at + 1))) return undefined;
  return { start: tailAt + at, end: tailAt + at + upstreamId.length + 2, text: clientId };
}

/** Writes the id in front of the brace that ends the message; a message that does not end in one is cut short. */
function appendId(tail: string, tailAt: number, clientId: string): Edit | undefined {
  const text = tail.trimEnd();
  if (!text.endsWith('}')) return undefined;
  const at = tailAt + text.length - 1;
  return { start: at, end: at, text: `,"id":${clientId}` };
}

function findResultHead(head: string, addedMembers: string): Edit | undefined {
  const found = RESULT_HEAD.exec(head);
  if (found === null) return undefined;
  const isEmpty = found[1] !== undefined;
  return membersAt(found[0].length - (isEmpty ? 1 : 0), isEmpty, addedMembers);
}

function membersAt(at: number, isEmpty: boolean, members: string): Edit {
  return { start: at, end: at, text: isEmpty ? members : `${members},` };
}

/** Settles an unusual layout, or one whose result is reshaped, by reading the members of the message. */
function walk(bytes: Buffer, rewrite: AnswerRewrite): Edit[] | undefined {
  if (bytes.length > MAX_WALKED_BYTES) return undefined;
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  const end = scan.readMembers(scan.skipSpace(0), 0, members);
  if (end < 0 || scan.skipSpace(end) !== bytes.length) return undefined;
  const id = findMember(members, 'id');
  if (id === undefined || !isStringAt(bytes, id, rewrite.upstreamId)) return undefined;
  const result = findMember(members, 'result');
  if ((result === undefined) === (findMember(members, 'error') === undefined)) return undefined;
  if (findMember(members, 'method') !== undefined) return undefined;
  const edits: Edit[] = [{ start: id.start, end: id.end, text: rewrite.clientId }];
  if (result !== undefined && isObjectAt(bytes, result.start)) edits.push(...reshapeResult(scan, result, rewrite));
  return edits.sort((a, b) => a.start - b.start);
}

const INTERNAL_ERROR = -32603;
const INVALID_PARAMS = -32602;
const UNDECLARED_CAPABILITY = -32021;
/** Codes of 2025-11-25 that a modern client must not be sent (2026-07-28 basic/index#error-codes). */
const LEGACY_CODES: ReadonlyMap<number, number> = new Map([
  [-32002, INVALID_PARAMS],
  [-32042, INTERNAL_ERROR],
]);

/** The edits and, for an error whose code this client cannot be told, one that changes the code. */
function withErrorCode(bytes: Buffer, head: string, edits: Edit[], rewrite: AnswerRewrite): Edit[] {
  if (!head.includes('"error"')) return edits;
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  const inside: Member[] = [];
  if (scan.readMembers(scan.skipSpace(0), 0, members) < 0) return edits;
  const error = findMember(members, 'error');
  if (error === undefined || scan.readMembers(error.start, 1, inside) < 0) return edits;
  const code = findMember(inside, 'code');
  const translated =
    code === undefined ? undefined : translateCode(Number(toText(bytes, code.start, code.end)), rewrite);
  if (code === undefined || translated === undefined) return edits;
  return [...edits, { start: code.start, end: code.end, text: String(translated) }].sort((a, b) => a.start - b.start);
}

/** -32020 to -32022 speak of the hop between gateway and upstream, but what the client must declare only the client can. */
function translateCode(code: number, { clientEra, upstreamEra }: AnswerRewrite): number | undefined {
  const legacy = LEGACY_CODES.get(code);
  if (legacy !== undefined) return clientEra === 'modern' ? legacy : undefined;
  if (code === UNDECLARED_CAPABILITY && clientEra === 'modern' && upstreamEra === 'modern') return undefined;
  return code <= -32020 && code >= -32022 ? INTERNAL_ERROR : undefined;
}

function reshapeResult(scan: JsonScanner, result: Member, rewrite: AnswerRewrite): Edit[] {
  const edits: Edit[] = [];
  if (rewrite.addedMembers.length > 0) {
    const at = scan.skipSpace(result.start + 1);
    edits.push(membersAt(at, at === result.end - 1, rewrite.addedMembers));
  }
  if (!rewrite.stripsResultType && !rewrite.wrapsStructuredContent) return edits;
  const inside: Member[] = [];
  if (scan.readMembers(result.start, 1, inside) < 0) return edits;
  // The brace goes first: a member behind the content is cut out from the very byte where the brace is put.
  const content = findMember(inside, 'structuredContent');
  if (rewrite.wrapsStructuredContent && content !== undefined) {
    edits.push({ start: content.start, end: content.start, text: '{"result":' });
    edits.push({ start: content.end, end: content.end, text: '}' });
  }
  const type = findMember(inside, 'resultType');
  if (rewrite.stripsResultType && type !== undefined && isStringAt(scan.bytes, type, 'complete')) {
    edits.push(...removeMembers(inside, (member) => member === type));
  }
  return edits;
}

/**
 * Rewrites an answer that is too large to be held: give it chunks as they come, send on what it returns.
 * Holds back its first few hundred bytes, and of its end as many or the last chunk. Joins nothing large to anything: that
 * would be to copy all that passes.
 */
export class AnswerStream {
  readonly #rewrite: AnswerRewrite;
  #held: Buffer = EMPTY;
  #isHeadDone = false;
  #isIdCut = false;
  #isOutcomeFirst = false;

  constructor(rewrite: AnswerRewrite) {
    this.#rewrite = rewrite;
  }

  /** Bytes that can be sent now. */
  push(chunk: Buffer): Pieces {
    if (this.#isHeadDone && Math.max(this.#held.length, chunk.length) >= UNCUT_BYTES) return this.#passOn(chunk);
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (this.#held.length < 4 * EDGE_BYTES) return EMPTY;
    const head = this.#isHeadDone ? EMPTY : this.#releaseHead();
    const border = Math.max(0, this.#held.length - EDGE_BYTES);
    const out = this.#held.subarray(0, border);
    this.#held = this.#held.subarray(border);
    if (head.length === 0) return out;
    return out.length < UNCUT_BYTES ? Buffer.concat([head, out]) : [head, out];
  }

  #passOn(chunk: Buffer): Buffer {
    const before = this.#held;
    if (chunk.length >= EDGE_BYTES) {
      this.#held = chunk;
      return before;
    }
    const border = Math.max(0, before.length - EDGE_BYTES);
    this.#held = Buffer.concat([before.subarray(border), chunk]);
    return before.subarray(0, border);
  }

  /** The last bytes, or `undefined` when the answer was not a whole answer to this request. */
  end(): Pieces | undefined {
    if (!this.#isHeadDone) return rewriteAnswer(this.#held, this.#rewrite);
    const tailAt = Math.max(0, this.#held.length - EDGE_BYTES);
    const tail = toText(this.#held, tailAt);
    const atTail = this.#isOutcomeFirst ? findIdAtTail(tail, tailAt, this.#rewrite) : undefined;
    const edit = this.#isIdCut ? appendId(tail, tailAt, this.#rewrite.clientId) : atTail;
    return edit === undefined ? undefined : splicePieces(this.#held, [edit]);
  }

  /** Rewrites what stands at the head, once; returns the head's bytes. */
  #releaseHead(): Buffer {
    this.#isHeadDone = true;
    const text = toText(this.#held, 0, HEAD_BYTES);
    this.#isOutcomeFirst = OUTCOME_HEAD.test(text);
    const id = findIdAtHead(text, this.#rewrite.upstreamId);
    this.#isIdCut = id !== undefined;
    const { addedMembers } = this.#rewrite;
    const type = addedMembers.length > 0 ? findResultHead(text, addedMembers) : undefined;
    const head = this.#held.subarray(0, 3 * EDGE_BYTES);
    this.#held = this.#held.subarray(head.length);
    return splice(
      head,
      [id, type].filter((edit) => edit !== undefined),
    );
  }
}

const EMPTY = Buffer.alloc(0);

/** Whether a message that is still arriving begins as an answer does, and not as a notification. */
export function beginsLikeAnswer(bytes: Buffer, upstreamId: string): boolean {
  const head = toText(bytes, 0, HEAD_BYTES);
  return OUTCOME_HEAD.test(head) || findIdAtHead(head, upstreamId) !== undefined;
}

const METHOD_HEAD = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"method"\s*:/;

/** Whether a message begins with a method: `rewriteAnswer` takes no such one, but only after a walk where our id is its progress token. */
export function beginsWithMethod(bytes: Buffer): boolean {
  return METHOD_HEAD.test(toText(bytes, 0, EDGE_BYTES));
}
