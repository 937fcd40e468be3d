// The bytes that give a JSON text its structure (RFC 8259 section 2).

export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
export const COLON = 0x3a;
export const COMMA = 0x2c;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;

/** So many bytes are read in vain for an end: an upstream may send each of its braces in a chunk of its own. */
export const MAX_TRIED_BYTES = 512 * 1024;

/** Whether a message may end with this chunk; white space may follow. */
export function endsInBrace(chunk: Buffer): boolean {
  let at = chunk.length - 1;
  while (at > 0 && (chunk[at] ?? 0) <= 0x20) at--;
  return chunk[at] === CLOSE_BRACE;
}
