// The client's side of one call: its request, what of it counts for the call, and what it is sent. A call that has waited
// for its client gets another when that has come back.

import { performance } from 'node:perf_hooks';
import { ERRORS } from '../domain/errors.ts';
import { type ClientCapabilities, NO_CAPABILITIES } from '../protocol/client-capabilities.ts';
import { errorAnswer } from '../protocol/jsonrpc.ts';
import { CallReply } from './call-reply.ts';
import type { AskedClient } from './client-requests.ts';
import type { JsonRpcError } from './endings.ts';
import type { EventBuffers } from './event-buffer.ts';
import type { Refusal, RpcRequest } from './exchange.ts';
import { acceptsStream, toEvent } from './reply.ts';
import { toServerTiming } from './server-timing.ts';
import { isInteractive } from './special-answers.ts';
import type { UpstreamLeg } from './upstream-leg.ts';

/** The call whose client it is. */
export interface ClientOwner {
  /** The client has taken what was written. */
  onDrain(): void;
  /** The response has closed, whoever has closed it. */
  onClientClose(client: CallClient): void;
}

/** What the clients of the process share. */
export interface ClientShared {
  readonly buffers: EventBuffers;
  readonly observeOverhead: (seconds: number) => void;
}

export class CallClient {
  readonly request: RpcRequest;
  readonly reply: CallReply;
  /** Whether the response is open. */
  isOpen = true;
  readonly #shared: ClientShared;

  constructor(request: RpcRequest, owner: ClientOwner, shared: ClientShared) {
    this.request = request;
    this.#shared = shared;
    this.reply = new CallReply(request, shared.buffers, () => owner.onDrain());
    request.exchange.response.on('close', () => owner.onClientClose(this));
  }

  get asked(): AskedClient {
    const { exchange, session } = this.request;
    return { tokenId: exchange.principal.token.id, sessionNonce: session?.nonce };
  }

  /** What it can be asked now: a legacy client on the stream of its call, a modern one where it may be given an answer to come back from. */
  get declared(): ClientCapabilities {
    const { era, exchange, message, capabilities } = this.request;
    const canBeAsked =
      era === 'modern' ? isInteractive(message.method) : acceptsStream(exchange.accept) && this.reply.isReachable;
    return canBeAsked ? capabilities : NO_CAPABILITIES;
  }

  sendWhole(answer: Buffer | string, leg: UpstreamLeg | undefined): void {
    this.reply.whole(answer, this.#timing(leg));
  }

  beginEvents(leg: UpstreamLeg | undefined): void {
    if (!this.reply.hasBegun) this.reply.beginEvents(this.#timing(leg));
  }

  beginParts(leg: UpstreamLeg | undefined): void {
    this.reply.beginParts(this.#timing(leg));
  }

  /** Sends a message as an event of its own; `false` when that cannot be now. */
  tell(message: Buffer, leg: UpstreamLeg | undefined): boolean {
    if (leg?.isInsideEvent || !this.reply.canTakeEvents) return false;
    this.beginEvents(leg);
    this.reply.send(toEvent(message));
    return true;
  }

  /** Ends with an error, whatever it has been sent already. */
  fail(error: JsonRpcError, isInsideEvent: boolean): void {
    this.reply.fail(Buffer.from(errorAnswer(this.request.idText, error)), isInsideEvent);
  }

  /** Ends with an error of the gateway's that has a status of its own, if that can still be said. */
  refuse(refusal: Refusal): void {
    const { code, message, data } = refusal;
    if (this.reply.hasBegun) this.fail({ code: ERRORS[code].jsonRpcCode, message, data }, false);
    else this.reply.bytes += this.request.refuse(refusal);
  }

  #timing(leg: UpstreamLeg | undefined): readonly string[] {
    if (leg === undefined || this.reply.hasBegun) return NO_HEADERS;
    const { startedMs } = this.request.exchange;
    const nowMs = performance.now();
    const upstreamMs = leg.waitedMs(startedMs, nowMs);
    const ownMs = nowMs - startedMs - upstreamMs;
    this.#shared.observeOverhead(ownMs / 1000);
    return ['server-timing', toServerTiming(upstreamMs, ownMs)];
  }
}

const NO_HEADERS: readonly string[] = [];
