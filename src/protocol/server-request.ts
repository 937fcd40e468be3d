// What a server asks of a client: an elicitation, a sampling, the roots. A legacy server sends it as a request of its
// own, a modern one as an entry of an `input_required` result; both are read into one form and written out of it.

import { randomUUID } from 'node:crypto';
import type { ClientCapabilities } from './client-capabilities.ts';
import { findMember, isObjectAt, JsonScanner, type Member, type Span, stringAt } from './json-scan.ts';
import { errorAnswer, type Message, rawText, resultAnswer } from './jsonrpc.ts';
import { quoted } from './quoted.ts';
import { type Edit, removeMembers, spliceText, toText } from './splice.ts';

export type ServerRequestMethod = 'elicitation/create' | 'sampling/createMessage' | 'roots/list';

/** What a client must have declared to be asked something. */
export type Need = 'roots' | 'sampling' | 'samplingTools' | 'elicitationForm' | 'elicitationUrl';

/** One thing that is asked of a client, in no era's form. */
export interface ServerRequest {
  readonly method: ServerRequestMethod;
  /** Raw JSON as latin1 text, without what belongs to one hop. */
  readonly params: string | undefined;
  readonly needs: Need;
}

/** A request that a legacy upstream waits to have answered. */
export interface LiveRequest extends ServerRequest {
  /** The upstream's id: raw JSON as latin1 text. */
  readonly idText: string;
}

/** What a client has answered: the raw JSON of its result, or of its error, as latin1 text. */
export interface ClientAnswer {
  readonly kind: 'result' | 'error';
  readonly text: string;
}

/** How deep a result is in the request that takes it to a modern upstream: in `params.inputResponses`. */
const DEPTH_IN_RETRY = 3;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;

/** What is said of an undeclared capability; 2025-11-25 client/elicitation and client/roots, error handling. */
const UNDECLARED: Readonly<Record<Need, readonly [code: number, message: string]>> = {
  roots: [METHOD_NOT_FOUND, 'the client has not declared roots'],
  sampling: [METHOD_NOT_FOUND, 'the client has not declared sampling'],
  samplingTools: [INVALID_PARAMS, 'the client has not declared sampling.tools'],
  elicitationForm: [INVALID_PARAMS, 'the client has not declared elicitation by form'],
  elicitationUrl: [INVALID_PARAMS, 'the client has not declared elicitation by URL'],
};

/** Says why a client that declared this cannot be asked; `undefined` when it can. */
export function findUndeclared(
  requests: Iterable<ServerRequest>,
  declared: ClientCapabilities,
): readonly [code: number, message: string] | undefined {
  for (const { needs } of requests) if (!declared[needs]) return UNDECLARED[needs];
  return undefined;
}

/**
 * Reads a request that a legacy upstream sent on the stream of a call. What the client is not to be asked is answered
 * here: `answer` is a JSON-RPC response to be sent to the upstream at once.
 */
export function readServerRequest(
  message: Message,
  declared: ClientCapabilities,
): LiveRequest | { readonly answer: Buffer } {
  const { bytes, method, paramsAt, params, meta } = message;
  const idText = message.id === undefined ? 'null' : toText(bytes, message.id.start, message.id.end);
  if (method === 'ping') return { answer: Buffer.from(resultAnswer(idText, '{}'), 'latin1') };
  const request = toServerRequest(bytes, { method, paramsAt, params, meta });
  if (request === undefined) return refuse(idText, METHOD_NOT_FOUND, 'Method not found');
  if (typeof request === 'string') return refuse(idText, INVALID_PARAMS, `The request ${request}.`);
  const undeclared = findUndeclared([request], declared);
  return undeclared === undefined
    ? { ...request, idText }
    : refuse(idText, undeclared[0], `Not sent: ${undeclared[1]}.`);
}

/** Reads `{method, params}` at a span of a text that was scanned; a string says what is wrong with it. */
export function readRequestObject(bytes: Buffer, at: Span): ServerRequest | string {
  const scan = new JsonScanner(bytes);
  const members: Member[] = [];
  const params: Member[] = [];
  const meta: Member[] = [];
  const descent = { key: 'params', into: params, below: { key: '_meta', into: meta } };
  if (!isObjectAt(bytes, at.start)) return 'is no object';
  if (scan.readMembers(at.start, 0, members, descent) < 0) return 'says something twice';
  const methodAt = findMember(members, 'method');
  const method = methodAt && stringAt(bytes, methodAt);
  if (method === undefined) return 'has no method';
  const request = toServerRequest(bytes, { method, paramsAt: findMember(members, 'params'), params, meta });
  return request ?? `has the unknown method ${quoted(method)}`;
}

/** A URL elicitation out of its params, as an error -32042 lists them; `undefined` for any other object. */
export function readUrlElicitation(bytes: Buffer, at: Span): ServerRequest | undefined {
  const params: Member[] = [];
  if (!isObjectAt(bytes, at.start) || new JsonScanner(bytes).readMembers(at.start, 0, params) < 0) return undefined;
  const request = toServerRequest(bytes, { method: 'elicitation/create', paramsAt: at, params, meta: [] });
  return typeof request === 'object' && request.needs === 'elicitationUrl' ? request : undefined;
}

/** The whole JSON-RPC request for a legacy client, which must know what it is asked; `id` is without quotes. */
export function toClientRequest(request: ServerRequest, id: string): Buffer {
  const { method } = request;
  const params = request.needs === 'elicitationUrl' ? withElicitationId(request.params) : request.params;
  const member = params === undefined ? '' : `,"params":${params}`;
  return Buffer.from(`{"jsonrpc":"2.0","id":"${id}","method":"${method}"${member}}`, 'latin1');
}

