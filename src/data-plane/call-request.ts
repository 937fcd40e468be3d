// What one call sends to its upstream, and what is made of the answer for its client.

import type { Route } from '../catalog/route.ts';
import { type AnswerRewrite, COMPLETE, COMPLETE_UNCACHED } from '../protocol/answer-splice.ts';
import { rewriteCall } from '../protocol/call-rewrite.ts';
import { type ClientCapabilities, capabilitiesText, NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import { type Era, MODERN_REVISION } from '../protocol/era.ts';
import { withInputs } from '../protocol/input-required.ts';
import { findMember, MAX_MEMBERS, type Span } from '../protocol/json-scan.ts';
import { type Message, scanMessage } from '../protocol/jsonrpc.ts';
import { type LogLevel, saysMore } from '../protocol/log-level.ts';
import { toParamHeaders } from '../protocol/param-headers.ts';
import { type Edit, type Pieces, toText } from '../protocol/splice.ts';
import type { RelayRewrite } from '../protocol/sse-relay.ts';
import type { Link } from '../upstream/handshake.ts';
import type { CallHead } from '../upstream/upstream.ts';
import type { Refusal, RpcRequest } from './exchange.ts';
import { type Named, readNamed, toHeaderName, toRename } from './named.ts';
import { acceptsStream } from './reply.ts';

/** One request to the upstream: the client's own, or the same with the answers to what the upstream has asked. */
export interface Outgoing {
  readonly message: Message;
  readonly named: Named;
  /** The state that an upstream gave, a JSON string as latin1 text: takes the place of the one the client was given. */
  readonly state: string | undefined;
  /** Whether `inputResponses` and `requestState` are the client's own doing, and mean something in the modern era only. */
  readonly hasInputs: boolean;
}

/**
 * The same request with other answers and state, both raw JSON as latin1 text, in place of what it has of either;
 * `undefined` where it has no room for them.
 */
export function withAnswers(
  message: Message,
  responses: string | undefined,
  state: string | undefined,
): Outgoing | undefined {
  const answered = scanMessage(withInputs(message, responses, state));
  if (answered.kind === 'fault') return undefined;
  return { message: answered, named: readNamed(answered) as Named, state: undefined, hasInputs: false };
}

/** The same request without either. */
export function withoutInputs(message: Message): Outgoing {
  return withAnswers(message, undefined, undefined) as Outgoing;
}

/** `undefined` where the arguments do not say clearly what their headers are to say. */
export function toCallHead(
  { message, named }: Outgoing,
  { tool, upstreamName }: Route,
  era: Era,
): CallHead | undefined {
  const { method } = message;
  const params =
    era === 'modern' && tool !== undefined && tool.paramHeaders.length > 0
      ? toParamHeaders(message.bytes, findMember(message.params, 'arguments'), tool.paramHeaders)
      : NO_HEADERS;
  if (params === 'ambiguous') return undefined;
  return { method, name: toHeaderName(named, method, upstreamName), params };
}

const NO_HEADERS: readonly string[] = [];

/** Said where there is no head. */
export const AMBIGUOUS_ARGUMENTS: Refusal = {
  code: 'invalid_request',
  message: `params.arguments has a key twice, or more than ${MAX_MEMBERS} keys, on the way to a value that its server wants as a header.`,
};

/** The body of the request `upstreamId`. `declared` is what its client can be asked. */
export function toCallBody(
  { message, named, state }: Outgoing,
  request: RpcRequest,
  { upstream, upstreamName }: Route,
  { era }: Link,
  upstreamId: string,
  declared: ClientCapabilities,
): Pieces {
  return rewriteCall(message, {
    clientEra: request.era,
    upstreamEra: era,
    upstreamId,
    rename: toRename(named, upstreamName),
    state: state === undefined ? undefined : toStateEdit(message, state),
    clientInfo: upstream.clientInfo,
    capabilities: declared === NO_CAPABILITIES ? '{}' : toDeclaration(declared),
    logLevel: request.session?.logLevel,
  });
}

const declarations = new WeakMap<ClientCapabilities, string>();

/** Made once: a client declares the same with every request. */
function toDeclaration(declared: ClientCapabilities): string {
  let text = declarations.get(declared);
  if (text === undefined) {
    text = capabilitiesText(declared, MODERN_REVISION);
    declarations.set(declared, text);
  }
  return text;
}

function toStateEdit({ params }: Message, state: string): Edit | undefined {
  const at = findMember(params, 'requestState');
  return at && { start: at.start, end: at.end, text: state };
}

export function toAnswerRewrite(request: RpcRequest, route: Route, link: Link, upstreamId: string): AnswerRewrite {
  const { era, message } = request;
  const isUncached = message.method === 'resources/read';
  return {
    upstreamId,
    clientId: textAt(message, request.id),
    clientEra: era,
    upstreamEra: link.era,
    addedMembers: era === 'modern' && link.era === 'legacy' ? (isUncached ? COMPLETE_UNCACHED : COMPLETE) : '',
    stripsResultType: era === 'legacy' && link.era === 'modern',
    // A legacy client was shown this tool's output schema wrapped into an object.
    wrapsStructuredContent: era === 'legacy' && route.tool?.wrapsOutput === true,
  };
}

export function toRelayRewrite(request: RpcRequest, answer: AnswerRewrite): RelayRewrite {
  const { exchange, message, logLevel } = request;
  const token = findMember(message.meta, 'progressToken');
  return {
    ...answer,
    progressToken: token === undefined ? undefined : textAt(message, token),
    logLevel,
    framing: acceptsStream(exchange.accept) ? 'sse' : 'json',
  };
}

/** A part of the client's message as it stands there. */
function textAt({ bytes }: Message, { start, end }: Span): string {
  return toText(bytes, start, end);
}

/** The level of logs that the client wants, where the upstream was not told so on this conversation. */
export function findLogLevel({ era, session, logLevel }: RpcRequest, link: Link): LogLevel | undefined {
  // A legacy client that has set no level takes what comes.
  if (logLevel === undefined || (era === 'legacy' && session?.logLevel === undefined)) return undefined;
  return link.logLevel === undefined || saysMore(logLevel, link.logLevel) ? logLevel : undefined;
}
