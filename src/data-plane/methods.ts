// The methods each era has. A method that is not in its era's table does not exist; absence is the check.

import { performance } from 'node:perf_hooks';
import type { Catalog, Route } from '../catalog/catalog.ts';
import type { Catalogs } from '../catalog/catalogs.ts';
import type { Era } from '../protocol/era.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Counter } from '../telemetry/metrics.ts';
import type { CallOutcome, Telemetry } from '../telemetry/telemetry.ts';
import { type CallShared, ToolCall } from './call-tool.ts';
import { CallsInFlight } from './calls-in-flight.ts';
import type { RpcRequest } from './exchange.ts';
import { legacyInitializeResult, modernDiscoverResult } from './greetings.ts';
import { toolsListAnswer } from './list-tools.ts';
import { reply } from './reply.ts';
import type { Sessions } from './sessions.ts';

export interface MethodDeps {
  readonly catalogs: Catalogs;
  readonly sessions: Sessions;
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly limits: { readonly callTimeoutMs: number; readonly listWaitMs: number };
}

export type Method = (request: RpcRequest) => void;

export class Methods {
  readonly #deps: MethodDeps;
  readonly #tables: Readonly<Record<Era, ReadonlyMap<string, Method>>>;
  readonly #calls = new CallsInFlight(() => performance.now());
  readonly #callShared: CallShared;
  readonly #answered = new WeakMap<Route, Counter>();

  constructor(deps: MethodDeps) {
    this.#deps = deps;
    this.#callShared = {
      count: (route, outcome) => this.#countCall(route, outcome),
      observeOverhead: (seconds) => deps.telemetry.callOverhead.observe(seconds),
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
    const { session, exchange } = request;
    // A principal's calls without a session share one upstream session, never with another principal's.
    const conversation = session?.nonce ?? exchange.principal.token.id;
    const deadlineMs = exchange.startedMs + this.#deps.limits.callTimeoutMs;
    const call = new ToolCall({ request, route, conversation, deadlineMs }, this.#callShared);
    this.#calls.add(call);
    call.start();
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
