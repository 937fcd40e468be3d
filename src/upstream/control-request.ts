// One request of the gateway's own to an upstream (probe, initialize, list), read whole. Calls of clients never come
// here: they stream through `data-plane/upstream-call`.

import type { IncomingHttpHeaders } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import type { UpstreamFailureReason } from '../domain/errors.ts';
import type { RpcAnswer } from './control-answer.ts';
import { type ControlReader, createControlReader, type Found } from './control-reader.ts';
import { type FailureStage, UpstreamError } from './failure.ts';
import { classifyUpstreamError } from './pool.ts';

export interface ControlRequest {
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string;
  /** The id in the body; a notification has none, and its answer is not read. */
  readonly id: string | undefined;
  readonly stage: FailureStage;
  /** For everything, from the wait for a socket to the answer. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface ControlAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The JSON-RPC answer, if the body held one. */
  readonly answer: RpcAnswer | undefined;
}

/** An upstream that has answered has this long to end its event stream, before its connection is. */
const ENDING_MS = 1_000;

/** Sends one message and reads the answer, be it JSON or an event stream. Throws `UpstreamError`. */
export async function sendControlRequest(pool: Dispatcher, request: ControlRequest): Promise<ControlAnswer> {
  const { path, headers, body } = request;
  const answer = Promise.withResolvers<ControlAnswer>();
  const exchange = new ControlExchange(request, answer);
  pool.dispatch({ path, method: 'POST', headers: headers as string[], body }, exchange);
  const answered = await answer.promise;
  // undici takes its socket back a turn later; what is sent before that opens another.
  await nextTurn();
  return answered;
}

/** A handler of its own, because a connection can only be destroyed before undici has seen the answer's end. */
class ControlExchange implements Dispatcher.DispatchHandler {
  readonly #request: ControlRequest;
  readonly #answer: PromiseWithResolvers<ControlAnswer>;
  #timer: NodeJS.Timeout;
  #isSettled = false;
  #isFound = false;
  #isEnded = false;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: IncomingHttpHeaders = {};
  #reader: ControlReader | undefined;
  #bytes = 0;

  constructor(request: ControlRequest, answer: PromiseWithResolvers<ControlAnswer>) {
    this.#request = request;
    this.#answer = answer;
    const { timeoutMs } = request;
    const giveUp = () => this.#fail('timeout', `it did not answer within ${timeoutMs} ms`);
    this.#timer = setTimeout(giveUp, timeoutMs).unref();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isSettled) controller.abort(new Error('nobody waits for the answer any more'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    const { id } = this.#request;
    // What says itself that it is too large need not be read so far.
    if (!this.#hasRoom(Number(headers['content-length'] ?? 0))) return;
    this.#status = status;
    this.#headers = headers;
    if (status >= 200 && id !== undefined) this.#reader = createControlReader(headers, id, status);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (!this.#hasRoom(this.#bytes)) return;
    const found = this.#reader?.push(chunk);
    if (found === undefined) return;
    if (found === 'misdirected' || this.#reader?.isOverrun) {
      this.#settle(found);
      controller.abort(new Error('it sent a message that is no answer to this request'));
    } else if (!this.#isFound) {
      this.#isFound = true;
      setImmediate(() => this.#linger(found));
    }
  }

  onResponseEnd(): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    this.#settle(this.#reader?.end());
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const { reason, message } = classifyUpstreamError(error);
    this.#isEnded = true;
    this.#fail(reason, message, error);
  }

  /** Ends the exchange when the answer has more bytes than it may. */
  #hasRoom(bytes: number): boolean {
    const { maxBytes } = this.#request;
    if (bytes <= maxBytes) return true;
    this.#fail('broken_answer', `its answer is larger than ${maxBytes} bytes`);
    return false;
  }

  /** The answer is there and its stream goes on: nobody waits for its end, but it will not hold the connection for ever. */
  #linger(found: Found): void {
    if (this.#isEnded) return;
    this.#settle(found);
    const end = () => this.#controller?.abort(new Error('it did not end its stream behind the answer'));
    this.#timer = setTimeout(end, ENDING_MS).unref();
  }

  #settle(found: Found): void {
    if (found === 'misdirected') this.#fail('broken_answer', 'it answered another request');
    if (this.#isSettled) return;
    this.#isSettled = true;
    clearTimeout(this.#timer);
    const answer = found === 'misdirected' ? undefined : found;
    this.#answer.resolve({ status: this.#status, headers: this.#headers, answer });
  }

  #fail(reason: UpstreamFailureReason, message: string, cause?: unknown): void {
    this.#isSettled = true;
    clearTimeout(this.#timer);
    this.#answer.reject(new UpstreamError(reason, this.#request.stage, message, { cause }));
    this.#controller?.abort(new Error(message));
  }
}
