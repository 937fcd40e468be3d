// The methods each era has. A method that is not in its era's table does not exist; absence is the check.

import { performance } from 'node:perf_hooks';
import type { AuditLog } from '../audit-log/audit-log.ts';
import type { Catalog, Route } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import type { TokenPrincipal } from '../identity/authenticate.ts';
import type { Era } from '../protocol/era.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import { isSameId, type Message } from '../protocol/jsonrpc.ts';
import { findParamMismatch, findRepeatedParam } from '../protocol/param-headers.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Counter } from '../telemetry/metrics.ts';
import type { CallOutcome, Telemetry } from '../telemetry/telemetry.ts';
import { CallAudit } from './call-audit.ts';
import { type CallShared, ToolCall } from './call-tool.ts';
import { type CallLimits, CallsInFlight, type ExceededLimit } from './calls-in-flight.ts';
import { OVERLOADED, RETRY_AFTER_MS, type Refusal, type RpcRequest, TOKEN_GONE } from './exchange.ts';
import { legacyInitializeResult, modernDiscoverResult } from './greetings.ts';
import type { ToolPages } from './list-tools.ts';
import { reply, replyEmpty } from './reply.ts';
import type { BodyRoom } from './request-body.ts';
import type { Session, Sessions } from './sessions.ts';

export interface MethodDeps {
  readonly catalogs: Catalogs;
  readonly sessions: Sessions;
  readonly toolPages: ToolPages;
  readonly telemetry: Telemetry;
  readonly auditLog?: AuditLog | undefined;
  readonly log: Logger;
  readonly limits: CallLimits & { readonly callTimeoutMs: number; readonly listWaitMs: number };
}

export type Method = (request: RpcRequest) => void;

/** Told of every page of a list, and the catalog it was made from. */
export type OnListed = (request: RpcRequest, catalog: Catalog) => void;

/** A call whose tool is still being looked for; it may be cancelled meanwhile. */
interface Wait {
  readonly conversation: string;
  readonly request: RpcRequest;
  /** Of the tool, as the client spells it. */
  readonly name: string;
  isOver: boolean;
}

export class Methods {
  readonly #deps: MethodDeps;
  readonly #tables: Readonly<Record<Era, ReadonlyMap<string, Method>>>;
  readonly #calls: CallsInFlight;
  readonly #waits = new Set<Wait>();
  readonly #callShared: CallShared;
  readonly #audit: CallAudit;
  readonly #answered = new WeakMap<Route, Counter>();
  readonly #onListed: OnListed;

  constructor(deps: MethodDeps, onListed: OnListed) {
    this.#deps = deps;
    this.#onListed = onListed;
    this.#calls = new CallsInFlight(deps.limits, () => performance.now());
    this.#audit = new CallAudit(deps.auditLog);
    this.#callShared = {
      onOutcome: (call, outcome, reason, nowMs) => {
        this.#countCall(call.route, outcome);
        this.#audit.ended(call, outcome, reason, nowMs);
      },
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

  /** Where the bytes of requests that are being received are counted. */
  get bodyRoom(): BodyRoom {
    return this.#calls;
  }

  /** What a legacy client says without expecting an answer; only a cancellation matters here. */
  notify(principal: TokenPrincipal, session: Session | undefined, message: Message): void {
    if (message.method !== 'notifications/cancelled') return;
    const requestId = findMember(message.params, 'requestId');
    if (requestId === undefined) return;
    const conversation = conversationOf(principal, session);
    const isMeant = (request: RpcRequest): boolean =>
      isSameId(request.message.bytes, request.id, message.bytes, requestId);
    const [call, ...others] = this.#calls.find(conversation, isMeant);
    // Clients without a session share a conversation with all others of their token, and their ids may be the same.
    if (session === undefined && others.length > 0) return;
    if (call !== undefined) call.cancel();
    else {
      for (const wait of this.#waits)
        if (wait.conversation === conversation && isMeant(wait.request)) wait.isOver = true;
    }
  }

  /** Ends the calls in flight of tokens that have been revoked (design §3.12). Those that wait for a tool are refused when they have it. */
  endRevoked(): void {
    const { catalogs } = this.#deps;
    for (const call of this.#calls.all()) {
      const { accountId, token } = call.request.exchange.principal;
      if (!catalogs.isInForce(accountId, token)) call.revoke();
    }
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
    this.#settled(request, (catalog) => {
      const { catalogs, telemetry, toolPages } = this.#deps;
      const answer = toolPages.answer(request, catalog, catalogs.ttlMs(catalog));
      if ('code' in answer) {
        request.refuse(answer);
        return;
      }
      telemetry.lists.labels(catalogs.isSettling(catalog) ? 'partial' : 'complete').add();
      this.#onListed(request, catalog);
      reply(request.exchange.response, 200, answer, request.exchange.framing);
    });
  }

