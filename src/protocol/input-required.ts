// `input_required` (2026-07-28 basic/patterns/mrtr): reads an upstream's, writes the gateway's own out of what a legacy
// upstream asks, and puts the answers of clients into the request that is sent again.

import { isUtf8 } from 'node:buffer';
import {
  findMember,
  isArrayAt,
  isObjectAt,
  isStringAt,
  JsonScanner,
  type Member,
  type Span,
  stringAt,
} from './json-scan.ts';
import type { Message } from './jsonrpc.ts';
import { readRequestObject, readUrlElicitation, type ServerRequest, toInputEntry } from './server-request.ts';
import { type Edit, removeMembers, splice, toText } from './splice.ts';

/** What one answer may ask for: a client shows each to a person. */
export const MAX_INPUTS = 32;
/** It goes to the client and comes back with the retry. */
const MAX_STATE_BYTES = 1024 * 1024;
const INPUT_REQUIRED = 'input_required';
const URL_REQUIRED = -32042;

/** One entry of `inputRequests`. */
export interface InputRequest {
  readonly key: string;
  readonly request: ServerRequest;
}

/** An upstream's `input_required` answer. */
export interface InputRequired {
  /** The whole answer. */
  readonly bytes: Buffer;
  readonly requests: readonly InputRequest[];
  /** Where `requestState` is, quotes included. */
  readonly stateAt: Span | undefined;
}

/** One entry of a client's `inputResponses`. */
export interface InputResponse {
  readonly key: string;
  /** The result: raw JSON as latin1 text. */
  readonly text: string;
}

export interface Inputs {
  /** `undefined` when the request has no `inputResponses`. */
  readonly responses: readonly InputResponse[] | undefined;
  readonly state: string | undefined;
}

/**
 * Reads a whole answer to the request of this id. `undefined` when it is another answer, or a complete one; `problem`
 * is a clause about an upstream that breaks the rules of the result it has begun.
 */
export function readInputRequired(
  bytes: Buffer,
  upstreamId: string,
): InputRequired | { readonly problem: string } | undefined {
  const result = membersOfOutcome(bytes, upstreamId, 'result');
  const type = result && findMember(result, 'resultType');
  if (result === undefined || type === undefined || !isStringAt(bytes, type, INPUT_REQUIRED)) return undefined;
  if (!isUtf8(bytes)) return problem('its text is not valid UTF-8');
  const stateAt = findMember(result, 'requestState');
  const requestsAt = findMember(result, 'inputRequests');
  if (stateAt !== undefined && stringAt(bytes, stateAt) === undefined) return problem('requestState is no string');
  if (stateAt !== undefined && stateAt.end - stateAt.start > MAX_STATE_BYTES)
    return problem('requestState is too long');
  const requests = requestsAt === undefined ? [] : readEntries(bytes, requestsAt);
  if (typeof requests === 'string') return problem(requests);
  if (requests.length === 0 && stateAt === undefined) return problem('it names neither requests nor a state');
  return { bytes, requests, stateAt };
}

/** The raw `requestState` of an answer, quotes included, as latin1 text. */
export function stateText({ bytes, stateAt }: InputRequired): string | undefined {
  return stateAt && toText(bytes, stateAt.start, stateAt.end);
}

/** The same answer with another state, which is plain base64url. */
export function withState({ bytes, stateAt }: InputRequired, state: string): Buffer {
  return stateAt === undefined ? bytes : splice(bytes, [{ ...stateAt, text: `"${state}"` }]);
}

/** A whole `input_required` answer. `clientId` is raw JSON as latin1 text, `state` plain base64url. */
export function toInputRequired(
  clientId: string,
  requests: readonly InputRequest[],
  state: string | undefined,
): Buffer {
  const entries = requests.map(({ key, request }) => `"${key}":${toInputEntry(request)}`);
  const members = [`"resultType":"${INPUT_REQUIRED}"`, `"inputRequests":{${entries.join(',')}}`];
  if (state !== undefined) members.push(`"requestState":"${state}"`);
  return Buffer.from(`{"jsonrpc":"2.0","id":${clientId},"result":{${members.join(',')}}}`, 'latin1');
}

