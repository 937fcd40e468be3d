// One process that is an upstream: the requests it has not answered, and to which of them each line of its stdout belongs.
// On stdio nothing else tells whom a message is for (2026-07-28 basic/transports/stdio#receiving-messages).

import { META_SUBSCRIPTION_ID } from '../../protocol/era.ts';
import { findMember, type Member, stringAt } from '../../protocol/json-scan.ts';
import { type Message, rawText, scanMessage } from '../../protocol/jsonrpc.ts';
import { type ChildOptions, StdioChild } from './child.ts';
import { StdioFault } from './fault.ts';
import type { Greeting } from './greeting.ts';
import type { Launched } from './launcher.ts';
import { findAnsweredId, toOneLine } from './line.ts';

/** Who waits for an answer. */
export interface Requester {
  /** Whether a client waits behind it, who may be asked something. */
  readonly isCall: boolean;
  /** A message that belongs to the request. */
  event(line: Buffer): void;
  /** The answer; nothing comes after it. */
  answer(line: Buffer): void;
  /** There will be no answer, and that is no fault. */
  end(): void;
  fail(fault: StdioFault): void;
}

export interface StdioProcessOptions extends Omit<ChildOptions, 'onLine' | 'onGone'> {
  /** Names it towards the gateway, as the session of a Streamable HTTP server. */
  readonly id: string;
  /** Whether calls of several clients may run in it at once. */
  readonly isShared: boolean;
  readonly now: () => number;
  readonly onGone: (process: StdioProcess, fault: StdioFault) => void;
}

/** Of requests and notifications, which are read whole. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A call that was given up may still run, and ask something: for so long it counts as running. */
const ABANDONED_MS = 60_000;
const MAX_ABANDONED = 1_000;
const UNREAD = 'its process does not read what it is sent';
const NOBODY = 'The gateway cannot tell whom this is for: no call runs, or several do';

export class StdioProcess {
  readonly id: string;
  /** Its era, and what it said of itself; `undefined` until it has been asked. */
  greeting: Greeting | undefined;
  readonly #options: StdioProcessOptions;
  readonly #child: StdioChild;
  readonly #requests = new Map<string, Requester>();
  readonly #calls = new Set<Requester>();
  /** Calls that were given up and have not been answered, by id, and when each was given up. */
  readonly #abandoned = new Map<string, number>();
  /** Until then calls may still run that were given up and found no room among the abandoned. */
  #hauntedUntilMs = 0;
  /** Who hears what belongs to no request. */
  #listener: Requester | undefined;
  #fault: StdioFault | undefined;

