// What an event stream is made of where it carries JSON-RPC, and the fields that say how to resume one
// (WHATWG HTML §9.2.6).

export const EVENT_HEAD = Buffer.from('event: message\ndata: ');
export const EVENT_END = Buffer.from('\n\n');
/** Ends an event whose data is then no JSON. */
export const EVENT_CUT = Buffer.from('\ndata: (cut off)\n\n');
/** Ends no event and begins none: bytes that mean nothing to whoever reads events. */
export const COMMENT = Buffer.from(':\n\n');

const MAX_ID_CHARACTERS = 1024;
/** An upstream that asks for a longer pause gets this one, or it could silence a stream for good. */
const MAX_RETRY_MS = 5 * 60 * 1000;

/** The value of an `id` field, if the header Last-Event-ID can carry it back; others are as if they had not been sent. */
export function readEventId(value: Buffer): string | undefined {
  if (value.length > MAX_ID_CHARACTERS) return undefined;
  const text = value.toString('latin1');
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) ? text : undefined;
}

/** The value of a `retry` field in ms; `undefined` for one that is no number. */
export function readRetry(value: Buffer): number | undefined {
  const text = value.toString('latin1', 0, 10);
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text), MAX_RETRY_MS) : undefined;
}
