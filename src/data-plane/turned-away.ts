// How a request is turned away under overload: cheaper than it could be served, and in a way that its client understands.

import { ERRORS, toRetryAfter } from '../domain/errors.ts';
import { errorAnswer, rawText, scanMessage } from '../protocol/jsonrpc.ts';
import { toText } from '../protocol/splice.ts';
import { type Exchange, OVERLOADED, RETRY_AFTER_MS } from './exchange.ts';
import { reply, replyShort } from './reply.ts';

/** A larger body is not scanned: that would cost as much as what is to be spared. */
const SCANNED_BYTES = 4_096;
/** Where clients write the method, whatever the order of their members. */
const HEAD_BYTES = 256;

const { code, data, message } = OVERLOADED;
const { status, jsonRpcCode } = ERRORS[code];
const ERROR = { code: jsonRpcCode, message, data };
const HEADERS = ['retry-after', toRetryAfter(RETRY_AFTER_MS)];

/**
 * Whether a body holds a request, and not a notification or a response: those end and answer what is under way, and turning
 * them away would make more work. `id` is raw JSON, and known of small bodies.
 */
export function readRequest(body: Buffer): { readonly id: string | undefined } | undefined {
  if (body.length > SCANNED_BYTES) {
    return body.subarray(0, HEAD_BYTES).includes('"method"') ? { id: undefined } : undefined;
  }
  const message = scanMessage(body);
  return message.kind === 'request' && message.id !== undefined ? { id: rawText(body, message.id) } : undefined;
}

/**
 * 503 with `Retry-After`; the connection is kept, since another would cost more than the request. It is counted, and not
 * recorded. At once where that may be: a thousand requests that wait for the end of the turn outlive a collection of garbage.
 */
export function turnAway({ response, framing, telemetry }: Exchange, id: string | undefined, isLater: boolean): void {
  telemetry.turnedAway.add();
  const body = Buffer.from(errorAnswer(id, ERROR));
  if (isLater) replyShort(response, toText(body), 'json', HEADERS, status);
  else reply(response, status, body, framing, HEADERS);
}
