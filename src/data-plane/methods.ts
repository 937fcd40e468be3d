// The methods each era has. A method that is not in its era's table does not exist; absence is the check.

import { performance } from 'node:perf_hooks';
import type { Catalog, Route } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import { toRetryAfter } from '../domain/errors.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import type { Era } from '../protocol/era.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import { findParamMismatch } from '../protocol/param-headers.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Counter } from '../telemetry/metrics.ts';
import type { CallOutcome, Telemetry } from '../telemetry/telemetry.ts';
import { type CallShared, ToolCall } from './call-tool.ts';
import { type CallLimits, CallsInFlight } from './calls-in-flight.ts';
import type { RpcRequest } from './exchange.ts';
import { legacyInitializeResult, modernDiscoverResult } from './greetings.ts';
import { toolsListAnswer } from './list-tools.ts';
import { reply } from './reply.ts';
import type { Session, Sessions } from './sessions.ts';

export interface MethodDeps {
  readonly catalogs: Catalogs;
  readonly sessions: Sessions;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly limits: CallLimits & { readonly callTimeoutMs: number; readonly listWaitMs: number };
}

export type Method = (request: RpcRequest) => void;

export class Methods {
  readonly #deps: MethodDeps;
  readonly #tables: Readonly<Record<Era, ReadonlyMap<string, Method>>>;
  readonly #calls: CallsInFlight;
  readonly #callShared: CallShared;
  readonly #answered = new WeakMap<Route, Counter>();

  constructor(deps: MethodDeps) {
    this.#deps = deps;
    this.#calls = new CallsInFlight(deps.limits, () => performance.now());
    this.#callShared = {
      count: (route, outcome) => this.#countCall(route, outcome),
      observeOverhead: (seconds) => deps.telemetry.callOverhead.observe(seconds),
      onNotification: (route, method) => this.#onNotification(route, method),
      onEnd: (call) => this.#calls.remove(call),
    };
    const tools: [string, Method][] = [
      ['tools/list', (request) => this.#listTools(request)],
      ['tools/call', (request) => this.#callTool(request)],
    ];
    this.#tables = {
      legacy: new Map([
        ['initialize', (request) => this.#initialize(request)],
        ['ping', (request) => request.answer('{}')],
        ...tools,
      ]),
      modern: new Map([['server/discover', (request) => request.answer(modernDiscoverResult())], ...tools]),
    };
  }

  find(era: Era, name: string): Method | undefined {
    return this.#tables[era].get(name);
  }

  /** What a legacy client says without expecting an answer; only a cancellation matters here. */
  notify(principal: TokenPrincipal, session: Session | undefined, message: Message): void {
    if (message.method !== 'notifications/cancelled') return;
    const requestId = findMember(message.params, 'requestId');
    if (requestId === undefined) return;
    this.#calls.find(conversationOf(principal, session), message.bytes, requestId)?.cancel();
  }

  /** Stops looking at deadlines; calls in flight go on. */
  close(): void {
    this.#calls.close();
  }

  #initialize(request: RpcRequest): void {
    const { message, exchange } = request;
    const asked = findMember(message.params, 'protocolVersion');
    const revision = asked === undefined ? undefined : stringAt(message.bytes, asked);
    if (revision === undefined) {
      request.refuse({
        code: 'invalid_params',
        message: 'params.protocolVersion is required and must be a string.',
      });
      return;
    }
    const { result, revision: agreed } = legacyInitializeResult(revision);
    const sessionId = this.#deps.sessions.open(exchange.principal.token.id, agreed);
    request.answer(result, ['mcp-session-id', sessionId]);
  }