  constructor(launched: Launched, options: StdioProcessOptions) {
    this.id = options.id;
    this.#options = options;
    this.#child = new StdioChild(launched, {
      ...options,
      onLine: (line) => this.#onLine(line),
      onGone: (fault) => this.#onGone(fault),
    });
  }

  /** Requests it has not answered, streams among them. */
  get busy(): number {
    return this.#requests.size + (this.#listener === undefined ? 0 : 1);
  }

  get isModern(): boolean {
    return this.greeting?.era === 'modern';
  }

  get isGone(): boolean {
    return this.#fault !== undefined;
  }

  get livedMs(): number {
    return this.#child.livedMs;
  }

  get isStopping(): boolean {
    return this.#child.isStopping;
  }

  /** Asks it to end; resolves when it has. */
  stop(): Promise<void> {
    return this.#child.stop();
  }

  kill(fault: StdioFault): void {
    this.#child.kill(fault);
  }

  /** Writes a message as it is. Returns `false`, with nothing written, when there is no room for it. */
  send(message: Buffer): boolean {
    const line = toOneLine(message);
    return line !== undefined && this.#child.write(line);
  }

  /** Writes a request of this id; its requester is told how it ends, unless `forget` comes first. */
  request(id: string, message: Buffer, requester: Requester): void {
    if (this.#fault !== undefined) requester.fail(this.#fault);
    else if (!this.send(message)) requester.fail(new StdioFault('overloaded', UNREAD));
    else {
      this.#requests.set(id, requester);
      if (requester.isCall) this.#calls.add(requester);
    }
  }

  /** Nobody waits for this answer any more. A modern server is told so here; to a legacy one the call itself sends the notice. */
  forget(id: string): void {
    const requester = this.#take(id);
    if (requester === undefined || this.isGone) return;
    if (this.isModern) {
      const params = `{"requestId":"${id}","reason":"the client no longer waits"}`;
      this.send(Buffer.from(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`));
    }
    if (!requester.isCall) return;
    const nowMs = this.#options.now();
    if (this.#abandoned.size < MAX_ABANDONED) this.#abandoned.set(id, nowMs);
    else this.#hauntedUntilMs = nowMs + ABANDONED_MS;
  }

  /** Tells `listener` what belongs to no request; `false` when another is told already. */
  listen(listener: Requester): boolean {
    if (this.#listener !== undefined) return false;
    this.#listener = listener;
    return true;
  }

  unlisten(listener: Requester): void {
    if (this.#listener === listener) this.#listener = undefined;
  }

  #take(id: string): Requester | undefined {
    const requester = this.#requests.get(id);
    if (requester === undefined) return undefined;
    this.#requests.delete(id);
    this.#calls.delete(requester);
    return requester;
  }

  #onLine(raw: Buffer): void {
    const line = toOneLine(raw);
    const id = line && findAnsweredId(line);
    if (line === undefined) this.#child.noteStrayLine();
    else if (id !== undefined) this.#onAnswer(id, line);
    else if (line.length > MAX_MESSAGE_BYTES) this.#child.noteStrayLine();
    else this.#onMessage(scanMessage(line));
  }

  #onMessage(message: ReturnType<typeof scanMessage>): void {
    if (message.kind === 'response') this.#onAnswer(textAt(message, message.id), message.bytes);
    else if (message.kind === 'notification') this.#onNotification(message);
    else if (message.kind === 'request' && !this.isModern) this.#onRequest(message);
    else this.#child.noteStrayLine();
  }

  /** An answer without a request is late: that was given up. */
  #onAnswer(id: string | undefined, line: Buffer): void {
    if (id === undefined) return;
    this.#abandoned.delete(id);
    this.#take(id)?.answer(line);
  }

  #onNotification(message: Message): void {
    const { method, params, meta, bytes } = message;
    const subscription = findMember(meta, META_SUBSCRIPTION_ID);
    if (method === 'notifications/progress')
      this.#requesterAt(message, findMember(params, 'progressToken'))?.event(bytes);
    else if (subscription !== undefined) this.#requesterAt(message, subscription)?.event(bytes);
    // From a modern server it ends a subscription (2026-07-28 basic/patterns/cancellation).
    else if (method === 'notifications/cancelled' && this.isModern)
      this.#take(textAt(message, findMember(params, 'requestId')) ?? '')?.end();
    // A log may hold what only its caller may see.
    else if (method === 'notifications/message' || method === 'notifications/cancelled') this.#onlyCall()?.event(bytes);
    else (this.#listener ?? this.#onlyCall())?.event(bytes);
  }

  #requesterAt(message: Message, id: Member | undefined): Requester | undefined {
    return this.#requests.get(textAt(message, id) ?? '');
  }

  /** Passes a request on to the call that it is made for (2025-11-25 client/*); where that cannot be known, refuses it. */
  #onRequest(message: Message): void {
    const { id, bytes, method } = message;
    const call = method === 'ping' ? undefined : this.#onlyCall();
    if (call !== undefined) {
      call.event(bytes);
      return;
    }
    const outcome = method === 'ping' ? '"result":{}' : `"error":{"code":-32601,"message":"${NOBODY}"}`;
    const idText = id === undefined ? 'null' : rawText(bytes, id);
    this.send(Buffer.from(`{"jsonrpc":"2.0","id":${idText},${outcome}}`));
  }

  /** The call that a message is about that does not say: in a process of one session the latest, else the only one that runs. */
  #onlyCall(): Requester | undefined {
    const calls = [...this.#calls];
    if (!this.#options.isShared) return calls.at(-1);
    return calls.length === 1 && !this.#isHaunted() ? calls[0] : undefined;
  }

  /** Whether a call that was given up may still run, so that a message may be about that one. */
  #isHaunted(): boolean {
    const nowMs = this.#options.now();
    for (const [id, atMs] of this.#abandoned) if (atMs + ABANDONED_MS < nowMs) this.#abandoned.delete(id);
    return this.#abandoned.size > 0 || nowMs < this.#hauntedUntilMs;
  }

  #onGone(fault: StdioFault): void {
    this.#fault = fault;
    const waiting = [...this.#requests.values(), ...(this.#listener === undefined ? [] : [this.#listener])];
    this.#requests.clear();
    this.#calls.clear();
    this.#listener = undefined;
    this.#options.onGone(this, fault);
    for (const requester of waiting) requester.fail(fault);
  }
}

function textAt({ bytes }: Message, at: Member | undefined): string | undefined {
  return at === undefined ? undefined : stringAt(bytes, at);
}
