// The corpus of JSON-RPC envelopes, for the scanner alone and for the whole gateway.

import type { Message } from '../../src/protocol/jsonrpc.ts';
import type { CorpusCase } from './corpus.ts';

/** One line of the corpus: a body, and either the kind of message it is or the code it is refused with. */
export interface EnvelopeCase extends CorpusCase {
  /** The body, or in `base64` where it is no text. */
  readonly body?: string;
  readonly base64?: string;
  /** How many members of different keys stand where the body says `KEYS`. */
  readonly keys?: number;
  readonly kind?: Message['kind'];
  readonly code?: number;
  /** The id as raw JSON: of the message, or as the refusal echoes it; `null` for none. */
  readonly id: string | null;
}

export const ENVELOPE_COUNTS = {
  request: 55,
  notification: 1,
  'refused with -32600': 113,
  'refused with -32700': 63,
  'refused with -32602': 5,
  response: 5,
};

export function bytesOf({ body, base64 = '', keys = 0 }: EnvelopeCase): Buffer {
  return body === undefined ? Buffer.from(base64, 'base64') : Buffer.from(body.replace('KEYS', members(keys)));
}

/** The members of an object with that many keys. */
export function members(count: number): string {
  return Array.from({ length: count }, (_, index) => `"k${index}":0`).join();
}