/** What a modern client's request brings as answers; `problem` says what is wrong with its params. */
export function readInputs(message: Message): Inputs | { readonly problem: string } {
  const { bytes, params } = message;
  const stateAt = findMember(params, 'requestState');
  const state = stateAt && stringAt(bytes, stateAt);
  if (stateAt !== undefined && state === undefined) return problem('params.requestState must be a string.');
  const at = findMember(params, 'inputResponses');
  if (at === undefined) return { responses: undefined, state };
  const members: Member[] = [];
  const isRead =
    isObjectAt(bytes, at.start) && new JsonScanner(bytes, undefined, MAX_INPUTS).readMembers(at.start, 0, members) > 0;
  if (!isRead || !members.every(({ start }) => isObjectAt(bytes, start))) {
    return problem(
      `params.inputResponses must be an object of at most ${MAX_INPUTS} results, each under a key of its own.`,
    );
  }
  const responses = members.map(({ key, start, end }) => ({ key, text: toText(bytes, start, end) }));
  return { responses, state };
}

/** An `inputResponses` object as raw JSON. */
export function toInputResponses(responses: readonly InputResponse[]): string {
  return `{${responses.map(({ key, text }) => `${toKey(key)}:${text}`).join(',')}}`;
}

/**
 * The client's request with these answers and this state in place of any it has; both are raw JSON as latin1 text,
 * `undefined` leaves the member out. All else stays the bytes it was.
 */
export function withInputs(message: Message, responses: string | undefined, state: string | undefined): Buffer {
  const { bytes, params, paramsAt } = message;
  if (paramsAt === undefined) return bytes;
  const isInput = ({ key }: Member): boolean => key === 'inputResponses' || key === 'requestState';
  const added: string[] = [];
  if (responses !== undefined) added.push(`"inputResponses":${responses}`);
  if (state !== undefined) added.push(`"requestState":${state}`);
  const text = added.join(',') + (added.length > 0 && !params.every(isInput) ? ',' : '');
  const at = paramsAt.start + 1;
  const edits: Edit[] = [{ start: at, end: at, text }, ...removeMembers(params, isInput)];
  return splice(bytes, edits);
}

/** The URL elicitations of an error -32042 (2025-11-25 client/elicitation); `undefined` for any other answer. */
export function readUrlRequired(bytes: Buffer, upstreamId: string): ServerRequest[] | undefined {
  if (!bytes.includes(String(URL_REQUIRED))) return undefined;
  const error = membersOfOutcome(bytes, upstreamId, 'error');
  const code = error && findMember(error, 'code');
  const dataAt = error && findMember(error, 'data');
  if (code === undefined || Number(toText(bytes, code.start, code.end)) !== URL_REQUIRED) return undefined;
  const data: Member[] = [];
  const scan = new JsonScanner(bytes);
  if (dataAt === undefined || scan.readMembers(dataAt.start, 0, data) < 0) return undefined;
  const listAt = findMember(data, 'elicitations');
  const elements: Span[] = [];
  if (listAt === undefined || !isArrayAt(bytes, listAt.start)) return undefined;
  if (scan.readElements(listAt.start, 0, elements) < 0) return undefined;
  const requests = elements.map((element) => readUrlElicitation(bytes, element));
  const isUsable = requests.length > 0 && requests.length <= MAX_INPUTS && isUtf8(bytes);
  return isUsable && requests.every((request) => request !== undefined) ? requests : undefined;
}

function readEntries(bytes: Buffer, at: Span): InputRequest[] | string {
  const members: Member[] = [];
  const scan = new JsonScanner(bytes, undefined, MAX_INPUTS);
  if (!isObjectAt(bytes, at.start)) return 'inputRequests is no object';
  if (scan.readMembers(at.start, 0, members) < 0) {
    return scan.problemKind === 'too_many_keys' ? `it asks for more than ${MAX_INPUTS} things` : 'it uses a key twice';
  }
  const requests: InputRequest[] = [];
  for (const member of members) {
    const request = readRequestObject(bytes, member);
    if (typeof request === 'string') return `one of its requests ${request}`;
    requests.push({ key: member.key, request });
  }
  return requests;
}

/** The members of the result, or of the error, of an answer that is to this request; none for one that has both. */
function membersOfOutcome(bytes: Buffer, upstreamId: string, outcome: 'result' | 'error'): Member[] | undefined {
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  const inside: Member[] = [];
  const end = scan.readMembers(scan.skipSpace(0), 0, members, { key: outcome, into: inside });
  if (end < 0 || scan.skipSpace(end) !== bytes.length) return undefined;
  const id = findMember(members, 'id');
  if (id === undefined || !isStringAt(bytes, id, upstreamId) || findMember(members, 'method') !== undefined)
    return undefined;
  const other = findMember(members, outcome === 'result' ? 'error' : 'result');
  return other === undefined && findMember(members, outcome) !== undefined ? inside : undefined;
}

/** A key as JSON in latin1 text. */
function toKey(key: string): string {
  return Buffer.from(JSON.stringify(key)).toString('latin1');
}

function problem(text: string): { readonly problem: string } {
  return { problem: text };
}
