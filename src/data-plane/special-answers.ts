// Answers of upstreams that are no plain result: a modern one needs something of the client first, or a legacy one wants
// a URL to be opened. Each becomes what the client's own revision has for that, or a broken answer.

import type { Route } from '../catalog/route.ts';
import type { ClientCapabilities } from '../protocol/client-capabilities.ts';
import {
  type InputRequired,
  readInputRequired,
  readUrlRequired,
  stateText,
  toInputRequired,
  withState,
} from '../protocol/input-required.ts';
import { findMember } from '../protocol/json-scan.ts';
import { rawText } from '../protocol/jsonrpc.ts';
import { hasOtherType, mayBeIncomplete } from '../protocol/result-type.ts';
import { findUndeclared } from '../protocol/server-request.ts';
import { SHORT_BYTES } from '../protocol/splice.ts';
import type { Link } from '../upstream/handshake.ts';
import type { AnswerFailure } from './answer-reader.ts';
import type { RpcRequest } from './exchange.ts';
import { readRequired, toNeed, toUnasked } from './unasked.ts';
import { readError } from './upstream-refusal.ts';

/** The call that is answered. */
export interface AnsweredCall {
  readonly request: RpcRequest;
  readonly route: Route;
  readonly link: Link;
  readonly upstreamId: string;
  /** What its client can be asked now. */
  readonly declared: ClientCapabilities;
  /** Seals an upstream's state, a JSON string as latin1 text, for this client and this request; gives base64url. */
  seal(state: string): string;
}

/** `answer` is the upstream's, and still has the upstream's id; `own` is the whole answer of the gateway. */
export type Special =
  | { readonly answer: Buffer }
  | { readonly own: Buffer }
  | { readonly input: InputRequired }
  | AnswerFailure;

/** Methods whose answer may ask for input (2026-07-28 basic/patterns/mrtr). */
const INTERACTIVE: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);
/** Errors of 2025-11-25 client/elicitation, and of 2026-07-28 basic/index#error-codes. */
const URL_REQUIRED = '-32042';
const UNDECLARED = '-32021';

/** Whether the client of a method can be asked for something in its middle. */
export function isInteractive(method: string): boolean {
  return INTERACTIVE.has(method);
}

/** Whether an answer must be read by `readSpecial`. `text` is its latin1 text, if there is one. */
export function isSpecial({ request, link }: AnsweredCall, bytes: Buffer, text: string | undefined): boolean {
  const isModern = link.era === 'modern';
  if (isModern && mayBeIncomplete(bytes, text)) return true;
  // An error that is of the upstream's own era needs no other form.
  if (request.era === link.era || bytes.length > SHORT_BYTES) return false;
  return (text ?? bytes).includes(isModern ? UNDECLARED : URL_REQUIRED);
}

/** Reads a whole answer; `undefined` when there is nothing special about it. */
export function readSpecial(call: AnsweredCall, bytes: Buffer): Special | undefined {
  if (call.link.era === 'legacy') return readUrls(call, bytes);
  return readIncomplete(call, bytes) ?? readUndeclared(call, bytes);
}

/** A legacy client has no code for it. */
function readUndeclared({ request, route, upstreamId }: AnsweredCall, bytes: Buffer): Special | undefined {
  if (request.era === 'modern' || !bytes.includes(upstreamId)) return undefined;
  const error = readError(bytes);
  const code = findMember(error, 'code');
  if (code === undefined || rawText(bytes, code) !== UNDECLARED) return undefined;
  return { own: toUnasked(request, route, toNeed(readRequired(bytes, error))) };
}

function readIncomplete(call: AnsweredCall, bytes: Buffer): Special | undefined {
  const { request, declared, upstreamId } = call;
  const input = readInputRequired(bytes, upstreamId);
  if (input === undefined) {
    return hasOtherType(bytes) ? broken('its result is of a type that nobody has agreed on with it') : undefined;
  }
  if ('problem' in input) return broken(`it asks for input in a way that cannot be read: ${input.problem}`);
  if (!isInteractive(request.message.method)) return broken('it asks for input where none may be asked for');
  if (request.era === 'legacy') return { input };
  const undeclared = findUndeclared(
    input.requests.map((each) => each.request),
    declared,
  );
  if (undeclared !== undefined) return broken(`it asks for what it may not ask for: ${undeclared[1]}`);
  const state = stateText(input);
  return { answer: state === undefined ? bytes : withState(input, call.seal(state)) };
}

/** A modern client opens the URLs and then sends its request again (2026-07-28 client/elicitation). */
function readUrls({ request, declared, upstreamId }: AnsweredCall, bytes: Buffer): Special | undefined {
  const canOpen = declared.elicitationUrl && isInteractive(request.message.method);
  const urls = canOpen ? readUrlRequired(bytes, upstreamId) : undefined;
  if (urls === undefined) return undefined;
  const entries = urls.map((url, index) => ({ key: `url-${index + 1}`, request: url }));
  return { own: toInputRequired(latin1(request.idText), entries, undefined) };
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

function broken(message: string): AnswerFailure {
  return { reason: 'broken_answer', message };
}