/** The request as an entry of `inputRequests`. */
export function toInputEntry({ method, params, needs }: ServerRequest): string {
  if (params === undefined) return `{"method":"${method}"}`;
  // The modern form has no such id (2026-07-28 client/elicitation#url-mode-elicitation-requests).
  const text = needs === 'elicitationUrl' ? withoutKeys(params, ELICITATION_ID) : params;
  return `{"method":"${method}","params":${text}}`;
}

/** What a client has answered. What no upstream could be sent, or could read, becomes an error of ours. */
export function readClientAnswer({ bytes }: Message): ClientAnswer {
  const members: Member[] = [];
  const scan = new JsonScanner(bytes);
  scan.readMembers(scan.skipSpace(0), 0, members);
  const result = findMember(members, 'result');
  const error = findMember(members, 'error');
  if (result !== undefined && isObjectAt(bytes, result.start)) {
    if (scan.skipValue(result.start, DEPTH_IN_RETRY) < 0)
      return clientError(`The answer of the client is ${scan.problem}.`);
    return { kind: 'result', text: toText(bytes, result.start, result.end) };
  }
  return error !== undefined && isError(bytes, error)
    ? { kind: 'error', text: toText(bytes, error.start, error.end) }
    : clientError('The answer of the client is neither a result object nor an error.');
}

/** An answer in place of a client that gave none. */
export function clientError(message: string): ClientAnswer {
  return { kind: 'error', text: JSON.stringify({ code: INTERNAL_ERROR, message }) };
}

/** The JSON-RPC response that a legacy upstream waits for. */
export function toUpstreamResponse(idText: string, { kind, text }: ClientAnswer): Buffer {
  return Buffer.from(`{"jsonrpc":"2.0","id":${idText},"${kind}":${text}}`, 'latin1');
}

/** The text of a client's error, for people; empty when it has none. */
export function errorMessage({ text }: ClientAnswer): string {
  const error: unknown = JSON.parse(Buffer.from(text, 'latin1').toString());
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : '';
}

function refuse(idText: string, code: number, message: string): { readonly answer: Buffer } {
  return { answer: Buffer.from(errorAnswer(idText, { code, message }), 'latin1') };
}

interface RequestParts {
  readonly method: string;
  readonly paramsAt: Span | undefined;
  readonly params: readonly Member[];
  readonly meta: readonly Member[];
}

/** `undefined` for an unknown method; a string says what is wrong. */
function toServerRequest(bytes: Buffer, parts: RequestParts): ServerRequest | string | undefined {
  const { method, paramsAt, params } = parts;
  if (method !== 'elicitation/create' && method !== 'sampling/createMessage' && method !== 'roots/list') {
    return undefined;
  }
  if (paramsAt !== undefined && !isObjectAt(bytes, paramsAt.start)) return 'has params that are no object';
  if (paramsAt === undefined && method !== 'roots/list') return 'has no params';
  const needs = findNeed(bytes, method, params);
  if (needs === undefined) return 'has an unknown mode';
  return { method, params: paramsAt && hopFree(bytes, paramsAt, parts), needs };
}

function findNeed(bytes: Buffer, method: ServerRequestMethod, params: readonly Member[]): Need | undefined {
  if (method === 'roots/list') return 'roots';
  if (method === 'sampling/createMessage') {
    const usesTools = findMember(params, 'tools') ?? findMember(params, 'toolChoice');
    return usesTools === undefined ? 'sampling' : 'samplingTools';
  }
  const mode = findMember(params, 'mode');
  const name = mode === undefined ? 'form' : stringAt(bytes, mode);
  if (name === 'url') return 'elicitationUrl';
  return name === 'form' ? 'elicitationForm' : undefined;
}

/** Progress and tasks are not offered to servers: a token or a task that they name means nothing on the next hop. */
function hopFree(bytes: Buffer, paramsAt: Span, { params, meta }: RequestParts): string {
  const edits = [
    ...removeMembers(params, ({ key }) => key === 'task'),
    ...removeMembers(meta, ({ key }) => key === 'progressToken'),
  ];
  const own = edits.map(({ start, end, text }) => ({ start: start - paramsAt.start, end: end - paramsAt.start, text }));
  return spliceText(toText(bytes, paramsAt.start, paramsAt.end), own.sort(byStart));
}

function byStart(a: Edit, b: Edit): number {
  return a.start - b.start;
}

const ELICITATION_ID = 'elicitationId';

/** Required in the legacy form (2025-11-25 client/elicitation), unknown to the modern one. */
function withElicitationId(params: string | undefined): string | undefined {
  if (params === undefined || findMember(membersOf(params), ELICITATION_ID) !== undefined) return params;
  return `{"${ELICITATION_ID}":"${randomUUID()}",${params.slice(1)}`;
}

function withoutKeys(object: string, removed: string): string {
  return spliceText(
    object,
    removeMembers(membersOf(object), ({ key }) => key === removed),
  );
}

function membersOf(object: string): Member[] {
  const members: Member[] = [];
  new JsonScanner(Buffer.from(object, 'latin1')).readMembers(0, 0, members);
  return members;
}

function isError(bytes: Buffer, at: Span): boolean {
  const members: Member[] = [];
  if (!isObjectAt(bytes, at.start) || new JsonScanner(bytes).readMembers(at.start, 0, members) < 0) return false;
  const code = findMember(members, 'code');
  const message = findMember(members, 'message');
  return (
    code !== undefined &&
    /^-?\d+$/.test(rawText(bytes, code)) &&
    message !== undefined &&
    stringAt(bytes, message) !== undefined
  );
}
