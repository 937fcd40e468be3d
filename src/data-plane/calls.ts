// Starts calls: from a request that names a tool, prompt or resource to a call on its way, or the reason why there is none.

import { performance } from 'node:perf_hooks';
import type { AuditLog } from '../audit-log/audit-log.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Route } from '../catalog/route.ts';
import { readInputs } from '../protocol/input-required.ts';
import { CHANGED_LISTS } from '../protocol/list-kind.ts';
import type { Counter } from '../telemetry/metrics.ts';
import type { CallOutcome, Telemetry } from '../telemetry/telemetry.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { CallAudit } from './call-audit.ts';
import { conversationOf, findHeaderMismatch, hasInputs, toRefusal } from './call-checks.ts';
import { type Outgoing, withoutInputs } from './call-request.ts';
import { type CallLimits, CallsInFlight } from './calls-in-flight.ts';
import { ClientNotices, type Wait } from './client-notices.ts';
import { ClientRequests } from './client-requests.ts';
import { OVERLOADED, type Refusal, type RpcRequest } from './exchange.ts';
import { LinkStreams } from './link-streams.ts';
import { findRoute, type Named, readNamed, refuseUnknown } from './named.ts';
import type { Overload } from './overload.ts';
import { ParkedCalls, processIndexOf } from './parked-calls.ts';
import { replyEmpty } from './reply.ts';
import type { BodyRoom } from './request-body.ts';
import type { RequestStates } from './request-states.ts';
import { Settling, type SettlingDeps } from './settling.ts';
import type { Siblings } from './siblings.ts';
import { isInteractive } from './special-answers.ts';
import { toStateOwner, UNKNOWN_STATE } from './state-owner.ts';
import type { Subscriptions } from './subscriptions.ts';
import { turnAway } from './turned-away.ts';
import { type CallShared, UpstreamCall } from './upstream-call.ts';

export interface CallDeps extends SettlingDeps {
  /** Opens and seals what modern clients carry from one request to the next. */
  readonly states: RequestStates;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly telemetry: Telemetry;
  readonly auditLog?: AuditLog | undefined;
  readonly siblings?: Siblings | undefined;
  readonly overload: Overload;
  readonly limits: SettlingDeps['limits'] & CallLimits & { readonly callTimeoutMs: number };
}

export class Calls {
  readonly notices: ClientNotices;
  readonly #deps: CallDeps;
  readonly #inFlight: CallsInFlight;
  readonly #settling: Settling;
  readonly #waits = new Set<Wait>();
  readonly #shared: CallShared;
  readonly #audit: CallAudit;
  readonly #answered = new WeakMap<Route, Counter>();
  readonly #clientRequests = new ClientRequests({ now: () => performance.now() });
  readonly #parked: ParkedCalls<UpstreamCall>;
  /** Calls that are about to be parked. */
  #parking: UpstreamCall[] = [];

  constructor(deps: CallDeps, subscriptions: Subscriptions) {
    this.#deps = deps;
    const { siblings } = deps;
    this.#parked = new ParkedCalls({ states: deps.states, now: deps.now, processIndex: siblings?.index });
    this.#inFlight = new CallsInFlight(deps.limits, () => performance.now());
    this.#settling = new Settling(deps, this.#inFlight);
    this.#audit = new CallAudit(deps.auditLog);
    const { catalogs } = deps;
    const parts = { inFlight: this.#inFlight, waits: this.#waits, clientRequests: this.#clientRequests };
    this.notices = new ClientNotices({ catalogs, siblings, ...parts });
    this.#shared = {
      buffers: subscriptions.buffers,
      clientRequests: this.#clientRequests,
      parkedCalls: this.#parked,
      states: deps.states,
      overload: deps.overload,
      linkStreams: new LinkStreams({
        clientRequests: this.#clientRequests,
        sendTo: (session, message) => subscriptions.sendRequest(session, message),
        onNotification: (upstream, method) => this.#onNotification(upstream, method),
      }),
      onOutcome: (call, outcome, reason, nowMs) => {
        this.#countCall(call.route, outcome);
        this.#audit.ended(call, outcome, reason, nowMs);
      },
      observeOverhead: (seconds) => deps.telemetry.callOverhead.observe(seconds),
      onNotification: (upstream, method) => this.#onNotification(upstream, method),
      parkSoon: (call) => this.#parkSoon(call),
      onParked: (call) => this.#inFlight.suspend(call),
      onResumed: (call) => this.#inFlight.add(call),
      onEnd: (call) => this.#inFlight.remove(call),
    };
  }

