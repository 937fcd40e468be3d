// How one call gets to its upstream: over an open conversation or a new one, once more where the upstream had forgotten
// the conversation, and again with what the client has added.

import type { Route } from '../catalog/route.ts';
import type { ClientCapabilities } from '../protocol/client-capabilities.ts';
import type { Link } from '../upstream/handshake.ts';
import {
  AMBIGUOUS_ARGUMENTS,
  findLogLevel,
  type Outgoing,
  toCallBody,
  toCallHead,
  withAnswers,
  withoutInputs,
} from './call-request.ts';
import type { Refusal, RpcRequest } from './exchange.ts';
import type { LinkStreams } from './link-streams.ts';
import { UNKNOWN_STATE } from './state-owner.ts';
import type { UpstreamCall } from './upstream-call.ts';
import { type LegOwner, UpstreamLeg } from './upstream-leg.ts';

/** The call that is to get there. */
export interface AttemptsOwner extends LegOwner {
  readonly request: RpcRequest;
  /** What its client can be asked now. */
  readonly declared: ClientCapabilities;
  /** Whether the client still waits for an answer. */
  readonly isOpen: boolean;
  /** The upstream is known to be broken, and is not tried. */
  onShut(): void;
  /** There is no conversation with the upstream; `connect` has recorded why. */
  onUnconnected(error: unknown): void;
  /** The request must not be sent. */
  onUnsendable(refusal: Refusal): void;
}

export interface Attempt {
  readonly route: Route;
  readonly outgoing: Outgoing;
  /** Names the conversation with the upstream: the client's session, or its principal. */
  readonly conversation: string;
}

export class CallAttempts {
  /** The request whose answer counts. */
  leg: UpstreamLeg | undefined;
  readonly route: Route;
  readonly conversation: string;
  readonly #call: AttemptsOwner & UpstreamCall;
  readonly #linkStreams: LinkStreams;
  #outgoing: Outgoing;
  #isRepeated = false;

  constructor({ route, outgoing, conversation }: Attempt, call: UpstreamCall, linkStreams: LinkStreams) {
    this.route = route;
    this.conversation = conversation;
    this.#outgoing = outgoing;
    this.#call = call;
    this.#linkStreams = linkStreams;
  }

  start(): void {
    const { upstream } = this.route;
    if (!upstream.tryAcquire(this.#call)) {
      this.#call.onShut();
      return;
    }
    const link = upstream.link(this.conversation);
    if (link !== undefined) this.#send(link);
    else {
      upstream.connect(this.conversation, this.#call.request.capabilities).then(
        (opened) => this.#send(opened),
        (error: unknown) => this.#call.onUnconnected(error),
      );
    }
  }

  /** The request is to be sent anew with these, raw JSON as latin1 text, by the next `start`; `false` where it cannot be. */
  add(responses: string | undefined, state: string | undefined): boolean {
    const outgoing = withAnswers(this.#call.request.message, responses, state);
    this.#outgoing = outgoing ?? this.#outgoing;
    return outgoing !== undefined;
  }

  /** Forgets the conversation that the upstream has forgotten, for another `start`, once; else says why there is none. */
  forget(): string | undefined {
    const leg = this.leg as UpstreamLeg;
    if (this.#isRepeated) return 'it forgets its session with this gateway as soon as it is opened';
    if (leg.resumptions > 0) return 'it has forgotten its session with this gateway in the middle of the call';
    this.#isRepeated = true;
    leg.drop('the call is sent again');
    this.#leave(leg.link);
    this.leg = undefined;
    this.route.upstream.forget(this.conversation, leg.link);
    return undefined;
  }

  /** Tells a legacy upstream that its answer is not wanted; a modern one is told by the end of the connection. */
  cancel(): void {
    const { leg } = this;
    if (leg?.link.era !== 'legacy') return;
    const params = `{"requestId":"${leg.upstreamId}","reason":"the client no longer waits"}`;
    this.route.upstream.notify(leg.link, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`);
  }

  /** It is decided how the call ends. */
  end(): void {
    const { leg } = this;
    if (leg === undefined) return;
    this.#leave(leg.link);
    leg.finish();
  }

  /** Whether nothing of the call is left with the upstream. */
  get isOver(): boolean {
    return this.leg === undefined || this.leg.isReleased;
  }

  #send(link: Link): void {
    if (!this.#call.isOpen) return;
    const { upstream } = this.route;
    const opened = link.capabilities === '' ? undefined : this.#linkStreams.join(this.#call, link);
    const level = link.era === 'legacy' && upstream.about?.logging ? findLogLevel(this.#call.request, link) : undefined;
    if (level === undefined && opened === undefined) {
      this.#dispatch(link);
      return;
    }
    const told = level === undefined ? undefined : upstream.setLogLevel(link, level);
    Promise.all([opened, told]).then(
      () => this.#dispatch(link),
      () => undefined,
    );
  }

  #dispatch(link: Link): void {
    const call = this.#call;
    if (!call.isOpen) {
      this.#leave(link);
      return;
    }
    const { request, declared } = call;
    const refusal = this.#prepare(link, request);
    const head = refusal === undefined ? toCallHead(this.#outgoing, this.route, link.era) : undefined;
    if (head === undefined) {
      this.#leave(link);
      call.onUnsendable(refusal ?? AMBIGUOUS_ARGUMENTS);
      return;
    }
    // What is sent anew has been answered before.
    this.leg?.abort('the call is sent again');
    const leg = new UpstreamLeg(call, this.route.upstream, link);
    this.leg = leg;
    leg.send(head, toCallBody(this.#outgoing, request, this.route, link, leg.upstreamId, declared));
  }

  /** Takes out what a client of another era, or for an upstream of another era, means nothing by. */
  #prepare(link: Link, { era, message }: RpcRequest): Refusal | undefined {
    if (!this.#outgoing.hasInputs || (era === 'modern' && link.era === 'modern')) return undefined;
    // An upstream that gave a state was a modern one: to begin the call anew would be to run it twice.
    if (this.#outgoing.state !== undefined) return UNKNOWN_STATE;
    this.#outgoing = withoutInputs(message);
    return undefined;
  }

  #leave(link: Link): void {
    if (link.capabilities !== '') this.#linkStreams.leave(this.#call, link);
  }
}
