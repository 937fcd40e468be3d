// `/mcp`: authenticates, reads the body once, decides the era once and hands the message to that era's table of
// methods. A method that is not in the table does not exist; absence is the check.

import { performance } from 'node:perf_hooks';
import type { Catalog, Route } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import { ERRORS } from '../domain/errors.ts';
import { NAME_STYLES, type NameStyle } from '../domain/principal.ts';
import type { Authenticator, TokenPrincipal } from '../identity/authenticate.ts';
import { classify, type Era } from '../protocol/era.ts';
import { findMember, type Member, stringAt } from '../protocol/json-scan.ts';
import { type Message, resultAnswer, scanMessage } from '../protocol/jsonrpc.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Counter } from '../telemetry/metrics.ts';
import type { CallOutcome, Telemetry } from '../telemetry/telemetry.ts';
import { type CallShared, ToolCall } from './call-tool.ts';
import { CallsInFlight } from './calls-in-flight.ts';
import { legacyInitializeResult, modernDiscoverResult } from './greetings.ts';
import { toolsListAnswer } from './list-tools.ts';
import {
  acceptsStream,
  type Framing,
  framingFor,
  type HttpRequest,
  type HttpResponse,
  reply,
  replyEmpty,
  replyError,
} from './reply.ts';
import { readBody } from './request-body.ts';
import type { Session, Sessions } from './sessions.ts';

export interface EndpointLimits {
  readonly bodyBytes: number;
  readonly callTimeoutMs: number;
  readonly listWaitMs: number;
}

export interface EndpointDeps {
  readonly authenticator: Authenticator;
  readonly catalogs: Catalogs;
  readonly sessions: Sessions;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly limits: EndpointLimits;
}

/** One request on its way through the endpoint. */
interface Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly principal: TokenPrincipal;
  readonly framing: Framing;
  readonly startedMs: number;
}

interface Request extends Exchange {
  readonly message: Message;
  readonly id: Member;
  readonly era: Era;
  readonly style: NameStyle;
  readonly session: Session | undefined;
}

type Method = (request: Request) => void;

export class McpEndpoint {
  readonly #deps: EndpointDeps;
  readonly #calls = new CallsInFlight(() => performance.now());
  readonly #callShared: CallShared;
  readonly #answered = new WeakMap<Route, Counter>();
  readonly #methods: Readonly<Record<Era, ReadonlyMap<string, Method>>>;