  /** Where the bytes of requests that are being received are counted. */
  get room(): BodyRoom {
    return this.#inFlight;
  }

  /**
   * Ends the calls in flight of tokens that have been revoked (design §3.12), and those that wait for a client but may no
   * longer go on. Requests that wait for a route are refused when they have it.
   */
  endRevoked(): void {
    const { catalogs } = this.#deps;
    const isRevoked = (call: UpstreamCall): boolean => {
      const { accountId, token } = call.request.exchange.principal;
      return !catalogs.isInForce(accountId, token);
    };
    for (const call of this.#inFlight.all()) if (isRevoked(call)) call.revoke();
    if (this.#parked.count === 0) return;
    this.#parked.endWhere(isRevoked, 'token_revoked');
    const inUse = new Set<object>(catalogs.upstreams());
    this.#parked.endWhere(({ upstream }) => !inUse.has(upstream), 'input_missing');
  }

  /** Ends the calls that wait for a client to come back, and lets no more wait. */
  endParked(): void {
    this.#parked.close();
  }

  /** Stops looking at deadlines; calls in flight go on. */
  close(): void {
    this.#inFlight.close();
    this.#clientRequests.close();
  }

  /** Sends the request to the upstream that has what it names, as soon as it is known who that is. */
  start(request: RpcRequest): void {
    if (!this.#audit.admits(request)) {
      this.#deps.telemetry.calls.labels('', '', 'limited').add();
      request.refuse(OVERLOADED);
      return;
    }
    const named = readNamed(request.message);
    if (typeof named === 'string') {
      this.#audit.refuse(request, { code: 'invalid_params', message: named }, { of: undefined, outcome: 'invalid' });
      return;
    }
    const { catalogs } = this.#deps;
    const { accountId, token } = request.exchange.principal;
    const catalog = catalogs.current(accountId, token.id, request.view);
    const route = catalog && findRoute(catalog, named, request.style);
    if (route !== undefined) this.#begin(request, named, route);
    else if (catalog !== undefined && !catalogs.isSettling(catalog)) this.#refuseUnknown(request, named, catalog);
    else this.#startSettled(request, named);
  }

  /** What is named may belong to an upstream that is only just being asked for its lists. */
  #startSettled(request: RpcRequest, named: Named): void {
    const conversation = conversationOf(request);
    const wait: Wait = { conversation, request, isOver: false };
    const hasBegun = this.#settling.wait({
      request,
      next: (catalog) => {
        const route = findRoute(catalog, named, request.style);
        if (wait.isOver) {
          this.#audit.cancelled(request, named.name, catalog.epoch);
          replyEmpty(request.exchange.response, 202);
        } else if (route === undefined) this.#refuseUnknown(request, named, catalog);
        else this.#begin(request, named, route);
      },
      refuse: (refusal, outcome) => this.#audit.refuse(request, refusal, { of: named.name, outcome }),
      onOver: () => this.#waits.delete(wait),
    });
    if (hasBegun) this.#waits.add(wait);
  }

  #begin(request: RpcRequest, named: Named, route: Route): void {
    const { exchange, message, era } = request;
    const { id } = exchange.principal.token;
    if (this.#deps.overload.refusesCall(id, route.upstream.permits.waiting)) {
      turnAway(exchange, request.idText, this.#deps.overload.isTurnLong);
      return;
    }
    const limit = this.#inFlight.findLimit(id, route, message.bytes.length);
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
    if (!hasInputs(message)) this.#send(request, route, { message, named, state: undefined, hasInputs: false });
    else this.#goOn(request, named, route);
  }

  #send(request: RpcRequest, route: Route, outgoing: Outgoing): void {
    const timeoutMs = route.upstream.callLimits.callTimeoutMs ?? this.#deps.limits.callTimeoutMs;
    const deadlineMs = request.exchange.startedMs + timeoutMs;
    const call = new UpstreamCall(
      { request, route, outgoing, conversation: conversationOf(request), deadlineMs },
      this.#shared,
    );
    this.#inFlight.add(call);
    call.start();
  }

  /** A client has come back with what its request needs: to a call that waits here, or to its upstream (2026-07-28 basic/patterns/mrtr). */
  #goOn(request: RpcRequest, named: Named, route: Route): void {
    const { message, era } = request;
    const outgoing: Outgoing = { message, named, state: undefined, hasInputs: true };
    if (era === 'legacy' || !isInteractive(message.method)) {
      this.#send(request, route, withoutInputs(message));
      return;
    }
    const inputs = readInputs(message);
    if ('problem' in inputs) {
      const refusal: Refusal = { code: 'invalid_params', message: inputs.problem };
      this.#audit.refuse(request, refusal, { of: route, outcome: 'invalid' });
      return;
    }
    if (inputs.state === undefined) {
      this.#send(request, route, outgoing);
      return;
    }
    const state = this.#deps.states.open(toStateOwner(request, route), inputs.state);
    if (state?.kind === 'upstream') {
      this.#send(request, route, { ...outgoing, state: state.raw });
      return;
    }
    const call = state && this.#parked.take(state.id);
    if (call === undefined && state !== undefined && this.#handOver(request, state.id)) return;
    if (call?.isOpen && call.upstream === route.upstream) call.attach(request, inputs.responses ?? []);
    else {
      call?.endParked('input_missing');
      this.#audit.refuse(request, UNKNOWN_STATE, { of: route, outcome: 'invalid' });
    }
  }

  /** The call may wait in another process: its client has come back on another connection. */
  #handOver({ exchange, message }: RpcRequest, parkedId: string): boolean {
    const { request, response } = exchange;
    return this.#deps.siblings?.handOver(processIndexOf(parkedId), request, response, message.bytes) === true;
  }

  #parkSoon(call: UpstreamCall): void {
    if (this.#parking.length === 0) setTimeout(() => this.#parkDue(), PARKING_MS);
    if (!this.#parking.includes(call)) this.#parking.push(call);
  }

  #parkDue(): void {
    const due = this.#parking;
    this.#parking = [];
    for (const call of due) call.park();
  }

  /** An upstream that says one of its lists has changed is asked for them. */
  #onNotification(upstream: Upstream, method: string): void {
    const kind = CHANGED_LISTS.get(method);
    if (kind !== undefined) this.#deps.catalogs.lists.noteChange(upstream, kind);
  }

  #refuseUnknown(request: RpcRequest, { kind, name }: Named, { epoch }: Catalog): void {
    const refusal = refuseUnknown(kind, name);
    this.#deps.telemetry.calls.labels('', '', refusal.code).add();
    this.#audit.refuse(request, refusal, { of: name, outcome: refusal.code, epoch });
  }

  #countCall(route: Route, outcome: CallOutcome): void {
    const { calls } = this.#deps.telemetry;
    if (outcome !== 'answered') {
      calls.labels(route.service, route.label, outcome).add();
      return;
    }
    let counter = this.#answered.get(route);
    if (counter === undefined) {
      counter = calls.labels(route.service, route.label, outcome);
      this.#answered.set(route, counter);
    }
    counter.add();
  }
}

/** An upstream that needs several things of a client asks for them at once, but not in one message. */
const PARKING_MS = 20;
