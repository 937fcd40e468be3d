// What the legacy upstream of one call has asked a modern client, and has not been told yet. Its keys are never used
// again within the call: an answer that a client repeats in a later round must not answer something else.

import { type InputRequest, type InputResponse, MAX_INPUTS, toInputRequired } from '../protocol/input-required.ts';
import { type ClientAnswer, clientError, type LiveRequest, toUpstreamResponse } from '../protocol/server-request.ts';

interface OpenInput extends InputRequest {
  readonly request: LiveRequest;
}

/** Of all that is open together: it waits here, and leaves in one answer. */
const MAX_OPEN_BYTES = 4 * 1024 * 1024;

export class OpenInputs {
  #open: OpenInput[] = [];
  #minted = 0;

  get count(): number {
    return this.#open.length;
  }

  /** `false` when too many are open: it is the upstream's turn to wait for answers. */
  add(request: LiveRequest): boolean {
    const bytes = this.#open.reduce((sum, open) => sum + sizeOf(open), sizeOf({ request }));
    if (this.#open.length >= MAX_INPUTS || bytes > MAX_OPEN_BYTES) return false;
    this.#open.push({ key: `input-${++this.#minted}`, request });
    return true;
  }

  /** The `input_required` answer that asks for all that is open. `clientId` is raw JSON as latin1 text. */
  toAnswer(clientId: string, state: string): Buffer {
    return toInputRequired(clientId, this.#open, state);
  }

  /** The responses to send to the upstream, for what the client has answered. What nobody asked is ignored. */
  take(responses: readonly InputResponse[]): Buffer[] {
    const taken: Buffer[] = [];
    const byKey = new Map(responses.map(({ key, text }) => [key, text]));
    this.#open = this.#open.filter(({ key, request }) => {
      const text = byKey.get(key);
      if (text !== undefined) taken.push(toUpstreamResponse(request.idText, { kind: 'result', text }));
      return text === undefined;
    });
    return taken;
  }

  /** The upstream asks for this no longer (2025-11-25 basic/utilities/cancellation). `idText` is its id as raw JSON. */
  forget(idText: string): void {
    this.#open = this.#open.filter(({ request }) => request.idText !== idText);
  }

  /** The upstream asks for nothing any more. */
  clear(): void {
    this.#open = [];
  }

  /** The responses to send to an upstream that will be told nothing else, since its call ends. */
  fail(message: string): Buffer[] {
    const answer: ClientAnswer = clientError(message);
    const failed = this.#open.map(({ request }) => toUpstreamResponse(request.idText, answer));
    this.clear();
    return failed;
  }
}

function sizeOf({ request }: Pick<OpenInput, 'request'>): number {
  return request.idText.length + (request.params?.length ?? 0);
}
