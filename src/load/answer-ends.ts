// The message in a body that was too long to be kept, by its first and last kilobytes: members count only where they are
// certainly the message's own, or its result's, for a result may hold an `"id"` and an `"error"` of its own.

import { type AnswerMessage, isEvents, readResponse, toEvents } from './answer-message.ts';

/** Room for what stands in front of a long member, and behind it. */
const ENVELOPE_CHARS = 1_024;

const STRING = String.raw`"[^"\\]*(?:\\.[^"\\]*)*"`;
const SCALAR = String.raw`(?:${STRING}|-?\d[\d.eE+-]*|true|false|null)`;
const SMALL_OBJECT = String.raw`\{(?:[^{}]|\{[^{}]*\})*\}`;
const LEADING = String.raw`(?:\s*${STRING}\s*:\s*${SCALAR}\s*,)*\s*`;
const TRAILING = String.raw`(?:\s*,\s*${STRING}\s*:\s*(?:${SCALAR}|${SMALL_OBJECT}))*\s*`;
const IS_ERROR = String.raw`"isError"\s*:\s*true`;

const HEAD = new RegExp(String.raw`^\s*\{(${LEADING})"(result|error)"\s*:`);
const FAILED_HEAD = new RegExp(String.raw`^\s*\{${LEADING}"result"\s*:\s*\{${LEADING}${IS_ERROR}`);
const TAIL = new RegExp(String.raw`((?:\s*,\s*${STRING}\s*:\s*${SCALAR})*)\s*\}\s*$`);
const FAILED_TAIL = new RegExp(String.raw`${IS_ERROR}${TRAILING}\}(?:\s*,\s*${STRING}\s*:\s*${SCALAR})*\s*\}\s*$`);

export function readEnds(first: string, last: string): AnswerMessage | undefined {
  return isEvents(first) ? readEventEnds(first, last) : readJsonEnds(first, last);
}

function readEventEnds(first: string, last: string): AnswerMessage | undefined {
  const [cut = '', ...whole] = toEvents(last);
  const response = readResponse(whole);
  if (response !== undefined) return response;
  const begun = (toEvents(first).at(-1) ?? '').replace(/^(?:event:.*\n|id:.*\n)*data:/, '').slice(0, ENVELOPE_CHARS);
  // Where it began was not kept if much stands in front of it. No error is that long.
  return readJsonEnds(HEAD.test(begun) ? begun : '{"result":', cut.replaceAll('\ndata:', '\n'));
}

function readJsonEnds(first: string, last: string): AnswerMessage | undefined {
  const head = first.slice(0, ENVELOPE_CHARS);
  const [, leading = '', member] = HEAD.exec(head) ?? [];
  const tail = last.slice(-ENVELOPE_CHARS);
  const [, trailing] = TAIL.exec(tail) ?? [];
  if (trailing === undefined) return undefined;
  const id = /"id"\s*:\s*(-?\d+)\s*(?:,|$)/.exec(`${leading}${trailing}`)?.[1];
  if (member === 'error') return { id: Number(id), error: errorOf(head) };
  if (member === undefined) return { id: Number(id) };
  return { id: Number(id), result: { isError: FAILED_HEAD.test(head) || FAILED_TAIL.test(tail) } };
}

function errorOf(text: string): NonNullable<AnswerMessage['error']> {
  const reason = /"reason"\s*:\s*"(\w+)"/.exec(text)?.[1];
  return { code: Number(/"code"\s*:\s*(-?\d+)/.exec(text)?.[1]), data: { reason } };
}
