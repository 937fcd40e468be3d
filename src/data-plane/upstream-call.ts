// One call of a client, from its route to the last byte of the answer: what happens to it on the way, and how it ends.
// What it is sent as, read from and answered with is in rooms of its own.

import { performance } from 'node:perf_hooks';
import type { CallReason } from '../audit-log/call-record.ts';
import type { Route } from '../catalog/route.ts';
import { ERRORS } from '../domain/errors.ts';
import { type AnswerRewrite, rewriteAnswer } from '../protocol/answer-splice.ts';
import { type ClientCapabilities, NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import type { Era } from '../protocol/era.ts';
import type { InputRequired, InputResponse } from '../protocol/input-required.ts';
import type { Message } from '../protocol/jsonrpc.ts';
import type { RelayRewrite } from '../protocol/sse-relay.ts';
import type { CallOutcome } from '../telemetry/telemetry.ts';
import type { Link } from '../upstream/handshake.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { AnswerFailure, Verdict } from './answer-reader.ts';
import { type Attempt, type AttemptsOwner, CallAttempts } from './call-attempts.ts';
import { CallClient, type ClientOwner, type ClientShared } from './call-client.ts';
import { CallQuestions, type QuestionedCall } from './call-questions.ts';
import type { CallReply } from './call-reply.ts';
import { toAnswerRewrite, toRelayRewrite } from './call-request.ts';
import type { AskedClient, ClientRequests } from './client-requests.ts';
import { type Ending, endFailed, endOverloaded, endRefused, endShut, endUnconnected } from './endings.ts';
import { type Refusal, type RpcRequest, TOKEN_GONE } from './exchange.ts';
import type { LinkStreams } from './link-streams.ts';
import type { Overload } from './overload.ts';
import type { ParkedCall, ParkedCalls } from './parked-calls.ts';
import { isGone } from './reply.ts';
import type { RequestStates } from './request-states.ts';
import { isSpecial, readSpecial } from './special-answers.ts';
import { toStateOwner } from './state-owner.ts';
import { toNeed, toUnasked, toUndeclared } from './unasked.ts';
import type { UpstreamLeg } from './upstream-leg.ts';

/** An upstream that has answered has this long to end its event stream, before its connection is. */
const ENDING_MS = 1_000;

/** What the calls of the process share. */
export interface CallShared extends ClientShared {
  readonly clientRequests: ClientRequests;
  readonly parkedCalls: ParkedCalls<UpstreamCall>;
  readonly states: RequestStates;
  readonly overload: Overload;
  readonly linkStreams: LinkStreams;
  /** Told once of every call, when it is decided how it ends; `nowMs` is `performance.now()`. */
  readonly onOutcome: (call: UpstreamCall, outcome: CallOutcome, reason: CallReason | null, nowMs: number) => void;
  /** A notification of the upstream that is not for the client, such as a changed list. */
  readonly onNotification: (upstream: Upstream, method: string) => void;
  /** The call is to be parked a moment later: an upstream may ask for several things at once. */
  readonly parkSoon: (call: UpstreamCall) => void;
  /** The call waits for its client to come back, and is not in flight meanwhile; then that it is again. */
  readonly onParked: (call: UpstreamCall) => void;
  readonly onResumed: (call: UpstreamCall) => void;
  /** Told once, when nothing of the call is left to do. */
  readonly onEnd: (call: UpstreamCall) => void;
}

export interface CallInput extends Attempt {
  readonly request: RpcRequest;
  /** `performance.now()` at which the call is given up. */
  readonly deadlineMs: number;
}

export class UpstreamCall implements AttemptsOwner, ClientOwner, QuestionedCall, ParkedCall {
  /** Where it stands among the calls in flight; theirs to set. */
  slot = -1;
  /** The size of the requests that are kept for it; theirs to set, too. */
  heldBytes = 0;
  readonly route: Route;
  readonly #shared: CallShared;
  readonly #deadlineMs: number;
  readonly #attempts: CallAttempts;
  /** Of a call that was parked the one that has come back. */
  #client: CallClient;
  /** Whether it is decided how the call ends: the client has been sent all it will get. */
  #isAnswered = false;
  /** When the upstream's connection must have ended; known once the call is answered. */
  #endsMs = 0;
  #isOver = false;
  #isParked = false;
  #questions: CallQuestions | undefined;
  #input: InputRequired | undefined;

  constructor(input: CallInput, shared: CallShared) {
    this.route = input.route;
    this.#deadlineMs = input.deadlineMs;
    this.#shared = shared;
    this.#client = new CallClient(input.request, this, shared);
    this.#attempts = new CallAttempts(input, this, shared.linkStreams);
  }

  start(): void {
    // The client may have left while its tool was looked for, before anybody listened.
    if (isGone(this.request.exchange.response)) this.onClientClose(this.#client);
    if (!this.#isAnswered) this.#attempts.start();
  }

  /** Whether the client still waits for an answer. */
  get isOpen(): boolean {
    return !this.#isAnswered;
  }

  /** Whether it waits for its client to come back. */
  get isParked(): boolean {
    return this.#isParked;
  }

  get conversation(): string {
    return this.#attempts.conversation;
  }

  /** The client's request, and the response to it. */
  get request(): RpcRequest {
    return this.#client.request;
  }

  get reply(): CallReply {
    return this.#client.reply;
  }

  get era(): Era {
    return this.request.era;
  }

  get client(): AskedClient {
    return this.#client.asked;
  }

  get declared(): ClientCapabilities {
    return this.#client.declared;
  }

  get upstream(): Upstream {
    return this.route.upstream;
  }

  get upstreamId(): string {
    return this.#leg?.upstreamId ?? '';
  }

  get link(): Link {
    return (this.#leg as UpstreamLeg).link;
  }

  /** How long the client waited for the upstream's first byte, or its failure; `null` when the call was not sent. */
  upstreamMs(nowMs: number): number | null {
    return this.#leg === undefined ? null : this.#leg.waitedMs(this.request.exchange.startedMs, nowMs);
  }

  /** Gives the call up if it has had its time, or the upstream's connection if it does not end behind the answer. */
  expire(nowMs: number): void {
    const leg = this.#leg;
    const questions = this.#questions;
    if (this.#isAnswered) {
      if (nowMs >= this.#endsMs) leg?.abort('it did not end its stream behind the answer');
    } else if (questions?.isAsking) {
      if (questions.isOverdue(nowMs)) this.#endLate();
    } else if (this.reply.stalledSinceMs === undefined && leg?.isOverdue(nowMs)) {
      const message = leg.isAnswering
        ? 'it fell silent in the middle of its answer'
        : 'it did not begin to answer in time';
      this.#fail({ reason: 'timeout', message });
    } else if (nowMs >= this.#deadlineMs + (questions?.askedMs ?? 0)) this.#endLate();
  }

  /** A legacy client wants no answer any more (2025-11-25 basic/utilities/cancellation). */
  cancel(): void {
    if (this.#isAnswered) return;
    this.#questions?.end();
    this.reply.endUnanswered();
    this.#giveUp('client_cancelled');
  }

  /** The token has been revoked: nothing more of the answer may reach its holder. */
  revoke(): void {
    // What waits here to be taken would still go out, in front of an error or as the rest of the answer.
    if (this.#isAnswered || this.reply.stalledSinceMs !== undefined) this.reply.breakOff();
    else this.#client.fail({ code: ERRORS.unauthenticated.jsonRpcCode, message: TOKEN_GONE }, this.#isInsideEvent);
    if (!this.#isAnswered) this.#giveUp('token_revoked');
  }

  /** Says something on a stream that has been silent for long, unless that would fall into the middle of an event. */
  keepAlive(): void {
    if (!this.#isInsideEvent) this.reply.comment();
  }

  onTurn(waitedMs: number): boolean {
    if (!this.#shared.overload.refusesWait(waitedMs)) return true;
    this.route.upstream.abandon(this);
    this.#endWith(endOverloaded());
    return false;
  }

  onSent(waitedMs: number): void {
    this.#shared.overload.noteWait(waitedMs);
  }

  onVerdict(verdict: 'answered' | 'asked' | AnswerFailure, status?: number): void {
    if (this.#isAnswered) return;
    if (verdict === 'answered') this.#succeed();
    else if (verdict === 'asked') this.#askForInput(this.#input as InputRequired);
    else this.#fail(verdict, status);
  }

  /** The call is sent again, once, and only if its answer had not begun. */
  onForgotten(): void {
    const why = this.#attempts.forget();
    this.#questions?.forget();
    if (why === undefined) this.start();
    else this.#fail({ reason: 'session_lost', message: why });
  }

  onUnconnected(error: unknown): void {
    if (!this.#isAnswered) this.#endWith(endUnconnected(this.route, error));
  }

  onShut(): void {
    this.#endWith(endShut(this.route));
  }

  onUnsendable(refusal: Refusal): void {
    this.route.upstream.abandon(this);
    this.#endWith(endRefused(refusal));
  }

  onStale(): void {
    this.#shared.onNotification(this.route.upstream, 'notifications/tools/list_changed');
  }

  onUndeclared(required: string): void {
    // It works: what is missing is the client's.
    this.route.upstream.succeed();
    if (this.era === 'legacy') this.endUnasked(toNeed(required));
    else this.#endWith(endRefused(toUndeclared(this.route, required)));
  }

  /** A modern client that leaves has cancelled (2026-07-28 basic/patterns/cancellation); a legacy one has not, and its call runs on. */
  onClientClose(client: CallClient): void {
    client.isOpen = false;
    // One that was let go of closes its response, too, perhaps only after it is back.
    if (client !== this.#client) return;
    if (this.#isAnswered) {
      this.#leave();
      return;
    }
    this.reply.isClientGone = true;
    if (this.#isParked) return;
    if (this.era === 'modern') {
      this.#giveUp('client_left');
      return;
    }
    this.#leg?.resume();
    if (!this.reply.isReachable) this.#questions?.leave();
  }

  onLegEnd(): void {
    this.#leave();
  }

  sendWhole(answer: Buffer | string): void {
    if (!this.#isAnswered) this.#client.sendWhole(answer, this.#leg);
  }

  beginEvents(): void {
    this.#client.beginEvents(this.#leg);
  }

  beginParts(): void {
    this.#client.beginParts(this.#leg);
  }

  sendOn(part: Buffer): void {
    if (part.length === 0 || this.#isAnswered) return;
    if (!this.reply.hasBegun) this.beginParts();
    if (!this.reply.send(part)) this.#leg?.pause();
  }

  /** The upstream was not read while the client took nothing. */
  onDrain(): void {
    this.#leg?.resume();
  }

  onNotification(message: Message): Buffer | undefined {
    if (message.method === 'notifications/cancelled') return this.#questions?.requests.onCancelled(message);
    this.#shared.onNotification(this.route.upstream, message.method);
    return undefined;
  }

  onRequest(message: Message): Buffer | undefined {
    if (this.#leg?.link.era !== 'legacy') {
      this.#fail({
        reason: 'broken_answer',
        message: 'it sent a request of its own, which its revision does not have',
      });
      return undefined;
    }
    // Whatever it needs, it works: others need not wait for the end of this call to know.
    this.route.upstream.succeed();
    return this.#ask().requests.onRequest(message);
  }

  isSpecial(answer: Buffer, text?: string): boolean {
    return isSpecial(this, answer, text);
  }

  get mayAsk(): boolean {
    return this.link.era === 'modern';
  }

  onSpecial(bytes: Buffer): Verdict | undefined {
    const special = readSpecial(this, bytes);
    if (special === undefined || 'reason' in special) return special;
    if ('input' in special) {
      this.#input = special.input;
      return 'asked';
    }
    const answer = 'own' in special ? special.own : rewriteAnswer(special.answer, this.rewrite());
    if (answer === undefined) return undefined;
    this.sendWhole(answer);
    return 'answered';
  }

  seal(state: string): string {
    return this.#shared.states.sealUpstream(toStateOwner(this.request, this.route), state);
  }

  rewrite(): AnswerRewrite {
    return toAnswerRewrite(this.request, this.route, this.link, this.upstreamId);
  }

  relayRewrite(): RelayRewrite {
    return toRelayRewrite(this.request, this.rewrite());
  }

  respond(body: Buffer): void {
    this.route.upstream.notify(this.link, body);
  }

  parkSoon(): void {
    this.#shared.parkSoon(this);
  }

  onAsking(): void {
    this.#leg?.rest();
  }

  onAsked(): void {
    this.#leg?.wake();
  }

  /** Lets go of a modern client, who comes back with what the upstream asks for. */
  park(): void {
    const questions = this.#questions;
    if (this.#isAnswered || this.#isParked || questions === undefined || questions.requests.inputs.count === 0) return;
    const { requests } = questions;
    // It has asked and not waited: half of its answer is with the client, who cannot be told anything else any more.
    if (this.#isInsideEvent || !this.reply.canTakeEvents) {
      requests.fail('The answer has begun, and the client can be asked nothing any more.');
      return;
    }
    const state = this.#shared.parkedCalls.park(toStateOwner(this.request, this.route), this);
    if (state === undefined) {
      requests.fail('The gateway has as many calls waiting for their clients as it may. Try again later.');
      return;
    }
    this.#isParked = true;
    questions.setAsked(true);
    this.#leg?.hold();
    this.sendWhole(requests.inputs.toAnswer(this.rewrite().clientId, state));
    if (this.reply.hasBegun) this.reply.end();
    this.#shared.onOutcome(this, 'answered', null, performance.now());
    this.#shared.onParked(this);
  }

  /** The client of a parked call is back, with a request of its own, and with these answers. */
  attach(request: RpcRequest, responses: readonly InputResponse[]): void {
    this.#isParked = false;
    this.#client = new CallClient(request, this, this.#shared);
    this.#shared.onResumed(this);
    this.#questions?.setAsked(false);
    for (const body of this.#questions?.requests.inputs.take(responses) ?? []) this.respond(body);
    if (isGone(request.exchange.response)) {
      this.onClientClose(this.#client);
      return;
    }
    this.#leg?.letGo();
    // What the client has not answered it is asked for again.
    this.parkSoon();
  }

  endParked(why: CallReason): void {
    if (this.#isAnswered) return;
    this.#questions?.requests.fail('The client did not come back with an answer.');
    this.#giveUp(why);
  }

  /** Whether something that the upstream has not tied to a call can be asked of the client of this one. */
  get canBeAsked(): boolean {
    if (this.#isAnswered || this.#leg?.isSent !== true || this.declared === NO_CAPABILITIES) return false;
    return this.#isParked || (!this.#isInsideEvent && this.reply.canTakeEvents);
  }

  /** Sends a message to a legacy client on the stream of its call; `false` when that cannot be now. */
  tell(message: Buffer): boolean {
    return !this.#isAnswered && this.#client.tell(message, this.#leg);
  }

  sendAgain(responses: string | undefined, state: string | undefined): void {
    if (this.#attempts.add(responses, state)) this.start();
    else this.endUnasked('its request has no room for the input it needs');
  }

  endUnasked(why: string): void {
    if (this.#isAnswered) return;
    this.sendWhole(toUnasked(this.request, this.route, why));
    if (this.reply.hasBegun) this.reply.end();
    this.#conclude('cancelled', 'input_missing');
  }

  get #isInsideEvent(): boolean {
    return this.#leg?.isInsideEvent === true;
  }

  get #leg(): UpstreamLeg | undefined {
    return this.#attempts.leg;
  }

  #ask(): CallQuestions {
    this.#questions ??= new CallQuestions(this, this.#shared.clientRequests);
    return this.#questions;
  }

  /** The upstream has answered that it needs something first: it works, and waits to be asked again. */
  #askForInput(input: InputRequired): void {
    this.route.upstream.succeed();
    this.#leg?.finish();
    this.#ask().askForInput(input);
  }

  /** The call has had its time. An upstream that has begun to answer works, and must not be shut out for others. */
  #endLate(): void {
    this.#attempts.cancel();
    const leg = this.#leg;
    const isAnswering = leg?.isAnswering === true;
    const failure: AnswerFailure = { reason: 'timeout', message: 'it did not finish the call in time' };
    this.#fail(failure, isAnswering ? leg?.status : undefined);
    if (isAnswering) this.route.upstream.abandon(this);
  }

  #fail(failure: AnswerFailure, status?: number): void {
    if (this.#isAnswered) return;
    this.#endWith(endFailed(this.route, failure, status, this.#leg?.retryAfterMs));
    this.#leg?.abort(failure.reason);
  }

  /** Ends the call with what the client is told, if it is there to be told anything. */
  #endWith({ outcome, reason, error, refusal }: Ending): void {
    if (!this.#isParked && error !== undefined) this.#client.fail(error, this.#isInsideEvent);
    if (refusal !== undefined) this.#client.refuse(refusal);
    this.#conclude(outcome, reason);
  }

  /** Ends the call on both sides by the client's wish, or because its token is no longer good. */
  #giveUp(why: CallReason): void {
    this.#attempts.cancel();
    this.route.upstream.abandon(this);
    this.#conclude('cancelled', why);
    this.#leg?.abort(why);
  }

  #succeed(): void {
    this.route.upstream.succeed();
    if (this.reply.hasBegun) this.reply.end();
    this.#conclude('answered', null);
  }

  #conclude(outcome: CallOutcome, reason: CallReason | null): void {
    const nowMs = performance.now();
    // The request of a client that was let go has been answered, and recorded.
    if (!this.#isParked) this.#shared.onOutcome(this, outcome, reason, nowMs);
    this.#isAnswered = true;
    this.#endsMs = nowMs + ENDING_MS;
    this.reply.stalledSinceMs ??= nowMs;
    this.#questions?.end();
    this.#attempts.end();
    this.#leave();
  }

  /** Parts with the call when the upstream's HTTP answer has ended and the client has taken its own. */
  #leave(): void {
    if (!this.#isAnswered || this.#client.isOpen || this.#isOver || !this.#attempts.isOver) return;
    this.#isOver = true;
    this.#shared.onEnd(this);
  }
}
