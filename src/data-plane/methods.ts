// The methods each era has. A method that is not in its era's table does not exist; absence is the check.

import type { Catalog } from '../catalog/catalog.ts';
import type { CatalogWork } from '../catalog/catalogs.ts';
import type { Served } from '../catalog/served.ts';
import { readClientCapabilities } from '../protocol/client-capabilities.ts';
import type { Era } from '../protocol/era.ts';
import { findMember, stringAt } from '../protocol/json-scan.ts';
import { LIST_KINDS, LISTS, type ListKind } from '../protocol/list-kind.ts';
import { LOG_LEVELS, readLogLevel } from '../protocol/log-level.ts';
import { type CallDeps, Calls } from './calls.ts';
import type { Exchange, RpcRequest } from './exchange.ts';
import { agreeRevision, legacyInitializeResult, modernDiscoverResult } from './greetings.ts';
import type { ListPages } from './lists.ts';
import { replyParts } from './reply.ts';
import type { Sessions } from './sessions.ts';
import { Settling } from './settling.ts';
import type { Subscriptions } from './subscriptions.ts';

export interface MethodDeps extends CallDeps {
  readonly sessions: Sessions;
  readonly listPages: ListPages;
}

export type Method = (request: RpcRequest) => void;

/** Those that one upstream answers, which `params` decide. */
const ROUTED_METHODS = ['tools/call', 'prompts/get', 'resources/read', 'completion/complete'];

/** What a method is a part of, where that may be missing. A tool that is not there says so by itself. */
const FEATURES: ReadonlyMap<string, keyof Served> = new Map([
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['prompts/get', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resources'],
  ['resources/read', 'resources'],
  ['resources/subscribe', 'subscriptions'],
  ['resources/unsubscribe', 'subscriptions'],
  ['completion/complete', 'completions'],
  ['logging/setLevel', 'logging'],
]);

export class Methods {
  readonly calls: Calls;
  readonly #deps: MethodDeps;
  readonly #tables: Readonly<Record<Era, ReadonlyMap<string, Method>>>;
  readonly #settling: Settling;
  readonly #subscriptions: Subscriptions;

  constructor(deps: MethodDeps, subscriptions: Subscriptions) {
    this.#deps = deps;
    this.#subscriptions = subscriptions;
    this.calls = new Calls(deps, subscriptions);
    this.#settling = new Settling(deps, this.calls.room);
    const both: [string, Method][] = [
      ...LIST_KINDS.map((kind): [string, Method] => [LISTS[kind].method, (request) => this.#list(kind, request)]),
      ...ROUTED_METHODS.map((name): [string, Method] => [name, (request) => this.calls.start(request)]),
    ];
    this.#tables = {
      legacy: new Map([
        ['initialize', (request) => this.#initialize(request)],
        ['ping', (request) => request.answer('{}')],
        ['logging/setLevel', (request) => setLogLevel(request)],
        [
          'resources/subscribe',
          (request) => this.#settled(request, (catalog) => subscriptions.subscribe(request, catalog)),
        ],
        ['resources/unsubscribe', (request) => subscriptions.unsubscribe(request)],
        ...both,
      ]),
      modern: new Map([
        ['server/discover', (request) => this.#discover(request)],
        [
          'subscriptions/listen',
          (request) =>
            this.#settled(
              request,
              (catalog) => subscriptions.listen(request, catalog),
              (catalog) => catalog.serializeAll(request.era, request.style),
            ),
        ],
        ...both,
      ]),
    };
  }

  /** `undefined` too for a method of a feature that is not served to who asks: what is not declared does not exist. */
  find(era: Era, name: string, { principal, view }: Exchange): Method | undefined {
    const method = this.#tables[era].get(name);
    const feature = FEATURES.get(name);
    if (method === undefined || feature === undefined) return method;
    const { accountId, token } = principal;
    return this.#deps.catalogs.current(accountId, token.id, view)?.serves[feature] === false ? undefined : method;
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
    const agreed = agreeRevision(revision);
    this.#settled(request, (catalog) => {
      const declared = findMember(message.params, 'capabilities');
      const capabilities = readClientCapabilities(message.bytes, declared, agreed, request.view !== undefined);
      const sessionId = this.#deps.sessions.open(exchange.sessionOwner, agreed, capabilities);
      request.answer(legacyInitializeResult(agreed, catalog), ['mcp-session-id', sessionId]);
    });
  }

  #discover(request: RpcRequest): void {
    const { catalogs } = this.#deps;
    this.#settled(request, (catalog) => request.answer(modernDiscoverResult(catalog, catalogs.ttlMs(catalog))));
  }

  #list(kind: ListKind, request: RpcRequest): void {
    const serialize = (catalog: Catalog) => catalog.serialize(kind, request.era, request.style);
    const send = (catalog: Catalog): void => {
      const { catalogs, telemetry, listPages } = this.#deps;
      const answer = listPages.answer(kind, request, catalog, catalogs.ttlMs(catalog));
      if ('code' in answer) {
        request.refuse(answer);
        return;
      }
      telemetry.lists[catalogs.isSettling(catalog) ? 'partial' : 'complete'].add();
      this.#subscriptions.noteListed(request, catalog, kind);
      replyParts(request.exchange.response, answer, request.exchange.framing);
    };
    this.#settled(request, send, serialize);
  }

  /** What upstreams say of themselves, and what they list, comes when they are first seen. */
  #settled(request: RpcRequest, next: (catalog: Catalog) => void, work?: CatalogWork): void {
    this.#settling.wait({ request, work, next, refuse: (refusal) => request.refuse(refusal) });
  }
}

/** Kept with the session, and told to upstreams when it calls them. Without a session there is nothing to keep it with. */
function setLogLevel(request: RpcRequest): void {
  const { message, session } = request;
  const at = findMember(message.params, 'level');
  const level = at && readLogLevel(message.bytes, at);
  if (level === undefined) {
    request.refuse({ code: 'invalid_params', message: `params.level must be one of ${LOG_LEVELS.join(', ')}.` });
    return;
  }
  if (session !== undefined) session.logLevel = level;
  request.answer('{}');
}