  #listTools(request: RpcRequest): void {
    if (findMember(request.message.params, 'cursor') !== undefined) {
      request.refuse({
        code: 'invalid_params',
        message: 'This cursor is unknown: the list is one page. Ask again without a cursor.',
      });
      return;
    }
    this.#settled(request, (catalog) => {
      const isPartial = this.#deps.catalogs.isSettling(catalog);
      this.#deps.telemetry.lists.labels(isPartial ? 'partial' : 'complete').add();
      const { message, id, era, style, exchange } = request;
      const answer = toolsListAnswer(catalog, message.bytes.subarray(id.start, id.end), era, style);
      reply(exchange.response, 200, answer, exchange.framing);
    });
  }

  #callTool(request: RpcRequest): void {
    const { message, style } = request;
    const { accountId, token } = request.exchange.principal;
    const at = findMember(message.params, 'name');
    const name = at === undefined ? undefined : stringAt(message.bytes, at);
    if (name === undefined) {
      request.refuse({ code: 'invalid_params', message: 'params.name is required and must be a string.' });
      return;
    }
    const catalog = this.#deps.catalogs.current(accountId, token.id);
    const route = catalog?.route(name, style);
    if (route !== undefined) this.#startCall(request, route);
    else if (catalog !== undefined && !this.#deps.catalogs.isSettling(catalog)) this.#refuseTool(request, name);
    else {
      // The tool may belong to an upstream that is only just being asked for its tools.
      this.#settled(request, (settled) => {
        const found = settled.route(name, style);
        if (found === undefined) this.#refuseTool(request, name);
        else this.#startCall(request, found);
      });
    }
  }

  /** Goes on with the catalog once upstreams that were never seen have answered, or have had their time. */
  #settled(request: RpcRequest, next: (catalog: Catalog) => void): void {
    const { accountId, token } = request.exchange.principal;
    const { catalogs, limits, log } = this.#deps;
    const onCatalog = (catalog: Catalog | undefined): void => {
      if (catalog !== undefined) next(catalog);
      else {
        const message = 'This token no longer exists. Ask the operator of this gateway for another.';
        request.refuse({ code: 'unauthenticated', message });
      }
    };
    catalogs
      .settled(accountId, token.id, limits.listWaitMs)
      .then(onCatalog)
      .catch((error: unknown) => {
        log.error('request failed', { error, method: request.message.method });
        request.refuse({ code: 'internal', message: 'The gateway failed on this request. Its log says why.' });
      });
  }

  #startCall(request: RpcRequest, route: Route): void {
    const { exchange, message, era } = request;
    const limit = this.#calls.findLimit(exchange.principal.token.id, message.bytes.length);
    if (limit !== undefined) {
      this.#refuseCall(request, route, limit);
      return;
    }
    const mismatch = era === 'modern' ? findHeaderMismatch(request, route) : undefined;
    if (mismatch !== undefined) {
      request.refuse({ code: 'header_mismatch', message: mismatch });
      return;
    }
    const conversation = conversationOf(exchange.principal, request.session);
    const deadlineMs = exchange.startedMs + this.#deps.limits.callTimeoutMs;
    const call = new ToolCall({ request, route, conversation, deadlineMs }, this.#callShared);
    this.#calls.add(call);
    call.start();
  }

  #refuseCall(request: RpcRequest, route: Route, code: 'rate_limited' | 'overloaded'): void {
    this.#countCall(route, 'limited');
    const message =
      code === 'rate_limited'
        ? 'This token has as many calls in flight as it may. Wait for some to end, or ask the operator for more.'
        : 'The gateway has as much work as it can hold. Try again shortly.';
    const data = { source: 'gateway', service: route.service, reason: code, retry_after_ms: RETRY_AFTER_MS };
    request.exchange.response.setHeader('retry-after', toRetryAfter(RETRY_AFTER_MS));
    request.refuse({ code, message, data });
  }

  /** An upstream that says its tools have changed is asked for them. */
  #onNotification(route: Route, method: string): void {
    if (method !== 'notifications/tools/list_changed') return;
    const { lists } = this.#deps.catalogs;
    lists.expire(route.upstream);
    void lists.refresh(route.accountId, route.upstream);
  }

  /** Hidden, forbidden and missing look alike (design §3.3). */
  #refuseTool(request: RpcRequest, name: string): void {
    this.#deps.telemetry.calls.labels('', '', 'unknown_tool').add();
    request.refuse({ code: 'unknown_tool', message: `Unknown tool: ${name.slice(0, 256)}` });
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

/** How long a client that was refused for load is asked to wait. */
const RETRY_AFTER_MS = 1_000;

/** A principal's calls without a session share one upstream session, never with another principal's. */
function conversationOf(principal: TokenPrincipal, session: Session | undefined): string {
  return session?.nonce ?? principal.token.id;
}

/** The body says what is called with what; headers that mirror arguments must agree (2026-07-28 streamable-http#custom-headers). */
function findHeaderMismatch({ message, exchange }: RpcRequest, { tool }: Route): string | undefined {
  if (tool.paramHeaders.length === 0) return undefined;
  const argumentsAt = findMember(message.params, 'arguments');
  const name = findParamMismatch(message.bytes, argumentsAt, tool.paramHeaders, exchange.request.headers);
  return name === undefined
    ? undefined
    : `The header ${name} does not say what params.arguments says. Send it as the tool's input schema asks.`;
}
