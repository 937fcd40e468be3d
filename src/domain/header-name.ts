// Header names that a config may set: one rule for where they are written and for where they are sent.

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
/** Framing, hop-by-hop and MCP headers are the gateway's own: a config that sets them could smuggle a request or a session. */
const RESERVED_NAME =
  /^(?:accept-encoding|connection|content-.*|expect|host|keep-alive|mcp-.*|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

/** A token of RFC 9110 §5.6.2, of at most 128 characters. */
export function isHeaderName(name: string): boolean {
  return HEADER_NAME.test(name);
}

/** Whether a config may not set this header, in any spelling (design §3.13). */
export function isReservedHeader(name: string): boolean {
  return RESERVED_NAME.test(name);
}