  constructor(deps: EndpointDeps) {
    this.#deps = deps;
    this.#callShared = {
      count: (route, outcome) => this.#countCall(route, outcome),
      observeOverhead: (seconds) => deps.telemetry.callOverhead.observe(seconds),
      onEnd: (call) => this.#calls.remove(call),
    };
    const shared: [string, Method][] = [
      ['tools/list', (request) => this.#listTools(request)],
      ['tools/call', (request) => this.#callTool(request)],
    ];
    this.#methods = {
      legacy: new Map([
        ['initialize', (request) => this.#initialize(request)],
        ['ping', (request) => this.#answer(request, '{}')],
        ...shared,
      ]),
      modern: new Map([['server/discover', (request) => this.#answer(request, modernDiscoverResult())], ...shared]),
    };
  }

  /** Serves one request to `/mcp`. Never throws. */
  handle(request: HttpRequest, response: HttpResponse): void {
    const startedMs = performance.now();
    const principal = this.#deps.authenticator.authenticateToken(request.headers.authorization);
    if (principal.kind === 'denied') {
      this.#refuseUnauthenticated(response, principal.message);
      return;
    }
    const framing = framingFor(request.headers.accept);
    const exchange: Exchange = { request, response, principal, framing, startedMs };
    if (request.method === 'POST') this.#post(exchange);
    else if (request.method === 'DELETE') this.#delete(exchange);
    else {
      request.resume();
      const message = 'This endpoint serves POST, and DELETE to end a session. It offers no stream of its own to GET.';
      reply(response, 405, JSON.stringify({ message, code: 'method_not_allowed', status: 405 }), 'json', [
        'allow',
        'POST, DELETE',
      ]);
    }
  }

  /** Stops the deadline sweep; calls in flight go on. */
  close(): void {
    this.#calls.close();
  }

  #post(exchange: Exchange): void {
    const { request, response } = exchange;
    const problem = findMediaProblem(request);
    if (problem !== undefined) {
      this.#refuse(exchange, 'unsupported_media_type', problem, undefined, true);
      return;
    }
    const { bodyBytes } = this.#deps.limits;
    readBody(request, bodyBytes, {
      onBody: (body) => this.#onBody(exchange, body),
      onTooLarge: () =>
        this.#refuse(exchange, 'payload_too_large', `The body is larger than ${bodyBytes} bytes.`, undefined, true),
      onAborted: () => response.destroy(),
    });
  }

  #onBody(exchange: Exchange, body: Buffer): void {
    try {
      this.#onMessage(exchange, body);
    } catch (error) {
      this.#deps.log.error('request failed', { error });
      if (!exchange.response.headersSent)
        this.#refuse(exchange, 'internal', 'The gateway failed to serve this request. Its log says why.', undefined);
    }
  }

  #onMessage(exchange: Exchange, body: Buffer): void {
    const { headers, url } = exchange.request;
    const message = scanMessage(body);
    if (message.kind === 'fault') {
      this.#refuse(exchange, message.code, message.message, message.id);
      return;
    }
    const id = message.id;
    const idText = id === undefined ? undefined : message.bytes.toString('utf8', id.start, id.end);
    const era = classify(message, {
      protocolVersion: oneHeader(headers['mcp-protocol-version']),
      method: oneHeader(headers['mcp-method']),
      name: oneHeader(headers['mcp-name']),
    });
    if (era.era === 'refused') {
      this.#deps.telemetry.httpRefusals.labels(era.code).add();
      replyError(exchange.response, era, idText, exchange.framing);
      return;
    }
    const sessionId = era.era === 'legacy' ? oneHeader(headers['mcp-session-id']) : undefined;
    const session =
      sessionId === undefined ? undefined : this.#deps.sessions.find(exchange.principal.token.id, sessionId);
    if (sessionId !== undefined && session === undefined) {
      this.#refuse(
        exchange,
        'unknown_session',
        'This session is unknown, or has ended. Send initialize without Mcp-Session-Id to open another.',
        idText,
      );
      return;
    }
    if (message.kind !== 'request' || id === undefined) {
      // Nothing that a client can notify or answer is waited for.
      replyEmpty(exchange.response, 202);
      return;
    }
    const style = readNameStyle(url) ?? exchange.principal.token.nameStyle;
    const method = this.#methods[era.era].get(message.method);
    if (method === undefined) this.#refuseMethod(exchange, era.era, idText);
    else method({ ...exchange, message, id, era: era.era, style, session });
  }

  #initialize(request: Request): void {
    const { message, principal, response, framing } = request;
    const asked = findMember(message.params, 'protocolVersion');
    const revision = asked === undefined ? undefined : stringAt(message.bytes, asked);
    if (revision === undefined) {
      this.#refuse(
        request,
        'invalid_params',
        'params.protocolVersion is required and must be a string.',
        rawId(request),
      );
      return;
    }
    const { result, revision: agreed } = legacyInitializeResult(revision);
    const sessionId = this.#deps.sessions.open(principal.token.id, agreed);
    reply(response, 200, resultAnswer(rawId(request), result), framing, ['mcp-session-id', sessionId]);
  }

  #listTools(request: Request): void {
    const { principal, message } = request;
    const cursor = findMember(message.params, 'cursor');
    if (cursor !== undefined) {
      this.#refuse(
        request,
        'invalid_params',
        'This cursor is unknown: the list is one page. Ask again without a cursor.',
        rawId(request),
      );
      return;
    }
    const { catalogs, limits } = this.#deps;
    this.#deps.catalogs.settled(principal.accountId, principal.token.id, limits.listWaitMs).then(
      (catalog) => {
        if (catalog === undefined) this.#refuseUnauthenticated(request.response, TOKEN_GONE);
        else this.#sendList(request, catalog, catalogs.isSettling(catalog));
      },
      (error: unknown) => {
        this.#deps.log.error('list failed', { error });
        this.#deps.telemetry.lists.labels('failed').add();
        this.#refuse(request, 'internal', 'The gateway failed to build this list. Its log says why.', rawId(request));
      },
    );
  }

  #sendList(request: Request, catalog: Catalog, isPartial: boolean): void {
    const { message, id, era, style, response, framing } = request;
    const answer = toolsListAnswer(catalog, message.bytes.subarray(id.start, id.end), era, style);
    this.#deps.telemetry.lists.labels(isPartial ? 'partial' : 'complete').add();
    reply(response, 200, answer, framing);
  }

  #callTool(request: Request): void {
    const { message, principal, style } = request;
    const at = findMember(message.params, 'name');
    const name = at === undefined ? undefined : stringAt(message.bytes, at);
    if (name === undefined) {
      this.#refuse(request, 'invalid_params', 'params.name is required and must be a string.', rawId(request));
      return;
    }
    const { catalogs, limits } = this.#deps;
    const catalog = catalogs.current(principal.accountId, principal.token.id);
    const route = catalog?.route(name, style);
    if (route !== undefined) this.#startCall(request, route);
    else if (catalog === undefined) this.#refuseUnauthenticated(request.response, TOKEN_GONE);
    else if (!catalogs.isSettling(catalog)) this.#refuseTool(request, name);
    else {
      // The tool may belong to an upstream that is only just being asked for its tools.
      catalogs.settled(principal.accountId, principal.token.id, limits.listWaitMs).then(
        (settled) => {
          const found = settled?.route(name, style);
          if (found === undefined) this.#refuseTool(request, name);
          else this.#startCall(request, found);
        },
        (error: unknown) => {
          this.#deps.log.error('call failed', { error });
          this.#refuse(request, 'internal', 'The gateway failed to serve this call. Its log says why.', rawId(request));
        },
      );
    }
  }

  #startCall(request: Request, route: Route): void {
    const { message, id, era, response, framing, principal, session, startedMs } = request;
    const call = new ToolCall(
      {
        route,
        message,
        id,
        era,
        // A principal's calls without a session share one upstream session, never with another principal's.
        session: session?.nonce ?? principal.token.id,
        response,
        framing,
        acceptsStream: acceptsStream(request.request.headers.accept),
        startedMs,
        deadlineMs: startedMs + this.#deps.limits.callTimeoutMs,
      },
      this.#callShared,
    );
    this.#calls.add(call);
    call.start();
  }

  /** Hidden, forbidden and missing look alike (design §3.3). */
  #refuseTool(request: Request, name: string): void {
    this.#deps.telemetry.calls.labels('', '', 'unknown_tool').add();
    const error = { code: 'unknown_tool' as const, message: `Unknown tool: ${name.slice(0, 256)}` };
    replyError(request.response, error, rawId(request), request.framing);
  }

  /** The peer of 404 in the modern era is an answer in the legacy one (2026-07-28 basic/transports/streamable-http#status-codes). */
  #refuseMethod(exchange: Exchange, era: Era, id: string | undefined): void {
    const error = { code: 'method_not_found' as const, message: 'Method not found' };
    if (era === 'modern') replyError(exchange.response, error, id, exchange.framing);
    else {
      const body = JSON.stringify({ code: ERRORS.method_not_found.jsonRpcCode, message: error.message });
      reply(exchange.response, 200, `{"jsonrpc":"2.0","id":${id},"error":${body}}`, exchange.framing);
    }
  }

  #answer(request: Request, result: string): void {
    reply(request.response, 200, resultAnswer(rawId(request), result), request.framing);
  }

  #delete(exchange: Exchange): void {
    const { request, response, principal } = exchange;
    request.resume();
    const sessionId = oneHeader(request.headers['mcp-session-id']);
    const session = sessionId === undefined ? undefined : this.#deps.sessions.find(principal.token.id, sessionId);
    if (session === undefined) {
      this.#refuse(
        exchange,
        'unknown_session',
        'DELETE ends the session named by Mcp-Session-Id; this one is missing or unknown.',
        undefined,
      );
      return;
    }
    this.#deps.sessions.end(session);
    for (const upstream of this.#deps.catalogs.upstreams()) upstream.end(session.nonce);
    replyEmpty(response, 204);
  }

  #refuse(
    exchange: Exchange,
    code: Parameters<typeof replyError>[1]['code'],
    message: string,
    id: string | undefined,
    endsConnection = false,
  ): void {
    const { response, framing } = exchange;
    this.#deps.telemetry.httpRefusals.labels(code).add();
    // What is still being sent is not read on: HTTP/1.1 can say so only by closing.
    if (endsConnection && exchange.request.httpVersionMajor === 1) response.setHeader('connection', 'close');
    replyError(response, { code, message }, id, framing);
  }

  /** An unauthenticated client cannot push a body: the connection closes behind the answer. */
  #refuseUnauthenticated(response: HttpResponse, message: string): void {
    this.#deps.telemetry.httpRefusals.labels('unauthenticated').add();
    const challenge = `Bearer error="invalid_token", error_description="${message.replace(/[^\x20-\x7e]|["\\]/g, "'")}"`;
    if (response.req.httpVersionMajor === 1) response.setHeader('connection', 'close');
    reply(response, 401, JSON.stringify({ message, code: 'unauthenticated', status: 401 }), 'json', [
      'www-authenticate',
      challenge,
    ]);
  }

  #countCall(route: Route, outcome: CallOutcome): void {
    const { calls } = this.#deps.telemetry;
    if (outcome !== 'answered') {
      calls.labels(route.service, route.upstreamName, outcome).add();
      return;
    }
    let counter = this.#answered.get(route);
    if (counter === undefined) {
      counter = calls.labels(route.service, route.upstreamName, outcome);
      this.#answered.set(route, counter);
    }
    counter.add();
  }
}

const TOKEN_GONE = 'This token no longer exists. Ask the operator of this gateway for another.';

function rawId(request: Request): string {
  return request.message.bytes.toString('utf8', request.id.start, request.id.end);
}

function oneHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function findMediaProblem(request: HttpRequest): string | undefined {
  const type = request.headers['content-type'];
  if (type !== 'application/json' && !/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(type ?? '')) {
    return 'Content-Type must be application/json.';
  }
  const encoding = request.headers['content-encoding'];
  return encoding === undefined || encoding === 'identity'
    ? undefined
    : 'A compressed request body is not served; send it plain.';
}

/** `?names=` overrides the token's spelling; an unknown value changes nothing. */
function readNameStyle(url: string | undefined): NameStyle | undefined {
  const query = url === undefined ? -1 : url.indexOf('?');
  if (url === undefined || query < 0) return undefined;
  const asked = new URLSearchParams(url.slice(query + 1)).get('names');
  return NAME_STYLES.find((style) => style === asked);
}