  #callTool(request: RpcRequest): void {
    const { message, style } = request;
    const { accountId, token } = request.exchange.principal;
    const at = findMember(message.params, 'name');
    const name = at === undefined ? undefined : stringAt(message.bytes, at);
    if (!this.#audit.admits(request)) {
      this.#deps.telemetry.calls.labels('', '', 'limited').add();
      request.refuse(OVERLOADED);
      return;
    }
    if (name === undefined) {
      const message = 'params.name is required and must be a string.';
      this.#audit.refuse(request, { code: 'invalid_params', message }, { of: name, outcome: 'invalid' });
      return;
    }
    const catalog = this.#deps.catalogs.current(accountId, token.id);
    const route = catalog?.route(name, style);
    if (route !== undefined) this.#startCall(request, route);
    else if (catalog !== undefined && !this.#deps.catalogs.isSettling(catalog))
      this.#refuseTool(request, name, catalog);
    else {
      // The tool may belong to an upstream that is only just being asked for its tools.
      const wait = {
        conversation: conversationOf(request.exchange.principal, request.session),
        request,
        name,
        isOver: false,
      };
      const next = (settled: Catalog): void => {
        const found = settled.route(name, style);
        if (wait.isOver) {
          this.#audit.cancelled(request, name, settled.epoch);
          replyEmpty(request.exchange.response, 202);
        } else if (found === undefined) this.#refuseTool(request, name, settled);
        else this.#startCall(request, found);
      };
      this.#settled(request, next, wait);
    }
  }

  /** Goes on with the catalog once upstreams that were never seen have answered, or have had their time. */
  #settled(request: RpcRequest, next: (catalog: Catalog) => void, wait?: Wait): void {
    const { accountId, token } = request.exchange.principal;
    const { catalogs, limits, log } = this.#deps;
    const bytes = request.message.bytes.length;
    const refuse = (refusal: Refusal, outcome: 'limited' | 'invalid'): void => {
      if (wait === undefined) request.refuse(refusal);
      else this.#audit.refuse(request, refusal, { of: wait.name, outcome });
    };
    if (!this.#calls.tryHold(token.id, bytes)) {
      refuse(OVERLOADED, 'limited');
      return;
    }
    if (wait !== undefined) this.#waits.add(wait);
    const onOver = (): void => {
      this.#calls.letGo(token.id, bytes);
      if (wait !== undefined) this.#waits.delete(wait);
    };
    const onCatalog = (catalog: Catalog | undefined): void => {
      if (catalog !== undefined && catalogs.isInForce(accountId, token)) next(catalog);
      else refuse({ code: 'unauthenticated', message: TOKEN_GONE }, 'invalid');
    };
    catalogs
      .settled(accountId, token.id, limits.listWaitMs)
      .finally(onOver)
      .then(onCatalog)
      .catch((error: unknown) => {
        log.error('request failed', { error, method: request.message.method });
        request.exchange.fail(request.idText);
      });
  }

  #startCall(request: RpcRequest, route: Route): void {
    const { exchange, message, era } = request;
    const limit = this.#calls.findLimit(exchange.principal.token.id, route, message.bytes.length);
    if (limit !== undefined) {
      this.#countCall(route, 'limited');
      this.#audit.refuse(request, toRefusal(limit, route.service), { of: route, outcome: 'limited' });
      return;
    }
    const mismatch = era === 'modern' ? findHeaderMismatch(request, route) : undefined;
    if (mismatch !== undefined) {
      this.#audit.refuse(request, { code: 'header_mismatch', message: mismatch }, { of: route, outcome: 'invalid' });
      return;
    }
    const conversation = conversationOf(exchange.principal, request.session);
    const timeoutMs = route.upstream.callLimits.callTimeoutMs ?? this.#deps.limits.callTimeoutMs;
    const call = new ToolCall(
      { request, route, conversation, deadlineMs: exchange.startedMs + timeoutMs },
      this.#callShared,
    );
    this.#calls.add(call);
    call.start();
  }

  /** An upstream that says its tools have changed is asked for them. */
  #onNotification(route: Route, method: string): void {
    if (method !== 'notifications/tools/list_changed') return;
    this.#deps.catalogs.lists.noteChange(route.upstream);
  }

  /** Hidden, forbidden and missing look alike (design §3.3). */
  #refuseTool(request: RpcRequest, name: string, { epoch }: Catalog): void {
    this.#deps.telemetry.calls.labels('', '', 'unknown_tool').add();
    const refusal: Refusal = { code: 'unknown_tool', message: `Unknown tool: ${name.slice(0, 256)}` };
    this.#audit.refuse(request, refusal, { of: name, outcome: 'unknown_tool', epoch });
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

/** Whose limit it is says who can do something about it. */
function toRefusal(limit: ExceededLimit, service: string): Refusal {
  if (limit === 'process') return { ...OVERLOADED, data: { ...OVERLOADED.data, service } };
  const isToken = limit === 'token';
  const reason = isToken ? 'rate_limited' : 'overloaded';
  const message = isToken
    ? 'This token has as many calls in flight as it may. Wait for some to end, or ask the operator for more.'
    : `The service ${service} has as many calls in flight as it may. Wait for some to end; other services are not concerned.`;
  const data = { source: 'gateway', service, reason, retry_after_ms: RETRY_AFTER_MS };
  return { code: reason, message, data, retryAfterMs: RETRY_AFTER_MS };
}

/** A principal's calls without a session share one upstream session, never with another principal's. */
function conversationOf(principal: TokenPrincipal, session: Session | undefined): string {
  return session?.nonce ?? principal.token.id;
}

/** The body says what is called with what; headers that mirror arguments must agree (2026-07-28 streamable-http#custom-headers). */
function findHeaderMismatch({ message, exchange }: RpcRequest, { tool }: Route): string | undefined {
  if (tool.paramHeaders.length === 0) return undefined;
  const argumentsAt = findMember(message.params, 'arguments');
  const { headers, rawHeaders } = exchange.request;
  const name =
    findParamMismatch(message.bytes, argumentsAt, tool.paramHeaders, headers) ??
    findRepeatedParam(rawHeaders, tool.paramHeaders);
  return name === undefined
    ? undefined
    : `The header ${name} does not say what params.arguments says. Send it as the tool's input schema asks.`;
}
